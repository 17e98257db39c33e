"""The supervision camera: clips of what people must judge, and of nothing else."""

from contract.states import CameraDesired
from firmware.devices.camera.config import CameraConfig
from firmware.devices.camera.decisions import CameraDecisions
from firmware.devices.registry import DeviceContext, Kind
from firmware.errors import ConfigError
from firmware.ports import Decisions, Driver


def build(config: CameraConfig, context: DeviceContext) -> tuple[Decisions, Driver]:
    """Make a camera; raise ConfigError where what it needs is not installed."""
    if context.clock is None or context.state_dir is None:
        raise TypeError("a camera needs a clock, and a folder for its clips")
    try:
        from firmware.devices.camera.driver import CameraDriver  # OpenCV and FFmpeg: 60 MB
    except ImportError as error:
        raise ConfigError(f"a camera needs {error.name}: install motcua[camera]") from error
    driver = CameraDriver(config, name=context.name, state_dir=context.state_dir, clock=context.clock)
    return CameraDecisions(config, new_id=context.new_id, memory=context.memory), driver


KIND = Kind(name="camera", config=CameraConfig, desired=CameraDesired, build=build)
