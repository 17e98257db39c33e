"""A drawn counter as a camera sees it from the side: an officer behind the desk, citizens before it. Pure.

Drawn pictures have known truth: who stands where is an argument, so what an analysis finds can be held against it. Each
picture has the noise of a sensor, because no living camera gives the same bytes twice.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from contract.states import Zone

ZONES = (
    Zone(name="citizen", points=((0.0, 0.22), (0.52, 0.22), (0.52, 1.0), (0.0, 1.0))),
    Zone(name="officer", points=((0.60, 0.18), (1.0, 0.18), (1.0, 0.72), (0.60, 0.72))),
)
"""Where is what in the drawn picture."""

SCREEN = (Zone(name="screen", points=((0.70, 0.44), (0.83, 0.44), (0.83, 0.60), (0.70, 0.60))),)
"""What a mask covers: the officer's screen shows papers."""

_SHIRTS = ((176, 92, 60), (72, 132, 84), (60, 84, 176), (150, 150, 70), (120, 70, 130))
_SKIN = (150, 178, 214)
_HAIR = (34, 30, 28)
_NOISE = 3.0
_COVERED = 30

Picture = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody in the picture. `at` is 0 (out of the picture) to 1 (at the desk); `look` chooses the clothes."""

    who: Literal["citizen", "officer"]
    at: float
    look: int = 0
    place: int = 0
    """Of several citizens: 0 stands at the desk, the others behind."""


class Scene:
    """The room, drawn once; `draw` puts people into it."""

    def __init__(self, width: int = 640, height: int = 480, *, seed: int = 1, label: str = "3") -> None:
        self._size = (width, height)
        self._label = label
        self._random = np.random.default_rng(seed)
        self._room = self._draw_room()
        # Noise is made beforehand and shifted about: making it for each picture would cost more than the encoder.
        grain = self._random.normal(0.0, _NOISE, (height * 2, width * 2, 1)).astype(np.int16)
        self._noise = np.repeat(grain, 3, axis=2)

    def draw(self, at_s: float, people: Sequence[Person], *, light: float = 1.0) -> Picture:
        """Return the picture at an instant, BGR `(height, width, 3)`. People sway: nobody stands like a post."""
        picture = self._room.copy()
        for person in sorted(people, key=lambda each: (each.who == "citizen", -each.place)):
            self._draw_person(picture, person, at_s)
            if person.who == "officer":
                self._draw_desk(picture)
        if not any(person.who == "officer" for person in people):
            self._draw_desk(picture)
        return self._as_seen(picture, light)

    def covered(self) -> Picture:
        """Return what is seen with a hand before the lens: a little light, and the sensor's noise."""
        return self._as_seen(np.full_like(self._room, _COVERED), 1.0)

    def _as_seen(self, picture: Picture, light: float) -> Picture:
        width, height = self._size
        x, y = self._random.integers(0, width), self._random.integers(0, height)
        lit = picture if light == 1.0 else cv2.convertScaleAbs(picture, alpha=light)
        seen = cv2.add(lit, self._noise[y : y + height, x : x + width], dtype=cv2.CV_8U)
        return np.asarray(seen, np.uint8)

    def _at(self, x: float, y: float) -> tuple[int, int]:
        width, height = self._size
        return round(x * width), round(y * height)

    def _draw_room(self) -> Picture:
        width, height = self._size
        room = np.empty((height, width, 3), np.uint8)
        wall = np.linspace(206, 186, round(height * 0.62), dtype=np.float32)
        room[: len(wall)] = np.stack([wall * 0.97, wall, wall * 0.98], axis=1)[:, None, :].astype(np.uint8)
        room[len(wall) :] = (132, 142, 148)
        cv2.rectangle(room, self._at(0.06, 0.08), self._at(0.26, 0.36), (214, 196, 160), -1)  # a window
        cv2.rectangle(room, self._at(0.06, 0.08), self._at(0.26, 0.36), (150, 150, 150), 2)
        cv2.line(room, self._at(0.16, 0.08), self._at(0.16, 0.36), (150, 150, 150), 2)
        cv2.rectangle(room, self._at(0.62, 0.06), self._at(0.92, 0.15), (150, 60, 30), -1)  # the counter's sign
        cv2.putText(
            room,
            f"QUẦY {self._label}",
            self._at(0.68, 0.13),
            cv2.FONT_HERSHEY_SIMPLEX,
            0.8,
            (255, 255, 255),
            2,
            cv2.LINE_AA,
        )
        for x in range(0, width, 40):
            cv2.line(room, (x, round(height * 0.62)), (x - 30, height), (122, 132, 138), 1, cv2.LINE_AA)
        cv2.rectangle(room, self._at(0.02, 0.70), self._at(0.12, 0.76), (90, 70, 50), -1)  # a bench
        cv2.line(room, self._at(0.04, 0.76), self._at(0.04, 0.90), (60, 50, 40), 4)
        cv2.line(room, self._at(0.10, 0.76), self._at(0.10, 0.90), (60, 50, 40), 4)
        return room

    def _draw_desk(self, picture: Picture) -> None:
        cv2.rectangle(picture, self._at(0.54, 0.62), self._at(1.0, 0.67), (70, 104, 140), -1)
        cv2.rectangle(picture, self._at(0.56, 0.67), self._at(1.0, 1.0), (86, 122, 158), -1)
        cv2.rectangle(picture, self._at(0.70, 0.44), self._at(0.83, 0.60), (50, 50, 50), -1)  # the screen
        cv2.rectangle(picture, self._at(0.71, 0.455), self._at(0.82, 0.585), (196, 180, 140), -1)
        for line in range(5):
            cv2.line(picture, self._at(0.72, 0.48 + line * 0.02), self._at(0.80, 0.48 + line * 0.02), (110, 90, 60), 1)
        cv2.rectangle(picture, self._at(0.755, 0.60), self._at(0.775, 0.62), (50, 50, 50), -1)

    def head(self, at_s: float, person: Person) -> tuple[int, int, float]:
        """Return where the middle of somebody's head is at an instant, x and y, and 0.54 of its height, in pixels."""
        phase = at_s * 1.7 + person.look * 2.1
        sway = 0.006 * np.sin(phase)
        if person.who == "officer":
            x, y, scale = 1.08 - 0.19 * person.at + sway, 0.36 + 0.004 * np.sin(phase * 1.3), 0.86
        else:
            x, y, scale = (
                -0.12 + (0.52 - 0.13 * person.place) * person.at + sway,
                0.34 + 0.005 * np.sin(phase * 1.3),
                1.0,
            )
        width, height = self._size
        return round(x * width), round(y * height), height * 0.085 * scale

    def _draw_person(self, picture: Picture, person: Person, at_s: float) -> None:
        phase = at_s * 1.7 + person.look * 2.1
        cx, cy, unit = self.head(at_s, person)
        shirt = (230, 214, 190) if person.who == "officer" else _SHIRTS[person.look % len(_SHIRTS)]
        legs = round(cy + unit * 7.2)
        cv2.rectangle(picture, (round(cx - unit), round(cy + unit * 3.9)), (round(cx + unit), legs), (70, 60, 56), -1)
        cv2.ellipse(
            picture, (cx, round(cy + unit * 2.7)), (round(unit * 1.35), round(unit * 1.9)), 0, 0, 360, shirt, -1
        )
        arm = unit * (1.5 + 0.4 * np.sin(phase * 0.9))
        side = 1 if person.who == "citizen" else -1
        hand = (round(cx + side * arm), round(cy + unit * 3.0))
        cv2.line(picture, (round(cx + side * unit * 0.9), round(cy + unit * 1.7)), hand, shirt, round(unit * 0.5))
        cv2.circle(picture, hand, round(unit * 0.27), _SKIN, -1, cv2.LINE_AA)
        cv2.ellipse(picture, (cx, cy), (round(unit * 0.72), round(unit * 0.92)), 0, 0, 360, _SKIN, -1, cv2.LINE_AA)
        cv2.ellipse(
            picture, (cx, round(cy - unit * 0.25)), (round(unit * 0.76), round(unit * 0.78)), 0, 180, 360, _HAIR, -1
        )
        for eye in (-0.27, 0.27):
            cv2.circle(
                picture, (round(cx + eye * unit), round(cy + unit * 0.08)), max(1, round(unit * 0.09)), _HAIR, -1
            )
        cv2.ellipse(
            picture, (cx, round(cy + unit * 0.42)), (round(unit * 0.25), round(unit * 0.1)), 0, 0, 180, (80, 80, 150), 2
        )
