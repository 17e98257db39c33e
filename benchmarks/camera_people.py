"""A drawn counter whose people have real faces, and each picture its number: what the whole camera is tried on.

Drawn people are found by no network, so they get the heads of four people in Debian's `opencv-doc`. A number is a row
of 16 small squares in the upper right corner, readable in a recording; it moves too little to be motion.
"""

from collections.abc import Sequence
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.camera_scenes import VIDEO
from firmware.devices.camera.frames import Plane
from simulator.scene import Person, Picture, Scene

FOLDER = VIDEO.parent
BITS, BLOCK = 16, 8
_CODE_LEFT, _CODE_TOP = 480, 8  # outside of zones and masks

# Where the heads are in their pictures, hair and chin included: left, top, width, height.
_HEADS = {
    "left06.jpg": (216, 76, 134, 174),
    "right06.jpg": (128, 84, 136, 192),
    "messi5.jpg": (215, 72, 54, 70),
    "basketball1.png": (66, 80, 46, 60),
}
_FROM_NETWORK = 1.95  # a head's height in units of the drawing


@cache
def heads() -> tuple[Picture, ...]:
    """Return the heads, BGR; none where the package is missing."""
    found = []
    for name, (x, y, w, h) in _HEADS.items():
        seen = cv2.imread(str(FOLDER / name))
        if seen is not None:
            found.append(np.asarray(seen[y : y + h, x : x + w], np.uint8))
    return tuple(found)


class Place:
    """The counter and who is at it."""

    def __init__(self, width: int = 640, height: int = 480, *, seed: int = 1) -> None:
        self._size = (width, height)
        self._scene = Scene(width, height, seed=seed)

    def draw(self, at_s: float, people: Sequence[Person], *, light: float = 1.0) -> Picture:
        """Return the picture at an instant, BGR `(height, width, 3)`; a `look` below 0 shows no face."""
        picture = self._scene.draw(at_s, people, light=light)
        for person in sorted(people, key=lambda each: -each.place):
            self._put_head(picture, person, at_s, light)
        return picture

    def _put_head(self, picture: Picture, person: Person, at_s: float, light: float) -> None:
        if person.look < 0 or not (known := heads()):
            return
        head = known[person.look % len(known)]
        width, height = self._size
        x, y, unit = self._scene.head(at_s, person)
        tall = round(unit * _FROM_NETWORK)
        wide = round(tall * head.shape[1] / head.shape[0])
        left, top = x - wide // 2, y - tall // 2
        part = (slice(max(top, 0), min(top + tall, height)), slice(max(left, 0), min(left + wide, width)))
        if part[0].start >= part[0].stop or part[1].start >= part[1].stop:
            return
        small = cv2.resize(head, (wide, tall), interpolation=cv2.INTER_AREA).astype(np.float32) * light
        within = (
            slice(part[0].start - top, part[0].stop - top),
            slice(part[1].start - left, part[1].stop - left),
        )
        alpha = _oval(wide, tall)[within][..., None]
        picture[part] = (picture[part] * (1 - alpha) + small[within] * alpha).clip(0, 255).astype(np.uint8)


@cache
def _oval(wide: int, tall: int) -> NDArray[np.float32]:
    """Return how opaque a head is: an ellipse with soft edges."""
    oval = np.zeros((tall, wide), np.float32)
    cv2.ellipse(oval, (wide // 2, tall // 2), (wide * 47 // 100, tall * 48 // 100), 0, 0, 360, 1.0, -1, cv2.LINE_AA)
    return cv2.GaussianBlur(oval, (0, 0), 1.5).astype(np.float32)


def number(picture: Picture | Plane, value: int) -> None:
    """Write a picture's number into it: BGR, or the brightness alone."""
    for bit in range(BITS):
        left = _CODE_LEFT + bit * BLOCK
        picture[_CODE_TOP : _CODE_TOP + BLOCK, left : left + BLOCK] = 235 if value >> bit & 1 else 16


def read_number(y: Plane) -> int:
    """Return the number that is in a picture's brightness, `(480, 640)` or more lines."""
    middle = y[_CODE_TOP + BLOCK // 2, _CODE_LEFT + BLOCK // 2 : _CODE_LEFT + BITS * BLOCK : BLOCK]
    return sum(1 << bit for bit, value in enumerate(middle) if value > 128)
