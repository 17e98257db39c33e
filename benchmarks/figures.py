"""Percentiles, medians over rounds, and the rows that a benchmark prints."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


def percentile(values: Sequence[float], share: float) -> float:
    """Return the nearest-rank percentile: `share` is 0.5 for the median, 0.99 for p99."""
    ordered = sorted(values)
    rank = max(0, min(len(ordered) - 1, round(share * len(ordered) + 0.5) - 1))
    return ordered[rank]


def median(values: Sequence[float]) -> float:
    """Return the median over rounds."""
    return statistics.median(values)


@dataclass(frozen=True, slots=True)
class Row:
    """One printed line: our figure, what stands beside it, and the goal where there is one.

    `beside` is the same quantity of the peer or the floor, measured in the same run; None where nothing stands there.
    """

    what: str
    ours: float
    unit: str
    beside: float | None = None
    beside_name: str = ""
    goal: str = ""
    met: bool | None = None

    @property
    def ratio(self) -> float | None:
        """Ours divided by what stands beside it."""
        return self.ours / self.beside if self.beside else None


def at_most(what: str, ours: float, unit: str, limit: float) -> Row:
    """Return a row with an upper limit as its goal."""
    return Row(what, ours, unit, goal=f"≤ {limit:g} {unit}", met=ours <= limit)


def at_least(what: str, ours: float, unit: str, limit: float) -> Row:
    """Return a row with a lower limit as its goal."""
    return Row(what, ours, unit, goal=f"≥ {limit:g} {unit}", met=ours >= limit)


def render(rows: Sequence[Row]) -> str:
    """Return the rows as an aligned table."""
    head = ("what", "ours", "beside", "ratio", "goal", "")
    body = [
        (
            row.what,
            f"{row.ours:.4g} {row.unit}",
            f"{row.beside:.4g} {row.unit} ({row.beside_name})" if row.beside is not None else "",
            f"{row.ratio:.2f}×" if row.ratio is not None else "",
            row.goal,
            {True: "met", False: "NOT MET", None: ""}[row.met],
        )
        for row in rows
    ]
    widths = [max(len(line[column]) for line in (head, *body)) for column in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in (head, *body)
    )
