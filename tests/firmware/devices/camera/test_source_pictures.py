"""What sources do to pictures and their times, with literal arrays and numbers."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from firmware.devices.camera.frames import Frame
from firmware.devices.camera.sources.network_camera import Lag
from firmware.devices.camera.sources.offers import read_offers
from firmware.devices.camera.sources.pictures import Gaps, Thinner, shrink, stamp_ms, unpadded, unwoven
from firmware.devices.camera.sources.settling import Settling


def test_a_padded_picture_of_four_by_four_is_taken_out_of_its_buffer() -> None:
    """Lines of 6 bytes for 4 pixels: two lines of U, then two of V, share a row of the buffer."""
    padded = np.array(
        [
            [1, 2, 3, 4, 0, 0],
            [5, 6, 7, 8, 0, 0],
            [9, 10, 11, 12, 0, 0],
            [13, 14, 15, 16, 0, 0],
            [21, 22, 0, 23, 24, 0],  # U
            [31, 32, 0, 33, 34, 0],  # V
        ],
        np.uint8,
    )
    assert unpadded(padded, 4, 4).tolist() == [
        [1, 2, 3, 4],
        [5, 6, 7, 8],
        [9, 10, 11, 12],
        [13, 14, 15, 16],
        [21, 22, 23, 24],
        [31, 32, 33, 34],
    ]


@given(st.integers(1, 20), st.integers(1, 20), st.integers(0, 8), st.randoms(use_true_random=False))
def test_no_padding_changes_a_picture(half_width: int, half_height: int, half_padding: int, random: object) -> None:
    """A picture that is laid into a padded buffer plane by plane comes out as it was, in memory of its own."""
    width, height, stride = 2 * half_width, 2 * half_height, 2 * (half_width + half_padding)
    picture = np.random.default_rng(random.randrange(9999)).integers(0, 256, width * height * 3 // 2, np.uint8)  # type: ignore[attr-defined]
    flat = np.full(stride * height * 3 // 2, 77, np.uint8)
    y, u, v = np.split(picture, [width * height, width * height * 5 // 4])
    flat[: stride * height].reshape(height, stride)[:, :width] = y.reshape(height, width)
    planes = flat[stride * height :].reshape(2, half_height, stride // 2)
    planes[0, :, :half_width] = u.reshape(half_height, half_width)
    planes[1, :, :half_width] = v.reshape(half_height, half_width)
    padded = flat.reshape(height * 3 // 2, stride)
    taken = unpadded(padded, width, height)
    assert taken.shape == (height * 3 // 2, width)
    assert taken.tobytes() == picture.tobytes()
    assert not np.shares_memory(taken, padded)


def test_a_woven_picture_of_four_by_four_is_unwoven() -> None:
    """U and V stand in turn in NV12, one after the other in ours; what fills up a line is left out."""
    woven = np.array(
        [
            [1, 2, 3, 4, 0],
            [5, 6, 7, 8, 0],
            [9, 10, 11, 12, 0],
            [13, 14, 15, 16, 0],
            [21, 31, 22, 32, 0],
            [23, 33, 24, 34, 0],
        ],
        np.uint8,
    )
    assert unwoven(woven, 4, 4).tolist() == [
        [1, 2, 3, 4],
        [5, 6, 7, 8],
        [9, 10, 11, 12],
        [13, 14, 15, 16],
        [21, 22, 23, 24],
        [31, 32, 33, 34],
    ]


def test_a_pixel_of_the_small_picture_is_the_mean_of_what_it_covers() -> None:
    """A chessboard of single pixels becomes an even grey: nothing flickers because a pixel was skipped."""
    y = np.indices((480, 640)).sum(axis=0).astype(np.uint8) % 2 * 200
    small = shrink(y)
    assert small.shape == (240, 320)
    assert (small == 100).all()


def test_a_stamp_counts_only_if_it_is_of_our_clock() -> None:
    """A stamp of the last second or of just now is believed; one of the future, of long ago, or none at all is not."""
    assert stamp_ms(59_960_000_000, 60_000) == 59_960
    assert stamp_ms(60_060_000_000, 60_000) == 60_060
    assert stamp_ms(60_101_000_000, 60_000) is None
    assert stamp_ms(58_999_000_000, 60_000) is None
    assert stamp_ms(0, 60_000) is None
    assert stamp_ms(None, 60_000) is None


def kept(fps: int, times: list[float]) -> list[float]:
    """Return the times of the pictures that are kept."""
    thinner = Thinner(fps)
    return [at_ms for at_ms in times if thinner.wants(at_ms)]


def test_pictures_that_come_as_wanted_are_all_kept() -> None:
    """Fifteen pictures a second whose stamps are whole milliseconds, ten too early and ten too late, are all wanted."""
    times = [round(n * 1000 / 15) + (10, 0, -10)[n % 3] for n in range(300)]
    assert kept(15, times) == times


def test_a_slow_camera_keeps_all_its_pictures() -> None:
    """Where fewer come than are wanted none is dropped."""
    times = [n * 130.0 for n in range(100)]
    assert kept(15, times) == times


def test_twice_as_many_pictures_are_halved() -> None:
    """Of 30 pictures a second every second is kept, though their stamps jitter."""
    times = [n * 1000 / 30 + (4, 0, -4)[n % 3] for n in range(300)]
    assert kept(15, times) == times[::2]


def test_of_many_pictures_the_nearest_is_kept() -> None:
    """Of ten a second where one is wanted, it is the one that is due, from the first on."""
    times = [n * 100.0 for n in range(100)]
    assert kept(1, times) == times[::10]


def test_after_a_gap_or_a_jump_back_the_next_picture_is_kept() -> None:
    """A source whose time jumps is not thinned to nothing."""
    assert kept(10, [0, 100, 5_000, 5_100, 40, 140]) == [0, 100, 5_000, 5_100, 40, 140]


def test_a_missing_picture_is_a_gap() -> None:
    """At 15 pictures a second 133 ms are one lost and 267 ms three; 67 or 73 ms are none."""
    gaps = Gaps(15)
    times = [1_000, 1_067, 1_133, 1_267, 1_333, 1_600, 1_673, 1_733]
    assert [gaps.lost(at_ms) for at_ms in times] == [0, 0, 0, 1, 0, 3, 0, 0]


def test_missing_pictures_are_counted_though_half_of_them_are_missing() -> None:
    """A device that drops every second picture at random does not pass for a slow one: nine of ten losses are seen."""
    random = np.random.default_rng(4)
    came = [n for n in range(20_000) if n < 10 or random.random() < 0.5]
    gaps = Gaps(15)
    found, missing = sum(gaps.lost(round(n * 1000 / 15)) for n in came), came[-1] + 1 - len(came)
    assert 0.9 * missing < found <= missing


def test_a_camera_that_slows_down_in_the_dark_is_believed_after_eight_pictures() -> None:
    """When the exposure grows to 100 ms that is the camera's rhythm, and no longer a loss."""
    gaps = Gaps(20)
    lost = [gaps.lost(at_ms) for at_ms in (*range(0, 500, 50), *range(550, 2_600, 100))]
    assert (sum(lost[:10]), lost[10], sum(lost[20:])) == (0, 1, 0)
    assert sum(lost) <= 8


