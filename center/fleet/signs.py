"""What a device's last words tell of how it is, sign by sign. Pure.

A figure is bad beyond one bound and well again only beyond another: what swings about a bound does not count each time.
"""

from collections.abc import Iterable, Mapping
from typing import Literal

import msgspec

from center.answers import Device
from contract.events import DeviceHealth

Level = Literal["ok", "warn", "lost", "revoked", "offline", "unknown"]
Kind = Literal[
    "lost", "revoked", "twins", "silent", "trouble", "outbox", "hot", "throttled", "disk", "clock_off", "clock",
    "certificate", "panic", "store", "broker", "restarts", "center_disk", "center_clock", "share",
]  # fmt: skip
"""What an alert can be about; `store` to `center_clock` are the center's own."""

Condition = Literal["bad", "between", "well"]

HOT_C, COOL_C = 75.0, 70.0  # a Raspberry Pi slows itself down from 80
DISK_LOW_MB, DISK_ENOUGH_MB = 500, 600
OUTBOX_LONG, OUTBOX_SHORT = 100, 20
SILENT_S = 90  # three reports missed
CLOCK_OFF_MS, CLOCK_RIGHT_MS = 120_000, 60_000
CERTIFICATE_DAYS = 14
RESTARTS = 3  # of the broker in an hour
MOST = 2  # so many devices, and more than half of them, are right against the center's clock

_KEPT_BACK = 3  # a health event that waited behind others is old without any clock being wrong


class Sign(msgspec.Struct, frozen=True):
    """One condition of a device; `detail` is a word or figure beside it."""

    condition: Condition
    detail: str = ""


Signs = Mapping[Kind, Sign]
"""What is not among them is well."""


def signs(
    known: Device,
    now_ms: int,
    *,
    center_is_off: bool = False,
    certificate_ends_at: int | None = None,
    revoked: bool = False,
) -> Signs | None:
    """Return what is to be said of a device; None where nothing is known of it.

    `revoked`: no key of it is good any more, so whatever it said last, it speaks no more.
    """
    status, health = known.status, known.health
    if status is None:
        return None
    if revoked:  # of one that was switched off before, nobody need be told
        condition: Condition = "between" if status.state == "offline" else "bad"
        return {"revoked": Sign(condition), **dict.fromkeys(_LIVE, Sign("between"))}
    if status.state == "offline":
        return {}
    if status.state == "lost":
        return {"lost": Sign("bad"), **dict.fromkeys(_LIVE, Sign("between"))}
    # Seen in the future: before the clock was set back, and not since.
    found: dict[Kind, Sign] = {"silent": _sign(abs(now_ms - known.seen_at) > SILENT_S * 1000)}
    if known.machines is not None and (other := known.machines.other(now_ms)) is not None:
        found["twins"] = Sign("bad", other[:8])
    if certificate_ends_at is not None and not center_is_off:
        days = (certificate_ends_at - now_ms) // _DAY_MS
        found["certificate"] = Sign("bad", f"{days} d") if days < CERTIFICATE_DAYS else Sign("well")
    if known.trouble:
        found["trouble"] = Sign("bad", known.trouble[:64])
    if health is not None:
        found |= _of_health(health)
        if known.ahead_ms is not None and not center_is_off:
            found["clock_off"] = _clock(known.ahead_ms, health)
    return found


_DAY_MS = 86_400_000
_LIVE: tuple[Kind, ...] = (
    "silent",
    "trouble",
    "outbox",
    "hot",
    "throttled",
    "disk",
    "clock_off",
    "clock",
    "certificate",
)


def level(known: Device, found: Signs | None) -> Level:
    """Return one word for a device. A clock that was never set is a remark only: no event depends on it."""
    if found is None or known.status is None:
        return "unknown"
    if "revoked" in found:
        return "revoked"
    if known.status.state == "offline":
        return "offline"
    if known.status.state == "lost":
        return "lost"
    bad = {kind for kind, sign in found.items() if sign.condition == "bad"}
    return "warn" if bad - {"clock"} else "ok"


def center_clock(devices: Iterable[Device]) -> bool:
    """Whether the center's own clock is the wrong one: most of the devices whose clocks are set say another time."""
    told = [one.ahead_ms for one in devices if one.ahead_ms is not None and one.status and one.status.state == "online"]
    off = sum(abs(ahead) > CLOCK_OFF_MS for ahead in told)
    return off >= MOST and 2 * off > len(told)


class Center(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of the center itself; None where it cannot be known."""

    storing: bool = True
    reached: bool = True
    disk_free_mb: int | None = None
    restarts: int = 0  # of the broker, in the last hour
    clock_is_off: bool = False


def center_signs(center: Center) -> Signs:
    """Return what is to be said of the center."""
    return {
        "store": _sign(not center.storing),
        "broker": _sign(not center.reached),
        "restarts": Sign("bad", str(center.restarts)) if center.restarts >= RESTARTS else Sign("well"),
        "center_disk": _low(center.disk_free_mb),
        "center_clock": _sign(center.clock_is_off),
    }


def _of_health(health: DeviceHealth) -> dict[Kind, Sign]:
    return {
        "outbox": _high(health.outbox_depth, OUTBOX_LONG, OUTBOX_SHORT, ""),
        "hot": _high(health.temperature_c, HOT_C, COOL_C, " °C"),
        "throttled": _sign(bool(health.throttled)),
        "disk": _low(health.disk_free_mb),
        "clock": _sign(not health.clocksynced),
    }


def _sign(is_bad: bool) -> Sign:
    return Sign("bad" if is_bad else "well")


def _high(value: float | None, bad: float, well: float, unit: str) -> Sign:
    if value is None or value < well:
        return Sign("well")
    return Sign("bad" if value >= bad else "between", f"{value:.0f}{unit}")


def _low(megabytes: int | None) -> Sign:
    if megabytes is None or megabytes >= DISK_ENOUGH_MB:
        return Sign("well")
    return Sign("bad" if megabytes < DISK_LOW_MB else "between", f"{megabytes} MB")


def _clock(ahead_ms: int, health: DeviceHealth) -> Sign:
    if ahead_ms < 0 and health.outbox_depth > _KEPT_BACK:
        return Sign("between")
    off_ms = abs(ahead_ms)
    if off_ms <= CLOCK_RIGHT_MS:
        return Sign("well")
    return Sign("bad" if off_ms > CLOCK_OFF_MS else "between", f"{ahead_ms // 1000:+d} s")
