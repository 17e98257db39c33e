"""What a rating pad's table in the configuration says."""

from typing import Annotated, Literal

import msgspec

from contract.events import RatingLevel
from contract.scales import SCALES
from firmware.devices.gpio import Pin, check_distinct

DebounceMs = Annotated[int, msgspec.Meta(ge=1, le=200)]
DurationMs = Annotated[int, msgspec.Meta(ge=100, le=600_000)]
LockoutMs = Annotated[int, msgspec.Meta(ge=0, le=600_000)]


class Button(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One button: the level it stands for, its line, and its light."""

    level: RatingLevel
    pin: Pin
    led: Pin | None = None


class RatingConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One rating pad. Every level of the scale has exactly one button."""

    scale: str
    buttons: tuple[Button, ...]
    buzzer: Pin | None = None
    debounce_ms: DebounceMs = 15
    stuck_after_ms: DurationMs = 10_000
    mode: Literal["armed", "open"] = "armed"
    lockout_ms: LockoutMs = 5000
    thanks_ms: DurationMs = 2000

    def __post_init__(self) -> None:
        """Check what only holds between fields."""
        scale = SCALES.get(self.scale)
        if scale is None:
            raise ValueError(f"scale must be one of {', '.join(SCALES)}, got {self.scale!r}")
        wanted = [level.level for level in scale.levels]
        levels = sorted(button.level for button in self.buttons)
        if levels != wanted:
            raise ValueError(
                f"buttons must have each level of the scale {self.scale} once ({', '.join(map(str, wanted))}), "
                f"got {', '.join(map(str, levels)) or 'none'}"
            )
        check_distinct(
            [
                *((f"buttons level {button.level} pin", button.pin) for button in self.buttons),
                *((f"buttons level {button.level} led", button.led) for button in self.buttons),
                ("buzzer", self.buzzer),
            ]
        )
