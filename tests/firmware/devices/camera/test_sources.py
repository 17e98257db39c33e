"""Every source keeps one promise: pictures of the configured size, in order, with our times, never without masks."""

import logging
import sys
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Protocol

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from firmware.devices.camera.config import CameraConfig
from firmware.devices.camera.frames import Frame, Plane, Source
from firmware.devices.camera.sources import ProcessSpentError, make_source, picamera
from firmware.devices.camera.sources.av_reader import AvReader
from firmware.devices.camera.sources.network_camera import NetworkCamera
from firmware.devices.camera.sources.usb_camera import UsbCamera
from firmware.devices.camera.sources.video_file import VideoFile
from firmware.errors import ConfigError, HardwareError
from tests.support.picamera2 import LENS, CameraModule, installed
from tests.support.raw_camera import RawCamera
from tests.support.rtsp import RtspCamera
from tests.support.waiting import wait_for

VTEST = Path("/usr/share/doc/opencv-doc/examples/data/vtest.avi")

Draw = Callable[[Plane, Plane], None]


def monotonic_ms() -> int:
    """Say the time as the daemon does."""
    return time.monotonic_ns() // 1_000_000


def nothing(main: Plane, small: Plane) -> None:
    """Draw no mask."""


def video(
    path: Path, *, width: int = 320, height: int = 240, fps: int = 15, frames: int = 45, codec: str = "mjpeg"
) -> Path:
    """Write a video whose pictures are as bright as their number."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=fps)
        stream.width, stream.height = width, height
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.codec_context.time_base = Fraction(1, fps)
        for number in range(frames):
            picture = np.full((height * 3 // 2, width), 128, np.uint8)
            picture[:height] = number * 4 % 200 + 20
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format=stream.pix_fmt)))
        container.mux(stream.encode())
    return path


# --- the rigs --------------------------------------------------------------------------------------------------------


class Rig(Protocol):
    """A camera that a test controls."""

    patience_s: float
    """How long a source waits for a picture."""

    def source(self, draw: Draw, *, width: int = 320, height: int = 240, fps: int = 15) -> Source:
        """Return a source of this camera that is not open."""
        ...

    def go_silent(self) -> None:
        """Give no picture any more."""
        ...

    def unplug(self) -> None:
        """Be gone."""
        ...


class _FileRig:
    """A video of four seconds."""

    patience_s = 5.0

    def __init__(self, folder: Path) -> None:
        self._path = video(folder / "counter.avi", frames=60)

    def source(self, draw: Draw, *, width: int = 320, height: int = 240, fps: int = 15) -> Source:
        config = CameraConfig(source="file", address=str(self._path), width=width, height=height, fps=fps)
        return make_source(config, draw, monotonic_ms)

    def go_silent(self) -> None:
        raise NotImplementedError

    unplug = go_silent


class _RtspRig:
    """GStreamer's RTSP server."""

    patience_s = 5.0

    def __init__(self) -> None:
        self.camera = RtspCamera()

    def source(self, draw: Draw, *, width: int = 320, height: int = 240, fps: int = 15) -> Source:
        config = CameraConfig(source="rtsp", address=self.camera.address, width=width, height=height, fps=fps)
        way = NetworkCamera(self.camera.address, monotonic_ms, patience_s=self.patience_s)
        return AvReader(way, config, draw, monotonic_ms)

    def go_silent(self) -> None:
        self.camera.stand_still()

    def unplug(self) -> None:
        self.camera.kill()


class _UsbRig:
    """A pipe with uncoded pictures in place of a device."""

    patience_s = 5.0

    def __init__(self, folder: Path) -> None:
        self.camera = RawCamera(folder)

    def source(self, draw: Draw, *, width: int = 320, height: int = 240, fps: int = 15) -> Source:
        config = CameraConfig(source="v4l2", address=self.camera.address, width=width, height=height, fps=fps)
        self.camera.width, self.camera.height = width, height
        way = UsbCamera(
            self.camera.address,
            config,
            monotonic_ms,
            open_container=self.camera.open_container,
            offers=lambda _: {},
        )
        return AvReader(way, config, draw, monotonic_ms)

    def go_silent(self) -> None:
        self.camera.go_silent()

    def unplug(self) -> None:
        self.camera.unplug()


