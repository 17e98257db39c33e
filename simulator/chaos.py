"""What goes wrong on a bad day, made from a seed: which program dies when, which cable is pulled for how long."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["broker", "center", "rating", "callpad", "display", "camera", "cable"]

BAG: tuple[Kind, ...] = (
    "broker", "center", "rating", "rating", "rating", "callpad", "callpad", "display", "display", "camera", "cable",
)  # fmt: skip
"""One round of mishaps. Rounds are shuffled, so that each kind comes again and again, in no order one could rely on."""
MEAN_GAP_S = 1.3
"""Nine of ten are kills: about one every 1.4 s."""
CABLE_OUT_S = (0.2, 0.8)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mishap:
    """One thing that goes wrong, `after_s` real seconds after the one before."""

    kind: Kind
    counter: str  # means nothing to broker and center, nor to the camera, which is at one counter only
    after_s: float
    lasts_s: float = 0.0  # a pulled cable; a program is restarted by the supervisor


class Fate:
    """An endless, repeatable series of mishaps."""

    def __init__(self, *, seed: int, counters: Sequence[str]) -> None:
        self._chance = random.Random(f"chaos {seed}")  # noqa: S311 - a day is to be repeatable
        self._counters = tuple(counters)
        self._bag: list[Kind] = []

    def next(self) -> Mishap:
        """Return what goes wrong next."""
        if not self._bag:
            self._bag = list(BAG)
            self._chance.shuffle(self._bag)
        return Mishap(
            kind=self._bag.pop(),
            counter=self._chance.choice(self._counters),
            after_s=self._chance.uniform(0.2, 2 * MEAN_GAP_S - 0.2),
            lasts_s=self._chance.uniform(*CABLE_OUT_S),
        )
