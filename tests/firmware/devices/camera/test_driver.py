"""The threads of a camera together: what one of them waits for is never in another's way."""

import errno
import logging
import os
import signal
import socket
import threading
from pathlib import Path

import pytest

from firmware.clock import SystemClock
from firmware.devices.camera import driver as module
from firmware.devices.camera.config import CameraConfig
from firmware.devices.camera.driver import CameraDriver
from firmware.devices.camera.signals import Lost
from tests.support.brokers import Broker
from tests.support.lens import Lens
from tests.support.waiting import wait_for


class Hanging:
    """A part of a camera that does not end when it shall, until it is let go."""

    def __init__(self) -> None:
        self.told = threading.Event()
        self.released = threading.Event()

    def close(self) -> None:
        """Hang."""
        self.told.set()
        self.released.wait()


def test_all_threads_are_told_to_end_before_any_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A camera of which every thread hangs ends within one time for all, which systemd's is longer than."""
    monkeypatch.setattr(module, "CLOSE_WITHIN_S", 0.3)
    config = CameraConfig(source="file", address="counter.mp4", center="http://127.0.0.1:1")
    driver = CameraDriver(config, name="camera", state_dir=tmp_path, clock=SystemClock())
    parts = [Hanging() for _ in range(5)]
    names = ("_recording", "_sending", "_shows", "_looking", "_watch")
    for name, part in zip(names, parts, strict=True):
        monkeypatch.setattr(driver, name, part)
    closing = threading.Thread(target=driver.close, daemon=True)
    closing.start()
    for part in parts:
        assert part.told.wait(30), "told, though no other has ended"
    closing.join(30)
    assert not closing.is_alive(), "nobody let any of them go"
    for part in parts:
        part.released.set()


def test_the_time_to_close_is_less_than_systemd_has() -> None:
    """All threads, then the farewell to the broker: before systemd kills, and before its watchdog barks."""
    unit = Path("systemd/motcua-device@.service").read_text(encoding="utf-8")
    waits = dict(
        line.split("=", 1) for line in unit.splitlines() if line.startswith(("TimeoutStopSec=", "WatchdogSec="))
    )
    assert min(int(seconds) for seconds in waits.values()) > module.CLOSE_WITHIN_S + 5


def test_a_network_camera_that_says_nothing_is_noticed_and_let_go(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Who takes the connection and never answers is lost after some seconds, and keeps nothing from ending."""
    caplog.set_level(logging.INFO)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        config = CameraConfig(source="rtsp", address=f"rtsp://127.0.0.1:{mute.getsockname()[1]}/one")
        driver = CameraDriver(config, name="camera", state_dir=tmp_path, clock=SystemClock())
        posted: list[object] = []
        driver.open(posted.append)
        wait_for(lambda: any(isinstance(each, Lost) for each in posted))
        assert driver.alive()
        mute.accept()[0].close()  # the first try
        mute.accept()[0].close()  # it is tried again
        driver.close()
    assert not any(thread.name.startswith(("capture", "recorder")) for thread in threading.enumerate())
    assert "does not answer: check its power and its network cable; trying again" in caplog.text


def test_a_program_ends_in_order_though_its_camera_blocks_for_ever(tmp_path: Path, mosquitto_broker: Broker) -> None:
    """A device that blocks whoever opens it, as a pipe does that nobody writes into, does not make systemd kill."""
    lens = Lens(tmp_path, mosquitto_broker, 1)
    pipe = tmp_path / "still.avi"
    pipe.unlink()
    os.mkfifo(pipe)
    lens.start()
    writer = wait_for(lambda: _writer(pipe))
    try:
        assert lens.end(signal.SIGTERM) == 0, lens.log()
    finally:
        os.close(writer)
    assert "the capture thread hangs in the camera's library; it ends with the program" in lens.log()


def _writer(pipe: Path) -> int | None:
    """Open a pipe to write into it, once somebody waits for what will never come."""
    try:
        return os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
    except OSError as error:
        if error.errno != errno.ENXIO:
            raise
        return None