class _PicameraRig:
    """A fake of Picamera2."""

    patience_s = 5.0

    def __init__(self) -> None:
        self.camera = CameraModule()

    def source(self, draw: Draw, *, width: int = 320, height: int = 240, fps: int = 15) -> Source:
        config = CameraConfig(source="picamera2", width=width, height=height, fps=fps)
        return make_source(config, draw, monotonic_ms)

    def go_silent(self) -> None:
        self.camera.silent = True

    unplug = go_silent  # a cable that is pulled out is silence: the library only logs


@pytest.fixture
def camera_module(monkeypatch: pytest.MonkeyPatch) -> Iterator[CameraModule]:
    """A camera module behind a fake of Picamera2, in a process that has not had it yet."""
    monkeypatch.setattr(picamera, "_taken", False)
    with installed(CameraModule(), sys.modules) as module:
        yield module


@pytest.fixture
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    """One kind of camera."""
    match request.param:
        case "file":
            yield _FileRig(tmp_path)
        case "rtsp":
            rtsp = _RtspRig()
            yield rtsp
            rtsp.camera.kill()
        case "v4l2":
            usb = _UsbRig(tmp_path)
            yield usb
            usb.camera.unplug()
        case _:
            module = _PicameraRig()
            module.camera = request.getfixturevalue("camera_module")
            yield module


every_source = pytest.mark.parametrize("rig", ["file", "rtsp", "picamera2", "v4l2"], indirect=True)
every_camera = pytest.mark.parametrize("rig", ["rtsp", "picamera2", "v4l2"], indirect=True)


def read(source: Source, count: int) -> list[Frame]:
    """Read so many pictures."""
    frames = []
    for _ in range(count):
        frame = source.read(5.0)
        assert frame is not None
        frames.append(frame)
    return frames


def until_it_fails(source: Source, timeout_s: float) -> None:
    """Read what there is; return only at an end."""
    while source.read(timeout_s) is not None:
        pass


# --- what every source does ------------------------------------------------------------------------------------------


@every_source
def test_pictures_come_in_the_configured_size_in_order_and_with_our_times(rig: Rig) -> None:
    """A picture is I420 of the configured size, its own memory, later than the one before, and stamped by our clock."""
    with rig.source(nothing) as source:
        frames = read(source, 8)
        now_ms = monotonic_ms()
    for frame in frames:
        assert frame.main.shape == (360, 320)
        assert frame.small.shape == (240, 320)
        for plane in (frame.main, frame.small):
            assert plane.dtype == np.uint8
            assert plane.flags.writeable
            assert plane.flags.c_contiguous
    assert not np.shares_memory(frames[0].main, frames[1].main)
    numbers = [frame.number for frame in frames]
    assert numbers == sorted(set(numbers))
    times = [frame.at_ms for frame in frames]
    assert times == sorted(set(times))
    assert now_ms - 5_000 < times[0] <= times[-1] <= now_ms


class Painter:
    """Draws masks that a test chooses, and remembers into which pictures."""

    def __init__(self) -> None:
        self.mask = (0, 0, 1, 1)
        self.painted: list[tuple[Plane, Plane, tuple[int, int, int, int]]] = []

    def __call__(self, main: Plane, small: Plane) -> None:
        """Paint a part of both pictures white: left, top, width and height in pixels of either."""
        mask = self.mask
        left, top, width, height = mask
        main[top : top + height, left : left + width] = 255
        small[top : top + height, left : left + width] = 255
        self.painted.append((main, small, mask))


@pytest.fixture
def painted(rig: Rig) -> Iterator[tuple[Painter, Source]]:
    """An open source, and who draws its masks."""
    painter = Painter()
    with rig.source(painter) as source:
        yield painter, source


@every_source
@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(mask=st.tuples(st.integers(0, 300), st.integers(0, 220), st.integers(1, 20), st.integers(1, 20)))
def test_no_picture_leaves_a_source_before_its_masks_are_drawn(
    painted: tuple[Painter, Source], mask: tuple[int, int, int, int]
) -> None:
    """Whatever the masks are: both pictures of a frame are the ones that were drawn into, and as they were drawn."""
    painter, source = painted
    painter.mask = mask
    for frame in read(source, 2):
        drawn = [mask for main, small, mask in painter.painted if main is frame.main and small is frame.small]
        assert len(drawn) == 1
        left, top, width, height = drawn[0]
        for plane in (frame.main, frame.small):
            assert (plane[top : top + height, left : left + width] == 255).all()
            assert not (plane[:240] == 255).all()


