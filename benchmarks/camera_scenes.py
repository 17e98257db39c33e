"""Pictures for judging the camera's analysis: a real walker, cut from a real video, in a scene that is otherwise empty.

The video is OpenCV's `vtest.avi` (Debian's opencv-doc). Its median is the empty place; the woman who crosses the lawn
in it alone is cut out frame by frame and walks wherever a scene wants her, in any weather a camera has. So the truth
of every frame is known.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from firmware.devices.camera.frames import Plane
from firmware.devices.camera.tamper import median_of

VIDEO = Path("/usr/share/doc/opencv-doc/examples/data/vtest.avi")
MISSING = "vtest.avi is missing: sudo make system-packages (Debian's opencv-doc; slim images leave out /usr/share/doc)"

WIDTH, HEIGHT = 640, 480
FPS = 15
CONDITIONS = ("quiet", "low contrast", "noise", "drift", "light step", "flicker", "automatic gain", "shake")

_WALK = range(603, 669)  # frames of the video in which she is alone on the lawn
_LAWN = (slice(330, 576), slice(230, 430))
_VIDEO_FPS = 10
_BLACK = 16  # the level of no light, in the range of video
_NOISE = 1.5  # of an ordinary sensor, in levels
_SEEN = 0.25  # so much of the walker must be in the picture to be seen; with less a frame is neither right nor wrong
_EMPTY = 120  # frames before the first walk


@dataclass(frozen=True, slots=True)
class Cut:
    """One posture: brightness `(h, w)` float32 in levels, and how opaque it is, 0 to 1."""

    y: NDArray[np.float32]
    alpha: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Footage:
    """The empty place, `(480, 640)`, and the walker's postures in the order of her steps."""

    plate: Plane
    walker: tuple[Cut, ...]


@dataclass(frozen=True, slots=True)
class Shot:
    """A picture, `(480, 640)`, and whether the walker is in it; None where she is just coming or going."""

    y: Plane
    walker: bool | None


