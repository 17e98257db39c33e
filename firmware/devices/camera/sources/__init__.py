"""Where pictures come from: four kinds of camera behind `frames.Source`.

None of them opens again by itself: that is the watch's business, the same for all (`watch`).
"""

import time
from collections.abc import Callable

from firmware.devices.camera.config import CameraConfig
from firmware.devices.camera.frames import Plane, Source
from firmware.errors import HardwareError

Draw = Callable[[Plane, Plane], None]
"""Draws the masks, in place, into a picture (`Frame.main`) and into the same one as it is analysed (`Frame.small`)."""


class ProcessSpentError(HardwareError):
    """This process has had the camera and cannot have it again: only a new process can."""


def make_source(
    config: CameraConfig,
    draw: Draw,
    monotonic_ms: Callable[[], int],
    *,
    wait: Callable[[float], object] = time.sleep,
    loop: bool = False,
) -> Source:
    """Return the source that the configuration names, not yet open.

    `wait` is how a video waits until its next picture is due; with `loop` it begins again where it ends.
    """
    # Imported here: a network camera needs no libcamera, and only a daemon with a camera knows FFmpeg (40 MB).
    if config.source == "picamera2":
        from firmware.devices.camera.sources.picamera import PicameraSource

        return PicameraSource(config, draw, monotonic_ms)

    from firmware.devices.camera.sources.av_reader import AvReader, Way
    from firmware.devices.camera.sources.network_camera import NetworkCamera
    from firmware.devices.camera.sources.usb_camera import UsbCamera
    from firmware.devices.camera.sources.video_file import VideoFile

    address = config.address or ""
    way: Way
    if config.source == "rtsp":
        way = NetworkCamera(address, monotonic_ms)
    elif config.source == "v4l2":
        way = UsbCamera(address, config, monotonic_ms)
    else:
        way = VideoFile(address, config.fps, monotonic_ms, wait=None if config.as_fast_as_possible else wait, loop=loop)
    return AvReader(way, config, draw, monotonic_ms)