@every_source
def test_a_mask_that_cannot_be_drawn_lets_no_picture_through(rig: Rig) -> None:
    """If drawing fails no picture comes, and the failure is heard where pictures are read."""

    def broken(*_: Plane) -> None:
        raise ZeroDivisionError

    with rig.source(broken) as source, pytest.raises(ZeroDivisionError):
        source.read(5.0)


@every_source
def test_masks_of_small_pictures_are_drawn_too(rig: Rig) -> None:
    """A camera of fewer pixels than are analysed still gives both pictures, and both are drawn into."""
    painter = Painter()
    with rig.source(painter, width=160, height=160) as source:
        (frame,) = read(source, 1)
    assert (frame.main.shape, frame.small.shape) == ((240, 160), (240, 320))
    assert frame.main is painter.painted[0][0]
    assert frame.small is painter.painted[0][1]


@every_source
def test_no_more_pictures_come_than_are_wanted(rig: Rig) -> None:
    """Of a camera that gives 15 a second or more five are taken where five are wanted, and none counts as lost."""
    with rig.source(nothing, fps=5) as source:
        frames = read(source, 5)
    assert [frame.number - frames[0].number for frame in frames] == [0, 1, 2, 3, 4]
    assert frames[-1].at_ms - frames[0].at_ms >= 4 * 200 - 150


@every_camera
def test_silence_is_noticed(rig: Rig) -> None:
    """A camera that says nothing more is a fault with a line for an operator, as soon as its time is over."""
    rig.patience_s = 0.8
    with rig.source(nothing) as source:
        began_ms = read(source, 3)[-1].at_ms
        rig.go_silent()
        with pytest.raises(HardwareError, match=r"no picture for 0.8 s from the camera .*: \w"):
            until_it_fails(source, 0.8)
    assert 700 <= monotonic_ms() - began_ms < 30_000


@every_camera
def test_a_camera_that_is_gone_is_noticed(rig: Rig) -> None:
    """A camera whose cable is pulled is a fault that may pass; a camera never just ends."""
    with rig.source(nothing) as source:
        read(source, 3)
        rig.unplug()
        with pytest.raises(HardwareError, match="the camera"):
            until_it_fails(source, 0.5)


@every_source
def test_a_source_can_be_let_go_before_it_was_taken_and_twice(rig: Rig) -> None:
    """Letting a camera go never fails."""
    source = rig.source(nothing)
    source.__exit__(None, None, None)
    with source:
        read(source, 1)
    source.__exit__(None, None, None)


# --- videos ----------------------------------------------------------------------------------------------------------


def file_source(
    path: Path,
    *,
    draw: Draw = nothing,
    clock: Callable[[], int] = monotonic_ms,
    width: int = 320,
    loop: bool = False,
    wait: Callable[[float], object] | None = None,
    fps: int = 15,
) -> Source:
    """Return a video as a source; without `wait` as fast as possible."""
    config = CameraConfig(
        source="file", address=str(path), width=width, height=240, fps=fps, as_fast_as_possible=wait is None
    )
    return make_source(config, draw, clock, wait=wait or time.sleep, loop=loop)


def everything(source: Source) -> list[Frame]:
    """Read a video to its end."""
    frames = []
    with source:
        while (frame := source.read(5.0)) is not None:
            frames.append(frame)
    return frames


class Sleeper:
    """A clock that waiting moves, and working too: each look at it takes a millisecond."""

    def __init__(self) -> None:
        self.ms = 1_000_000.0
        self.waited = 0

    def now(self) -> int:
        """Say the time."""
        self.ms += 1
        return int(self.ms)

    def wait(self, seconds: float) -> None:
        """Wait, a little too long."""
        self.waited += 1
        self.ms += seconds * 1000 + 7


def test_a_video_in_its_own_time_does_not_drift(tmp_path: Path) -> None:
    """However late each waiting ends, the last of 300 pictures is due exactly where the video has it."""
    sleeper = Sleeper()
    frames = everything(file_source(video(tmp_path / "a.avi", frames=300), clock=sleeper.now, wait=sleeper.wait))
    assert len(frames) == 300
    assert frames[-1].at_ms - frames[0].at_ms == round(299 * 1000 / 15)
    assert sleeper.waited == 299
    assert sleeper.ms - frames[-1].at_ms < 30


def test_a_video_as_fast_as_possible_has_the_times_of_the_video(tmp_path: Path) -> None:
    """It is read without waiting, and says when its pictures were, not when they were read."""
    frames = everything(file_source(video(tmp_path / "a.avi", fps=10, frames=20), clock=lambda: 5_000))
    assert [frame.at_ms for frame in frames] == list(range(5_000, 7_000, 100))
    assert [frame.number for frame in frames] == list(range(20))