@cache
def footage(path: Path = VIDEO) -> Footage:
    """Cut the video."""
    kept: list[Plane] = []
    walk: list[Plane] = []
    with av.open(str(path)) as container:
        for number, frame in enumerate(container.decode(video=0)):
            if number % 25 and number not in _WALK:
                continue
            y: Plane = frame.to_ndarray(format="gray").astype(np.uint8)
            if number % 25 == 0:
                kept.append(y)
            if number in _WALK:
                walk.append(y)
    plate = median_of(kept[: len(kept) // 2 * 2 - 1])
    scale = WIDTH / plate.shape[1]
    return Footage(
        plate=_resized(plate, (WIDTH, HEIGHT)),
        walker=tuple(_cut(y[_LAWN], plate[_LAWN], scale) for y in walk),
    )


def _cut(seen: Plane, empty: Plane, scale: float) -> Cut:
    changed = (cv2.absdiff(seen, empty) > 20).astype(np.uint8)
    closed = cv2.morphologyEx(changed, cv2.MORPH_CLOSE, np.ones((13, 9), np.uint8))
    _, labels, stats, _ = cv2.connectedComponentsWithStats(closed)
    largest = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
    x, y, w, h = (int(value) for value in stats[largest, :4])
    alpha = cv2.GaussianBlur((labels == largest).astype(np.float32), (0, 0), 1.0)[y : y + h, x : x + w]
    size = (round(w * scale), round(h * scale))
    body = cv2.resize(seen[y : y + h, x : x + w].astype(np.float32), size, interpolation=cv2.INTER_AREA)
    return Cut(body.astype(np.float32), cv2.resize(alpha, size, interpolation=cv2.INTER_AREA).astype(np.float32))


def _resized(plane: Plane, size: tuple[int, int]) -> Plane:
    return cv2.resize(plane, size, interpolation=cv2.INTER_AREA).astype(np.uint8)


def small_of(y: Plane) -> Plane:
    """Return the picture as a source gives it to the analysis, `(240, 320)`."""
    return _resized(y, (320, 240))


def shots(condition: str, count: int = 900, *, seed: int = 7, footage: Footage | None = None) -> Iterator[Shot]:
    """Yield a scene of `count` frames at 15 fps: empty, then one walk after the other with pauses between."""
    material = footage or _footage()
    rng = np.random.default_rng((seed, CONDITIONS.index(condition)))
    weather = Weather(condition, count, rng)
    plate = material.plate.astype(np.float32)
    steps = _walks(count, rng)
    for number in range(count):
        scene = plate.copy()
        seen = 0.0
        if (place := steps[number]) is not None:
            seen = paste(scene, material.walker[_posture(number, len(material.walker))], place)
        yield Shot(
            weather.applied(number, scene, walker=seen > 0), True if seen >= _SEEN else False if seen == 0 else None
        )


def hour(seconds: int = 3600, *, seed: int = 7, footage: Footage | None = None) -> Iterator[tuple[int, Plane]]:
    """Yield what a well-behaved place does to a camera in an hour: milliseconds and the small picture, `(240, 320)`.

    Dusk falls and the sensor makes up for it with gain and noise; a lamp that lights one side more is switched now and
    then; tubes flicker; people come near, stay for some minutes and sway a little. Two and a half pictures a second.
    """
    material = footage or _footage()
    rng = np.random.default_rng(seed)
    plate = small_of(material.plate).astype(np.float32)
    near = _nearer(material.walker[20], 1.7)
    lamp: NDArray[np.float32] = 0.5 + 0.3 * np.linspace(0, 1, 320, dtype=np.float32)
    noise = [rng.normal(0, 1, (240 + 32, 320 + 32)).astype(np.float32) for _ in range(5)]
    lit, gain, standing, until_s, switched_s = True, 1.0, [160.0], 0.0, 40.0
    for number in range(seconds * 5 // 2):
        at_s = number / 2.5
        day = max(0.06, 1 - at_s / seconds * 1.2)
        if at_s >= switched_s:
            lit, switched_s = not lit, at_s + float(rng.uniform(20, 240))
        if at_s >= until_s:
            standing = [float(place) for place in rng.uniform(40, 280, int(rng.integers(0, 3)))]
            until_s = at_s + float(rng.uniform(10, 180))
        scene = plate.copy()
        for place in standing if at_s > 10 else ():
            paste(scene, near, (place + float(rng.normal(0, 1.5)), 150.0))
        light = day if lit else lamp * day
        light = light * (1 + 0.05 * math.sin(2.1 * number)) * (1 + 0.1 * math.sin(number / 50))
        gain += (min(1 / day, 3.0) - gain) * 0.2  # automatic, but no sensor makes day of night
        x, y = (int(value) for value in rng.integers(0, 32, 2))
        scene = _lit(scene, light * gain) + noise[number % 5][y : y + 240, x : x + 320] * (0.8 + gain)
        yield round(at_s * 1000), _sensed(scene)


def _nearer(cut: Cut, times: float) -> Cut:
    size = (round(cut.y.shape[1] * times), round(cut.y.shape[0] * times))
    return Cut(cv2.resize(cut.y, size).astype(np.float32), cv2.resize(cut.alpha, size).astype(np.float32))


def _lit(scene: NDArray[np.float32], light: float | NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the scene in another light: it multiplies what is above black."""
    return (_BLACK + (scene - _BLACK) * light).astype(np.float32)


def _sensed(scene: NDArray[np.floating[Any]]) -> Plane:
    seen: Plane = np.clip(scene + 0.5, 0, 255).astype(np.uint8)
    return seen


def _footage() -> Footage:
    return footage()


def _posture(number: int, postures: int) -> int:
    """Steps forth and back, so that there is no jump where they begin anew."""
    place = number * _VIDEO_FPS // FPS % (2 * postures - 2)
    return min(place, 2 * postures - 2 - place)


def _walks(count: int, rng: np.random.Generator) -> list[tuple[float, float] | None]:
    """Where the walker's middle is in each frame, in pixels; None while she is not there."""
    places: list[tuple[float, float] | None] = [None] * min(_EMPTY, count)
    while len(places) < count:
        speed = float(rng.uniform(3, 7)) * float(rng.choice((-1, 1)))
        row = float(rng.uniform(200, 400))
        start = -60.0 if speed > 0 else WIDTH + 60.0
        long = math.ceil((WIDTH + 120) / abs(speed))
        places += [(start + speed * step, row) for step in range(long)]
        places += [None] * int(rng.integers(45, 120))
    return places[:count]


def paste(scene: NDArray[np.float32], cut: Cut, place: tuple[float, float]) -> float:
    """Draw the walker into the scene; return how much of her is in the picture."""
    h, w = cut.y.shape
    x, y = round(place[0]) - w // 2, round(place[1]) - h // 2
    left, right, top, bottom = max(x, 0), min(x + w, scene.shape[1]), max(y, 0), min(y + h, scene.shape[0])
    if left >= right or top >= bottom:
        return 0.0
    part = (slice(top - y, bottom - y), slice(left - x, right - x))
    alpha = cut.alpha[part]
    scene[top:bottom, left:right] += alpha * (cut.y[part] - scene[top:bottom, left:right])
    return float(alpha.sum() / cut.alpha.sum())


class Weather:
    """What light and sensor make of a scene."""

    def __init__(self, condition: str, count: int, rng: np.random.Generator) -> None:
        self._condition = condition
        self._count = count
        self._rng = rng
        sigma = 8.0 if condition == "noise" else _NOISE
        self._noise = [rng.normal(0, sigma, (HEIGHT + 64, WIDTH + 64)).astype(np.float32) for _ in range(3)]
        across: NDArray[np.float32] = np.linspace(0, 1, WIDTH, dtype=np.float32)
        self._lamp = 0.5 + 0.3 * across[None, :]  # without the lamp the left is at half, the right at eight tenths
        self._gain = 1.0
        self._shift = np.zeros(2)

    def applied(self, number: int, scene: NDArray[np.float32], *, walker: bool) -> Plane:
        """Return the scene as the sensor gives it."""
        match self._condition:
            case "low contrast":
                scene = 110 + (scene - 110) * 0.3
            case "drift":
                scene = _lit(scene, 1 - 0.5 * number / self._count)
            case "light step":
                lit = number // 101 % 2 == 0  # nine times in a minute, with her and without
                scene = scene if lit else _lit(scene, self._lamp)
            case "flicker":
                # Tubes at 100 Hz against 15 fps: the whole picture, and bands that wander over it.
                rows = np.arange(HEIGHT, dtype=np.float32)[:, None]
                bands = 0.04 * np.sin(2 * np.pi * (rows / 240 + 0.31 * number))
                whole = 1 + 0.05 * math.sin(2 * math.pi * 0.23 * number)
                scene = _lit(scene, (whole + bands).astype(np.float32))
            case "automatic gain":
                wanted = 0.75 if walker else 1.0
                wanted *= 1 + 0.1 * math.sin(2 * math.pi * number / 97)
                self._gain += (wanted - self._gain) * 0.15
                scene = _lit(scene, self._gain)
            case "shake":
                self._shift = 0.6 * self._shift + self._rng.normal(0, 1.0, 2)
                moved = np.array([[1, 0, self._shift[0]], [0, 1, self._shift[1]]])
                scene = cv2.warpAffine(scene, moved, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REPLICATE).astype(
                    np.float32
                )
            case _:
                pass
        x, y = (int(value) for value in self._rng.integers(0, 64, 2))
        noise = self._noise[number % 3][y : y + HEIGHT, x : x + WIDTH]
        return _sensed(scene + noise)
