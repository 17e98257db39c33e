"""What a call pad's table in the configuration says."""

from typing import Annotated, Literal

import msgspec

from firmware.devices.gpio import Pin, check_distinct

DebounceMs = Annotated[int, msgspec.Meta(ge=1, le=200)]
AnswerMs = Annotated[int, msgspec.Meta(ge=500, le=60_000)]
LockoutMs = Annotated[int, msgspec.Meta(ge=0, le=60_000)]
HoldMs = Annotated[int, msgspec.Meta(ge=100, le=5000)]
KeyName = Literal["next", "recall", "no_show", "pause"]
StuckMs = Annotated[int, msgspec.Meta(ge=1000, le=600_000)]


class Key(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One key: its line and its light."""

    pin: Pin
    led: Pin


class CallpadConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One call pad. Only `next` must be there. `panic_keys` call for help when they are held together."""

    next: Key
    recall: Key | None = None
    no_show: Key | None = None
    pause: Key | None = None
    answer_within_ms: AnswerMs = 5000
    debounce_ms: DebounceMs = 15
    lockout_ms: LockoutMs = 1500
    stuck_after_ms: StuckMs = 10_000
    panic_keys: Annotated[tuple[KeyName, ...], msgspec.Meta(max_length=4)] = ()
    panic_hold_ms: HoldMs = 500

    def __post_init__(self) -> None:
        """Check what only holds between fields."""
        check_distinct(
            use for name, key in self.keys().items() for use in ((f"{name}.pin", key.pin), (f"{name}.led", key.led))
        )
        if not self.panic_keys:
            return
        if len(set(self.panic_keys)) != len(self.panic_keys) or len(self.panic_keys) == 1:
            raise ValueError(f"panic_keys must be two or more different keys, got {', '.join(self.panic_keys)}")
        if absent := [name for name in self.panic_keys if name not in self.keys()]:
            raise ValueError(f"panic_keys must be keys that this pad has, got {', '.join(absent)}")

    def keys(self) -> dict[str, Key]:
        """Return the keys that are there, by name."""
        named = {"next": self.next, "recall": self.recall, "no_show": self.no_show, "pause": self.pause}
        return {name: key for name, key in named.items() if key is not None}
