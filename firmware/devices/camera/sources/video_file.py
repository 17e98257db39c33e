"""A video in place of a camera: for a demonstration, for tests, and to look at what was recorded elsewhere."""

import math
from collections.abc import Callable
from pathlib import Path

import av
from av.container import InputContainer

from firmware.errors import ConfigError, MotcuaError


class VideoFile:
    """The way to read a video: in its own time, or as fast as it can be read (`wait=None`).

    Its pictures have the times that they have in the video, counted from its opening. So neither way drifts, and a
    picture that is read late is not a picture that came late.
    """

    remedy = "its disk gives nothing"
    fault = ConfigError
    patience_s = math.inf

    def __init__(
        self,
        address: str,
        fps: int,
        monotonic_ms: Callable[[], int],
        *,
        wait: Callable[[float], object] | None,
        loop: bool,
    ) -> None:
        self.name = f"the video {address}"
        self.repeats = loop
        self._path = Path(address)
        self._period_ms = 1000 / fps
        self._monotonic_ms = monotonic_ms
        self._wait = wait
        self._zero_ms: float | None = None  # our clock's time of the video's time 0
        self._last_ms: float | None = None

    def open(self) -> InputContainer:
        """Open the file; it must be a file here, not an address that FFmpeg would go to."""
        self._zero_ms = None
        return av.open(f"file:{self._path}", mode="r")

    def ready(self, timeout_s: float) -> bool:
        """A file is always there."""
        return True

    def at(self, media_ms: float) -> tuple[int, int]:
        """Return when the picture is due, and wait until then."""
        if self._zero_ms is None:
            begin_ms = self._monotonic_ms() if self._last_ms is None else self._last_ms + self._period_ms
            self._zero_ms = begin_ms - media_ms
        self._last_ms = self._zero_ms + media_ms
        if self._wait is not None and (early_ms := self._last_ms - self._monotonic_ms()) > 0:
            self._wait(early_ms / 1000)
        return round(self._last_ms), 0

    def end(self) -> None:
        """A video may end."""

    def trouble(self, error: av.FFmpegError) -> MotcuaError:
        """Every fault of a file waits for a person."""
        match error:
            case av.error.FileNotFoundError():
                why = "is not there: check address in the configuration"
            case av.error.IsADirectoryError():
                why = "is a folder: address must name a file"
            case av.error.PermissionError():
                why = "may not be read by the user of this program"
            case av.error.InvalidDataError() | av.error.EOFError():
                why = "is no video, or is broken"
            case _:
                why = f"cannot be read: {error.strerror}"
        return ConfigError(f"{self.name} {why}")
