"""Pictures by FFmpeg: one reader of files, network cameras and USB cameras; they differ in the way they are opened."""

import logging
from collections import deque
from collections.abc import Callable, Iterator
from typing import Protocol, Self

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, VideoReformatter
from av.video.stream import VideoStream

from firmware.devices.camera.config import CameraConfig
from firmware.devices.camera.frames import Frame, Plane
from firmware.devices.camera.sources.pictures import Thinner, shrink
from firmware.errors import HardwareError, MotcuaError

_log = logging.getLogger(__name__)

Packets = Iterator["Packet[VideoStream]"]


class Way(Protocol):
    """How one kind of source is opened, and what time its pictures have."""

    @property
    def name(self) -> str:
        """What it is called in a line for an operator: never with a password."""
        ...

    @property
    def remedy(self) -> str:
        """What an operator should look at when no picture comes."""
        ...

    @property
    def fault(self) -> type[MotcuaError]:
        """What it is if it can be opened and has no pictures: ConfigError where only a person can mend it."""
        ...

    @property
    def patience_s(self) -> float:
        """How long reading one packet may take; what then comes is half a picture, and the source is lost."""
        ...

    @property
    def repeats(self) -> bool:
        """Whether it is opened again at its end."""
        ...

    def open(self) -> InputContainer:
        """Open it; what FFmpeg raises goes to `trouble`."""
        ...

    def ready(self, timeout_s: float) -> bool:
        """Wait until the next packet can be read without waiting; true where reading has a time limit of its own."""
        ...

    def at(self, media_ms: float) -> tuple[int, int] | None:
        """Return when this picture came, by our clock, and how many were lost before it; may wait until it is due.

        None is for a picture that is old already, and is only decoded because others need it.
        """
        ...

    def trouble(self, error: av.FFmpegError) -> MotcuaError:
        """Return what to say instead of FFmpeg's error."""
        ...

    def end(self) -> None:
        """Return if it may end, as a video does; raise HardwareError if it may not."""
        ...


