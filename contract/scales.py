"""Rating scales: a province chooses 3, 4 or 5 levels; each level counts 0, 1 or 2 (Circular 01/2018)."""

from typing import Annotated

import msgspec

Points = Annotated[int, msgspec.Meta(ge=0, le=2)]


class Level(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One answer a citizen can give: its number (1 is the least satisfied), its words, and what it counts."""

    level: Annotated[int, msgspec.Meta(ge=1, le=5)]
    vi: str
    en: str
    points: Points


class Scale(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A named scale, its levels from the least satisfied up."""

    name: str
    levels: tuple[Level, ...]

    def level(self, number: int) -> Level | None:
        """Return the level with this number, or None where the scale has none."""
        return next((level for level in self.levels if level.level == number), None)


_UNSATISFIED = ("Không hài lòng", "Dissatisfied")
_NEUTRAL = ("Bình thường", "Neutral")
_SATISFIED = ("Hài lòng", "Satisfied")
_VERY_SATISFIED = ("Rất hài lòng", "Very satisfied")
_VERY_UNSATISFIED = ("Rất không hài lòng", "Very dissatisfied")


def _scale(name: str, *levels: tuple[tuple[str, str], int]) -> Scale:
    return Scale(
        name=name,
        levels=tuple(
            Level(level=number, vi=vi, en=en, points=points)
            for number, ((vi, en), points) in enumerate(levels, start=1)
        ),
    )


SCALES: dict[str, Scale] = {
    scale.name: scale
    for scale in (
        _scale("vn-3", (_UNSATISFIED, 0), (_SATISFIED, 1), (_VERY_SATISFIED, 2)),
        _scale("vn-4", (_UNSATISFIED, 0), (_NEUTRAL, 1), (_SATISFIED, 2), (_VERY_SATISFIED, 2)),
        _scale("vn-5", (_VERY_UNSATISFIED, 0), (_UNSATISFIED, 0), (_NEUTRAL, 1), (_SATISFIED, 2), (_VERY_SATISFIED, 2)),
    )
}
