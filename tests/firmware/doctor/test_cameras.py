"""Cameras: named where there are some."""

from pathlib import Path

from firmware.doctor import cameras
from host.doctor.roots import Roots


def video(sys: Path, number: int, name: str, index: int = 0) -> None:
    """Make a video node as the kernel shows it."""
    folder = sys / f"class/video4linux/video{number}"
    folder.mkdir(parents=True)
    (folder / "name").write_text(name + "\n")
    (folder / "index").write_text(f"{index}\n")


def test_each_camera_is_named_once(tmp_path: Path) -> None:
    """A camera's second node and a Pi's own coders are no cameras."""
    video(tmp_path, 0, "UVC Camera (046d:0825)")
    video(tmp_path, 1, "UVC Camera (046d:0825)", index=1)
    video(tmp_path, 10, "bcm2835-codec-decode")
    video(tmp_path, 2, "unicam-image")
    found = cameras.look(Roots(sys=tmp_path))
    assert [each.says for each in found] == ["/dev/video0 is UVC Camera (046d:0825)", "/dev/video2 is unicam-image"]
    assert {each.code for each in found} == {"camera"}


def test_where_there_is_none_nothing_is_said(tmp_path: Path) -> None:
    """A station without a camera hears nothing of cameras."""
    assert cameras.look(Roots(sys=tmp_path)) == []
