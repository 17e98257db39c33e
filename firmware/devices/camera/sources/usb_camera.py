"""A camera that the kernel knows (V4L2): on USB, mostly."""

import math
import os
import select
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import av
from av.container import InputContainer

from firmware.devices.camera.config import CameraConfig
from firmware.devices.camera.sources.offers import Offers, offers_of
from firmware.devices.camera.sources.pictures import Gaps, stamp_ms
from firmware.errors import ConfigError, HardwareError, MotcuaError

_RAW_UP_TO = 640 * 480
"""More pixels than these, uncoded, are more than USB 2 carries 15 times a second."""


class UsbCamera:
    """The way to a V4L2 device. The kernel's stamps are of our clock: they are the pictures' times."""

    remedy = "unplug it and plug it in again"
    fault = HardwareError
    repeats = False
    patience_s = math.inf  # it is asked first whether there is anything: `ready`

    def __init__(
        self,
        address: str,
        config: CameraConfig,
        monotonic_ms: Callable[[], int],
        *,
        open_container: Callable[..., InputContainer] = av.open,
        offers: Callable[[str], Offers] = offers_of,
    ) -> None:
        self.name = f"the camera {address}"
        self._address = address
        self._size = config.width, config.height
        self._fps = config.fps
        self._monotonic_ms = monotonic_ms
        self._open_container = open_container
        self._offers = offers
        self._descriptor: int | None = None
        self._gaps = Gaps(self._fps)

    def open(self) -> InputContainer:
        """Open the device and ask for size and rate; raise ConfigError if it gives another size."""
        width, height = self._size
        options = {"video_size": f"{width}x{height}", "framerate": str(self._fps)}
        offers = self._look()
        if width * height > _RAW_UP_TO and self._size in offers.get("MJPG", ()):
            options["input_format"] = "mjpeg"
        container = self._open_container(self._address, mode="r", format="v4l2", options=options)
        try:
            self._check_size(container, offers)
            self._descriptor = _descriptor_of(self._address)
        except BaseException:
            container.close()
            raise
        self._gaps = Gaps(self._fps)
        return container

    def ready(self, timeout_s: float) -> bool:
        """Wait for the kernel's next buffer: FFmpeg itself would wait for ever."""
        if self._descriptor is None:
            return True
        poll = select.poll()
        poll.register(self._descriptor, select.POLLIN)
        return bool(poll.poll(timeout_s * 1000))  # an unplugged camera is ready, too: to say so

    def at(self, media_ms: float) -> tuple[int, int]:
        """Return the kernel's stamp and how many pictures are missing before it; now, where it is not of our clock."""
        now_ms = self._monotonic_ms()
        at_ms = stamp_ms(round(media_ms * 1_000_000), now_ms)
        return (now_ms, 0) if at_ms is None else (at_ms, self._gaps.lost(at_ms))

    def end(self) -> None:
        """A camera does not end."""
        raise HardwareError(f"{self.name} was unplugged")

    def trouble(self, error: av.FFmpegError) -> MotcuaError:
        """A camera may be plugged in again, or let go by who has it."""
        match error:
            case av.error.FileNotFoundError():
                why = "is not there: plug it in; `motcua doctor` names those that are"
            case av.error.PermissionError():
                why = "may not be used: the user of this program must be in the group video"
            case _ if error.errno == 16:
                why = "is in use by another program"
            case _ if error.errno in (22, 25):
                return ConfigError(f"{self.name} is no camera that gives pictures: check address in the configuration")
            case _ if error.errno in (5, 19):
                why = "was unplugged"
            case _:
                why = f"cannot be read ({error.strerror}): {self.remedy}"
        return HardwareError(f"{self.name} {why}")

    def _look(self) -> Offers:
        try:
            return self._offers(self._address)
        except OSError:
            return {}  # opening says what is wrong with it

    def _check_size(self, container: InputContainer, offers: Offers) -> None:
        for stream in container.streams.video:
            if (got := (stream.width, stream.height)) != self._size:
                known = sorted({size for sizes in offers.values() for size in sizes})
                offered = ", ".join(f"{width} × {height}" for width, height in known)
                raise ConfigError(
                    f"{self.name} gives {got[0]} × {got[1]} when asked for {self._size[0]} × {self._size[1]}"
                    + (f"; it offers {offered}" if offered else "")
                    + ": set width and height in the configuration"
                )


def _descriptor_of(address: str) -> int | None:
    """Return the newest descriptor of this process on a device: FFmpeg does not tell its own."""
    device, found = os.path.realpath(address), None
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # the descriptor of this very listing
            if str(entry.readlink()) == device:
                found = max(found or 0, int(entry.name))
    return found