def test_a_video_of_more_pictures_is_thinned_without_drift(tmp_path: Path) -> None:
    """Of 50 pictures at 25 a second 30 are taken, 15 a second."""
    frames = everything(file_source(video(tmp_path / "a.avi", fps=25, frames=50), clock=lambda: 0))
    assert len(frames) == 30
    assert frames[-1].at_ms <= 1_960


def test_a_video_that_loops_begins_again_and_its_time_goes_on(tmp_path: Path) -> None:
    """In the demonstration a video never ends, and no picture comes before the one it follows."""
    with file_source(video(tmp_path / "a.avi", fps=15, frames=3), clock=lambda: 9_000, loop=True) as source:
        frames = read(source, 10)
    assert [round((frame.at_ms - 9_000) * 15 / 1000) for frame in frames] == list(range(10))
    assert [frame.number for frame in frames] == list(range(10))


def test_another_size_is_made_the_configured_one_and_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A video of 640 × 240 in a station of 320 × 240 is stretched, and one line says so."""
    with caplog.at_level(logging.WARNING):
        frames = everything(file_source(video(tmp_path / "wide.avi", width=640, frames=5)))
    assert {frame.main.shape for frame in frames} == {(360, 320)}
    assert [record.getMessage() for record in caplog.records] == [
        f"the video {tmp_path}/wide.avi: its pictures are 640 × 240 and are made 320 × 240, "
        "so they are stretched: set width and height in the configuration"
    ]


def test_full_range_pictures_are_made_what_the_encoder_expects(tmp_path: Path) -> None:
    """A JPEG camera's white (255) becomes a video's white (235), so that clips are neither washed out nor cut off."""
    with av.open(str(tmp_path / "white.avi"), "w") as container:
        stream = container.add_stream("mjpeg", rate=15)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuvj420p"
        white = np.full((360, 320), 255, np.uint8)
        white[240:] = 128
        container.mux(stream.encode(av.VideoFrame.from_ndarray(white, format="yuvj420p")))
        container.mux(stream.encode())
    (frame,) = everything(file_source(tmp_path / "white.avi"))
    assert 233 <= int(frame.main[:240].min()) <= int(frame.main[:240].max()) <= 236


def test_a_real_video_of_people_is_read_to_its_end() -> None:
    """OpenCV's video of pedestrians is 79.5 s long, and has a picture for each of them."""
    if not VTEST.exists():
        pytest.skip(f"{VTEST.name} of Debian's opencv-doc is missing: sudo make system-packages")
    config = CameraConfig(source="file", address=str(VTEST), fps=1, as_fast_as_possible=True)
    with make_source(config, nothing, lambda: 0) as source:
        times = []
        while (frame := source.read(5.0)) is not None:
            times.append(frame.at_ms)
    assert times == list(range(0, 79_500, 1_000))


def _text(path: Path) -> None:
    path.write_text("not a picture in it " * 500)


def _empty(path: Path) -> None:
    path.touch()


def _sound(path: Path) -> None:
    with av.open(str(path), "w", format="wav") as container:
        stream = container.add_stream("pcm_s16le", rate=8_000, layout="mono")
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), layout="mono")
        sound.sample_rate = 8_000
        container.mux(stream.encode(sound))


def _unknown_codec(path: Path) -> None:
    path.write_bytes(video(path).read_bytes().replace(b"MJPG", b"qqqq"))


def _nothing_decodes(path: Path) -> None:
    whole = bytearray(video(path, codec="mpeg4", frames=5).read_bytes())
    begin = whole.index(b"movi") + 4
    for at in range(begin, len(whole)):
        if whole[at : at + 4] not in (b"00dc", b"idx1"):
            continue
        if whole[at : at + 4] == b"idx1":
            break
        size = int.from_bytes(whole[at + 4 : at + 8], "little")
        whole[at + 8 : at + 8 + size] = bytes(size)
    path.write_bytes(whole)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda _: None, "is not there: check address in the configuration"),
        (lambda path: path.mkdir(), "is a folder: address must name a file"),
        (_text, "is no video, or is broken"),
        (_empty, "is no video, or is broken"),
        (_sound, "has no pictures"),
        (_unknown_codec, "is coded in a way that FFmpeg cannot read here: use H.264 or MJPEG"),
    ],
    ids=["missing", "folder", "text", "empty", "sound", "codec"],
)
def test_what_is_no_video_is_said_in_one_line(tmp_path: Path, make: Callable[[Path], object], says: str) -> None:
    """A person must mend it, so it is the configuration's fault, and the line names the file and what is wrong."""
    path = tmp_path / "counter.avi"
    make(path)
    with pytest.raises(ConfigError) as caught, file_source(path):
        pass
    assert str(caught.value) == f"the video {path} {says}"


