"""The camera's analysis: its time for a frame on one core, and how often it is right about a real walker.

Times are of the processor, one thread. A frame's is the mean over a scene, what tamper does once a second included;
beside it one reading of the brightness, less than which nobody can do. What is judged are the scenes of
`camera_scenes`.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count, islice

import cv2
import numpy as np

from benchmarks.camera_scenes import CONDITIONS, FPS, HEIGHT, MISSING, VIDEO, WIDTH, hour, shots, small_of
from benchmarks.figures import Row, at_most, median
from contract.states import Zone
from firmware.devices.camera import model
from firmware.devices.camera.frames import Plane
from firmware.devices.camera.incidents import MOVED_WHOLE
from firmware.devices.camera.motion import WARM_UP, Motion
from firmware.devices.camera.presence import People
from firmware.devices.camera.privacy import Blocks, Masks, thumbnail
from firmware.devices.camera.signals import ALL
from firmware.devices.camera.tamper import COVERED, DEFOCUSED, FROZEN, MOVED, Tamper

_CITIZEN = Zone(name="citizen", points=((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0)))
_OFFICER = Zone(name="officer", points=((0.5, 0.0), (1.0, 0.0), (1.0, 1.0), (0.5, 1.0)))
_MASK = Zone(name="screen", points=((0.6, 0.2), (0.9, 0.3), (0.7, 0.9)))
_CALM_S = 20


@dataclass(slots=True)
class Score:
    """How often motion was said, of the frames with the walker and of those without."""

    right: int = 0
    missed: int = 0
    false: int = 0
    quiet: int = 0

    def add(self, other: "Score") -> None:
        """Count another scene's frames, too."""
        self.right += other.right
        self.missed += other.missed
        self.false += other.false
        self.quiet += other.quiet

    @property
    def recall(self) -> float:
        """Of the frames with the walker, those that were said."""
        return self.right / max(self.right + self.missed, 1)

    @property
    def false_rate(self) -> float:
        """Of the frames without her, those that were said."""
        return self.false / max(self.false + self.quiet, 1)

    @property
    def f1(self) -> float:
        """The harmonic mean of precision and recall."""
        return 2 * self.right / max(2 * self.right + self.false + self.missed, 1)


def run(rounds: int) -> list[Row]:
    """Measure and return medians of the rounds; what is judged is the same in each."""
    if not VIDEO.exists():
        print(MISSING)
        return []
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        return [*_times(rounds), *_motion(), *_tamper()]
    finally:
        cv2.setNumThreads(threads)


def quality(condition: str, frames: int = 900, moved: Callable[[Plane], bool] | None = None) -> Score:
    """Judge what says that something moved, on the small pictures of a scene; Motion if nothing else is given."""
    say = moved or _ours()
    score = Score()
    for number, shot in enumerate(shots(condition, frames)):
        said = say(small_of(shot.y))
        if number < WARM_UP or shot.walker is None:
            continue
        if shot.walker:
            score.right += said
            score.missed += not said
        else:
            score.false += said
            score.quiet += not said
    return score


def found_after_s(what: str, *, within_s: int = 20) -> float | None:
    """Do something to a camera that was left alone for a while; return after how many seconds Tamper says what."""
    tamper = Tamper()
    calm: list[Plane] = [small_of(shot.y) for shot in shots("quiet", 60)]
    changed = _spoilt(what, calm)
    begun_ms = _CALM_S * 1000
    for number in range((_CALM_S + within_s) * FPS):
        at_ms = number * 1000 // FPS
        picture = next(changed) if at_ms >= begun_ms else calm[number % len(calm)]
        said = tamper.look(picture, at_ms, moving=False)
        if said and at_ms < begun_ms:
            raise AssertionError(f"{', '.join(said)} before anything was done")
        if what in said:
            return (at_ms - begun_ms) / 1000
    return None


def false_alarms(seconds: int = 3600, *, seed: int = 7) -> int:
    """Return how many times Tamper found something wrong where nothing but light and people changed."""
    tamper = Tamper()
    before: frozenset[str] = frozenset()
    alarms = 0
    for at_ms, picture in hour(seconds, seed=seed):
        said = tamper.look(picture, at_ms, moving=False)
        alarms += len(said - before)
        before = said
    return alarms


def _spoilt(what: str, calm: Sequence[Plane]) -> Iterator[Plane]:
    """Yield what the camera gives after somebody was at it."""
    hand = np.full_like(calm[0], 40)
    for number in count():
        picture = calm[number % len(calm)]
        match what:
            case "covered":
                noise = cv2.absdiff(picture, calm[(number + 1) % len(calm)])
                yield cv2.add(hand, noise).astype(np.uint8)
            case "defocused":
                yield cv2.GaussianBlur(picture, (0, 0), 1.5).astype(np.uint8)
            case "moved":
                yield np.roll(picture, (4, -12), axis=(0, 1))
            case _:
                yield calm[0]