def test_a_camera_that_is_faster_than_asked_loses_nothing() -> None:
    """One that gives 30 pictures a second where 15 are wanted has a rhythm of its own, and its gaps are seen."""
    gaps = Gaps(15)
    assert [gaps.lost(at_ms) for at_ms in (0, 33, 67, 100, 133, 200, 233)] == [0, 0, 0, 0, 0, 1, 0]


# --- a network camera's times ----------------------------------------------------------------------------------------


def test_pictures_that_waited_for_us_are_not_handed_on() -> None:
    """What was read to know the stream is decoded only; the first live picture is the first of all."""
    lag = Lag()
    waiting = [lag.at(n * 67, 10_000 + n) for n in range(8)]
    live = [lag.at(n * 67, 10_000 + 7 + (n - 7) * 67) for n in range(8, 12)]
    assert waiting == [None] * 8
    assert live == [10_074, 10_141, 10_208, 10_275]


def after_catching_up(zero_ms: int) -> Lag:
    """Return the lag of a camera whose time 0 is `zero_ms` of ours."""
    lag = Lag()
    assert [lag.at(n * 100, zero_ms + n * 100) for n in range(3)] == [None, zero_ms + 100, zero_ms + 200]
    return lag


def test_a_bad_moment_of_the_network_does_not_show() -> None:
    """Ten pictures that come at once after a second of nothing have the times at which they should have come."""
    lag = after_catching_up(50_000)
    times = [lag.at(n * 100, 51_300) for n in range(3, 13)]
    assert [round((at_ms or 0) / 10) * 10 for at_ms in times] == [50_000 + n * 100 for n in range(3, 13)]
    assert all(at_ms is not None and at_ms <= 51_300 for at_ms in times)


