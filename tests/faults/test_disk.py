"""Disks that are full or become read-only, at device and center: nothing confirmed is lost, nothing hangs."""

from pathlib import Path

import pytest

from center.answers import Done
from center.queue.model import Issue, Refusal
from contract.ids import uuid7
from tests.support.brokers import Broker
from tests.support.disk import dying_card, small_disk
from tests.support.waiting import wait_for
from tests.support.whole import Center, Device, settled

pytestmark = pytest.mark.mosquitto


def refused(device: Device) -> int:
    """Return how many presses the pad could not confirm, and said so."""
    return device.hands.driven.count("fast")


def issue(center: Center) -> object:
    """Take a number."""
    return center.hall.submit(
        Issue(at=center.hall.clock.now_ms(), service="dat-dai", ticket_id=uuid7()), key=uuid7(), actor="test"
    ).result(30)


def test_a_full_card_confirms_nothing_and_heals_by_itself(mosquitto_broker: Broker, tmp_path: Path) -> None:
    """While a pad's disk is full its presses are refused; with room again they are confirmed, without a restart."""
    with small_disk(tmp_path / "pad", kilobytes=256) as disk, Center(tmp_path / "center", mosquitto_broker) as center:
        with Device(disk.folder, mosquitto_broker) as device:
            device.press(5)
            wait_for(lambda: device.lit() == 5)
            disk.fill()
            while not refused(device):
                device.press()
                pressed = device.pressed
                wait_for(lambda pressed=pressed: device.lit() + refused(device) == pressed)
            disk.free()
            device.press(5)
            wait_for(lambda: device.lit() + refused(device) == device.pressed)
            assert device.hands.driven[-5:] == ["light"] * 5
            wait_for(settled(center, device), timeout_s=30)
            lit = device.lit()
        stored = center.stored()
    assert len(stored) == len(set(stored)) == lit


def test_a_card_that_becomes_read_only_still_gives_what_it_holds(mosquitto_broker: Broker, tmp_path: Path) -> None:
    """What was confirmed before the card failed reaches the center though nothing can be written; once."""
    mosquitto_broker.stop()
    with dying_card(tmp_path / "pad") as card, Center.later(tmp_path / "center", mosquitto_broker) as center:
        with Device(card.folder, mosquitto_broker) as device:
            device.press(5)
            wait_for(lambda: device.lit() == 5)
            card.fail()
            device.press(3)
            wait_for(lambda: refused(device) == 3)
            mosquitto_broker.start()
            wait_for(lambda: len(center.stored()) == 5, timeout_s=30)
            assert device.lit() == 5
        card.mend()
        with Device(card.folder, mosquitto_broker) as device:
            device.press()
            wait_for(lambda: device.lit() == 1)
            wait_for(lambda: not device.waiting(), timeout_s=30)
        stored = center.stored()
    assert [number for _, number in stored] == [1, 2, 3, 4, 5, 1]


def test_a_center_with_a_full_disk_leaves_events_at_the_devices(mosquitto_broker: Broker, tmp_path: Path) -> None:
    """While the center cannot store, no number is given and presses wait at the pad; with room all are stored once."""
    with (
        small_disk(tmp_path / "center", kilobytes=4096) as disk,
        Center(disk.folder, mosquitto_broker) as center,
        Device(tmp_path / "pad", mosquitto_broker) as device,
    ):
        wait_for(device.is_up)
        assert isinstance(issue(center), Done)
        disk.fill()
        while isinstance(issue(center), Done):
            pass
        device.press(200)
        wait_for(lambda: device.lit() == 200)
        assert isinstance(issue(center), Refusal)
        assert device.waiting() > 0
        disk.free()
        wait_for(settled(center, device), timeout_s=30)
        stored = center.stored()
        assert isinstance(issue(center), Done)
    assert len(stored) == len(set(stored)) == 200


def test_a_center_whose_disk_becomes_read_only_loses_nothing(mosquitto_broker: Broker, tmp_path: Path) -> None:
    """A center on a failing disk refuses and confirms nothing; on the mended disk all is stored once."""
    with dying_card(tmp_path / "center") as card, Device(tmp_path / "pad", mosquitto_broker) as device:
        with Center(card.folder, mosquitto_broker) as center:
            device.press(5)
            wait_for(settled(center, device), timeout_s=30)
            card.fail()
            device.press(20)
            wait_for(lambda: device.lit() == 25)
            assert isinstance(issue(center), Refusal)
            assert device.waiting() >= 20
        card.mend()
        with Center(card.folder, mosquitto_broker) as center:
            wait_for(settled(center, device), timeout_s=30)
            stored = center.stored()
    assert [number for _, number in stored] == list(range(1, 26))
