"""Picamera2, as far as a source uses it, over a camera module that a test controls.

It behaves as the library does where that matters: its lines are padded, a buffer is gone when its `with` is left, it
calls back in its own thread, a second object is refused while one is open, a control that is not there is an error.
"""

import threading
import time
import types
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

CONTROLS = {
    "AeEnable": 280_000,
    "AwbEnable": (2.1, 1.4),
    "ExposureTime": 280_000,
    "AnalogueGain": 4.0,
    "ColourGains": (2.1, 1.4),
    "FrameRate": 15,
}
LENS = {"AfMode": 2, "LensPosition": 1.5}


class CameraModule:
    """What is at the end of the cable, and what it gives whatever it is asked for.

    `silent` is a frontend that timed out; one that `holds_on` cannot be stopped; one that scales nothing gives each
    stream as large as the main one.
    """

    def __init__(self) -> None:
        self.plugged = True
        self.silent = False
        self.in_use = False
        self.holds_on = False
        self.padding = 64
        self.size: tuple[int, int] | None = None
        self.format = "YUV420"
        self.scales = True
        self.controls: dict[str, Any] = dict(CONTROLS)
        self.set: list[Mapping[str, Any]] = []
        self.opened = 0
        self.stamp_ns: Callable[[], int | None] = time.monotonic_ns

    def module(self) -> types.ModuleType:
        """Return what `import picamera2` shall find."""
        module = types.ModuleType("picamera2")
        module.Picamera2 = _bound(self)  # type: ignore[attr-defined]
        module.MappedArray = MappedArray  # type: ignore[attr-defined]
        return module


def _bound(camera_module: CameraModule) -> type:
    class Picamera2(_Picamera2):
        hardware = camera_module

    return Picamera2


class _Picamera2:
    hardware: CameraModule

    @classmethod
    def global_camera_info(cls) -> list[dict[str, Any]]:
        return [{"Model": "imx708", "Num": 0}] if cls.hardware.plugged else []

    def __init__(self) -> None:
        hardware = self.hardware
        if hardware.in_use:
            busy = RuntimeError("Failed to acquire camera: Device or resource busy")
            raise RuntimeError("Camera __init__ sequence did not complete.") from busy
        hardware.in_use = True
        hardware.opened += 1
        self.pre_callback: Any = None
        self._config: dict[str, Any] = {}
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()

    @property
    def camera_controls(self) -> dict[str, tuple[Any, Any, Any]]:
        return dict.fromkeys(self.hardware.controls, (0, 1, 0))

    def create_video_configuration(
        self, main: dict[str, Any], lores: dict[str, Any] | None = None, controls: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        return {"main": dict(main), "lores": dict(lores) if lores else None, "controls": dict(controls or {})}

    def configure(self, config: dict[str, Any]) -> None:
        if self.hardware.size is not None:
            config["main"]["size"] = self.hardware.size
        width, height = config["main"]["size"]
        for stream in ("main", "lores"):
            if config[stream] is None:
                continue
            assert config[stream]["format"] == "YUV420"
            if config[stream]["size"] > (width, height):
                raise RuntimeError("lores stream dimensions may not exceed main stream")
            config[stream]["format"] = self.hardware.format
            if not self.hardware.scales:
                config[stream]["size"] = (width, height)
            config[stream]["stride"] = config[stream]["size"][0] + self.hardware.padding
        self._config = config

    def camera_configuration(self) -> dict[str, Any]:
        return self._config

    def set_controls(self, controls: Mapping[str, Any]) -> None:
        for name in controls:
            if name not in self.hardware.controls:
                raise RuntimeError(f"Control {name} is not advertised by libcamera")
        self.hardware.set.append(dict(controls))

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="picamera2")
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self.hardware.holds_on:
            raise RuntimeError("Failed to stop camera: Invalid argument")

    def close(self) -> None:
        self.stop()
        self.hardware.in_use = False

    def _run(self) -> None:
        while not self._stop.wait(1 / self._config["controls"]["FrameRate"]):
            if not self.hardware.silent and self.pre_callback is not None:
                self.pre_callback(_Request(self._config, self.hardware))


class _Request:
    """One completed request: both pictures, and what the camera says of them."""

    def __init__(self, config: dict[str, Any], hardware: CameraModule) -> None:
        self._metadata: dict[str, Any] = {
            "SensorTimestamp": hardware.stamp_ns(),
            "ExposureTime": 12_000,
            "AnalogueGain": 2.0,
            "ColourGains": (2.0, 1.5),
        }
        if "LensPosition" in hardware.controls:
            self._metadata["LensPosition"] = 1.5
        self.streams = {
            name: (woven if stream["format"] == "NV12" else drawn)(*stream["size"], stream["stride"])
            for name, stream in config.items()
            if name in ("main", "lores") and stream
        }
        if not hardware.scales and "lores" in self.streams:
            self.streams["lores"][:] = 33  # what is looked at has to come from the main one

    def get_metadata(self) -> dict[str, Any]:
        return dict(self._metadata)


class MappedArray:
    """A buffer of a request. When it is left its memory is the camera's again: something else stands there."""

    def __init__(self, request: _Request, stream: str, *, reshape: bool = True, write: bool = True) -> None:
        self._array = request.streams[stream]
        self.array: NDArray[np.uint8] | None = None

    def __enter__(self) -> "MappedArray":
        self.array = self._array
        return self

    def __exit__(self, *_: object) -> None:
        self.array = None
        self._array[:] = 0xAA


def drawn(width: int, height: int, stride: int) -> NDArray[np.uint8]:
    """Return an I420 picture `(height * 3 // 2, stride)` as it lies in a buffer: Y 120, U 90, V 160, padding 255."""
    flat = np.full(height * 3 // 2 * stride, 255, np.uint8)
    flat[: height * stride].reshape(height, stride)[:, :width] = 120
    chroma = flat[height * stride :].reshape(2, height // 2, stride // 2)
    chroma[0, :, : width // 2] = 90
    chroma[1, :, : width // 2] = 160
    return flat.reshape(height * 3 // 2, stride)


def woven(width: int, height: int, stride: int) -> NDArray[np.uint8]:
    """Return the same picture as NV12, `(height * 3 // 2, width)`: the library cuts such lines' padding off."""
    picture = np.full((height * 3 // 2, stride), 255, np.uint8)
    picture[:height, :width] = 120
    picture[height:, :width:2] = 90
    picture[height:, 1:width:2] = 160
    return picture[:, :width]


@contextmanager
def installed(camera_module: CameraModule, modules: dict[str, types.ModuleType]) -> Iterator[CameraModule]:
    """Have `import picamera2` find this camera module, in `modules` (`sys.modules`), until the block is left."""
    before = modules.get("picamera2")
    modules["picamera2"] = camera_module.module()
    try:
        yield camera_module
    finally:
        del modules["picamera2"]
        if before is not None:
            modules["picamera2"] = before
