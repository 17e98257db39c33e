"""Bad networks between a pad and its broker, with real TCP: each press is confirmed at once and stored once."""

import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from simulator.ports import free_port
from tests.support.brokers import Mosquitto
from tests.support.network import Cable, cable
from tests.support.pad import BUZZER, Pad
from tests.support.waiting import wait_for
from tests.support.whole import Center

pytestmark = [pytest.mark.mosquitto, pytest.mark.long]

TONE_WITHIN_S = 2.0
"""A tone that waited for this network would come later."""


class Hall:
    """A center here and a pad at the other end of a cable."""

    def __init__(self, wire: Cable, center: Center, pad: Pad) -> None:
        self.wire, self.center, self.pad = wire, center, pad
        self.presses = 0

    def press(self) -> None:
        """Press, and hear the tone."""
        level = self.presses % 3 + 1
        at_ns = self.pad.push(level, held_s=0.06)
        self.pad.wait_lit(BUZZER, since_ns=at_ns, timeout_s=TONE_WITHIN_S)
        self.presses += 1
        time.sleep(0.15)  # the lock-out

    def stored(self) -> list[int]:
        """Return the numbers of the presses at the center."""
        rows = self.center.rows(
            "SELECT sequence FROM device_event WHERE type = 'vn.motcua.rating.given.v1' ORDER BY sequence"
        )
        return [sequence for (sequence,) in rows]

    def in_contact(self) -> bool:
        """Whether something came through: the pad says how it is as soon as it is connected."""
        return bool(self.center.rows("SELECT 1 FROM device_event"))


@pytest.fixture
def hall(make_mosquitto: Callable[..., Mosquitto], tmp_path: Path) -> Iterator[Hall]:
    """Both, in contact."""
    with cable() as wire:
        port = free_port()
        broker = make_mosquitto(options=f"allow_anonymous true\nlistener {port} {wire.host}")
        there: Any = SimpleNamespace(port=port)
        lines = f'host = "{wire.host}"\nkeepalive_s = 5'
        pad = Pad(
            tmp_path,
            there,
            rating='mode = "open"\nlockout_ms = 100\nthanks_ms = 100',
            broker_lines=lines,
            prefix=tuple(wire.prefix),
        )
        with Center(tmp_path / "center", broker) as center, pad:
            made = Hall(wire, center, pad)
            wait_for(made.in_contact, timeout_s=30)
            yield made


def test_a_slow_network_that_loses_and_turns_packets_round(hall: Hall) -> None:
    """With 150 ms ± 100 ms each way and a tenth of all packets lost, each tone is quick and each press stored once."""
    hall.wire.delay_s, hall.wire.jitter_s, hall.wire.loss = 0.15, 0.1, 0.1
    for _ in range(40):
        hall.press()
    wait_for(lambda: len(hall.stored()) >= 40, timeout_s=60, every_s=0.1)
    assert len(set(hall.stored())) == len(hall.stored()) == 40
    assert hall.wire.lost > 10


def test_a_network_that_is_cut_again_and_again(hall: Hall) -> None:
    """Cuts of up to three seconds while people press: each tone is quick, all is stored within 30 s of the last."""
    chance = random.Random(5)  # noqa: S311 - chance that can be repeated
    for _ in range(10):
        hall.wire.cut = not hall.wire.cut
        until = time.monotonic() + chance.uniform(0.3, 3)
        while time.monotonic() < until:
            hall.press()
    hall.wire.cut = False
    wait_for(lambda: len(hall.stored()) >= hall.presses, timeout_s=30, every_s=0.1)
    assert len(set(hall.stored())) == len(hall.stored()) == hall.presses


def test_a_cable_that_is_out_for_half_a_minute(hall: Hall) -> None:
    """The pad notices that nobody answers, says so once, keeps what is pressed, and sends it soon after the return."""
    hall.wire.cut = True
    hall.press()
    wait_for(lambda: "no connection to the broker" in hall.pad.log.read_text(), timeout_s=30, every_s=0.1)
    for _ in range(5):
        hall.press()
        time.sleep(2)
    assert hall.stored() == []
    hall.wire.cut = False
    wait_for(lambda: len(hall.stored()) == 6, timeout_s=30, every_s=0.1)
    assert hall.pad.log.read_text().count("no connection to the broker") == 1
