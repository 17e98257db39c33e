"""Two machines with one name, on the whole path: the second is refused, nothing is lost, each press is stored once."""

import shutil
from contextlib import ExitStack
from pathlib import Path

from tests.support.brokers import Broker
from tests.support.waiting import wait_for
from tests.support.whole import Center, Device, settled


def test_a_copied_card_loses_nothing(any_broker: Broker, tmp_path: Path) -> None:
    """A pad from a copied card confirms presses while it is refused; all are stored once when the first has gone."""
    with Device(tmp_path / "a", any_broker, boot="boot-a") as before:
        before.press(5)
        wait_for(lambda: before.lit() == 5)
    shutil.copytree(tmp_path / "a", tmp_path / "b")  # with five presses that nobody has got yet
    first = Device(tmp_path / "a", any_broker, boot="boot-a")
    with Center(tmp_path / "center", any_broker) as center, ExitStack() as power:
        with first:
            first.pressed = 5
            wait_for(first.is_up)
            copy = power.enter_context(Device(tmp_path / "b", any_broker, boot="boot-b"))
            for each in (first, copy):
                each.press(10)
            wait_for(lambda: first.lit() == copy.lit() == 10)
            wait_for(lambda: not first.waiting(), timeout_s=30)
            assert first.is_up()
            assert not copy.is_up()
            assert copy.waiting() >= 15
            wait_for(lambda: "twins" in center.signs())
            assert center.signs()["twins"].detail == "boot-b"
        wait_for(settled(center, copy), timeout_s=30)
        stored = center.stored()
    assert len(stored) == len(set(stored)) == 25