def test_a_cameras_clock_may_run_slow_or_fast_for_a_day() -> None:
    """At 300 millionths either way a picture's time is never in the future, and never 60 ms behind ours."""
    for speed in (0.9997, 1.0003):
        lag = after_catching_up(0)
        for n in range(3, 86_400):
            at_ms = lag.at(n * 1_000 * speed, n * 1_000)
            assert at_ms is not None
            assert n * 1_000 - 60 <= at_ms <= n * 1_000


def test_a_cameras_clock_may_be_set() -> None:
    """After a jump either way its pictures come at our time again."""
    for jump_ms in (-3_600_000, 3_600_000):
        lag = after_catching_up(90_000)
        assert [lag.at(jump_ms + n * 100, 90_000 + n * 100) for n in range(3, 6)] == [90_300, 90_400, 90_500]


# --- exposure --------------------------------------------------------------------------------------------------------

_NAMES = frozenset({"AeEnable", "AwbEnable", "ExposureTime", "AnalogueGain", "ColourGains"})
_CHOSEN = {"ExposureTime": 9_000, "AnalogueGain": 1.5, "ColourGains": (2.0, 1.0), "LensPosition": 1.0}
_HOLD = {
    "AeEnable": False,
    "ExposureTime": 9_000,
    "AnalogueGain": 1.5,
    "AwbEnable": False,
    "ColourGains": (2.0, 1.0),
}
_FREE = {"AeEnable": True, "AwbEnable": True}


def settled(lights: list[tuple[int, int]]) -> list[tuple[int, object]]:
    """Return what is set and when, in seconds; `lights` are seconds and grey levels, two pictures a second."""
    settling = Settling(_NAMES)
    assert settling.begin() == _FREE
    done: list[tuple[int, object]] = []
    at_ms = 0
    for seconds, grey in lights:
        for _ in range(seconds * 2):
            small = np.full((240, 320), grey, np.uint8)
            if controls := settling.controls(Frame(number=0, at_ms=at_ms, main=small, small=small), _CHOSEN):
                done.append((at_ms // 1000, controls))
            at_ms += 500
    return done


def test_a_camera_chooses_for_three_seconds_and_then_holds_still() -> None:
    """In a light that stays nothing is set any more for an hour; a control that is not offered never is."""
    assert settled([(3_600, 100)]) == [(3, _HOLD)]


def test_somebody_who_stands_before_the_camera_changes_nothing() -> None:
    """A picture that is much darker for nine seconds is a person, not the evening."""
    assert settled([(10, 100), (9, 30), (9, 100), (9, 30), (60, 100)]) == [(3, _HOLD)]


def test_when_the_light_has_changed_for_good_the_camera_chooses_again() -> None:
    """Ten seconds after the lamps went out it is let free, and holds what it then chose."""
    assert settled([(20, 100), (60, 50)]) == [(3, _HOLD), (30, _FREE), (33, _HOLD)]


def test_a_slow_dusk_is_followed_in_few_steps() -> None:
    """From 140 to 20 grey levels in two hours the camera chooses three times at most."""
    chosen = settled([(60, 140 - n) for n in range(120)])
    assert 3 <= len(chosen) <= 7


# --- what a device offers --------------------------------------------------------------------------------------------


def test_a_devices_offers_are_read_from_the_kernels_structures() -> None:
    """The bytes are those of a webcam with two formats, and of one that takes any size (linux/videodev2.h)."""
    asked: list[tuple[int, str]] = []
    formats = {0: b"YUYV", 1: b"MJPG", 2: b"NV12"}
    sizes = {b"YUYV": [(640, 480), (320, 240)], b"MJPG": [(1280, 720)]}

    def ioctl(request: int, into: bytearray) -> None:
        index = int.from_bytes(into[:4], "little")
        asked.append((len(into), hex(request)))
        if request == 0xC0405602:
            assert into[4:8] == b"\x01\x00\x00\x00"
            if index not in formats:
                raise OSError(22, "Invalid argument")
            into[44:48] = formats[index]
        else:
            code = bytes(into[4:8])
            if code == b"NV12":
                into[8:12] = b"\x03\x00\x00\x00"  # stepwise
                return
            if index >= len(sizes[code]):
                raise OSError(22, "Invalid argument")
            width, height = sizes[code][index]
            into[8:20] = b"\x01\x00\x00\x00" + width.to_bytes(4, "little") + height.to_bytes(4, "little")

    assert read_offers(ioctl) == {"YUYV": [(640, 480), (320, 240)], "MJPG": [(1280, 720)], "NV12": []}
    assert set(asked) == {(64, "0xc0405602"), (44, "0xc02c564a")}


def test_a_driver_whose_list_never_ends_does_not_hold_up_the_start() -> None:
    """After 64 formats no more is asked."""
    offers = read_offers(lambda *_: None)
    assert len(offers) == 1
