from collections.abc import Callable
from dataclasses import replace
from functools import cache

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.camera_analysis import false_alarms, found_after_s
from benchmarks.camera_scenes import MISSING, VIDEO, footage, small_of
from contract.states import Zone
from firmware.devices.camera.frames import Plane
from firmware.devices.camera.privacy import Masks
from firmware.devices.camera.tamper import (
    COVERED,
    DEFOCUSED,
    FROZEN,
    HEIGHT,
    MOVED,
    WIDTH,
    Difference,
    Tamper,
    difference,
    faults,
    hidden_by,
    median_of,
    shows_nothing,
)

needs_video = pytest.mark.skipif(not VIDEO.exists(), reason=MISSING)

SAME = Difference(gone=0, structure=1, sharp=1, overall=1, shift_px=0, peak=1, contrast=1)


NOISE = [np.random.default_rng(seed).normal(0, 1.5, (240, 320)).astype(np.float32) for seed in range(7)]


@cache
def _place() -> Plane:
    """Return a place with edges everywhere, drawn: `(240, 320)`."""
    rng = np.random.default_rng(5)
    picture = np.full((240, 320), 120, np.uint8)
    for _ in range(60):
        (x, y), (w, h) = rng.integers(0, (300, 220)).tolist(), rng.integers(8, 50, 2).tolist()
        cv2.rectangle(picture, (x, y), (x + w, y + h), int(rng.integers(20, 235)), -1)
    picture.flags.writeable = False
    return picture


def _sensed(picture: Plane, number: int) -> Plane:
    """Return a picture with a sensor's noise."""
    return cv2.add(picture, NOISE[number % len(NOISE)], dtype=cv2.CV_8U).astype(np.uint8)


