"""The thread that keeps pictures coming, on scripted sources and on a real network camera."""

import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Self

import numpy as np
import pytest

from firmware.devices.camera.config import CameraConfig
from firmware.devices.camera.frames import Frame, Source
from firmware.devices.camera.signals import Back, Lost
from firmware.devices.camera.sources import ProcessSpentError, make_source, picamera
from firmware.devices.camera.sources.watch import Watch
from firmware.errors import ConfigError, HardwareError
from tests.support.clock import ManualClock
from tests.support.picamera2 import CameraModule, installed
from tests.support.rtsp import RtspCamera
from tests.support.waiting import wait_for

_PICTURE = np.zeros((240, 320), np.uint8)


class Script:
    """A source that does as told, opening after opening: a number is a picture, an error is raised, None is the end."""

    def __init__(self, *openings: list[object]) -> None:
        self._openings = list(openings)
        self._steps: Iterator[object] = iter(())
        self.opened = 0
        self.closed = 0

    def __call__(self) -> Source:
        """Make a source; the last opening is the same for ever."""
        self._steps = iter(self._openings.pop(0) if len(self._openings) > 1 else self._openings[0])
        return self

    def __enter__(self) -> Self:
        """Open; an error that stands first is this one's."""
        self.opened += 1
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.closed += 1

    def read(self, timeout_s: float) -> Frame | None:
        """Do the next step."""
        match step := next(self._steps, None):
            case BaseException():
                raise step
            case threading.Event():
                step.wait()
                return self.read(timeout_s)
            case ManualClock():
                step.advance(61_000)
                return self.read(timeout_s)
            case None:
                return None
            case _:
                return Frame(number=int(str(step)), at_ms=0, main=_PICTURE, small=_PICTURE)


Start = Callable[..., Watch]


class Heard:
    """The daemon's inbox, and the pictures."""

    def __init__(self) -> None:
        self.signals: list[object] = []
        self.numbers: list[int] = []

    def take(self, frame: Frame) -> None:
        """Take a picture."""
        self.numbers.append(frame.number)


@pytest.fixture
def heard() -> Heard:
    """What comes out of the watch."""
    return Heard()


@pytest.fixture
def clock() -> ManualClock:
    """The watch's clock."""
    return ManualClock()