def test_a_video_that_may_not_be_read_is_said() -> None:
    """The line names the file and who may not read it."""
    way = VideoFile("/srv/a.avi", 15, lambda: 0, wait=None, loop=False)
    trouble = way.trouble(av.error.PermissionError(13, "Permission denied"))
    assert isinstance(trouble, ConfigError)
    assert str(trouble) == "the video /srv/a.avi may not be read by the user of this program"


def test_a_video_without_a_single_good_picture_is_broken(tmp_path: Path) -> None:
    """A video may have lost pictures; one that has none left is said to be broken."""
    path = tmp_path / "zeros.avi"
    _nothing_decodes(path)
    with pytest.raises(ConfigError, match=r"no picture of the video .*zeros\.avi can be read: it is broken"):
        everything(file_source(path))


def test_a_video_that_breaks_off_gives_what_it_has(tmp_path: Path) -> None:
    """Of a file that was cut in its middle the pictures before the cut come, then it has ended."""
    whole = video(tmp_path / "whole.avi", frames=45).read_bytes()
    (tmp_path / "half.avi").write_bytes(whole[: len(whole) // 2])
    assert 15 < len(everything(file_source(tmp_path / "half.avi"))) < 30


def test_a_broken_picture_is_a_lost_one(tmp_path: Path) -> None:
    """Where a picture cannot be decoded its number is missing."""
    whole = bytearray(video(tmp_path / "whole.avi", frames=9).read_bytes())
    at = [i for i in range(len(whole)) if whole[i : i + 4] == b"00dc" and whole[i + 8 : i + 10] == b"\xff\xd8"][4]
    size = int.from_bytes(whole[at + 4 : at + 8], "little")
    whole[at + 8 : at + 8 + size] = bytes(size)
    (tmp_path / "hole.avi").write_bytes(whole)
    frames = everything(file_source(tmp_path / "hole.avi"))
    assert [frame.number for frame in frames] == [0, 1, 2, 3, 5, 6, 7, 8]


def test_an_address_is_a_file_even_where_it_looks_like_something_else(tmp_path: Path) -> None:
    """FFmpeg's own addresses (a network, several files in one) are not followed, though they could be."""
    one = video(tmp_path / "one.avi", frames=2)
    for address in (f"concat:{one}|{one}", f"subfile,,start,0,end,0,,:{one}", "/dev/null"):
        with pytest.raises(ConfigError, match="the video"), file_source(Path(address)):
            pass


# --- network cameras -------------------------------------------------------------------------------------------------


def rtsp_source(address: str) -> Source:
    """Return a network camera as a source."""
    return make_source(CameraConfig(source="rtsp", address=address, width=320, height=240), nothing, monotonic_ms)


def test_a_password_is_used_and_never_said() -> None:
    """The right password opens the stream; a wrong one is a clear line, and neither stands in any line."""
    camera = RtspCamera(password=("officer", "tr0ng-bi-mat"))
    try:
        with rtsp_source(f"rtsp://officer:tr0ng-bi-mat@{camera.host}/live?key=tr0ng-bi-mat") as source:
            read(source, 1)
        for user in ("officer:sai-tr0ng@", ""):
            with pytest.raises(HardwareError) as caught, rtsp_source(f"rtsp://{user}{camera.host}/live?key=sai-tr0ng"):
                pass
            assert str(caught.value) == (
                f"the camera rtsp://{camera.host}/live refuses the user or the password: "
                "check address in the configuration"
            )
            assert caught.value.__cause__ is None
            assert caught.value.__suppress_context__
        with pytest.raises(HardwareError, match="has no stream of this path"), rtsp_source(f"rtsp://{camera.host}/no"):
            pass
    finally:
        camera.kill()
    with pytest.raises(HardwareError, match="is not listening"), rtsp_source(camera.address):
        pass


def test_a_camera_with_few_key_frames_gives_pictures_at_once() -> None:
    """Where the next key frame is 40 s away, the first one is not thrown away while the stream is looked at."""
    camera = RtspCamera(key_every=600)
    try:
        with rtsp_source(camera.address) as source:
            read(source, 3)
    finally:
        camera.kill()


def test_half_a_picture_after_a_long_silence_is_no_picture(tmp_path: Path) -> None:
    """FFmpeg hands out what it had of a picture when its time is over: that is silence, not a sign of life."""
    clock = iter(range(0, 1_000_000, 950))
    config = CameraConfig(source="file", address=str(video(tmp_path / "a.avi", frames=5)), width=320, height=240)
    way = VideoFile(config.address or "", 15, lambda: 0, wait=None, loop=False)
    way.patience_s = 1
    with AvReader(way, config, nothing, lambda: next(clock)) as source, pytest.raises(HardwareError, match="for 1 s"):
        source.read(60)


# --- USB cameras -----------------------------------------------------------------------------------------------------


def usb_source(address: str, *, width: int = 640, height: int = 480, **parts: Callable[..., object]) -> Source:
    """Return a V4L2 device as a source."""
    config = CameraConfig(source="v4l2", address=address, width=width, height=height)
    return AvReader(UsbCamera(address, config, monotonic_ms, **parts), config, nothing, monotonic_ms)  # type: ignore[arg-type]


def test_a_camera_of_another_size_is_refused_with_what_it_offers(tmp_path: Path) -> None:
    """The line names what the camera gives, what was asked for, and what it offers."""
    camera = RawCamera(tmp_path, width=320, height=240)
    source = usb_source(
        camera.address,
        open_container=camera.open_container,
        offers=lambda _: {"YUYV": [(320, 240)], "MJPG": [(320, 240), (1280, 720)]},
    )
    with pytest.raises(ConfigError) as caught, source:
        pass
    camera.unplug()
    assert str(caught.value) == (
        f"the camera {camera.address} gives 320 × 240 when asked for 640 × 480; it offers 320 × 240, 1280 × 720: "
        "set width and height in the configuration"
    )


def test_two_pictures_that_came_at_once_still_follow_each_other(tmp_path: Path) -> None:
    """After a stall several pictures are read in one millisecond; a clip needs their order."""
    camera = RawCamera(tmp_path, width=320, height=240)
    config = CameraConfig(source="v4l2", address=camera.address, width=320, height=240, fps=30)
    way = UsbCamera(camera.address, config, lambda: 7_000, open_container=camera.open_container, offers=lambda _: {})
    with AvReader(way, config, nothing, lambda: 7_000) as source:
        times = [frame.at_ms for frame in read(source, 4)]
    camera.unplug()
    assert times == [7_000, 7_001, 7_002, 7_003]


def test_large_pictures_are_asked_for_coded_where_the_camera_can(tmp_path: Path) -> None:
    """Uncoded pictures of 1280 × 720 are too much for USB 2: they are asked for as JPEG, small ones are not."""
    camera = RawCamera(tmp_path, width=1280, height=720, fps=10)
    for offers in ({"MJPG": [(1280, 720)]}, {"YUYV": [(1280, 720)]}):
        with usb_source(
            camera.address,
            width=1280,
            height=720,
            open_container=camera.open_container,
            offers=lambda _, offers=offers: offers,
        ):
            camera.unplug()
    assert [asked.get("input_format") for asked in camera.asked] == ["mjpeg", None]
    assert camera.asked[0]["video_size"] == "1280x720"


def test_pictures_that_the_kernel_dropped_are_missing_in_the_numbers() -> None:
    """The kernel's stamps tell; where they are of another clock nothing is said to be lost."""
    config = CameraConfig(source="v4l2", address="/dev/video0", fps=10)
    way = UsbCamera("/dev/video0", config, lambda: 60_000)
    stamps = (59_100, 59_200, 59_300, 59_600, 59_700, 12.5, 99_000)
    assert [way.at(stamp) for stamp in stamps] == [
        (59_100, 0),
        (59_200, 0),
        (59_300, 0),
        (59_600, 2),
        (59_700, 0),
        (60_000, 0),
        (60_000, 0),
    ]


def test_a_camera_that_is_pulled_out_before_its_first_picture_may_come_back(tmp_path: Path) -> None:
    """A stream that ends at once is no broken video that a person must mend."""
    _nothing_decodes(tmp_path / "zeros.avi")
    zeros = str(tmp_path / "zeros.avi")
    source = usb_source(
        "/dev/video0", width=320, height=240, open_container=lambda *_, **__: av.open(zeros), offers=lambda _: {}
    )
    with source, pytest.raises(HardwareError, match="was unplugged"):
        source.read(1.0)


def test_a_device_that_is_not_there_may_come(tmp_path: Path) -> None:
    """An unplugged camera is waited for; something that is no camera is not."""
    with pytest.raises(HardwareError, match="is not there: plug it in; `motcua doctor` names those that are"):
        usb_source(str(tmp_path / "video7")).__enter__()
    with pytest.raises(ConfigError, match="/dev/null is no camera that gives pictures"):
        usb_source("/dev/null").__enter__()


@pytest.mark.parametrize(
    ("number", "says"),
    [
        (13, "must be in the group video"),
        (16, "is in use by another program"),
        (19, "was unplugged"),
        (28, "cannot be"),
    ],
)
def test_each_fault_of_a_device_says_what_to_do(number: int, says: str) -> None:
    """What the kernel answers becomes a line for an operator, and the camera may come back."""
    source = usb_source("/dev/video0", open_container=lambda *_, **__: av.error.err_check(-number), offers=lambda _: {})
    with pytest.raises(HardwareError, match=f"the camera /dev/video0 .*{says}"):
        source.__enter__()


@pytest.mark.skipif(
    not Path("/dev/video0").exists(), reason="no V4L2 device here: `modprobe vivid`, or plug a camera in"
)
def test_a_real_device_gives_pictures() -> None:
    """A camera of the kernel gives pictures with the kernel's own stamps."""
    with make_source(CameraConfig(source="v4l2", address="/dev/video0"), nothing, monotonic_ms) as source:
        frames = read(source, 5)
    assert frames[-1].at_ms - frames[0].at_ms > 100


# --- camera modules --------------------------------------------------------------------------------------------------


def picamera_source(*, width: int = 640, height: int = 480, draw: Draw = nothing) -> Source:
    """Return the camera module as a source."""
    return make_source(CameraConfig(source="picamera2", width=width, height=height, fps=30), draw, monotonic_ms)


@pytest.mark.parametrize("padding", [0, 2, 32, 64, 170])
def test_the_padding_of_a_buffer_is_not_in_the_picture(camera_module: CameraModule, padding: int) -> None:
    """Whatever a line is filled up with: the picture has its own bytes only, in all three planes."""
    camera_module.padding = padding
    with picamera_source(width=486, height=370) as source:
        (frame,) = read(source, 1)
    y, u, v = np.split(frame.main.reshape(-1), [486 * 370, 486 * 370 * 5 // 4])
    assert ((y == 120).all(), (u == 90).all(), (v == 160).all()) == (True, True, True)
    assert (frame.small == 120).all()


def test_a_process_opens_the_camera_module_once(camera_module: CameraModule) -> None:
    """A second time is refused before the library is touched: its memory would leak. A new process may."""
    with picamera_source() as source:
        read(source, 1)
    with pytest.raises(ProcessSpentError, match="once in a process"):
        picamera_source().__enter__()
    assert camera_module.opened == 1


def test_a_camera_module_that_does_not_let_go_is_still_said_to_be_silent(camera_module: CameraModule) -> None:
    """Why a camera was lost is what an operator reads, not that it could not be stopped afterwards."""
    camera_module.holds_on = camera_module.silent = True
    with pytest.raises(HardwareError, match=r"no picture for 0\.2 s"), picamera_source() as source:
        source.read(0.2)


def test_without_the_library_one_line_says_how_to_get_it() -> None:
    """A machine without libcamera is told what to install; other sources need none of it."""
    with pytest.raises(ConfigError, match=r"picamera2 cannot be loaded \(.*\): sudo apt install python3-picamera2"):
        picamera_source().__enter__()


def test_without_a_camera_the_process_is_not_spent(camera_module: CameraModule) -> None:
    """A missing module is said, and it may be looked for again in the same process."""
    camera_module.plugged = False
    for _ in range(2):
        with pytest.raises(HardwareError, match="no camera module is found: check its cable"):
            picamera_source().__enter__()
    camera_module.plugged = True
    with picamera_source() as source:
        read(source, 1)


def test_a_camera_module_that_another_program_has_is_said(camera_module: CameraModule) -> None:
    """The library's own error does not say why, but its cause does; the line asks the right question."""
    camera_module.in_use = True
    with pytest.raises(HardwareError, match=r"does not start \(.* resource busy\): is it in use by another program"):
        picamera_source().__enter__()


def test_a_camera_module_of_another_size_is_refused(camera_module: CameraModule) -> None:
    """What it was configured to is looked at: the library only logs that it chose another size."""
    camera_module.size = (648, 480)
    with pytest.raises(ConfigError, match="gives 648 × 480 when asked for 640 × 480"):
        picamera_source().__enter__()
    assert not camera_module.in_use


@pytest.mark.parametrize("padding", [0, 64])
def test_a_camera_module_that_gives_nv12_and_scales_nothing_is_read_all_the_same(
    camera_module: CameraModule, padding: int
) -> None:
    """Boards that are no Pi may have that only: all three planes are right, and the small picture is all of it."""
    camera_module.padding, camera_module.format, camera_module.scales = padding, "NV12", False
    drawn: list[Plane] = []

    def draw(_main: Plane, small: Plane) -> None:
        drawn.append(small.copy())

    with picamera_source(width=486, height=370, draw=draw) as source:
        (frame,) = read(source, 1)
    y, u, v = np.split(frame.main.reshape(-1), [486 * 370, 486 * 370 * 5 // 4])
    assert ((y == 120).all(), (u == 90).all(), (v == 160).all()) == (True, True, True)
    assert frame.small.shape == drawn[0].shape == (240, 320)
    assert (frame.small == 120).all()


def test_a_camera_module_that_gives_another_format_is_refused(camera_module: CameraModule) -> None:
    """What a USB camera gives through libcamera would be read as colours that nobody wore."""
    camera_module.format = "YUYV"
    with pytest.raises(ConfigError, match="gives YUYV when asked for YUV420: where it is a USB camera, set source to"):
        picamera_source().__enter__()
    assert not camera_module.in_use


def test_pictures_have_the_sensors_stamps_where_they_are_of_our_clock(camera_module: CameraModule) -> None:
    """A sensor that stamps by another clock is not believed."""
    stamps = iter(range(1_000))
    camera_module.stamp_ns = lambda: time.monotonic_ns() - 40_000_000 if next(stamps) < 3 else 12_345
    with picamera_source() as source:
        before_ms = monotonic_ms()
        stamped = read(source, 1)[0]
        now_ms = monotonic_ms()
        assert before_ms - 40 <= stamped.at_ms <= now_ms - 40
        assert read(source, 5)[-1].at_ms >= before_ms


@pytest.mark.usefixtures("camera_module")
def test_pictures_that_nobody_takes_in_time_are_lost_and_their_numbers_missing() -> None:
    """Who is too slow gets the newest pictures, and can see how many are missing."""
    made: list[int] = []
    with picamera_source(draw=lambda *_: made.append(1)) as source:
        wait_for(lambda: len(made) >= 10)
        first = read(source, 1)[0].number
    assert first >= 10 - picamera.QUEUED - 1


def test_pictures_that_the_camera_system_dropped_are_missing_in_the_numbers(camera_module: CameraModule) -> None:
    """The sensor's stamps tell: 33 ms are the next picture, 100 ms the third from here."""
    stamps = iter([9_100, 9_133, 9_167, 9_267, *range(9_300, 9_990, 33), *[9_999] * 999])
    camera_module.stamp_ns = lambda: next(stamps) * 1_000_000
    with make_source(CameraConfig(source="picamera2", fps=30), nothing, lambda: 10_000) as source:
        found = {frame.at_ms: frame.number for frame in read(source, 6)}
    numbers = {9_100: 0, 9_133: 1, 9_167: 2, 9_267: 5} | {9_300 + n * 33: 6 + n for n in range(21)}
    assert found.items() <= numbers.items()


def test_exposure_and_focus_hold_still_when_the_camera_has_chosen(camera_module: CameraModule) -> None:
    """After three seconds what the camera chose is kept, as far as it has such controls."""
    begin_ns = time.monotonic_ns()
    camera_module.controls |= LENS
    camera_module.stamp_ns = lambda: None
    clock = iter(range(0, 1_000_000, 1_000))
    config = CameraConfig(source="picamera2", fps=30)
    with make_source(config, nothing, lambda: begin_ns // 1_000_000 + next(clock)) as source:
        for _ in range(8):
            source.read(5.0)
    assert camera_module.set == [
        {"AeEnable": True, "AwbEnable": True, "AfMode": 2},
        {
            "AeEnable": False,
            "ExposureTime": 12_000,
            "AnalogueGain": 2.0,
            "AwbEnable": False,
            "ColourGains": (2.0, 1.5),
            "AfMode": 0,
            "LensPosition": 1.5,
        },
    ]
