"""How it is known that a thread hangs."""

import msgspec

from firmware.config import BrokerConfig
from firmware.mqtt.transport import CONNECT_TIMEOUT_S, HANGS_AFTER_MS
from firmware.pulse import Pulse
from tests.support.clock import ManualClock


def test_work_that_takes_too_long_is_a_hang() -> None:
    """A thread is lost when its last beat is longer ago than the limit, and found again by the next one."""
    clock = ManualClock()
    pulse = Pulse(limit_ms=1000, monotonic_ms=clock.monotonic_ms)
    pulse.beat()
    clock.advance(1000)
    assert not pulse.lost()
    clock.advance(1)
    assert pulse.lost()
    pulse.beat()
    assert not pulse.lost()


def test_waiting_for_work_is_no_hang() -> None:
    """A thread that has not begun, or rests, may take for ever."""
    clock = ManualClock()
    pulse = Pulse(limit_ms=1000, monotonic_ms=clock.monotonic_ms)
    clock.advance(10**9)
    assert not pulse.lost()
    pulse.beat()
    pulse.rest()
    clock.advance(10**9)
    assert not pulse.lost()


def test_the_quietest_connection_is_no_hang() -> None:
    """With the longest keep-alive that a configuration may have, the network thread looks up in time."""
    schema = msgspec.json.schema(BrokerConfig)
    (broker,) = schema["$defs"].values()
    longest_s = broker["properties"]["keepalive_s"]["maximum"]
    assert longest_s / 3 + 4 * CONNECT_TIMEOUT_S < HANGS_AFTER_MS / 1000
