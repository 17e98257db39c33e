"""Parts of a picture, as polygons in fractions of its width and height, so that they survive another resolution.

A point (x, y) runs from (0, 0), the upper left corner, to (1, 1), the lower right one.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from contract.cameras import Points, sides
from firmware.devices.camera.frames import Plane


def mask(points: Points, width: int, height: int) -> Plane:
    """Return the zone at a size: `(height, width)`, 255 where a pixel's middle is inside, else 0: OpenCV's masks.

    OpenCV's own filling leaves out pixels along slanted sides, and what hides a face may leave out none.
    """
    x: NDArray[np.float64] = (np.arange(width) + 0.5) / width
    y: NDArray[np.float64] = (np.arange(height) + 0.5) / height
    inside = np.zeros((height, width), np.bool_)
    for (x1, y1), (x2, y2) in sides(points):
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


def contains(points: Points, x: float, y: float) -> bool:
    """Tell whether a point is in the polygon or on its edge; everything in fractions."""
    polygon: NDArray[np.float32] = np.asarray(points, np.float32)
    return cv2.pointPolygonTest(polygon, (float(np.float32(x)), float(np.float32(y))), measureDist=False) >= 0
