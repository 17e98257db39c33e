"""The officer's call pad: keys for next, recall, no-show and pause, a light each, on GPIO lines."""

from contract.states import CallpadDesired
from firmware.devices.callpad.config import CallpadConfig
from firmware.devices.callpad.decisions import CallpadDecisions
from firmware.devices.gpio import Lines
from firmware.devices.registry import DeviceContext, Kind
from firmware.ports import Decisions, Driver


def build(config: CallpadConfig, context: DeviceContext) -> tuple[Decisions, Driver]:
    """Make a call pad."""
    keys = config.keys().values()
    lines = Lines(
        inputs=[key.pin for key in keys], outputs=[key.led for key in keys], monotonic_ms=context.monotonic_ms
    )
    return CallpadDecisions(config, context.new_id), lines


KIND = Kind(name="callpad", config=CallpadConfig, desired=CallpadDesired, build=build)
