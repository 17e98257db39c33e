"""Whether somebody covered, turned or defocused the camera, or its picture stands still.

One picture says little: people walk through it, light comes and goes. So what is compared with the reference is the
median of the last 15 pictures, taken over 6 s, in which who walks is not; and of both only the edges, whose places
and directions no light changes.
"""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from contract.states import Zone
from firmware.devices.camera import zones as areas
from firmware.devices.camera.frames import Plane

COVERED, DEFOCUSED, MOVED, FROZEN = "covered", "defocused", "moved", "frozen"

WIDTH, HEIGHT = 160, 120
"""Pixels of what is compared."""

FROZEN_AFTER_MS = 5000
"""A living sensor has noise: two pictures of it are never the same byte for byte."""

_PICTURES = 15
_EVERY_MS = 400
_JUDGED_EVERY_MS = 1000
_FOLLOWED = 1 / 256  # of the way to what is seen, each second: four minutes for most of it

_WEAKER = WIDTH * HEIGHT * 9 // 10  # so many gradients are no edges: those are the strongest tenth
_EDGE = 24.0  # and no weaker than so: 3 levels a pixel, times the 8 of Sobel's weights
_NOISE = 6.0  # below which a gradient is noise, also in a median
_STANDS = 0.3  # of an edge's strength, the picture's contrast taken out, is left where it stands
_POOR = 0.01  # a picture with fewer edges than this shows nothing

_GONE = 0.5
_SHARP = 0.5
_BLURRED_THROUGHOUT = 0.3
_STRUCTURE = 0.75
_SHIFT_PX = 1.5
_PEAK = 0.15
_SHIFTED_GONE = 0.15  # a picture that shifted by so much has lost some of its edges, too
_BLACK = 40.0  # levels; a camera's black is 16
_DARK = 0.25  # of the reference's contrast: less is night, and cameras smear their noise then

_WINDOW: NDArray[np.float32] = cv2.createHanningWindow((WIDTH, HEIGHT), cv2.CV_32F).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Difference:
    """How a picture differs from the reference. All are near 0, 1, 1, 1, 0 and 1 where nothing happened."""

    gone: float
    """The share of the reference's edges that stand no more, 0 to 1."""
    structure: float
    """How many edges there are, wherever they are, over how many there were."""
    sharp: float
    """Of the edges that still stand: their Laplacian over their gradient, over what that was. Free of contrast."""
    overall: float
    """Variance of the Laplacian over variance, of the whole picture, over what that was."""
    shift_px: float
    """How far the picture shifted, in pixels of 160 across."""
    peak: float
    """How clearly it did, near 1; near 0 where the two have nothing in common."""
    contrast: float
    """The picture's standard deviation over the reference's."""


