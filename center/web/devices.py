"""A device as an operator looks at it: one word for how it is, why, its last day, and the figures behind it."""

from datetime import datetime, tzinfo

import msgspec

from center.answers import Device
from center.fleet.alerts import Alert
from center.fleet.fleet import Board
from center.fleet.signs import Kind, Level, level, signs
from center.fleet.strip import LOST, NONE, WARN, WELL
from center.queue.state import State
from center.web.words import WORDS, Language, say

PROBLEMS: frozenset[Level] = frozenset({"lost", "revoked", "warn"})
RANK: dict[Level, int] = {"lost": 0, "revoked": 1, "warn": 2, "unknown": 3, "offline": 4, "ok": 5}
"""Problems first."""

_KINDS = frozenset({"rating", "callpad", "display", "camera", "kiosk", "printer"})
_REMARKS: tuple[Kind, ...] = ("revoked", "twins", "hot", "throttled", "disk", "outbox", "silent", "clock_off", "clock")
_HEIGHT = {WELL: 6, WARN: 11, LOST: 16}
_SHEET = 16


class DeviceView(msgspec.Struct, frozen=True, kw_only=True):
    """One device on the page and in the API. A figure that nobody reported is null.

    `strip`: its last 24 hours, a letter for each quarter of an hour, the present one last: `o` well, `w` needs a look,
    `l` lost, `-` nothing known.
    """

    name: str
    station: str
    device: str
    kind: str
    kind_known: bool
    level: Level
    why: tuple[str, ...]
    trouble: str | None
    seen_at: int
    version: str | None
    temperature_c: float | None
    disk_free_mb: int | None
    memory_mb: float | None
    outbox_depth: int | None
    uptime_s: int | None
    strip: str


def look(
    known: Device, now_ms: int, *, strip: str = "", center_is_off: bool = False, revoked: bool = False
) -> DeviceView:
    """Judge a device by what it said last."""
    status, health = known.status, known.health
    found = signs(known, now_ms, center_is_off=center_is_off, revoked=revoked) or {}
    return DeviceView(
        name=f"{known.station}/{known.device}",
        station=known.station,
        device=known.device,
        kind=known.device,
        kind_known=known.device in _KINDS,
        level=level(known, found),
        why=tuple(kind for kind in _REMARKS if kind in found and (kind == "revoked" or found[kind].condition == "bad")),
        trouble=known.trouble or None,
        seen_at=known.seen_at,
        version=status.version if status else health.version if health else None,
        temperature_c=health.temperature_c if health else None,
        disk_free_mb=health.disk_free_mb if health else None,
        memory_mb=health.memory_mb if health else None,
        outbox_depth=health.outbox_depth if health else None,
        uptime_s=health.uptime_s if health else None,
        strip=strip,
    )


def drawn(strip: str, mark: str) -> str:
    """Return the path of one mark's bars on a sheet as wide as the strip and 16 high: the worse, the higher."""
    bars = []
    at = 0
    while at < len(strip):
        end = at
        while end < len(strip) and strip[end] == strip[at]:
            end += 1
        if strip[at] == mark:
            bars.append(f"M{at} {_SHEET}V{_SHEET - _HEIGHT[mark]}H{end}V{_SHEET}z")
        at = end
    return "".join(bars)


def hours(strip: str) -> dict[str, str]:
    """Return how long a device was in each state, as hours and minutes."""
    counts = {
        name: strip.count(mark) for name, mark in (("well", WELL), ("warn", WARN), ("lost", LOST), ("none", NONE))
    }
    return {name: f"{count // 4}:{count % 4 * 15:02d}" for name, count in counts.items()}


# --- in words --------------------------------------------------------------------------------------------------------


def ago(ms: int, lang: Language) -> str:
    """Say how long ago something was."""
    seconds = max(0, ms // 1000)
    if seconds < 10:
        return say("seen_now", lang)
    if seconds < 60:
        return say("seconds_ago", lang, n=seconds - seconds % 5)
    return say("minutes_ago", lang, n=seconds // 60) if seconds < 3600 else say("hours_ago", lang, n=seconds // 3600)


def remark(item: DeviceView, lang: Language) -> str:
    """Say why a device needs a look. A word that is not in our list is shown as it came: a new device may bring it."""
    said = [say(f"why_{one}", lang) for one in item.why]
    if item.trouble:
        said.append(_trouble(item.trouble, lang))
    return "; ".join(said)


def _trouble(trouble: str, lang: Language) -> str:
    word, _, what = trouble.partition(":")
    key = f"trouble_{word}"
    return say(key, lang, what=what) if key in WORDS else trouble


def about(alert: Alert, lang: Language) -> str:
    """Say what an alert is about."""
    if alert.kind == "trouble":
        return _trouble(alert.detail, lang)
    return say(f"why_{alert.kind}", lang) + (f" ({alert.detail})" if alert.detail else "")


def unit(value: float | None, name: str) -> str:
    """Write a figure with its unit."""
    return "–" if value is None else f"{round(value)} {name}".strip()


def disk(megabytes: int | None) -> str:
    """Write free space: in gigabytes, unless little is left."""
    if megabytes is not None and megabytes >= 10_000:
        return unit(megabytes / 1000, "GB")
    return unit(megabytes, "MB")


def panics(board: Board, state: State, zone: tzinfo, lang: Language) -> list[str]:
    """Say where somebody calls for help now."""
    said = []
    for alert in board.alerts:
        if alert.kind == "panic" and alert.ended_at is None:
            counter = state.counters.get(alert.station)
            place = f"{say('counter', lang)} {counter.label}" if counter is not None else alert.station
            time = datetime.fromtimestamp(alert.begun_at / 1000, zone).strftime("%H:%M")
            said.append(say("panic_now", lang, place=place, time=time))
    return said
