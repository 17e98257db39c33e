"""What makes people unseen: masks, which nothing ever sees through, and the citizen's zone in coarse blocks.

Both write into an I420 picture, `(height * 3 // 2, width)` uint8, contiguous, as `frames.Frame.main` says.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from contract.states import Zone
from firmware.devices.camera import zones as areas
from firmware.devices.camera.frames import Plane

THUMBNAIL_BYTES = 24 * 1024
"""A thumbnail is never larger."""

_BLACK, _NO_COLOUR = 16, 128  # in the range of video, ITU-R BT.601
_BLOCKS = 24  # from top to bottom: a face at a counter is three to five of them
_THUMBNAIL = (320, 240)
_QUALITIES = (80, 65, 50, 35, 20, 10, 5)


class Masks:
    """Parts of a picture that are made black, brightness and colour, for pictures of one size."""

    def __init__(self, masks: Sequence[Zone], size: tuple[int, int], small: tuple[int, int]) -> None:
        """Prepare; sizes are (width, height) of the picture and of the small one."""
        covered = _union(masks, *size)
        self._main = _i420(covered, _blocks_of(covered, 2))
        # A pixel that has anything of a mask in it is black; and one of a small picture that is no half of the large.
        shrunk = cv2.resize(covered.astype(np.float32), small, interpolation=cv2.INTER_AREA) > 0
        self._small: Plane = np.maximum(_union(masks, *small), np.where(shrunk, 255, 0).astype(np.uint8))
        width, height = size
        self._black = _i420(np.full((height, width), _BLACK, np.uint8), np.full(_half(size), _NO_COLOUR, np.uint8))
        self._small_black: Plane = np.full(self._small.shape, _BLACK, np.uint8)
        self._any = bool(masks)

    def draw(self, main: Plane, small: Plane) -> None:
        """Make them black in both: an I420 picture and a Y plane `(height, width)`."""
        if self._any:
            _must_be(main, self._main.shape)
            _must_be(small, self._small.shape)
            cv2.copyTo(self._black, self._main, main)
            cv2.copyTo(self._small_black, self._small, small)


class Blocks:
    """Zones that are shown as coarse blocks, in pictures of one size."""

    def __init__(self, zones: Sequence[Zone], size: tuple[int, int]) -> None:
        """Prepare; `size` is (width, height)."""
        width, height = size
        side = max(2, round(height / _BLOCKS / 2) * 2)
        touched = _blocks_of(_union(zones, width, height), side)
        rows, columns = np.nonzero(touched)
        self._any = bool(len(rows))
        if not self._any:
            return
        top, bottom, left, right = rows.min(), rows.max() + 1, columns.min(), columns.max() + 1
        self._grid = (int(right - left), int(bottom - top))
        self._side = side
        self._shape = (height * 3 // 2, width)
        chosen = touched[top:bottom, left:right]
        self._places = []  # of Y and of U, V: where, and which of it
        for each, edge in ((side, (height, width)), (side // 2, (height // 2, width // 2))):
            place = (
                slice(int(top) * each, min(int(bottom) * each, edge[0])),
                slice(int(left) * each, min(int(right) * each, edge[1])),
            )
            mask = np.kron(chosen, np.ones((each, each), np.uint8))[: place[0].stop - place[0].start]
            self._places.append((place, np.ascontiguousarray(mask[:, : place[1].stop - place[1].start])))

    def draw(self, main: Plane) -> None:
        """Draw the blocks into an I420 picture."""
        if not self._any:
            return
        _must_be(main, self._shape)
        y, u, v = planes(main)
        for plane, (place, mask) in ((y, self._places[0]), (u, self._places[1]), (v, self._places[1])):
            part = plane[place]
            rows, columns = part.shape
            # Halved first, which OpenCV does four times as fast as the rest. Repeating beats its INTER_NEAREST tenfold.
            few = _resized(_resized(part, (max(columns // 2, 1), max(rows // 2, 1))), self._grid)
            side = self._side if plane is y else self._side // 2
            coarse = np.repeat(np.repeat(few, side, axis=1), side, axis=0)[:rows, :columns]
            cv2.copyTo(np.ascontiguousarray(coarse), mask, part)

    def drawn(self, main: Plane) -> Plane:
        """Return a copy of an I420 picture with the blocks in it."""
        shown = main.copy()
        self.draw(shown)
        return shown


def planes(main: Plane) -> tuple[Plane, Plane, Plane]:
    """Return views of Y `(height, width)`, U and V `(height // 2, width // 2)` of an I420 picture."""
    if not main.flags.c_contiguous:
        raise ValueError("an I420 picture must be contiguous: what is drawn would be drawn into a copy")
    height, width = main.shape[0] * 2 // 3, main.shape[1]
    flat = main.reshape(-1)
    luma, quarter = height * width, height * width // 4
    half = (height // 2, width // 2)
    return main[:height], flat[luma : luma + quarter].reshape(half), flat[luma + quarter :].reshape(half)


def thumbnail(main: Plane) -> bytes:
    """Return an I420 picture as a JPEG within 320 × 240 and at most 24 KB, whatever it shows."""
    return photograph(main, within=_THUMBNAIL, most_bytes=THUMBNAIL_BYTES)


def photograph(main: Plane, *, within: tuple[int, int], most_bytes: int) -> bytes:
    """Return an I420 picture as a JPEG within (width, height), never larger than it is, and at most so many bytes."""
    y, u, v = planes(main)
    scale = min(within[0] / y.shape[1], within[1] / y.shape[0], 1.0)
    for smaller in (1, 2, 4):
        width, height = (max(2, int(edge * scale / smaller) // 2 * 2) for edge in (y.shape[1], y.shape[0]))
        fitting = main
        if (height, width) != y.shape:
            half = (width // 2, height // 2)
            fitting = _i420(_resized(y, (width, height)), _resized(u, half), _resized(v, half))
        colour = cv2.cvtColor(fitting, cv2.COLOR_YUV2BGR_I420)
        for quality in _QUALITIES:
            jpeg = cv2.imencode(".jpg", colour, (cv2.IMWRITE_JPEG_QUALITY, quality))[1].tobytes()
            if len(jpeg) <= most_bytes:
                return jpeg
    raise AssertionError("a sixteenth of the pixels at the least quality always fits")


def _must_be(picture: Plane, shape: tuple[int, ...]) -> None:
    """Refuse what OpenCV and NumPy would quietly draw into a copy of: nobody would be hidden."""
    if picture.shape != shape or picture.strides[-1] != 1:
        raise ValueError(f"masks are for pictures of {shape}, got {picture.shape} with strides {picture.strides}")


def _union(zones: Sequence[Zone], width: int, height: int) -> Plane:
    covered: Plane = np.zeros((height, width), np.uint8)
    for zone in zones:
        cv2.bitwise_or(covered, areas.mask(zone.points, width, height), dst=covered)
    return covered


def _blocks_of(covered: Plane, side: int) -> Plane:
    """Return which blocks of `side` × `side` pixels hold anything of what is covered, 255 or 0."""
    height, width = covered.shape
    rows = np.maximum.reduceat(covered, np.arange(0, height, side), axis=0)
    return np.maximum.reduceat(rows, np.arange(0, width, side), axis=1)


def _half(size: tuple[int, int]) -> tuple[int, int]:
    return size[1] // 2, size[0] // 2


def _i420(y: Plane, u: Plane, v: Plane | None = None) -> Plane:
    """Join planes, `(height * 3 // 2, width)`; V is like U where it is not given."""
    joined = np.concatenate((y.reshape(-1), u.reshape(-1), (u if v is None else v).reshape(-1)))
    return joined.reshape(y.shape[0] * 3 // 2, y.shape[1])


def _resized(plane: Plane, size: tuple[int, int]) -> Plane:
    return cv2.resize(plane, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