def _ours() -> Callable[[Plane], bool]:
    motion = Motion(())
    return lambda small: motion.look(small)[ALL] >= MOVED_WHOLE


def _plain() -> Callable[[Plane], bool]:
    """Return MOG2 and a median filter alone, at the same size and limit."""
    model = cv2.createBackgroundSubtractorMOG2(500, 12, detectShadows=False)

    def moved(small: Plane) -> bool:
        few = cv2.resize(small, (80, 60), interpolation=cv2.INTER_AREA)
        return cv2.countNonZero(cv2.medianBlur(model.apply(few), 3)) >= MOVED_WHOLE * 80 * 60

    return moved


def _times(rounds: int) -> list[Row]:
    scene = [shot.y for shot in islice(shots("quiet", 450), 450)]
    # Four in turn: a source has just written what is worked on, so it is in the processor's cache.
    frames = [np.concatenate((y, np.full((HEIGHT // 2, WIDTH), 128, np.uint8))) for y in scene[:4]] * 75
    masks, blocks = Masks((_MASK,), (WIDTH, HEIGHT), (320, 240)), Blocks((_CITIZEN,), (WIDTH, HEIGHT))
    small = small_of(scene[0])
    floor = median([_each_ms(scene, cv2.sumElems) for _ in range(rounds)])
    analysis = median([_each_ms(scene, _analysis()) for _ in range(rounds)])
    black = median([_each_ms(frames, lambda main: masks.draw(main, small)) for _ in range(rounds)])
    coarse = median([_each_ms(frames, blocks.draw) for _ in range(rounds)])
    picture = median([_each_ms(frames[:30], thumbnail) for _ in range(rounds)])

    def beside_floor(what: str, ms: float, limit: float | None = None) -> Row:
        goal, met = ("", None) if limit is None else (f"≤ {limit:g} ms", ms <= limit)
        return Row(what, ms, "ms", floor, "one reading of Y", goal, met)

    rows = [
        beside_floor("motion + tamper, a frame of 640×480", analysis, 0.4),
        beside_floor("a mask, black in both pictures", black),
        beside_floor("half of the picture in blocks", coarse, 0.1),
        Row("a thumbnail", picture, "ms"),
    ]
    network = model.FOLDER / model.MODEL
    if network.exists():
        people = People(network, (_CITIZEN, _OFFICER))
        smalls = [small_of(y) for y in scene[:10]]
        rows.append(Row("people in a picture", median([_each_ms(smalls, people.look) for _ in range(rounds)]), "ms"))
    else:
        print("people in a picture: no network here; get it with: motcua camera model")
    return rows


def _analysis() -> Callable[[Plane], object]:
    """Return what is done to each frame: the small picture, motion in two zones, tamper."""
    motion, tamper, numbers = Motion((_CITIZEN, _OFFICER)), Tamper(), count()

    def look(y: Plane) -> Mapping[str, float]:
        small = small_of(y)
        moved = motion.look(small)
        tamper.look(small, next(numbers) * 1000 // FPS, moving=moved[ALL] >= MOVED_WHOLE)
        return moved

    return look


def _each_ms(pictures: Sequence[Plane], do: Callable[[Plane], object]) -> float:
    begun = time.thread_time_ns()
    for picture in pictures:
        do(picture)
    return (time.thread_time_ns() - begun) / 1e6 / len(pictures)


def _motion() -> list[Row]:
    ours, plain = Score(), Score()
    rows = []
    for condition in CONDITIONS:
        score, beside = quality(condition), quality(condition, moved=_plain())
        rows.append(Row(f"motion F1, {condition}", score.f1, "", beside.f1, "plain MOG2"))
        ours.add(score)
        plain.add(beside)
    return [
        *rows,
        Row("motion F1, all", ours.f1, "", plain.f1, "plain MOG2", goal="≥ 0.98", met=ours.f1 >= 0.98),
        Row("motion recall, all", ours.recall, "", plain.recall, "plain MOG2"),
        Row("motion false positives, of the frames without", ours.false_rate, "", plain.false_rate, "plain MOG2"),
    ]


def _tamper() -> list[Row]:
    rows = []
    for what in (COVERED, DEFOCUSED, MOVED, FROZEN):
        after = found_after_s(what)
        rows.append(at_most(f"{what}: found after", float("inf") if after is None else after, "s", 10))
    rows.append(at_most("false alarms in an hour of light and people", false_alarms(), "", 0))
    return rows
