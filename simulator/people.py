"""The people of a day, made from a seed: who comes when, for what, how long it takes, and how they rate.

All times here are seconds of the simulated day; `Pace` turns them into seconds of ours. Pure: the same seed gives the
same people, whatever the machine does to them.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from simulator.premises import CounterPlace

Presence = Literal["prompt", "slow", "late", "never"]
"""Comes when called; comes when called again; misses the call and comes back; has gone home."""
Detour = Literal["none", "park", "transfer"]
RatingWay = Literal["none", "pad", "tablet"]
Touch = Literal["firm", "bouncing", "twice", "brush"]
"""How a button is pressed: well; with a contact that bounces; a second time for good measure; first too lightly."""
Means = Literal["pad", "page"]
Choice = TypeVar("Choice")

OPENING_S_PER_VISIT = 290.0
"""With one counter a visitor comes this often; with more counters accordingly more often."""
MEAN_SERVICE_S = 165.0
PRESENCES: dict[Presence, float] = {"prompt": 0.86, "slow": 0.05, "late": 0.04, "never": 0.05}
DETOURS: dict[Detour, float] = {"none": 0.90, "park": 0.05, "transfer": 0.05}
RATING_WAYS: dict[RatingWay, float] = {"none": 0.15, "pad": 0.72, "tablet": 0.13}
TOUCHES: dict[Touch, float] = {"firm": 0.60, "bouncing": 0.20, "twice": 0.12, "brush": 0.08}
LEVELS: dict[int, float] = {1: 0.07, 2: 0.28, 3: 0.65}


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """One citizen."""

    index: int
    arrives_s: float
    service: str
    priority: bool
    touches_kiosk_twice: bool
    presence: Presence
    walk_s: float
    service_s: float
    detour: Detour
    away_s: float  # to copy papers when parked, or to come back when late
    rating: RatingWay
    touch: Touch
    level: int
    thinks_s: float  # before rating
    hold_s: float  # how long a finger stays on a button: real seconds, hands are not compressed


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How much faster than life the people are. The programs run at their own, real speed."""

    speed: float

    def real_s(self, simulated_s: float) -> float:
        """Seconds of ours for seconds of the day."""
        return simulated_s / self.speed


class Manner:
    """How one officer works: mostly the same way, not always."""

    def __init__(self, *, seed: int, counter: str) -> None:
        self._chance = random.Random(f"officer {seed} {counter}")  # noqa: S311 - a day is to be repeatable

    def calls_by(self) -> Means:
        """By which means the next number is called."""
        return "pad" if self._chance.random() < 0.65 else "page"

    def ends_by(self) -> Means:
        """By which means a visit is ended; `pad`: the next call ends it."""
        return "pad" if self._chance.random() < 0.25 else "page"

    def sends_away_by(self) -> Means:
        """By which means a recall or a no-show is told."""
        return "pad" if self._chance.random() < 0.5 else "page"

    def waits_for_rating(self) -> bool:
        """Whether the next citizen is served only when this one has rated."""
        return self._chance.random() < 0.8


def invite(*, seed: int, visits: int, counters: Sequence[CounterPlace]) -> tuple[Visit, ...]:
    """Return the visitors of a day in the order of their coming."""
    chance = random.Random(seed)  # noqa: S311 - a day is to be repeatable, nothing here is a secret
    services = sorted({service for counter in counters for service in counter.services})
    length_s = OPENING_S_PER_VISIT * visits / len(counters)
    arrivals = sorted(_arrival(chance) * length_s for _ in range(visits))
    return tuple(_visitor(chance, index, at, services) for index, at in enumerate(arrivals))


def _visitor(chance: random.Random, index: int, arrives_s: float, services: Sequence[str]) -> Visit:
    return Visit(
        index=index,
        arrives_s=arrives_s,
        service=chance.choice(services),
        priority=chance.random() < 0.08,
        touches_kiosk_twice=chance.random() < 0.10,
        presence=_choose(chance, PRESENCES),
        walk_s=chance.uniform(4, 25),
        service_s=min(chance.lognormvariate(0, 0.5), 4.0) * MEAN_SERVICE_S,
        detour=_choose(chance, DETOURS),
        away_s=chance.uniform(120, 600),
        rating=_choose(chance, RATING_WAYS),
        touch=_choose(chance, TOUCHES),
        level=_choose(chance, LEVELS),
        thinks_s=chance.uniform(2, 12),
        hold_s=chance.uniform(0.06, 0.16),
    )


def _arrival(chance: random.Random) -> float:
    """When in the day, 0 to 1: a morning wave, a smaller one after noon, a few in between."""
    wave = chance.random()
    if wave < 0.45:
        return chance.betavariate(2, 3.5) * 0.5
    if wave < 0.80:
        return 0.5 + chance.betavariate(2, 3) * 0.5
    return chance.random()


def _choose(chance: random.Random, weights: dict[Choice, float]) -> Choice:
    return chance.choices(list(weights), list(weights.values()))[0]