class AvReader:
    """A source that FFmpeg reads. It gives pictures of the configured size, and at most so many in a second."""

    def __init__(
        self,
        way: Way,
        config: CameraConfig,
        draw: Callable[[Plane, Plane], None],
        monotonic_ms: Callable[[], int],
    ) -> None:
        self._way = way
        self._width, self._height = config.width, config.height
        self._fps = config.fps
        self._draw = draw
        self._monotonic_ms = monotonic_ms
        self._thinner = Thinner(config.fps)
        self._reformatter = VideoReformatter()
        self._container: InputContainer | None = None
        self._stream: VideoStream | None = None
        self._packets: Packets = iter(())
        self._decoded: deque[VideoFrame] = deque()
        self._pictures = 0  # of this opening
        self._number = -1
        self._last_ms: int | None = None
        self._told_size: tuple[int, int] | None = None

    def __enter__(self) -> Self:
        """Open it and find its pictures."""
        try:
            self._open()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self._close()

    def read(self, timeout_s: float) -> Frame | None:
        """Return the next picture, None at the end of a video; raise HardwareError when none came in time."""
        until_ms = self._monotonic_ms() + round(timeout_s * 1000)
        while True:
            while self._decoded:
                if (frame := self._frame(self._decoded.popleft())) is not None:
                    return frame
            left_ms = until_ms - self._monotonic_ms()
            if left_ms <= 0:
                raise self._silent(timeout_s)
            if self._way.ready(left_ms / 1000) and not self._fill():
                return None

    # --- packets -------------------------------------------------------------------------------------------------

    def _open(self) -> None:
        try:
            self._container = self._way.open()
        except av.FFmpegError as error:
            raise self._way.trouble(error) from None  # the library's own names the address with its password
        if not self._container.streams.video:
            raise self._way.fault(f"{self._way.name} has no pictures")
        stream = self._container.streams.video[0]
        # Without a decoder FFmpeg's binding has no context, which its types do not say.
        if (context := getattr(stream, "codec_context", None)) is None:
            raise self._way.fault(
                f"{self._way.name} is coded in a way that FFmpeg cannot read here: use H.264 or MJPEG"
            )
        context.thread_count = 1  # more of them would hold pictures back
        self._stream = stream
        self._packets = self._container.demux(stream)
        self._pictures = 0

    def _close(self) -> None:
        container, self._container = self._container, None
        self._stream = None
        self._packets = iter(())
        self._decoded.clear()
        if container is not None:
            container.close()

    def _fill(self) -> bool:
        """Decode one packet; return whether there may be more."""
        began_ms = self._monotonic_ms()
        try:
            packet = next(self._packets, None)
        except (av.error.ExitError, av.error.TimeoutError):
            raise self._silent(self._way.patience_s) from None
        except av.FFmpegError as error:
            raise self._way.trouble(error) from None
        if self._monotonic_ms() - began_ms >= 900 * self._way.patience_s:  # rounding, and the clocks of two libraries
            raise self._silent(self._way.patience_s)
        if packet is None:
            return self._at_end()
        try:
            self._decoded.extend(packet.decode())
        except av.FFmpegError as error:
            self._number += 1
            _log.debug("%s: a picture is broken: %s", self._way.name, error.strerror)
        return True

    def _silent(self, seconds: float) -> HardwareError:
        return HardwareError(f"no picture for {seconds:g} s from {self._way.name}: {self._way.remedy}")

    def _at_end(self) -> bool:
        self._way.end()
        if not self._pictures:
            raise self._way.fault(f"no picture of {self._way.name} can be read: it is broken")
        if not self._way.repeats:
            return False
        self._close()
        self._open()
        return True

    # --- pictures ------------------------------------------------------------------------------------------------

    def _frame(self, picture: VideoFrame) -> Frame | None:
        """Return the frame of a picture, masks drawn; None if there are more pictures than are wanted."""
        media_ms = self._media_ms(picture)
        self._pictures += 1
        if (came := self._way.at(media_ms)) is None:
            return None
        at_ms, lost = came
        self._number += lost
        if not self._thinner.wants(media_ms):
            return None
        if self._last_ms is not None:
            at_ms = max(at_ms, self._last_ms + 1)  # two that came at once still follow each other
        self._last_ms = at_ms
        self._number += 1
        main = self._i420(picture)
        small = shrink(main[: self._height])
        self._draw(main, small)
        return Frame(number=self._number, at_ms=at_ms, main=main, small=small)

    def _media_ms(self, picture: VideoFrame) -> float:
        """Return the time that the source itself gives a picture; where it gives none, by their count."""
        if picture.pts is None or picture.time_base is None:
            rate = self._stream.guessed_rate if self._stream is not None else None
            return float(self._pictures * 1000 / (rate or self._fps))
        return float(picture.pts * picture.time_base * 1000)

    def _i420(self, picture: VideoFrame) -> Plane:
        if (picture.width, picture.height) not in ((self._width, self._height), self._told_size):
            self._told_size = picture.width, picture.height
            self._tell_size(picture)
        full_range = picture.color_range == ColorRange.JPEG or picture.format.name.startswith("yuvj")
        i420 = self._reformatter.reformat(
            picture,
            width=self._width,
            height=self._height,
            format="yuv420p",
            src_color_range=ColorRange.JPEG if full_range else None,
            dst_color_range=ColorRange.MPEG if full_range else None,
        )
        return np.asarray(i420.to_ndarray(), dtype=np.uint8)

    def _tell_size(self, picture: VideoFrame) -> None:
        stretched = abs(picture.width * self._height - picture.height * self._width) > picture.width * self._height / 50
        _log.warning(
            "%s: its pictures are %d × %d and are made %d × %d%s",
            self._way.name,
            picture.width,
            picture.height,
            self._width,
            self._height,
            ", so they are stretched: set width and height in the configuration" if stretched else "",
        )