def _seconds(tamper: Tamper, picture: Callable[[int], Plane], begin_s: int, seconds: int) -> list[frozenset[str]]:
    """Look at five pictures in two seconds, with a sensor's noise; return what was said each time."""
    return [
        tamper.look(_sensed(picture(number), number), begin_s * 1000 + number * 400, moving=False)
        for number in range(seconds * 5 // 2)
    ]


def _settled() -> Tamper:
    tamper = Tamper()
    assert set(_seconds(tamper, lambda _: _place(), 0, 10)) == {frozenset()}
    return tamper


@given(st.integers(0, 8).map(lambda half: 2 * half + 1), st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_a_median_is_the_median(count: int, seed: int) -> None:
    """The median of any odd number of pictures is what NumPy's own says, for each pixel."""
    pictures = np.random.default_rng(seed).integers(0, 256, (count, 6, 8)).astype(np.uint8)
    assert (median_of(list(pictures)) == np.median(pictures, axis=0)).all()


@pytest.mark.parametrize(
    ("found", "wrong"),
    [
        (SAME, set()),
        (replace(SAME, gone=0.49, structure=0.5), set()),
        (replace(SAME, gone=0.5, structure=0.5), {COVERED}),
        (replace(SAME, gone=0.9, overall=0.05), {COVERED}),
        (replace(SAME, gone=0.9, shift_px=40, peak=0.02), {MOVED}),
        (replace(SAME, gone=0.3, shift_px=1.6), {MOVED}),
        (replace(SAME, gone=0.3, shift_px=1.4), set()),
        (replace(SAME, gone=0.3, shift_px=30, peak=0.05), set()),
        (replace(SAME, gone=0.02, shift_px=2), set()),
        (replace(SAME, sharp=0.49), {DEFOCUSED}),
        (replace(SAME, sharp=0.51), set()),
        (replace(SAME, sharp=0.3, contrast=0.1), set()),
        (replace(SAME, gone=0.3, shift_px=3, sharp=0.3), {MOVED}),
    ],
)
def test_a_difference_means_one_thing(found: Difference, wrong: set[str]) -> None:
    """Edges that are gone are a cover or another view, a shift is a move, blunt edges are the focus; not at night."""
    assert faults(found) == wrong


def test_a_picture_does_not_differ_from_itself() -> None:
    """Of a picture and itself nothing is gone, nothing shifted, and all ratios are one."""
    picture = cv2.resize(_place(), (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA).astype(np.uint8)
    found = difference(picture, picture)
    assert (found.gone, found.sharp, found.overall, found.contrast) == (0, 1, 1, 1)
    assert found.shift_px == pytest.approx(0, abs=0.01)
    assert found.peak == pytest.approx(1, abs=0.1)


def test_a_picture_without_anything_is_none() -> None:
    """Black, grey and a soft slope show nothing; a place shows something, at a twentieth of its light too."""
    place = cv2.resize(_place(), (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA).astype(np.uint8)
    assert shows_nothing(np.full((HEIGHT, WIDTH), 16, np.uint8))
    assert shows_nothing(np.tile(np.linspace(60, 200, WIDTH).astype(np.uint8), (HEIGHT, 1)))
    assert not shows_nothing(place)
    assert not shows_nothing((place * 0.05).astype(np.uint8))


@pytest.mark.parametrize("cover", [0, 16, 60, 128, 235])
def test_a_covered_lens_is_told_and_told_off(cover: int) -> None:
    """Black tape, a hand or white paper is covered within ten seconds and alone; when it is taken off, that ends."""
    tamper = _settled()
    said = _seconds(tamper, lambda _: np.full((240, 320), cover, np.uint8), 10, 10)
    assert said[-1] == {COVERED}
    assert set(said) <= {frozenset(), frozenset({COVERED})}
    assert _seconds(tamper, lambda _: _place(), 20, 10)[-1] == frozenset()


def test_a_cover_without_any_noise_is_covered_and_not_frozen() -> None:
    """Where no light at all comes in, a sensor may have no noise: it is covered, and lives."""
    tamper = _settled()
    black = np.full((240, 320), 16, np.uint8)
    assert [tamper.look(black, 10_000 + number * 400, moving=False) for number in range(40)][-1] == {COVERED}


COLUMNS = [
    Zone(name="screen", points=((left, 0.0), (left + 0.06, 0.0), (left + 0.06, 1.0), (left, 1.0)))
    for left in (0.0, 0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875)
]
MASKS = Masks(COLUMNS, (640, 480), (320, 240))


def _masked(tamper: Tamper, picture: Plane, begin_s: int) -> frozenset[str]:
    """Look at a picture half of which is masked, with a sensor's noise, for ten seconds; return what was said last."""
    main = np.zeros((720, 640), np.uint8)
    said: frozenset[str] = frozenset()
    for number in range(25):
        shown = _sensed(picture, number)
        MASKS.draw(main, shown)
        said = tamper.look(shown, begin_s * 1000 + number * 400, moving=False)
    return said


@pytest.mark.parametrize("cover", [30, 128, 230])
def test_the_edges_of_masks_hide_no_cover(cover: int) -> None:
    """Where masks with long edges hide half of the picture, a cover is told all the same, at the start, too."""
    hand = np.full((240, 320), cover, np.uint8)
    tamper = Tamper(COLUMNS)
    assert _masked(tamper, hand, 0) == {COVERED}
    assert tamper.reference is None
    assert _masked(tamper, _place(), 10) == frozenset()
    assert _masked(tamper, hand, 20) == {COVERED}


def test_the_edges_of_masks_hide_no_move() -> None:
    """Where masks hide half of the picture, a camera that was turned by 8 pixels of 320 is told all the same."""
    tamper = Tamper(COLUMNS)
    assert _masked(tamper, _place(), 0) == frozenset()
    assert _masked(tamper, np.roll(_place(), 8, axis=0), 10) == {MOVED}


def test_masks_have_no_part_in_the_contrast() -> None:
    """In three tenths of the light the contrast is three tenths, with half of the picture masked, too."""
    before, now = _place().copy(), cv2.convertScaleAbs(_place(), alpha=0.3).astype(np.uint8)
    for picture in (before, now):
        MASKS.draw(np.zeros((720, 640), np.uint8), picture)
    found = difference(_shrunk(before), _shrunk(now), hidden_by(COLUMNS))
    assert found.contrast == pytest.approx(0.3, abs=0.02)
    assert faults(found) == frozenset()


def test_noise_behind_a_cover_is_no_edge() -> None:
    """Of a place in weak light no edge stands in the noise of a covered sensor."""
    weak = cv2.convertScaleAbs(_shrunk(_place()), alpha=0.15).astype(np.uint8)
    covered = _shrunk(_sensed(np.full((240, 320), 20, np.uint8), 1))
    assert difference(weak, covered).gone > 0.95


def test_three_quarters_covered_is_covered_and_a_third_is_not() -> None:
    """What covers three quarters of the view is told; a person or a pot plant before a third of it is not."""
    tamper = _settled()
    third, most = _place().copy(), _place().copy()
    third[:, :107] = 60
    most[:, :240] = 60
    assert set(_seconds(tamper, lambda _: third, 10, 10)) == {frozenset()}
    assert _seconds(tamper, lambda _: most, 20, 10)[-1] == {COVERED}


def test_a_lens_that_is_covered_at_the_start_is_told() -> None:
    """Where nothing was ever seen, the camera says that it is covered, and learns its place when it can."""
    tamper = Tamper()
    assert _seconds(tamper, lambda _: np.full((240, 320), 30, np.uint8), 0, 10)[-1] == {COVERED}
    assert tamper.reference is None
    assert _seconds(tamper, lambda _: _place(), 10, 10)[-1] == frozenset()
    assert tamper.reference is not None


def test_a_lens_out_of_focus_is_told() -> None:
    """A focus that was turned is told, also when the light is weaker than it was."""
    blurred = cv2.GaussianBlur(_place(), (0, 0), 2).astype(np.uint8)
    assert _seconds(_settled(), lambda _: blurred, 10, 10)[-1] == {DEFOCUSED}
    assert _seconds(_settled(), lambda _: (blurred * 0.5).astype(np.uint8), 10, 10)[-1] == {DEFOCUSED}


@pytest.mark.parametrize(("right", "down"), [(8, 0), (0, -8), (-30, 20), (100, 60)])
def test_a_camera_that_was_turned_is_told(right: int, down: int) -> None:
    """A view that shifted by 8 pixels of 320 or by a third of the picture is told as moved."""
    turned = np.roll(_place(), (down, right), axis=(0, 1))
    assert _seconds(_settled(), lambda _: turned, 10, 10)[-1] == {MOVED}


def test_a_camera_that_was_twisted_is_told() -> None:
    """A view that was rotated by eight degrees is told as moved."""
    turn = cv2.getRotationMatrix2D((160, 120), 8, 1)
    twisted = cv2.warpAffine(_place(), turn, (320, 240), borderMode=cv2.BORDER_REFLECT).astype(np.uint8)
    assert _seconds(_settled(), lambda _: twisted, 10, 10)[-1] == {MOVED}


def test_who_walks_through_covers_no_camera() -> None:
    """Who fills three quarters of every fourth picture, here and there, is not in the median: nothing is wrong."""

    def walker(number: int) -> Plane:
        picture = _place().copy()
        if number % 4 == 0:
            left = 80 * (number // 4 % 2)
            picture[:, left : left + 240] = 25
        return picture

    assert set(_seconds(_settled(), walker, 10, 20)) == {frozenset()}


def test_a_picture_that_stands_still_is_frozen_after_five_seconds() -> None:
    """The same bytes for five seconds are frozen; any noise at all ends it."""
    tamper = _settled()
    still = _place()
    said = [tamper.look(still, 10_000 + number * 100, moving=False) for number in range(80)]
    assert FROZEN not in said[49]
    assert said[-1] == {FROZEN}
    assert _seconds(tamper, lambda _: _place(), 18, 2)[-1] == frozenset()


def test_the_reference_follows() -> None:
    """In two minutes of a light that became weaker the reference has gone a third of the way."""
    tamper = _settled()
    before = tamper.reference
    assert before is not None
    dim = cv2.convertScaleAbs(_place(), alpha=0.8).astype(np.uint8)
    assert set(_seconds(tamper, lambda _: dim, 10, 120)) == {frozenset()}
    after = tamper.reference
    assert after is not None
    way = (before.astype(float) - after).mean() / (before.mean() - dim.mean())
    assert 0.25 < way < 0.45


@pytest.mark.long
def test_the_reference_follows_what_changes_slowly() -> None:
    """A place that becomes another one in an hour is never wrong."""
    tamper = _settled()
    other = _place()[::-1].copy()
    slowly = [tamper.look(_mixed(other, second / 3600), 10_000 + second * 1000, moving=False) for second in range(3600)]
    assert set(slowly) == {frozenset()}
    reference = tamper.reference
    assert reference is not None
    small = cv2.resize(other, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA).astype(float)
    assert np.abs(reference - small).mean() < 0.3 * np.abs(small - _shrunk(_place())).mean()


def test_the_reference_stays_while_something_moves_or_is_wrong() -> None:
    """A minute of a hand before the lens, or of people who move, changes nothing of what the camera should see."""
    tamper = _settled()
    before = tamper.reference
    assert before is not None
    dim = (_place() * 0.7).astype(np.uint8)
    for number in range(150):
        tamper.look(_sensed(dim, number), 10_000 + number * 400, moving=True)
    after = tamper.reference
    assert after is not None
    assert (after == before).all()
    hand = np.full((240, 320), 60, np.uint8)
    assert _seconds(tamper, lambda _: hand, 70, 10)[-1] == {COVERED}
    covered = tamper.reference
    _seconds(tamper, lambda _: hand, 80, 60)
    later = tamper.reference
    assert covered is not None
    assert later is not None
    assert (later == covered).all()


def test_a_camera_may_be_told_that_it_stands_right() -> None:
    """After somebody who may has turned the camera, its new view is the right one."""
    tamper = _settled()
    turned = np.roll(_place(), 60, axis=1)
    assert _seconds(tamper, lambda _: turned, 10, 10)[-1] == {MOVED}
    tamper.forget()
    assert set(_seconds(tamper, lambda _: turned, 20, 15)) == {frozenset()}


def test_a_reference_that_was_kept_finds_what_happened_while_the_device_was_off() -> None:
    """With the reference of before, a camera that was turned while it had no power is told as moved."""
    kept = _settled().reference
    turned = np.roll(_place(), 60, axis=1)
    assert _seconds(Tamper(reference=kept), lambda _: turned, 0, 10)[-1] == {MOVED}


@needs_video
@pytest.mark.parametrize("what", [COVERED, DEFOCUSED, MOVED, FROZEN])
def test_each_is_found_within_ten_seconds_at_a_real_place(what: str) -> None:
    """At a real place each of the four is found in less than ten seconds, and nothing before it."""
    after = found_after_s(what)
    assert after is not None
    assert after < 10


@needs_video
def test_light_and_people_are_no_tamper() -> None:
    """In four minutes of dusk, lamps, flicker, gain and people who stand near, nothing is wrong."""
    assert false_alarms(240) == 0


@pytest.mark.long
@needs_video
@pytest.mark.parametrize("seed", [7, 8])
def test_an_hour_of_light_and_people_is_no_tamper(seed: int) -> None:
    """In an hour of dusk, lamps, flicker, gain and people who stand near, nothing is wrong."""
    assert false_alarms(3600, seed=seed) == 0


@needs_video
def test_night_without_any_light_is_no_place() -> None:
    """A room in which nothing at all can be seen is covered: the camera cannot know better."""
    tamper = Tamper()
    place = small_of(footage().plate)
    _seconds(tamper, lambda _: place, 0, 10)
    assert not tamper.dark
    assert _seconds(tamper, lambda _: (place * 0.1).astype(np.uint8), 10, 10)[-1] == frozenset()
    assert tamper.dark
    assert _seconds(tamper, lambda _: (place * 0.003).astype(np.uint8), 20, 10)[-1] == {COVERED}
    assert tamper.dark


@needs_video
def test_dark_is_not_what_a_mask_blackens() -> None:
    """A picture most of which is masked is dark only where what is left of it is."""
    left = Zone(name="all but a strip", points=((0.0, 0.0), (0.9, 0.0), (0.9, 1.0), (0.0, 1.0)))
    tamper = Tamper([left])
    place = small_of(footage().plate)
    _seconds(tamper, lambda _: np.where(np.arange(place.shape[1]) < 0.9 * place.shape[1], 16, place), 0, 10)
    assert not tamper.dark


def _mixed(other: Plane, share: float) -> Plane:
    mixed = cv2.addWeighted(_place(), 1 - share, other, share, 0).astype(np.uint8)
    return _sensed(mixed, round(share * 3600))


def _shrunk(picture: Plane) -> Plane:
    return cv2.resize(picture, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA).astype(np.uint8)
