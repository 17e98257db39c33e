"""Parts of a picture, as polygons in fractions of its width and height, so that they survive another resolution.

A point (x, y) runs from (0, 0), the upper left corner, to (1, 1), the lower right one.
"""

from collections.abc import Sequence
from itertools import combinations

import cv2
import numpy as np
from numpy.typing import NDArray

from contract.states import Zone
from firmware.devices.camera.frames import Plane
from firmware.errors import ConfigError

Points = Sequence[Sequence[float]]
"""A polygon's corners in turn."""

_SMALLEST = 0.0005
"""Of the picture; a zone with less is a slip of the hand. 12 × 12 pixels of 640 × 480."""


def check(zones: Sequence[Zone], what: str = "zone") -> None:
    """Refuse what is no part of a picture, with the zone's name; `what` is the key it stands under, zone or mask."""
    for zone in zones:
        if fault := _fault(zone.points):
            raise ConfigError(f"{what} {zone.name}: {fault}")


def mask(points: Points, width: int, height: int) -> Plane:
    """Return the zone at a size: `(height, width)`, 255 where a pixel's middle is inside, else 0: OpenCV's masks.

    OpenCV's own filling leaves out pixels along slanted sides, and what hides a face may leave out none.
    """
    x: NDArray[np.float64] = (np.arange(width) + 0.5) / width
    y: NDArray[np.float64] = (np.arange(height) + 0.5) / height
    inside = np.zeros((height, width), np.bool_)
    for (x1, y1), (x2, y2) in _sides(points):
        rows = np.flatnonzero((y1 <= y) != (y2 <= y))
        if len(rows):
            crossed_at = x1 + (y[rows] - y1) * (x2 - x1) / (y2 - y1)
            inside[rows] ^= x > crossed_at[:, None]  # inside is what lies right of an odd number of sides
    drawn: Plane = np.where(inside, 255, 0).astype(np.uint8)
    return drawn


def share(part: Plane, zone: Plane) -> float:
    """Return how much of a zone is set in `part`, 0 to 1; both `(height, width)`, anything but 0 is set."""
    inside = cv2.countNonZero(zone)
    return cv2.countNonZero(cv2.bitwise_and(part, zone)) / inside if inside else 0.0


def area(points: Points) -> float:
    """Return the polygon's share of the picture, 0 to 1 (the shoelace formula)."""
    return abs(sum(x * y2 - x2 * y for (x, y), (x2, y2) in _sides(points))) / 2


def contains(points: Points, x: float, y: float) -> bool:
    """Tell whether a point is in the polygon or on its edge; everything in fractions."""
    polygon: NDArray[np.float32] = np.asarray(points, np.float32)
    return cv2.pointPolygonTest(polygon, (float(np.float32(x)), float(np.float32(y))), measureDist=False) >= 0


def _fault(points: Points) -> str | None:
    if len(points) < 3:
        return f"{len(points)} points make no area; it needs 3 and more"
    for number, (x, y) in enumerate(points, 1):
        if not (0 <= x <= 1 and 0 <= y <= 1):
            return f"point {number} is [{x:g}, {y:g}], outside of the picture; x and y go from 0 to 1"
    sides = _sides(points)
    for (first, one), (second, other) in combinations(enumerate(sides, 1), 2):
        if _cross(one, other):
            return f"its sides {first} and {second} cross; name the corners in turn"
    if (size := area(points)) < _SMALLEST:
        return f"it is {size:.4%} of the picture, next to nothing; it needs {_SMALLEST:.2%}"
    return None


def _sides(points: Points) -> list[tuple[tuple[float, float], tuple[float, float]]]:
    corners = [(x, y) for x, y in points]
    return list(zip(corners, [*corners[1:], corners[0]], strict=True))


def _cross(
    one: tuple[tuple[float, float], tuple[float, float]], other: tuple[tuple[float, float], tuple[float, float]]
) -> bool:
    """Tell whether two sides cross in a point that is a corner of neither."""
    (a, b), (c, d) = one, other
    return _turn(a, b, c) * _turn(a, b, d) < 0 and _turn(c, d, a) * _turn(c, d, b) < 0


def _turn(a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]) -> int:
    """Return 1 for a turn to the one side, -1 to the other, 0 for a straight line."""
    turn = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
    return (turn > 1e-12) - (turn < -1e-12)
