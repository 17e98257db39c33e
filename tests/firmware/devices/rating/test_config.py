from typing import Any

import msgspec
import pytest

from firmware.devices.rating.config import RatingConfig

BUTTONS = [{"level": 1, "pin": 17, "led": 5}, {"level": 2, "pin": 27, "led": 6}, {"level": 3, "pin": 22, "led": 13}]


def read(**changes: Any) -> RatingConfig:
    """Return what a configuration table with these changes gives."""
    return msgspec.convert({"scale": "vn-3", "buttons": BUTTONS, "buzzer": 18} | changes, RatingConfig)


def test_what_is_left_out_has_a_default() -> None:
    """A pad waits 15 ms of stillness, 10 s for a stuck button, and is armed by the center unless told otherwise."""
    config = read()
    assert (config.debounce_ms, config.stuck_after_ms, config.mode, config.thanks_ms) == (15, 10_000, "armed", 2000)


def test_a_buzzer_and_lights_may_be_missing() -> None:
    """A pad works without buzzer and lights."""
    assert read(buzzer=None, buttons=[{"level": level, "pin": level} for level in (1, 2, 3)]).buzzer is None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"scale": "vn-9"}, "scale must be one of vn-3, vn-4, vn-5, got 'vn-9'"),
        ({"buttons": BUTTONS[:2]}, "each level of the scale vn-3 once (1, 2, 3), got 1, 2"),
        ({"buttons": []}, "each level of the scale vn-3 once (1, 2, 3), got none"),
        ({"buttons": [*BUTTONS, {"level": 4, "pin": 4}]}, "got 1, 2, 3, 4"),
        ({"buttons": [*BUTTONS[:2], BUTTONS[1] | {"pin": 9, "led": 10}]}, "got 1, 2, 2"),
        ({"scale": "vn-5"}, "each level of the scale vn-5 once (1, 2, 3, 4, 5), got 1, 2, 3"),
        (
            {"buzzer": 17},
            "buzzer must be a line of its own, got GPIO 17, which is already buttons level 1 pin",
        ),
        (
            {"buttons": [*BUTTONS[:2], {"level": 3, "pin": 5}]},
            "buttons level 1 led must be a line of its own, got GPIO 5, which is already buttons level 3 pin",
        ),
        ({"buttons": [{"level": 1, "pin": 28}]}, "$.buttons[0].pin"),
        ({"debounce_ms": 0}, "$.debounce_ms"),
        ({"mode": "closed"}, "$.mode"),
        ({"bouncetime": 3}, "unknown field `bouncetime`"),
    ],
)
def test_a_wrong_table_says_what_is_wrong(changes: dict[str, Any], said: str) -> None:
    """A pad that cannot work is refused with the key, what is allowed and what was there."""
    with pytest.raises(msgspec.ValidationError) as refused:
        read(**changes)
    assert said in str(refused.value)
