"""How much of each zone moves.

The small picture is looked at with 80 × 60 pixels, as a mixture of Gaussians for each (MOG2). Light that changes
everywhere alike, and a sensor's gain, are taken out before: a picture is brought to the background's brightness. Where
the change is uneven, as a lamp makes it, the edges tell: what stands where it stood has not moved. Of what differs from
the place only that moves which also changes from picture to picture: a chair that somebody left differs for seconds.
"""

from collections import deque
from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from contract.states import Zone
from firmware.devices.camera import zones as areas
from firmware.devices.camera.frames import Plane
from firmware.devices.camera.signals import ALL

WARM_UP = 30
"""Pictures until the place is known; until then nothing moves."""

_WIDTH, _HEIGHT = 80, 60
_HISTORY, _THRESHOLD = 500, 12.0
_KNOWN_FOR = 15  # pictures until the background is asked for again
_LIGHT_FROM = 0.08  # with less of the picture changed, edges are not asked
_LIKE = 0.5  # cosine between two pictures' gradients, from which on their edges are the same
_BEFORE = 3  # pictures back is what a picture is compared with
_CHANGES = 8  # levels: less is noise
_NEAR = np.ones((9, 9), np.uint8)  # who moves changes at the edges, and is no wider than so between them
_QUOTIENT = (0.35, 3.0)
_BLACK = 16  # the level of no light, in the range of video: light multiplies what is above it
_HARDLY = 0.02  # so little another light is left as it is
_DARK = 24  # levels: of less, and of what masks made black, no quotient says anything


class Motion:
    """What moves in one camera's pictures. Give it every picture."""

    def __init__(self, zones: Sequence[Zone]) -> None:
        self._zones = {ALL: np.full((_HEIGHT, _WIDTH), 255, np.uint8)}
        self._zones |= {zone.name: areas.mask(zone.points, _WIDTH, _HEIGHT) for zone in zones}
        self._seen = 0
        self._model = _model()
        self._age = 0  # of the model, in pictures
        self._lit = np.zeros(0, np.intp)  # some of the background's pixels, the dark and the masked ones left out
        self._levels: NDArray[np.float32] = np.zeros(0, np.float32)  # and how bright they are
        self._before: deque[Plane] = deque(maxlen=_BEFORE + 1)
        self.stirs: Mapping[str, float] = {}
        """Zone → the share of it that changed in the last pictures, 0 to 1: also where somebody always moves."""

    @property
    def ready(self) -> bool:
        """The place is known: shares mean something."""
        return self._seen >= WARM_UP

    def look(self, small: Plane) -> Mapping[str, float]:
        """Return zone → the share of it that moves, 0 to 1, and that of the whole picture under ALL.

        `small` is `(height, width)`, brightness in levels 0 to 255, any size from 80 × 60.
        """
        picture = cv2.resize(small, (_WIDTH, _HEIGHT), interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
        moved, changed = self._moved(picture)
        self._seen += 1
        if not self.ready:
            return dict.fromkeys(self._zones, 0.0)
        self.stirs = {name: areas.share(changed, zone) for name, zone in self._zones.items() if name != ALL}
        return {name: areas.share(moved, zone) for name, zone in self._zones.items()}

    def _moved(self, picture: Plane) -> tuple[Plane, Plane]:
        even = self._evened(picture)
        moved = cv2.medianBlur(self._model.apply(even), 3).astype(np.uint8, copy=False)
        self._age += 1
        if self._age % _KNOWN_FOR == 1:
            background = self._model.getBackgroundImage().ravel()
            self._lit = np.flatnonzero(background > _DARK)[::4]
            self._levels = background[self._lit].astype(np.float32) - _BLACK
        if self._age > 1 and cv2.countNonZero(moved) > _LIGHT_FROM * moved.size and self._is_light(even, moved):
            self._begin()
            self._model.apply(picture)
            moved[:] = 0
        self._before.append(even)
        changed: Plane = np.asarray(cv2.inRange(cv2.absdiff(even, self._before[0]), _CHANGES, 255), np.uint8)
        return cv2.bitwise_and(moved, cv2.dilate(changed, _NEAR)).astype(np.uint8, copy=False), changed

    def _evened(self, picture: Plane) -> Plane:
        """Bring a picture to the background's brightness: the middle quotient is that of what has not moved."""
        if not len(self._lit):
            return picture
        light: Plane = np.maximum(picture, _BLACK) - np.uint8(_BLACK)
        quotients = self._levels / np.maximum(light.ravel()[self._lit], 1)
        middle = len(quotients) // 2
        quotients.partition(middle)  # a median at a third of its cost
        least, most = _QUOTIENT
        quotient = min(max(float(quotients[middle]), least), most)
        if abs(quotient - 1) < _HARDLY:
            return picture
        return cv2.convertScaleAbs(light, alpha=quotient, beta=_BLACK).astype(np.uint8, copy=False)

    def _is_light(self, picture: Plane, moved: Plane) -> bool:
        """Tell whether the edges inside of what moved are those that stood there before."""
        inside = moved > 0
        before = _gradients(self._model.getBackgroundImage())[:, inside]
        now = _gradients(picture)[:, inside]
        norms = float(np.linalg.norm(before) * np.linalg.norm(now))
        return float(np.vdot(before, now)) > _LIKE * norms

    def _begin(self) -> None:
        """Learn the place anew, which MOG2 does fast in its first pictures."""
        self._model = _model()
        self._age = 0
        self._lit = np.zeros(0, np.intp)


def _model() -> cv2.BackgroundSubtractorMOG2:
    return cv2.createBackgroundSubtractorMOG2(_HISTORY, _THRESHOLD, detectShadows=False)


def _gradients(picture: NDArray[np.generic]) -> NDArray[np.float32]:
    """Return the gradients in x and y, `(2, height, width)`."""
    levels = picture.astype(np.float32)
    return np.stack((cv2.Sobel(levels, cv2.CV_32F, 1, 0), cv2.Sobel(levels, cv2.CV_32F, 0, 1))).astype(np.float32)
