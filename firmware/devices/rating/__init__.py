"""The rating pad: one button a level, a light each, and a buzzer, on GPIO lines."""

from contract.states import RatingDesired
from firmware.devices.gpio import Lines
from firmware.devices.rating.config import RatingConfig
from firmware.devices.rating.decisions import RatingDecisions
from firmware.devices.registry import DeviceContext, Kind
from firmware.ports import Decisions, Driver


def build(config: RatingConfig, context: DeviceContext) -> tuple[Decisions, Driver]:
    """Make a rating pad."""
    leds = [button.led for button in config.buttons if button.led is not None]
    lines = Lines(
        inputs=[button.pin for button in config.buttons],
        outputs=[*leds, *([] if config.buzzer is None else [config.buzzer])],
        monotonic_ms=context.monotonic_ms,
    )
    return RatingDecisions(config, context.memory), lines


KIND = Kind(name="rating", config=RatingConfig, desired=RatingDesired, build=build)
