"""The supervision camera: clips of what people must judge, and of nothing else."""

import msgspec

from contract.states import CameraDesired
from firmware.devices.camera import heap
from firmware.devices.camera.config import CameraConfig
from firmware.devices.camera.decisions import CameraDecisions
from firmware.devices.registry import DeviceContext, Kind
from firmware.errors import ConfigError
from firmware.ports import Decisions, Driver


def build(config: CameraConfig, context: DeviceContext) -> tuple[Decisions, Driver]:
    """Make a camera; raise ConfigError where what it needs is not installed."""
    if context.clock is None or context.state_dir is None:
        raise TypeError("a camera needs a clock, and a folder for its clips")
    heap.share()
    try:
        from firmware.devices.camera.driver import CameraDriver  # OpenCV and FFmpeg: 60 MB
    except ImportError as error:
        raise ConfigError(f"a camera needs {error.name}: install motcua[camera]") from error
    decisions = CameraDecisions(config, new_id=context.new_id, memory=context.memory)
    # From the first picture on, what the center wanted black is black: it need not be there to say so again.
    begin = msgspec.structs.replace(config, zones=decisions.settings.zones, masks=decisions.settings.masks)
    return decisions, CameraDriver(begin, name=context.name, state_dir=context.state_dir, clock=context.clock)


KIND = Kind(name="camera", config=CameraConfig, desired=CameraDesired, build=build)
