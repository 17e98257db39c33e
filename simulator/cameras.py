"""Which camera a demo has: a drawn room, a video that was given, or none."""

import importlib.util
import os
import sys
from pathlib import Path

from simulator.premises import CameraPlace

LIBRARIES = ("av", "cryptography", "cv2", "numpy")
HOW = "pip install 'motcua[camera]'"
SEEN_WIDTH = 320
"""Of the picture that stands for a video on the demo's page, in pixels."""
MODEL = Path(sys.prefix) / "share" / "motcua" / "centerface.onnx"
"""Where `motcua camera model` puts the network that finds people."""
AT = "q01"


class CameraError(Exception):
    """There cannot be such a camera; one line says why, and what to do."""


def choose_camera(*, asked: bool, video: Path | None) -> CameraPlace | None:
    """Return the camera of the first counter; None where its libraries are not installed and nobody gave a video."""
    if not asked:
        return None
    if lacking():
        if video is not None:
            raise CameraError(f"--video needs the camera's libraries: {HOW}")
        return None
    if video is None:
        return CameraPlace(counter=AT)
    check(video)
    return CameraPlace(counter=AT, video=video.absolute(), model=MODEL if MODEL.is_file() else None)


def lacking() -> bool:
    """Return whether the camera's libraries are missing."""
    return any(importlib.util.find_spec(library) is None for library in LIBRARIES)


def check(video: Path) -> None:
    """Raise CameraError if a file is no video that the camera could read."""
    import av

    if not video.exists():
        raise CameraError(f"--video {video}: there is no such file")
    if not video.is_file():
        raise CameraError(f"--video {video}: this is no file; name a video, such as .mp4 or .avi")
    if not os.access(video, os.R_OK):
        raise CameraError(f"--video {video}: it may not be read by this user")
    try:
        with av.open(f"file:{video}") as container:
            if not container.streams.video:
                raise CameraError(f"--video {video}: it has no pictures")
            next(container.decode(video=0))
    except (av.FFmpegError, StopIteration) as error:
        why = getattr(error, "strerror", None) or "no picture in it can be read"
        raise CameraError(f"--video {video}: this is no video, or it is broken ({why})") from None


def first_picture(video: Path) -> bytes:
    """Return a video's first picture, small, as JPEG: what the demo's page shows of it."""
    import av
    import cv2

    with av.open(f"file:{video}") as container:
        frame = next(container.decode(video=0))
        small = frame.reformat(width=SEEN_WIDTH, height=round(SEEN_WIDTH * frame.height / frame.width), format="bgr24")
        return bytes(cv2.imencode(".jpg", small.to_ndarray(), (cv2.IMWRITE_JPEG_QUALITY, 70))[1])
