"""The last day of each device, in quarters of an hour. Pure.

A cell is the worst that was in it. Nothing in a cell: the device was switched off, or the center was.
"""

from collections.abc import Iterable

from center.fleet.alerts import Subject
from center.fleet.signs import Level

CELL_MS = 15 * 60_000
CELLS = 96

NONE, WELL, WARN, LOST = "-", "o", "w", "l"
_OF_LEVEL: dict[Level, str] = {"ok": WELL, "warn": WARN, "lost": LOST, "revoked": LOST}
_WORSE = (NONE, WELL, WARN, LOST)

Cell = tuple[Subject, int, str]
"""Whose, when it begins, what was in it."""


class Strips:
    """The strips of all devices. Bounded: a day of cells for each device of the list."""

    def __init__(self, cells: Iterable[Cell] = ()) -> None:
        self._cells: dict[Subject, dict[int, str]] = {}
        for subject, at, level in cells:
            self._cells.setdefault(subject, {})[at] = level

    def note(self, subject: Subject, level: Level, now_ms: int) -> Cell | None:
        """Take in how a device is now; return its cell if that is worse than what the cell held."""
        mark = _OF_LEVEL.get(level)
        if mark is None:
            return None
        at = now_ms - now_ms % CELL_MS
        cells = self._cells.setdefault(subject, {})
        if _WORSE.index(mark) <= _WORSE.index(cells.get(at, NONE)):
            return None
        if at not in cells:  # once in a quarter; the clock may have been ahead for a while
            for old in [one for one in cells if not at - CELLS * CELL_MS < one < at]:
                del cells[old]
        cells[at] = mark
        return subject, at, mark

    def forget(self, subject: Subject) -> None:
        """Let go of a device."""
        self._cells.pop(subject, None)

    def of(self, subject: Subject, now_ms: int) -> str:
        """Return a device's last day as a text, a letter for each cell, the present one last."""
        last = now_ms - now_ms % CELL_MS
        cells = self._cells.get(subject, {})
        return "".join(cells.get(last - back * CELL_MS, NONE) for back in range(CELLS - 1, -1, -1))
