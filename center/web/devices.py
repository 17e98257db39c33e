"""A device as an operator looks at it: one word for how it is, why, and the figures behind it."""

from typing import Literal

import msgspec

from center.answers import Device

Level = Literal["ok", "warn", "lost", "offline", "unknown"]

PROBLEMS: frozenset[Level] = frozenset({"lost", "warn"})
HOT_C = 75.0  # a Raspberry Pi slows itself down from 80
DISK_LOW_MB = 500
OUTBOX_LONG = 100
SILENT_S = 90  # three reports missed

_KINDS = frozenset({"rating", "callpad", "display", "camera", "kiosk", "printer"})
_LEVEL_OF: dict[str, Level] = {"lost": "lost", "offline": "offline"}


class DeviceView(msgspec.Struct, frozen=True, kw_only=True):
    """One device on the page and in the API. A figure that nobody reported is null."""

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


def look(known: Device, now_ms: int) -> DeviceView:
    """Judge a device by what it said last."""
    status, health = known.status, known.health
    said = (known.reported or {}).get("trouble")
    trouble = said if isinstance(said, str) else None
    level: Level = "unknown" if status is None else _LEVEL_OF.get(status.state, "ok")
    why: list[str] = []
    if level == "ok":
        if health is not None:
            if health.temperature_c is not None and health.temperature_c >= HOT_C:
                why.append("hot")
            if health.disk_free_mb is not None and health.disk_free_mb < DISK_LOW_MB:
                why.append("disk")
            if health.outbox_depth > OUTBOX_LONG:
                why.append("outbox")
        if now_ms - known.seen_at > SILENT_S * 1000:
            why.append("silent")
        if why or trouble:
            level = "warn"
        if health is not None and not health.clocksynced:
            why.append("clock")  # a remark only: without internet no clock is ever set, and no event depends on it
    return DeviceView(
        name=f"{known.station}/{known.device}",
        station=known.station,
        device=known.device,
        kind=known.device,
        kind_known=known.device in _KINDS,
        level=level,
        why=tuple(why),
        trouble=trouble,
        seen_at=known.seen_at,
        version=status.version if status else health.version if health else None,
        temperature_c=health.temperature_c if health else None,
        disk_free_mb=health.disk_free_mb if health else None,
        memory_mb=health.memory_mb if health else None,
        outbox_depth=health.outbox_depth if health else None,
        uptime_s=health.uptime_s if health else None,
    )
