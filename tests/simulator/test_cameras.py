"""Which camera a demo gets, and what a video that is none is answered."""

import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from simulator import cameras
from simulator.cameras import SEEN_WIDTH, CameraError, choose_camera, first_picture
from simulator.premises import CameraPlace
from simulator.scene_video import empty, write


def test_a_demo_has_a_drawn_camera() -> None:
    """Where the libraries are, the first counter has a camera, unless nobody wants one."""
    assert choose_camera(asked=True, video=None) == CameraPlace(counter="q01")
    assert choose_camera(asked=False, video=None) is None


def test_a_video_is_taken_by_its_whole_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A video that can be read is the camera's, wherever the demo is started."""
    write(tmp_path / "room.mp4", empty, seconds=0.5)
    monkeypatch.chdir(tmp_path)
    chosen = choose_camera(asked=True, video=Path("room.mp4"))
    assert chosen is not None
    assert chosen.video == tmp_path / "room.mp4"


def test_a_video_stands_on_the_page_by_its_first_picture(tmp_path: Path) -> None:
    """The demo's page shows a small picture of the video that was given, of the video's own shape."""
    jpeg = first_picture(write(tmp_path / "room.mp4", empty, seconds=0.5))
    seen = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert seen is not None
    assert seen.shape == (SEEN_WIDTH * 3 // 4, SEEN_WIDTH, 3)
    assert seen.std() > 10


def test_a_demo_goes_on_without_the_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without them there is no camera; who gives a video is told what to install."""
    monkeypatch.setattr(cameras, "LIBRARIES", ("av", "no_such_library"))
    assert choose_camera(asked=True, video=None) is None
    with pytest.raises(CameraError, match=r"motcua\[camera\]"):
        choose_camera(asked=True, video=Path("room.mp4"))


def test_what_is_no_video_is_said_in_one_line_before_anything_starts(tmp_path: Path) -> None:
    """A file that is missing, a folder, text and a broken video are refused with what is wrong."""
    (tmp_path / "text.mp4").write_text("not a video, only called one\n" * 50)
    video = write(tmp_path / "whole.mp4", empty, seconds=0.5)
    (tmp_path / "cut.mp4").write_bytes(video.read_bytes()[:400])
    for name, why in (
        ("none.mp4", "no such file"),
        (".", "no file"),
        ("text.mp4", "no video, or it is broken"),
        ("cut.mp4", "no video, or it is broken"),
    ):
        with pytest.raises(CameraError, match=why) as refused:
            choose_camera(asked=True, video=tmp_path / name)
        assert "\n" not in str(refused.value)


def test_the_demo_ends_with_that_line(tmp_path: Path) -> None:
    """`motcua demo --video` with a file that is not there starts nothing and makes no folder."""
    command = [sys.executable, "-m", "motcua.cli", "demo", "--video", "none.avi", "--data", str(tmp_path / "data")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False, env=os.environ)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "motcua demo: --video none.avi: there is no such file\n"
    assert not (tmp_path / "data").exists()
