"""Clocks that are set, never set, or set late, at device and center: order and count stand, times are right."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from center.answers import Done
from center.clock import SystemClock as CenterSystemClock
from center.queue.model import Issue
from contract.ids import uuid7
from firmware.clock import SystemClock
from tests.support.brokers import Broker
from tests.support.waiting import wait_for
from tests.support.whole import Center, Device, settled

pytestmark = pytest.mark.mosquitto

YEAR_1970_S = -time.time()
DAY_S = 86_400.0


class DeviceClock(SystemClock):
    """A machine's clock; its wall can be set."""

    def __init__(self, *, off_s: float = 0.0, is_set: bool = True) -> None:
        super().__init__()
        self.off_s, self.is_set = off_s, is_set

    def now(self) -> datetime:
        """The wall clock."""
        return datetime.now(UTC) + timedelta(seconds=self.off_s)

    def synchronised(self) -> bool:
        """As told."""
        return self.is_set


class CenterClock(CenterSystemClock):
    """A server's clock; its wall can be set."""

    off_s = 0.0

    def now_ms(self) -> int:
        """The wall clock."""
        return super().now_ms() + round(self.off_s * 1000)


def times(center: Center) -> list[float]:
    """Return when each press happened by the record, in seconds from now, in the order of its numbers."""
    rows = center.rows(
        "SELECT occurred_at FROM device_event WHERE type = 'vn.motcua.rating.given.v1' ORDER BY sequence"
    )
    return [at / 1000 - time.time() for (at,) in rows]


def presses(device: Device, steps: list[Callable[[], None]]) -> None:
    """Press three times before each step and after the last."""
    for step in (*steps, lambda: None):
        before = device.pressed
        device.press(3)
        wait_for(lambda before=before: device.lit() == before + 3)
        step()


@pytest.mark.parametrize("step_s", [10 * DAY_S, -10 * DAY_S])
def test_a_device_s_clock_that_is_set_changes_dates_and_nothing_else(
    mosquitto_broker: Broker, tmp_path: Path, step_s: float
) -> None:
    """Forward or back: each press is stored once, in its order, with the time that its clock had."""
    clock = DeviceClock()
    with Center(tmp_path / "center", mosquitto_broker) as center:
        with Device(tmp_path / "pad", mosquitto_broker, clock=clock) as device:
            presses(device, [lambda: setattr(clock, "off_s", step_s)])
            wait_for(settled(center, device), timeout_s=30)
        assert [number for _, number in center.stored()] == [1, 2, 3, 4, 5, 6]
        assert times(center) == pytest.approx([0, 0, 0, step_s, step_s, step_s], abs=60)


def test_a_clock_that_was_never_set_gets_the_time_of_arrival(mosquitto_broker: Broker, tmp_path: Path) -> None:
    """A pad that believes it is 1970 gives presses that the center dates itself."""
    clock = DeviceClock(off_s=YEAR_1970_S, is_set=False)
    with Center(tmp_path / "center", mosquitto_broker) as center:
        with Device(tmp_path / "pad", mosquitto_broker, clock=clock) as device:
            presses(device, [])
            wait_for(settled(center, device), timeout_s=30)
        assert times(center) == pytest.approx([0, 0, 0], abs=60)


def test_presses_before_the_clock_was_set_are_put_right(mosquitto_broker: Broker, tmp_path: Path) -> None:
    """What waited while the clock was wrong goes out with the time at which it really happened."""
    clock = DeviceClock(off_s=YEAR_1970_S, is_set=False)
    mosquitto_broker.stop()
    with Center.later(tmp_path / "center", mosquitto_broker) as center:
        with Device(tmp_path / "pad", mosquitto_broker, clock=clock) as device:

            def set_clock() -> None:
                clock.off_s, clock.is_set = 0.0, True

            presses(device, [set_clock])
            mosquitto_broker.start()
            wait_for(settled(center, device), timeout_s=30)
        assert times(center) == pytest.approx([0] * 6, abs=60)
        flags = center.rows("SELECT clock_synced FROM device_event WHERE type = 'vn.motcua.rating.given.v1'")
        assert {flag for (flag,) in flags} == {1}


@pytest.mark.parametrize("step_s", [DAY_S, -DAY_S])
def test_a_center_s_clock_that_is_set_loses_and_repeats_nothing(
    mosquitto_broker: Broker, tmp_path: Path, step_s: float
) -> None:
    """While the server's clock is set by a day and back, presses are stored once and numbers go on."""
    clock = CenterClock()
    with Center(tmp_path / "center", mosquitto_broker, clock=clock) as center:
        numbers = []

        def step(off_s: float) -> None:
            command = Issue(at=clock.now_ms(), service="dat-dai", ticket_id=uuid7())
            answer = center.hall.submit(command, key=uuid7(), actor="test").result(30)
            assert isinstance(answer, Done)
            assert answer.ticket is not None
            numbers.append(answer.ticket.number)
            clock.off_s = off_s

        with Device(tmp_path / "pad", mosquitto_broker, clock=DeviceClock()) as device:
            presses(device, [lambda: step(step_s), lambda: step(0.0), lambda: step(0.0)])
            wait_for(settled(center, device), timeout_s=30)
        assert [number for _, number in center.stored()] == list(range(1, 13))
        assert numbers == ["A001", "A002", "A003"]
        assert times(center) == pytest.approx([0] * 12, abs=60)
