import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.cameras import area, check_zones
from contract.states import Zone
from firmware.devices.camera import zones

LEFT_HALF = ((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0))
TRIANGLE = ((0.2, 0.2), (0.8, 0.2), (0.5, 0.8))


def _zone(*points: tuple[float, float], name: str = "citizen") -> Zone:
    return Zone(name=name, points=points)


def test_a_zone_becomes_the_pixels_inside_of_it() -> None:
    """A rectangle in fractions of 8 × 4 pixels sets the pixels whose middles are in it, and no others."""
    drawn = zones.mask(((0.25, 0.25), (0.74, 0.25), (0.74, 0.74), (0.25, 0.74)), 8, 4)
    assert (drawn > 0).astype(int).tolist() == [
        [0, 0, 0, 0, 0, 0, 0, 0],
        [0, 0, 1, 1, 1, 1, 0, 0],
        [0, 0, 1, 1, 1, 1, 0, 0],
        [0, 0, 0, 0, 0, 0, 0, 0],
    ]


def test_the_whole_picture_is_a_zone() -> None:
    """A zone from corner to corner sets every pixel."""
    assert zones.mask(((0, 0), (1, 0), (1, 1), (0, 1)), 64, 48).all()


@settings(max_examples=25, deadline=None)
@given(st.integers(80, 700), st.integers(60, 500))
def test_a_zone_survives_another_resolution(width: int, height: int) -> None:
    """A zone takes the same share of a picture of any size, but for its edge's pixels."""
    drawn = zones.mask(TRIANGLE, width, height)
    assert drawn.shape == (height, width)
    assert abs(float((drawn > 0).mean()) - area(TRIANGLE)) < 1.5 / width + 1.5 / height


def test_the_area_is_that_of_the_polygon() -> None:
    """The area of a triangle is half of its base times its height, whichever way round it is drawn."""
    assert area(TRIANGLE) == pytest.approx(0.6 * 0.6 / 2)
    assert area(TRIANGLE[::-1]) == pytest.approx(0.18)


def test_a_share_is_counted_within_the_zone() -> None:
    """What moves outside of a zone is not counted; what moves in half of it is a half."""
    part = np.zeros((48, 64), np.uint8)
    part[24:] = 255  # the lower half
    zone = zones.mask(LEFT_HALF, 64, 48)
    assert zones.share(part, zone) == pytest.approx(0.5)
    assert zones.share(part, np.zeros((48, 64), np.uint8)) == 0
    part[:] = 0
    part[:, 40:] = 255
    assert zones.share(part, zone) == 0


@pytest.mark.parametrize(
    ("x", "y", "inside"), [(0.25, 0.5, True), (0.75, 0.5, False), (0.0, 0.0, True), (0.5, 0.5, True)]
)
def test_a_point_is_in_a_zone_or_not(x: float, y: float, inside: bool) -> None:
    """A point on the edge counts as inside, so that nobody falls between two zones."""
    assert zones.contains(LEFT_HALF, x, y) is inside


def test_good_zones_pass() -> None:
    """Polygons of any shape pass, hollow ones and those with a corner in a straight side too."""
    check_zones(
        [
            _zone(*LEFT_HALF),
            _zone(*TRIANGLE, name="officer"),
            _zone((0.1, 0.1), (0.9, 0.1), (0.9, 0.9), (0.5, 0.3), (0.1, 0.9), name="hollow"),
            _zone((0.1, 0.1), (0.5, 0.1), (0.9, 0.1), (0.9, 0.9), name="straight"),
        ]
    )


@pytest.mark.parametrize(
    ("points", "said"),
    [
        (((0.1, 0.1), (1.2, 0.1), (0.5, 0.9)), r"zones.citizen: point 2 is \[1.2, 0.1\], outside of the picture"),
        (((0.1, 0.1), (0.9, 0.1), (0.5, -0.01)), r"zones.citizen: point 3 is \[0.5, -0.01\], outside of the picture"),
        (((0.1, 0.1), (float("nan"), 0.1), (0.5, 0.5)), r"zones.citizen: point 2 is \[nan, 0.1\], outside"),
        (((0.1, 0.1), (0.9, 0.9), (0.9, 0.1), (0.1, 0.9)), "zones.citizen: its sides 1 and 3 cross"),
        (((0.1, 0.1), (0.9, 0.1)), "zones.citizen: 2 points make no area"),
        (((0.1, 0.1), (0.5, 0.5), (0.9, 0.9)), "zones.citizen: it is 0.0000% of the picture, next to nothing"),
        (((0.1, 0.1), (0.101, 0.1), (0.1, 0.101)), "zones.citizen: it is 0.0001% of the picture"),
    ],
)
def test_what_is_no_part_of_a_picture_is_refused_by_name(points: tuple[tuple[float, float], ...], said: str) -> None:
    """A zone with a point outside, sides that cross or next to no area is refused, and the message names it."""
    with pytest.raises(ValueError, match=said):
        check_zones([_zone(*TRIANGLE, name="good"), _zone(*points)])


def test_a_mask_is_called_a_mask() -> None:
    """What is refused is named by the key under which it stands in the file."""
    with pytest.raises(ValueError, match=r"^masks\.screen: point 1"):
        check_zones([_zone((2.0, 0.0), (0.5, 0.5), (0.1, 0.9), name="screen")], "masks")