class Tamper:
    """What is wrong with one camera's pictures. Give it every picture, or some each second."""

    def __init__(self, masks: Sequence[Zone] = (), *, reference: Plane | None = None) -> None:
        """Begin; `reference` is one that was kept, or the first six seconds make it.

        What the masks hide is not asked: their own edges stand whatever is done to the camera.
        """
        self._hidden = hidden_by(masks)
        self._reference = None if reference is None else reference.astype(np.float32)
        self._pictures: deque[Plane] = deque(maxlen=_PICTURES)
        self._sampled_ms: int | None = None
        self._judged_ms: int | None = None
        self._changed_ms = 0
        self._faults: frozenset[str] = frozenset()
        self._dark = False

    @property
    def dark(self) -> bool:
        """Whether there was next to no light, in the mean of what is not masked, when it was last judged."""
        return self._dark

    @property
    def reference(self) -> Plane | None:
        """What the camera should see, `(120, 160)`; None until it is known."""
        return None if self._reference is None else _levels(self._reference)

    def forget(self) -> None:
        """Take what is seen from now on for right: somebody who may has turned the camera."""
        self._reference = None
        self._pictures.clear()
        self._faults = frozenset()

    def look(self, small: Plane, at_ms: int, *, moving: bool) -> frozenset[str]:
        """Return what is wrong: of covered, defocused, moved, frozen.

        `small` is `(height, width)`, brightness in levels, 160 × 120 and more; `at_ms` is when, on the clock that never
        steps; while something is `moving` the reference is left as it is.
        """
        if self._sampled_ms is not None and at_ms - self._sampled_ms < _EVERY_MS:
            return self._faults
        picture: Plane = cv2.resize(small, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
        if not self._pictures or self._sampled_ms is None or not np.array_equal(picture, self._pictures[-1]):
            self._changed_ms = at_ms
        self._sampled_ms = at_ms
        self._pictures.append(picture)
        if len(self._pictures) < _PICTURES or (
            self._judged_ms is not None and at_ms - self._judged_ms < _JUDGED_EVERY_MS
        ):
            return self._faults
        self._judged_ms = at_ms
        seen = median_of(self._pictures)
        self._dark = is_dark(seen, self._hidden)
        self._faults = self._judged(seen, at_ms, moving=moving)
        return self._faults

    def _judged(self, seen: Plane, at_ms: int, *, moving: bool) -> frozenset[str]:
        if self._reference is None:
            if shows_nothing(seen, self._hidden):
                return frozenset({COVERED})
            self._reference = seen.astype(np.float32)
        wrong = faults(difference(_levels(self._reference), seen, self._hidden))
        # A lens that is covered may give a picture without any noise; it lives all the same.
        if at_ms - self._changed_ms >= FROZEN_AFTER_MS and COVERED not in wrong:
            wrong |= {FROZEN}
        if not wrong and not moving:
            cv2.accumulateWeighted(seen, self._reference, _FOLLOWED)
        return wrong


def difference(reference: Plane, seen: Plane, hidden: NDArray[np.bool_] | None = None) -> Difference:
    """Compare two pictures of `(120, 160)` but for what is hidden in both."""
    before, now = _Edges(reference, hidden), _Edges(seen, hidden)
    cut = max(float(np.partition(before.strength, _WEAKER)[_WEAKER]), _EDGE)
    edges = np.flatnonzero(before.strength >= cut)
    strength = before.strength[edges]
    contrast = now.deviation / max(before.deviation, 1.0)
    dim = min(max(contrast, 0.1), 1.0)
    along = (before.x[edges] * now.x[edges] + before.y[edges] * now.y[edges]) / strength
    stands = along >= np.maximum(_STANDS * dim * strength, _NOISE)
    standing = edges[stands]
    strong = max(cut / 2 * dim, 2 * _NOISE)
    (x, y), peak = cv2.phaseCorrelate(before.picture, now.picture, _WINDOW)
    return Difference(
        gone=1 - len(standing) / max(len(edges), 1),
        structure=now.stronger_than(strong) / max(before.stronger_than(strong / dim), 1),
        sharp=_ratio(now.sharpness(standing), before.sharpness(standing)),
        overall=_ratio(now.overall(), before.overall()),
        shift_px=math.hypot(x, y),
        peak=float(peak),
        contrast=contrast,
    )


def faults(found: Difference) -> frozenset[str]:
    """Return what a difference means."""
    wrong = set()
    if found.gone >= _GONE:
        # Another view has edges of its own. What covers has few, or is too near to be sharp.
        covers = found.structure < _STRUCTURE or found.overall < _BLURRED_THROUGHOUT
        wrong.add(COVERED if covers else MOVED)
    elif found.shift_px >= _SHIFT_PX and found.peak >= _PEAK and found.gone >= _SHIFTED_GONE:
        wrong.add(MOVED)
    if not wrong and found.sharp < _SHARP and found.contrast >= _DARK:
        wrong.add(DEFOCUSED)
    return frozenset(wrong)


def hidden_by(masks: Sequence[Zone]) -> NDArray[np.bool_] | None:
    """Return what masks hide of `(120, 160)`, a rim of two pixels for their own edges included; None for no masks."""
    if not masks:
        return None
    hidden = np.zeros((HEIGHT, WIDTH), np.uint8)
    for mask in masks:
        hidden |= areas.mask(mask.points, WIDTH, HEIGHT)
    return cv2.dilate(hidden, np.ones((5, 5), np.uint8)) > 0


def shows_nothing(picture: Plane, hidden: NDArray[np.bool_] | None = None) -> bool:
    """Tell whether a picture of `(120, 160)` has next to no edges: a cover, or a night without any light."""
    return _Edges(picture, hidden).stronger_than(_EDGE) < _POOR * picture.size


def is_dark(picture: Plane, hidden: NDArray[np.bool_] | None = None) -> bool:
    """Tell whether a picture of `(120, 160)` has next to no light in the mean of what is not hidden."""
    shown = None if hidden is None or hidden.all() else (~hidden).astype(np.uint8)
    return float(cv2.mean(picture, mask=shown)[0]) < _BLACK


def median_of(pictures: Sequence[Plane]) -> Plane:
    """Return the median of an odd number of pictures of one size, pixel by pixel.

    The greatest bubbles to the end until the middle one stands, for all pixels at once: far sooner than `numpy.median`.
    """
    ranks = list(pictures)
    for last in range(len(ranks) - 1, len(ranks) // 2 - 1, -1):
        for place in range(last):
            low, high = ranks[place], ranks[place + 1]
            ranks[place], ranks[place + 1] = cv2.min(low, high), cv2.max(low, high)  # type: ignore[assignment]
    return ranks[len(ranks) // 2]


class _Edges:
    """A picture's gradients by Sobel, levels a pixel times 8, and its Laplacian; float32, flat but for the picture."""

    def __init__(self, picture: Plane, hidden: NDArray[np.bool_] | None) -> None:
        self.picture = picture.astype(np.float32)
        if hidden is not None and not hidden.all():
            self.picture[hidden] = self.picture[~hidden].mean()
        x, y = cv2.Sobel(self.picture, cv2.CV_32F, 1, 0), cv2.Sobel(self.picture, cv2.CV_32F, 0, 1)
        self.x, self.y = x.ravel(), y.ravel()
        strength = cv2.magnitude(x, y)
        if hidden is not None:
            strength[cv2.dilate(hidden.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0] = 0
        self.strength = strength.ravel()
        laplacian = cv2.Laplacian(self.picture, cv2.CV_32F)
        self.laplacian = laplacian.ravel()
        self.deviation = _deviation(self.picture)
        self._bent = _deviation(laplacian)

    def stronger_than(self, limit: float) -> int:
        """Return how many gradients are."""
        return int(np.count_nonzero(self.strength >= limit))

    def sharpness(self, where: NDArray[np.intp]) -> float:
        """Return the Laplacian's energy over the gradient's, at some pixels."""
        bent, slope = self.laplacian[where], self.strength[where]
        return float(np.vdot(bent, bent)) / max(float(np.vdot(slope, slope)), 1.0)

    def overall(self) -> float:
        """Return the variance of the Laplacian over the picture's."""
        return self._bent**2 / max(self.deviation**2, 1.0)


def _deviation(values: NDArray[np.integer[Any] | np.floating[Any]]) -> float:
    return float(cv2.meanStdDev(values)[1][0, 0])


def _ratio(now: float, before: float) -> float:
    return now / before if before else 1.0


def _levels(picture: NDArray[np.float32]) -> Plane:
    return np.rint(picture).astype(np.uint8)
