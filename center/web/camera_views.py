"""A camera as a supervisor looks at it: how it is, what lies on it, and whether somebody looks through it."""

from typing import Any

import msgspec

from center.answers import Device
from center.cameras.looks import Coming, Looks
from center.fleet.fleet import Board
from center.fleet.signs import Level
from center.web.devices import look
from center.web.mirror import Mirror

CAMERA = "camera"
"""The last part of a camera's name."""


class CameraView(msgspec.Struct, frozen=True, kw_only=True):
    """One camera on the pages. A figure that it did not report is null; `label` is that of its counter, if it has one.

    `watched`: whether somebody looks through it; `coming`: whether pictures come.
    """

    station: str
    label: str | None
    level: Level
    why: tuple[str, ...]
    trouble: str | None
    seen_at: int
    clips: int | None
    held: int | None
    watched: bool
    coming: Coming


class _Reported(msgspec.Struct):
    clips: Any = None
    held: Any = None


_reported = msgspec.json.Decoder(_Reported)


def cameras(
    mirror: Mirror, now_ms: int, *, reached: bool, off: bool, board: Board, looks: Looks
) -> dict[str, CameraView]:
    """Return the cameras by station, each judged by what it said last."""
    seen = {}
    for name, known in mirror.devices.items():
        if known.device == CAMERA:
            judged = look(known, now_ms, center_is_off=off, revoked=name in board.revoked)
            counter = mirror.state.counters.get(known.station)
            is_known = reached or judged.level == "revoked"
            clips, held = _figures(known)
            seen[known.station] = CameraView(
                station=known.station,
                label=counter.label if counter is not None else None,
                level=judged.level if is_known else "unknown",
                why=judged.why if is_known else (),
                trouble=judged.trouble,
                seen_at=judged.seen_at,
                clips=clips,
                held=held,
                watched=looks.watched(known.station),
                coming=looks.coming(known.station),
            )
    return seen


def _figures(known: Device) -> tuple[int | None, int | None]:
    try:
        said = _reported.decode(known.reported or "{}")
    except (msgspec.MsgspecError, RecursionError):  # no camera of ours says what cannot be read
        return None, None
    return (
        said.clips if isinstance(said.clips, int) else None,
        said.held if isinstance(said.held, int) else None,
    )
