"""Rating scales: the words on the buttons and what they count."""

import pytest

from contract.scales import SCALES, Scale

POINTS = {"vn-3": [0, 1, 2], "vn-4": [0, 1, 2, 2], "vn-5": [0, 0, 1, 2, 2]}


@pytest.mark.parametrize("scale", SCALES.values(), ids=lambda scale: scale.name)
def test_a_scale_counts_as_the_circular_asks(scale: Scale) -> None:
    """Every level counts 0, 1 or 2, never less than the level below, from 0 to 2."""
    points = [level.points for level in scale.levels]
    assert points == POINTS[scale.name]
    assert points == sorted(points)


@pytest.mark.parametrize("scale", SCALES.values(), ids=lambda scale: scale.name)
def test_levels_are_numbered_from_the_least_satisfied(scale: Scale) -> None:
    """Level 1 is the least satisfied and the numbers have no gap."""
    assert [level.level for level in scale.levels] == list(range(1, len(scale.levels) + 1))
    assert "hông hài lòng" in scale.levels[0].vi
    assert scale.levels[-1].vi == "Rất hài lòng"


@pytest.mark.parametrize("scale", SCALES.values(), ids=lambda scale: scale.name)
def test_no_two_buttons_say_the_same(scale: Scale) -> None:
    """The words of a scale differ in both languages."""
    assert len({level.vi for level in scale.levels}) == len(scale.levels)
    assert len({level.en for level in scale.levels}) == len(scale.levels)


def test_a_level_is_found_by_its_number() -> None:
    """A level the scale does not have is None, not the nearest one."""
    three = SCALES["vn-3"]
    top = three.level(3)
    assert top is not None
    assert (top.vi, top.en, top.points) == ("Rất hài lòng", "Very satisfied", 2)
    assert three.level(4) is None
    assert three.level(0) is None


def test_a_province_can_choose_three_four_or_five_levels() -> None:
    """The three usual scales are there under their names."""
    assert {name: len(scale.levels) for name, scale in SCALES.items()} == {"vn-3": 3, "vn-4": 4, "vn-5": 5}
    assert all(name == scale.name for name, scale in SCALES.items())
