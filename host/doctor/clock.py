"""The clock: whether it was set, whether the year can be, and whether it survives a power cut."""

import re
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from host import kernel_clock
from host.doctor.finding import Finding, ok, problem, warning
from host.doctor.roots import Roots, number_of

EARLIEST = datetime(2026, 1, 1, tzinfo=UTC)
LATEST = datetime(2100, 1, 1, tzinfo=UTC)
"""A clock outside of these was never set."""

APART_S = 30.0
"""Two clocks that are further apart than this are not both right."""

_FLAT_UV = 2_000_000
"""A Pi 5's clock battery gives 3 V; below two it does not outlast a night."""

_SET = "let it ask a time server: NTP= in /etc/systemd/timesyncd.conf; the center's server may be one"


@dataclass(frozen=True, slots=True)
class BatteryClock:
    """The clock chip: what it says, and its battery's voltage where the kernel tells."""

    time: datetime | None
    battery_uv: int | None = None


@dataclass(frozen=True, slots=True)
class ClockFacts:
    """What is known of the time here."""

    now: datetime
    synchronised: bool
    zone: str
    battery_clock: BatteryClock | None


def probe(roots: Roots) -> ClockFacts:
    """Ask the machine."""
    return ClockFacts(
        now=datetime.now(UTC),
        synchronised=(roots.run / "systemd/timesync/synchronized").exists() or kernel_clock.is_synchronised(),
        zone=_zone(roots),
        battery_clock=_battery_clock(roots),
    )


def judge(facts: ClockFacts, *, decides_the_day: bool) -> Sequence[Finding]:
    """Judge a clock; the center's decides the business day, a station's may be wrong for a while."""
    shown = f"{facts.now:%Y-%m-%d %H:%M:%S} UTC"
    if not EARLIEST <= facts.now < LATEST:
        return [problem("clock-year", f"it says {shown}, which cannot be", f"set it; {_SET}")]
    found = [_set(facts, shown, decides_the_day), ok("clock-zone", f"the system's time zone is {facts.zone}")]
    chip = facts.battery_clock
    if chip is None:
        if decides_the_day:
            found.append(
                warning(
                    "clock-no-battery",
                    "there is no clock with a battery: after a power cut without a network the date is wrong",
                    "fit one (a Pi 5 has a connector for its battery), or have a time server at hand at every start",
                )
            )
        return found
    if chip.battery_uv is not None and chip.battery_uv < _FLAT_UV:
        found.append(
            warning(
                "clock-battery-flat",
                f"the clock's battery gives {chip.battery_uv / 1e6:.1f} V: it is missing or flat",
                "put in a battery",
            )
        )
    elif chip.time is not None and abs(facts.now - chip.time) > timedelta(seconds=APART_S):
        found.append(
            warning(
                "clock-battery-differs",
                f"the clock with the battery says {chip.time:%Y-%m-%d %H:%M:%S} UTC, and counts after a power cut",
                "once the time is right: sudo hwclock --systohc",
            )
        )
    else:
        found.append(ok("clock-battery", "the clock with the battery agrees"))
    return found


def _set(facts: ClockFacts, shown: str, decides_the_day: bool) -> Finding:
    if facts.synchronised:
        return ok("clock-set", f"{shown}, set by a time source")
    if not decides_the_day:
        return warning(
            "clock-unset",
            f"{shown}, but no time source has set it: events keep their order, their times are marked as not sure",
            _SET,
        )
    if facts.battery_clock is None:
        return problem(
            "clock-unset",
            f"{shown}, but no time source has set it, and there is no clock with a battery",
            f"look at a watch and set it (timedatectl set-time); {_SET}",
        )
    return warning(
        "clock-unset",
        f"{shown}, by the clock with the battery; no time source has set it",
        f"look at a watch once a month; {_SET}",
    )


def compare(ours: datetime, theirs: datetime, *, whose: str) -> Finding:
    """Judge our clock by another one."""
    apart_s = (ours - theirs).total_seconds()
    if abs(apart_s) <= APART_S:
        return ok("clock-agrees", f"it agrees with {whose}")
    way = "ahead of" if apart_s > 0 else "behind"
    return warning(
        "clock-differs",
        f"it is {_span(abs(apart_s))} {way} {whose}",
        f"find out which of the two is wrong (timedatectl on both), and set that one; {_SET}",
    )


def date_of(url: str, *, timeout_s: float) -> datetime | None:
    """Return what time it is at a web server, by any answer of it; None where nobody answers with a date."""
    try:
        with urllib.request.urlopen(url, timeout=timeout_s) as answer:  # noqa: S310 - our own http address
            told = answer.headers.get("date")
    except urllib.error.HTTPError as error:
        told = error.headers.get("date")
        error.close()
    except (OSError, ValueError):
        return None
    try:
        return parsedate_to_datetime(told).astimezone(UTC)
    except (TypeError, ValueError):
        return None


def _zone(roots: Roots) -> str:
    try:
        target = str((roots.etc / "localtime").readlink())
    except OSError:
        return "UTC"
    found = re.search(r"zoneinfo/(?:posix/|right/)?(.+)$", target)
    return found[1] if found else target


def _battery_clock(roots: Roots) -> BatteryClock | None:
    folder = roots.sys / "class/rtc/rtc0"
    if not folder.exists():
        return None
    seconds = number_of(folder / "since_epoch")
    time = datetime.fromtimestamp(seconds, UTC) if seconds is not None else None
    return BatteryClock(time=time, battery_uv=number_of(folder / "battery_voltage"))


def _span(seconds: float) -> str:
    for unit, length in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"
