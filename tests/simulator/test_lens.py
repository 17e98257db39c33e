"""The drawn room as the real camera's source sees it: a pipe in a video's place."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest

from firmware.devices.camera.config import CameraConfig
from firmware.devices.camera.frames import Frame
from firmware.devices.camera.sources import make_source
from firmware.errors import ConfigError
from simulator.lens import FPS
from simulator.plot import Plot, write_whole


@pytest.fixture
def lens(tmp_path: Path) -> Iterator[Path]:
    """The folder of a lens that draws."""
    write_whole(tmp_path / "plot", msgspec.json.encode(Plot(doing="serving")))
    os.mkfifo(tmp_path / "pipe")
    files = [f"--{name}={tmp_path / name}" for name in ("pipe", "plot", "picture")]
    process = subprocess.Popen([sys.executable, "-m", "simulator.lens", *files, "--label", "7"])
    yield tmp_path
    process.kill()
    process.wait(30)


def look(folder: Path, count: int) -> list[Frame]:
    """Take pictures as the camera does."""
    config = CameraConfig(source="file", address=str(folder / "pipe"), loop=True, fps=FPS)
    source = make_source(config, lambda _main, _small: None, lambda: time.monotonic_ns() // 1_000_000, loop=True)
    with source:
        return [frame for _ in range(count) if (frame := source.read(5)) is not None]


def look_anew(folder: Path, count: int) -> list[Frame]:
    """Take pictures as the next camera: never so soon, on a site, that it could meet the end of the old video."""
    deadline = time.monotonic() + 30
    while True:
        try:
            return look(folder, count)
        except ConfigError:
            assert time.monotonic() < deadline


def test_the_camera_reads_the_drawn_room_at_its_own_pace(lens: Path) -> None:
    """Pictures come as from a video, none is lost, and the world has the newest as a JPEG."""
    frames = look(lens, 5)
    assert [frame.number for frame in frames] == list(range(5))
    times = [frame.at_ms for frame in frames]
    assert times[4] - times[0] == pytest.approx(4 * 1000 / FPS, abs=2)
    assert frames[0].main.shape == (720, 640)
    assert (lens / "picture").read_bytes()[:3] == b"\xff\xd8\xff"


def test_a_camera_that_was_killed_finds_the_room_again(lens: Path) -> None:
    """When a reader has gone, the next one gets a whole video, from now on."""
    look(lens, 2)
    assert [frame.number for frame in look_anew(lens, 3)] == [0, 1, 2]


def test_a_hand_before_the_lens_hides_the_room(lens: Path) -> None:
    """A covered lens sees next to no light and no edge."""
    before = look(lens, 2)[-1]
    write_whole(lens / "plot", msgspec.json.encode(Plot(doing="serving", covered=True)))
    after = look_anew(lens, 3)[-1]  # one may have been drawn before
    assert float(np.mean(before.main[:480])) > 100
    assert float(np.mean(after.main[:480])) < 60
    assert float(np.std(after.main[:480])) < 0.3 * float(np.std(before.main[:480]))
