import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from contract.states import Zone
from firmware.devices.camera.frames import Plane
from firmware.devices.camera.privacy import THUMBNAIL_BYTES, Blocks, Masks, planes, thumbnail

SIZE, SMALL = (640, 480), (320, 240)
TRIANGLE = Zone(name="screen", points=((0.6, 0.2), (0.9, 0.3), (0.7, 0.9)))
LEFT = Zone(name="citizen", points=((0.0, 0.0), (0.49, 0.0), (0.49, 1.0), (0.0, 1.0)))

SIDES = st.tuples(st.integers(80, 200), st.integers(80, 200)).map(lambda size: (size[0] * 2, size[1] * 2))
FRACTIONS = st.floats(0, 1, width=32)
TRIANGLES = st.lists(st.tuples(FRACTIONS, FRACTIONS), min_size=3, max_size=3).map(
    lambda points: Zone(name="any", points=tuple(points))
)


def _busy(size: tuple[int, int], seed: int = 1) -> Plane:
    """Return an I420 picture of noise: what is left of it shows."""
    width, height = size
    return np.random.default_rng(seed).integers(30, 230, (height * 3 // 2, width)).astype(np.uint8)


def _inside(triangle: Zone, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the pixels whose middles are within a triangle: on the same side of all its sides."""
    width, height = size
    x, y = (np.arange(width) + 0.5) / width, ((np.arange(height) + 0.5) / height)[:, None]
    corners = triangle.points
    turns = np.stack(
        [
            (bx - ax) * (y - ay) - (by - ay) * (x - ax)
            for (ax, ay), (bx, by) in zip(corners, (*corners[1:], corners[0]), strict=True)
        ]
    )
    return (turns > 1e-9).all(axis=0) | (turns < -1e-9).all(axis=0)


def test_a_mask_is_black_in_both_pictures_and_nothing_else_is() -> None:
    """Inside of a mask there is neither brightness nor colour, in both pictures; outside of it nothing changes."""
    main, small = _busy(SIZE), _busy(SMALL)[:240].copy()
    before, small_before = main.copy(), small.copy()
    Masks([TRIANGLE], SIZE, SMALL).draw(main, small)
    y, u, v = planes(main)
    inside = _inside(TRIANGLE, SIZE)
    black = y == 16
    assert black[inside].all()
    assert black.mean() == pytest.approx(inside.mean(), abs=0.003)
    assert (u[black[::2, ::2]] == 128).all()
    assert (v[black[::2, ::2]] == 128).all()
    assert (u[black[1::2, 1::2]] == 128).all()
    assert (y[~black] == before[:480][~black]).all()
    assert (small[small != small_before] == 16).all()
    assert (small[black[::2, ::2] | black[1::2, 1::2]] == 16).all()


@settings(deadline=None, max_examples=50)
@given(SIDES, TRIANGLES)
def test_a_mask_leaves_no_pixel_of_itself(size: tuple[int, int], zone: Zone) -> None:
    """Of any triangle, at any size, every pixel inside is black in what leaves, and no colour is left of it."""
    main, small = _busy(size), _busy(SMALL)[:240].copy()
    Masks([zone], size, SMALL).draw(main, small)
    y, u, v = planes(main)
    inside = _inside(zone, size)
    assert (y[inside] == 16).all()
    some = inside[::2, ::2] | inside[1::2, ::2] | inside[::2, 1::2] | inside[1::2, 1::2]
    assert (u[some] == 128).all()
    assert (v[some] == 128).all()
    assert (small[_inside(zone, SMALL)] == 16).all()


def test_without_masks_a_picture_stays_as_it_is() -> None:
    """Where no mask is drawn, no byte changes."""
    main, small = _busy(SIZE), _busy(SMALL)[:240].copy()
    before, small_before = main.copy(), small.copy()
    Masks([], SIZE, SMALL).draw(main, small)
    Blocks([], SIZE).draw(main)
    assert (main == before).all()
    assert (small == small_before).all()


def test_a_picture_that_cannot_be_hidden_in_is_refused() -> None:
    """A picture of another size, or one whose bytes do not lie together, is refused rather than left clear."""
    masks, blocks = Masks([TRIANGLE], SIZE, SMALL), Blocks([LEFT], SIZE)
    main, small = _busy(SIZE), _busy(SMALL)[:240].copy()
    with pytest.raises(ValueError, match="masks are for pictures"):
        masks.draw(_busy(SMALL), small)
    with pytest.raises(ValueError, match="masks are for pictures"):
        masks.draw(main, small[::2])
    with pytest.raises(ValueError, match="masks are for pictures"):
        blocks.draw(_busy(SMALL))
    with pytest.raises(ValueError, match="contiguous"):
        blocks.draw(_busy((1280, 480))[:, :640])


def test_a_small_picture_may_lie_in_longer_lines() -> None:
    """A small picture with a stride, as a camera's hardware gives it, is masked in place."""
    buffer = _busy((384, 480))[:240].copy()
    Masks([TRIANGLE], SIZE, SMALL).draw(_busy(SIZE), buffer[:, :320])
    assert (buffer[:, :320][_inside(TRIANGLE, SMALL)] == 16).all()


def test_a_zone_becomes_blocks_of_a_twenty_fourth_of_the_height() -> None:
    """In the zone 20 × 20 pixels have one brightness, their mean, and one colour; outside of it nothing changes."""
    main = _busy(SIZE)
    before = main.copy()
    Blocks([LEFT], SIZE).draw(main)
    y, u, v = planes(main)
    for plane, side in ((y, 20), (u, 10), (v, 10)):
        blocks = plane[:, : 16 * side].reshape(24, side, 16, side).swapaxes(1, 2).reshape(24, 16, -1)
        assert (blocks == blocks[:, :, :1]).all()
    means = before[:480, :320].reshape(24, 20, 16, 20).mean(axis=(1, 3))
    assert np.abs(y[::20, :320:20].astype(float) - means).max() <= 1.5
    assert (y[:, 320:] == before[:480, 320:]).all()
    assert (u[:, 160:] == planes(before)[1][:, 160:]).all()


@settings(deadline=None, max_examples=50)
@given(SIDES, TRIANGLES)
def test_nothing_smaller_than_a_block_is_left_of_a_zone(size: tuple[int, int], zone: Zone) -> None:
    """Of any triangle, at any size, each block that holds a pixel of it is of one brightness and one colour."""
    main = _busy(size)
    Blocks([zone], size).draw(main)
    side = max(2, round(size[1] / 24 / 2) * 2)
    rows, columns = np.nonzero(_inside(zone, size))
    for plane, each in zip(planes(main), (side, side // 2, side // 2), strict=True):
        for row, column in set(zip((rows // side).tolist(), (columns // side).tolist(), strict=True)):
            block = plane[row * each : (row + 1) * each, column * each : (column + 1) * each]
            assert (block == block[0, 0]).all()


def test_a_copy_leaves_the_clear_picture_alone() -> None:
    """The shown picture is another than the clear one, which keeps every byte."""
    main = _busy(SIZE)
    before = main.copy()
    shown = Blocks([LEFT], SIZE).drawn(main)
    assert (main == before).all()
    assert (shown != before).any()


@pytest.mark.parametrize("size", [(640, 480), (1280, 720), (162, 322), (1920, 1080)])
@pytest.mark.parametrize("what", ["noise", "black", "lines"])
def test_a_thumbnail_fits_whatever_it_shows(size: tuple[int, int], what: str) -> None:
    """A thumbnail is a JPEG within 320 × 240 in the picture's own shape and at most 24 KB, of noise too."""
    width, height = size
    main = np.random.default_rng(2).integers(0, 256, (height * 3 // 2, width)).astype(np.uint8)
    if what == "black":
        main[:] = 16
    if what == "lines":
        main[:, ::2] = 255
        main[:, 1::2] = 0
    jpeg = thumbnail(main)
    seen = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert seen is not None
    assert len(jpeg) <= THUMBNAIL_BYTES
    assert seen.shape[0] <= 240
    assert seen.shape[1] <= 320
    assert 320 in seen.shape or 240 in seen.shape
    assert seen.shape[1] / seen.shape[0] == pytest.approx(width / height, rel=0.03)


def test_a_thumbnail_has_the_pictures_colours() -> None:
    """Red stays red: U and V are where they belong."""
    main = np.full((720, 640), 128, np.uint8)
    y, u, v = planes(main)
    y[:], u[:], v[:] = 81, 90, 240  # pure red of BT.601
    seen = cv2.imdecode(np.frombuffer(thumbnail(main), np.uint8), cv2.IMREAD_COLOR)
    assert seen is not None
    assert np.abs(seen.astype(int) - (0, 0, 254)).max() <= 6
