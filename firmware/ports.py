"""The ports between a daemon and its parts: what a device decides, what a driver moves, what time it is.

A device is two objects. Its *decisions* are pure: they take a signal, a state or the time and return effects. Its
*driver* moves signals: it posts what it hears from any thread and drives what it is told. The daemon's one thread owns
both.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from contract.events import Fact
from contract.requests import Action, Args, Reply
from contract.states import State


class Clock(Protocol):
    """The time, passed in. Milliseconds are monotonic since an arbitrary start and never step."""

    @property
    def boot_id(self) -> str:
        """The kernel's identity of this boot: monotonic times compare only within one."""
        ...

    def monotonic_ms(self) -> int:
        """Milliseconds on the clock that never steps."""
        ...

    def now(self) -> datetime:
        """The wall clock in UTC, which may be wrong until `synchronised()`."""
        ...

    def synchronised(self) -> bool:
        """Whether the wall clock has been set from a time source in this boot."""
        ...


# --- effects: what decisions want done, in order -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Drive:
    """Tell the driver something only it understands."""

    command: object


@dataclass(frozen=True, slots=True)
class Report:
    """Publish what the device now is (retained `reported`)."""

    state: State


@dataclass(frozen=True, slots=True)
class Ask:
    """Send a request to the center. `request_id` comes back in the reply; nothing is sent while there is no contact."""

    request_id: str
    action: Action
    args: Args
    seen: int | None
    expires_in_ms: int


@dataclass(frozen=True, slots=True)
class Record:
    """Commit a fact to the outbox, with `remember` in the same transaction; then do `then`, or else `otherwise`.

    A light or a tone that says "stored" belongs into `then`: it is given only for what a power cut cannot take back.
    """

    fact: Fact
    remember: Mapping[str, str] = field(default_factory=dict)
    then: Sequence["Effect"] = ()
    otherwise: Sequence["Effect"] = ()


@dataclass(frozen=True, slots=True)
class Remember:
    """Commit what must survive a restart, where there is no fact to commit it with."""

    memory: Mapping[str, str]


Effect = Drive | Report | Ask | Record | Remember


# --- a device ------------------------------------------------------------------------------------------------------


class Decisions(Protocol):
    """The pure half of a device. Every method returns the effects to carry out, in order."""

    def on_start(self, now_ms: int) -> Sequence[Effect]:
        """Begin: the driver is open, nothing is known of the center."""
        ...

    def on_signal(self, signal: Any, now_ms: int) -> Sequence[Effect]:
        """Take what the driver posted. A signal that has a time carries it itself, in monotonic milliseconds."""
        ...

    def on_desired(self, desired: Any, now_ms: int) -> Sequence[Effect]:
        """Take the desired state, already decoded to the kind's own type."""
        ...

    def on_reply(self, reply: Reply, now_ms: int) -> Sequence[Effect]:
        """Take the answer to a request."""
        ...

    def on_link(self, *, up: bool, now_ms: int) -> Sequence[Effect]:
        """Hear that contact to the center was made or lost."""
        ...

    def on_time(self, now_ms: int) -> Sequence[Effect]:
        """Do what was due at `deadline_ms()`. May come early or late."""
        ...

    def deadline_ms(self) -> int | None:
        """When `on_time` wants to be called next, in monotonic milliseconds; None while nothing is pending."""
        ...


Post = Callable[[object], None]
"""Puts a signal on the daemon's inbox. Thread-safe, returns at once, never raises."""


class Driver(Protocol):
    """The half of a device that touches hardware. Callbacks of its library only stamp, post and return."""

    def open(self, post: Post) -> None:
        """Take the hardware; raise errors.HardwareError (may come back) or errors.ConfigError (will not)."""
        ...

    def drive(self, command: Any) -> None:
        """Carry out a command of the decisions. Must not block: slow ports have a thread of their own."""
        ...

    def alive(self) -> bool:
        """Whether every thread of the driver runs and none hangs; the watchdog is fed only while this is true."""
        ...

    def close(self) -> None:
        """Let the hardware go; bounded in time, safe to call twice."""
        ...
