"""A V4L2 camera without a kernel that has one: uncoded pictures through a named pipe, read by the real FFmpeg.

What it shares with the real one: FFmpeg reads it, a read waits while nothing comes, `poll` sees what is there, and
unplugging ends it.
"""

import os
import threading
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import InputContainer


class RawCamera:
    """A camera of one size; `open_container` stands in for `av.open(…, format="v4l2")`."""

    def __init__(self, folder: Path, *, width: int = 320, height: int = 240, fps: int = 30) -> None:
        self.address = str(folder / "video0")
        self.width, self.height = width, height
        self.fps = fps
        self.asked: list[dict[str, str]] = []
        # Two names of one pipe: a reader's descriptor shows its own name, as a device's would.
        self._inlet = folder / "inlet"
        os.mkfifo(self.address)
        os.link(self.address, self._inlet)
        self._feeder: threading.Thread | None = None
        self._silent = threading.Event()
        self._unplugged = threading.Event()

    def open_container(self, file: str, *, mode: Any, format: str, options: dict[str, str]) -> InputContainer:  # noqa: A002
        """Open the pipe as what the device would give."""
        assert (format, mode) == ("v4l2", "r")
        self.asked.append(options)
        self._unplugged.clear()
        self._feeder = threading.Thread(target=self._feed, name="raw-camera")
        self._feeder.start()
        raw = {
            "video_size": f"{self.width}x{self.height}",
            "pixel_format": "yuyv422",
            "framerate": str(self.fps),  # a camera gives what it gives
        }
        return av.open(file, mode="r", format="rawvideo", options=raw)

    def go_silent(self) -> None:
        """Give no picture any more."""
        self._silent.set()

    def unplug(self) -> None:
        """Be pulled out."""
        self._unplugged.set()
        if self._feeder is not None:
            self._feeder.join()

    def _feed(self) -> None:
        picture = np.full((self.height, self.width * 2), 120, np.uint8).tobytes()
        with self._inlet.open("wb", buffering=0) as pipe:
            while not self._unplugged.wait(1 / self.fps):
                if not self._silent.is_set():
                    try:
                        pipe.write(picture)
                    except BrokenPipeError:
                        return