@pytest.fixture
def start(heard: Heard, clock: ManualClock) -> Iterator[Start]:
    """Start a watch over a source; it ends with the test."""
    watches: list[Watch] = []

    def start(source: Callable[[], Source], **settings: object) -> Watch:
        parts = {"take": heard.take, "monotonic_ms": clock.monotonic_ms, "retry_first_s": 0.01, "retry_last_s": 0.04}
        watch = Watch(name="camera", source=source, **(parts | settings))  # type: ignore[arg-type]
        watches.append(watch)
        watch.open(heard.signals.append)
        return watch

    yield start
    for watch in watches:
        watch.close()


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what an operator would read."""
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.INFO]


def test_a_loss_is_said_once_and_the_return_once(start: Start, heard: Heard, caplog: pytest.LogCaptureFixture) -> None:
    """However often it fails to open between: one signal and one line when it is lost, and one when it is back."""
    gone = HardwareError("no picture for 5 s from the camera: check its cable")
    still = HardwareError("the camera is not there")
    forever = threading.Event()
    with caplog.at_level(logging.DEBUG):
        start(Script([1, 2, gone], [still], [still], [still], [3, forever]))
        wait_for(lambda: heard.numbers == [1, 2, 3])
        forever.set()
    assert heard.signals[:2] == [Lost(why=str(gone)), Back()]
    assert lines(caplog)[:3] == [
        "camera: pictures come",
        f"camera: {gone}; trying again",
        "camera: pictures come again",
    ]


def test_a_camera_is_opened_ever_more_seldom(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    """The pauses double up to the longest."""
    script = Script([HardwareError("away")])
    with caplog.at_level(logging.DEBUG):
        start(script)
        wait_for(lambda: script.opened >= 6)
    waits = [record.args[-1] for record in caplog.records if record.levelno == logging.DEBUG and record.args]
    assert waits[:5] == [0.01, 0.02, 0.04, 0.04, 0.04]


def test_only_pictures_that_last_make_a_camera_trusted_again(
    start: Start, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """One picture between two losses shortens no pause; pictures for as long as the longest pause do."""
    away = HardwareError("away")
    script = Script([1, away], [2, away], [3, clock, 4, away], [5, away])
    with caplog.at_level(logging.DEBUG):
        start(script)
        wait_for(lambda: script.opened >= 5)
    waits = [record.args[-1] for record in caplog.records if record.levelno == logging.DEBUG and record.args]
    assert waits[:4] == [0.01, 0.02, 0.01, 0.02]


def test_the_default_pauses_are_a_second_to_a_minute_and_silence_is_five_seconds() -> None:
    """What stands in the design."""
    from firmware.devices.camera.sources import watch

    assert (watch.RETRY_FIRST_S, watch.RETRY_LAST_S, watch.SILENCE_S) == (1, 60, 5)


def test_a_camera_is_let_go_before_it_is_opened_again(start: Start, heard: Heard) -> None:
    """Two handles on one camera would refuse each other."""
    script = Script([HardwareError("away")], [HardwareError("away")], [1, threading.Event()])
    blocked = script._openings[-1][1]
    assert isinstance(blocked, threading.Event)
    start(script)
    wait_for(lambda: heard.numbers)
    assert (script.opened, script.closed) == (3, 2)
    blocked.set()


def test_a_configuration_that_cannot_work_ends_it(start: Start, heard: Heard, caplog: pytest.LogCaptureFixture) -> None:
    """What only a person can mend is said at once and raised where the daemon asks whether all is well."""
    script = Script([ConfigError("the camera gives 320 × 240")])
    watch = start(script)
    with pytest.raises(ConfigError, match="320 × 240"):
        wait_for(lambda: not watch.alive())
    assert lines(caplog) == ["camera: the camera gives 320 × 240"]
    assert script.opened == 1
    assert heard.signals == []


def test_what_has_worked_may_work_again(start: Start, heard: Heard) -> None:
    """A camera that came back with another size is a camera that changed: the daemon goes on and tries again."""
    forever = threading.Event()
    watch = start(Script([1, HardwareError("away")], [ConfigError("the camera gives 320 × 240")], [2, forever]))
    wait_for(lambda: heard.numbers == [1, 2])
    assert watch.alive()
    assert [type(signal) for signal in heard.signals] == [Lost, Back]
    forever.set()


def test_a_video_that_ends_is_lost_and_nothing_hangs(start: Start, heard: Heard) -> None:
    """It is said, the file is let go, the thread lives on, and closing needs no time."""
    script = Script([1, 2, None])
    watch = start(script)
    wait_for(lambda: heard.signals)
    assert heard.signals == [Lost(why="the video has ended")]
    assert (heard.numbers, script.closed) == ([1, 2], 1)
    with pytest.raises(AssertionError, match="did not happen"):
        wait_for(lambda: script.opened > 1, timeout_s=0.1)
    assert watch.alive()


def test_a_library_that_hangs_is_seen_and_does_not_hold_up_the_end(
    start: Start, heard: Heard, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """A thread that does not come back from the library is not alive after half a minute, and the daemon still ends."""
    hangs = threading.Event()
    watch = start(Script([1, hangs, 2]), close_within_s=0.05)
    wait_for(lambda: heard.numbers == [1])
    assert watch.alive()
    wait_for(lambda: clock.advance(30_001) or not watch.alive())  # type: ignore[func-returns-value]
    assert "the camera's library hangs: unplug" in caplog.text
    watch.close()
    assert "hangs in the camera's library" in caplog.text
    hangs.set()


def test_waiting_for_a_camera_is_not_hanging(start: Start, heard: Heard, clock: ManualClock) -> None:
    """A minute between two tries is no hang."""
    watch = start(Script([HardwareError("away")]), retry_first_s=60)
    wait_for(lambda: heard.signals)
    clock.advance(3_600_000)
    assert wait_for(watch.alive)


def test_a_fault_of_ours_ends_the_thread_and_so_the_daemon(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """An analysis that fails is no camera that is lost: the daemon ends with the trace, and begins anew."""
    raised: list[type[BaseException]] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: raised.append(args.exc_type))
    script = Script([1, 2, 3])

    def broken(_: Frame) -> None:
        raise ZeroDivisionError

    watch = start(script, take=broken)
    wait_for(lambda: not watch.alive())
    assert raised == [ZeroDivisionError]
    assert script.closed == 1


def test_a_spent_process_ends(start: Start, heard: Heard, clock: ManualClock) -> None:
    """Where the camera can be had by a new process only, the thread ends, and the daemon with it."""
    spent = Script([1, clock, 2, HardwareError("no picture")], [ProcessSpentError("once in a process")])
    watch = start(spent, retry_last_s=60)
    wait_for(lambda: not watch.alive())
    assert heard.signals == [Lost(why="no picture")]


def test_a_process_that_lost_its_camera_soon_waits_before_it_ends(start: Start, heard: Heard) -> None:
    """A camera whose cable is broken must not have the daemon start every few seconds."""
    spent = Script([1, HardwareError("no picture")], [ProcessSpentError("once in a process")])
    watch = start(spent, retry_last_s=60)
    wait_for(lambda: spent.opened == 2)
    assert heard.signals == [Lost(why="no picture")]
    assert watch.alive()


def test_an_inbox_that_fails_stops_no_picture(heard: Heard, caplog: pytest.LogCaptureFixture) -> None:
    """Pictures are recorded even if nobody can be told that they are."""
    forever = threading.Event()

    def refuse(signal: object) -> None:
        raise RuntimeError(signal)

    watch = Watch(
        name="camera",
        source=Script([HardwareError("away")], [1, forever]),
        take=heard.take,
        monotonic_ms=lambda: 0,
        retry_first_s=0.01,
    )
    watch.open(refuse)
    wait_for(lambda: heard.numbers == [1])
    forever.set()
    watch.close()
    assert "a signal was lost inside the program" in caplog.text


def test_a_network_camera_that_loses_its_power_comes_back(start: Start, heard: Heard) -> None:
    """A real RTSP camera is killed and starts again at its address: lost once, back once, and pictures come."""
    camera = RtspCamera()
    try:
        config = CameraConfig(source="rtsp", address=camera.address, width=320, height=240)
        start(
            lambda: make_source(config, lambda *_: None, lambda: time.monotonic_ns() // 1_000_000),
            monotonic_ms=lambda: time.monotonic_ns() // 1_000_000,
        )
        wait_for(lambda: len(heard.numbers) > 2, timeout_s=30)
        camera.kill()
        wait_for(lambda: heard.signals, timeout_s=30)
        before = len(heard.numbers)
        camera.come_back()
        wait_for(lambda: len(heard.numbers) > before + 2, timeout_s=30)
        assert [type(signal) for signal in heard.signals] == [Lost, Back]
    finally:
        camera.kill()


def test_a_camera_module_that_times_out_has_the_process_start_anew(
    start: Start, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Picamera2 goes silent: it is said, the camera is let go, and the driver is no longer alive."""
    monkeypatch.setattr(picamera, "_taken", False)
    with installed(CameraModule(), sys.modules) as module:
        config = CameraConfig(source="picamera2")
        watch = start(
            lambda: make_source(config, lambda *_: None, lambda: time.monotonic_ns() // 1_000_000), silence_s=1.0
        )
        wait_for(lambda: len(heard.numbers) > 2)
        module.silent = True
        wait_for(lambda: not watch.alive())
        assert not module.in_use
    assert [type(signal) for signal in heard.signals] == [Lost]
