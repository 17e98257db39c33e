"""The time, passed in: instants in UTC milliseconds, and which business day they fall on."""

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

MOST_AHEAD_MS = 31 * 86_400_000
"""What a device says to be so much later than now is dated now: dates further on cannot be drawn, nor grow old."""


class Clock(Protocol):
    """What the center asks the time."""

    def now_ms(self) -> int:
        """The wall clock, in UTC milliseconds since 1970; it may step."""
        ...

    def monotonic_s(self) -> float:
        """Seconds on a clock that never steps, and that goes on while the machine sleeps."""
        ...


class SystemClock:
    """The clock of this machine."""

    def now_ms(self) -> int:
        """The wall clock, in UTC milliseconds since 1970."""
        return time.time_ns() // 1_000_000

    def monotonic_s(self) -> float:
        """Seconds since the kernel started, sleep included."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)


def business_day(at_ms: int, zone: ZoneInfo) -> str:
    """Return the day (YYYY-MM-DD) an instant falls on at the center."""
    return datetime.fromtimestamp(at_ms / 1000, zone).date().isoformat()


def next_midnight_ms(at_ms: int, zone: ZoneInfo) -> int:
    """Return when the business day of an instant ends."""
    day = datetime.fromtimestamp(at_ms / 1000, zone).date() + timedelta(days=1)
    return int(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp() * 1000)


def rfc3339(at_ms: int) -> str:
    """Return an instant as people and other programs write it, in UTC."""
    stamp = datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds")
    return stamp.replace("+00:00", "Z")
