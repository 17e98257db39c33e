"""A camera module of the Raspberry Pi, by Picamera2 (libcamera)."""

import logging
import queue
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Self

from firmware.devices.camera.config import CameraConfig
from firmware.devices.camera.frames import Frame, Plane
from firmware.devices.camera.sources import ProcessSpentError
from firmware.devices.camera.sources.pictures import (
    SMALL_HEIGHT,
    SMALL_WIDTH,
    Gaps,
    shrink,
    stamp_ms,
    unpadded,
    unwoven,
)
from firmware.devices.camera.sources.settling import Settling
from firmware.errors import ConfigError, HardwareError

_log = logging.getLogger(__name__)

QUEUED = 4
"""So many pictures may wait for us; then the oldest is lost, and its number missing."""

_TAKEN_OUT: dict[str, Callable[[Plane, int, int], Plane]] = {"YUV420": unpadded, "NV12": unwoven}
"""The formats that we read. A Pi gives the first, which is asked for; other boards may have the second only."""

_taken = False


class PicameraSource:
    """The camera module. It can be opened once in the life of a process.

    Picamera2 calls back for each picture in a thread of its own. There the picture is copied out of the camera's
    buffers and its masks are drawn; what does not come out of that drawn is not handed on at all.
    """

    def __init__(
        self,
        config: CameraConfig,
        draw: Callable[[Plane, Plane], None],
        monotonic_ms: Callable[[], int],
    ) -> None:
        self._width, self._height = config.width, config.height
        self._fps = config.fps
        self._draw = draw
        self._monotonic_ms = monotonic_ms
        self._take_out = _TAKEN_OUT["YUV420"]
        self._has_small = False
        self._camera: Any = None
        self._mapped: Any = None
        self._waiting: queue.Queue[tuple[Frame, Mapping[str, Any]] | Exception] = queue.Queue(QUEUED)
        self._settling: Settling | None = None
        # Below: the camera's thread's own.
        self._number = -1
        self._last_ms = -1
        self._gaps = Gaps(config.fps)

    def __enter__(self) -> Self:
        """Take the camera; raise ConfigError where its library or its size cannot be had."""
        try:
            from picamera2 import MappedArray, Picamera2
        except (ImportError, ValueError) as error:  # ValueError: modules that were built for another NumPy
            raise ConfigError(
                f"the source picamera2 cannot be loaded ({error}): sudo apt install python3-picamera2, "
                "in a virtual environment made with --system-site-packages"
            ) from error
        if not Picamera2.global_camera_info():
            raise HardwareError("no camera module is found: check its cable, both ends, then restart the Pi")
        _take()
        self._mapped = MappedArray
        try:
            self._start(Picamera2())
        except RuntimeError as error:
            self._let_go()
            raise HardwareError(
                f"the camera module does not start ({error.__cause__ or error}): is it in use by another program?"
            ) from error
        except BaseException:
            self._let_go()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Let the camera go, for the rest of this process."""
        self._let_go()

    def read(self, timeout_s: float) -> Frame | None:
        """Return the next picture; raise HardwareError when none came in time."""
        try:
            came = self._waiting.get(timeout=timeout_s)
        except queue.Empty:
            raise HardwareError(
                f"no picture for {timeout_s:g} s from the camera module: check its cable and the Pi's power"
            ) from None
        if isinstance(came, Exception):
            raise came
        frame, metadata = came
        if self._settling is not None and (controls := self._settling.controls(frame, metadata)):
            self._camera.set_controls(controls)
        return frame

    def _start(self, camera: Any) -> None:
        self._camera = camera
        small = None
        if self._width >= SMALL_WIDTH and self._height >= SMALL_HEIGHT:
            small = {"size": (SMALL_WIDTH, SMALL_HEIGHT), "format": "YUV420"}
        camera.configure(
            camera.create_video_configuration(
                main={"size": (self._width, self._height), "format": "YUV420"},
                lores=small,
                controls={"FrameRate": self._fps},
            )
        )
        self._check(camera.camera_configuration())
        self._settling = Settling(frozenset(camera.camera_controls))
        if controls := self._settling.begin():
            camera.set_controls(controls)
        camera.pre_callback = self._on_request
        camera.start()

    def _check(self, got: Mapping[str, Any]) -> None:
        """Look at what it was configured to: the library only logs that it chose something else."""
        main, small = got["main"], got.get("lores")
        width, height = main["size"]
        if (width, height) != (self._width, self._height):
            raise ConfigError(
                f"the camera module gives {width} × {height} when asked for {self._width} × {self._height}: "
                "set width and height in the configuration"
            )
        if main["format"] not in _TAKEN_OUT:
            raise ConfigError(
                f"the camera module gives {main['format']} when asked for YUV420: where it is a USB camera, "
                "set source to v4l2 in the configuration"
            )
        self._take_out = _TAKEN_OUT[main["format"]]
        self._has_small = (
            small is not None and tuple(small["size"]) == (SMALL_WIDTH, SMALL_HEIGHT) and small["format"] in _TAKEN_OUT
        )

    def _let_go(self) -> None:
        camera, self._camera = self._camera, None
        if camera is None:
            return
        try:
            camera.stop()
            camera.close()
        except RuntimeError as error:
            _log.debug("the camera module does not let go: %s", error)

    # --- the camera's thread -------------------------------------------------------------------------------------

    def _on_request(self, request: Any) -> None:
        came: tuple[Frame, Mapping[str, Any]] | Exception
        try:
            metadata = request.get_metadata()
            came = self._frame(request, metadata), metadata
        except Exception as error:  # noqa: BLE001 - it would end in the library's thread, unheard
            came = error
        try:
            self._waiting.put_nowait(came)
        except queue.Full:
            with suppress(queue.Empty):  # they were all taken in this moment
                self._waiting.get_nowait()
            self._waiting.put_nowait(came)

    def _frame(self, request: Any, metadata: Mapping[str, Any]) -> Frame:
        now_ms = self._monotonic_ms()
        at_ms = stamp_ms(metadata.get("SensorTimestamp"), now_ms)
        self._number += 1 + (0 if at_ms is None else self._gaps.lost(at_ms))
        self._last_ms = max(now_ms if at_ms is None else at_ms, self._last_ms + 1)
        with self._mapped(request, "main", write=False) as mapped:
            main = self._take_out(mapped.array, self._width, self._height)
        if self._has_small:
            with self._mapped(request, "lores", write=False) as mapped:
                small = mapped.array[:SMALL_HEIGHT, :SMALL_WIDTH].copy()
        else:
            small = shrink(main[: self._height])
        self._draw(main, small)
        return Frame(number=self._number, at_ms=self._last_ms, main=main, small=small)


def _take() -> None:
    global _taken  # it is the process that is spent, not an object
    if _taken:
        raise ProcessSpentError("the camera module can be opened once in a process; it is started anew")
    _taken = True
