from typing import Any

import msgspec
import pytest

from firmware.devices.callpad.config import CallpadConfig


def read(**changes: Any) -> CallpadConfig:
    """Return what a configuration table with these changes gives."""
    return msgspec.convert({"next": {"pin": 23, "led": 12}} | changes, CallpadConfig)


def test_only_next_has_to_be_there() -> None:
    """A call pad may have one key."""
    assert list(read().keys()) == ["next"]
    assert (read().answer_within_ms, read().lockout_ms, read().debounce_ms) == (5000, 1500, 15)


def test_keys_come_in_the_order_of_the_pad() -> None:
    """Next, recall, no-show and pause, as they lie side by side."""
    pad = read(pause={"pin": 8, "led": 21}, no_show={"pin": 25, "led": 20}, recall={"pin": 24, "led": 16})
    assert list(pad.keys()) == ["next", "recall", "no_show", "pause"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"next": {"pin": 23}}, "missing required field `led` - at `$.next`"),
        ({"next": {"pin": 23, "led": 40}}, "$.next.led"),
        (
            {"recall": {"pin": 12, "led": 16}},
            "recall.pin must be a line of its own, got GPIO 12, which is already next.led",
        ),
        ({"answer_within_ms": 100}, "$.answer_within_ms"),
        ({"panic_keys": ["next"]}, "panic_keys must be two or more different keys, got next"),
        ({"panic_keys": ["next", "next"]}, "panic_keys must be two or more different keys, got next, next"),
        ({"panic_keys": ["next", "recall"]}, "panic_keys must be keys that this pad has, got recall"),
        ({"panic_keys": ["next", "help"]}, "$.panic_keys[1]"),
        ({"panic_hold_ms": 50}, "$.panic_hold_ms"),
        ({"stop": {"pin": 1, "led": 2}}, "unknown field `stop`"),
    ],
)
def test_a_wrong_table_says_what_is_wrong(changes: dict[str, Any], said: str) -> None:
    """A pad that cannot work is refused with the key, what is allowed and what was there."""
    with pytest.raises(msgspec.ValidationError) as refused:
        read(**changes)
    assert said in str(refused.value)
