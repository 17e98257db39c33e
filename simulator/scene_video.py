"""The drawn counter as a video file, for a camera that is given one."""

from collections.abc import Callable, Sequence
from pathlib import Path

import av
from av.video.stream import VideoStream

from simulator.scene import Person, Scene

People = Callable[[float], Sequence[Person]]
"""Who is in the picture at an instant, in seconds from the beginning."""


def empty(_at_s: float) -> Sequence[Person]:
    """Say that nobody is there."""
    return ()


def write(file: Path, people: People, *, seconds: float, size: tuple[int, int] = (320, 240), fps: int = 10) -> Path:
    """Write a video; return its path."""
    width, height = size
    scene = Scene(width, height)
    with av.open(str(file), "w") as container:
        stream = container.add_stream("libx264", rate=fps, options={"preset": "ultrafast", "crf": "18"})
        assert isinstance(stream, VideoStream)  # noqa: S101 - for the type checker: it was asked for
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number in range(round(seconds * fps)):
            picture = scene.draw(number / fps, people(number / fps))
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        container.mux(stream.encode(None))
    return file
