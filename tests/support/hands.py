"""A device whose halves do what a test tells them, and a link that is up or down when a test says so."""

import threading
from collections.abc import Sequence
from typing import Any

import msgspec

from contract.codec import encode
from contract.envelope import Envelope, open_envelope
from contract.requests import Reply
from contract.topics import Channel
from firmware.mqtt.transport import Arrived, LinkDown, LinkUp
from firmware.ports import Effect, Post


class Obedient:
    """Decisions that return the effects which a signal consists of, and note what they hear."""

    def __init__(self, memory: dict[str, str] | None = None) -> None:
        self.memory = dict(memory or {})
        self.heard: list[object] = []
        self.due_ms: int | None = None

    def on_start(self, now_ms: int) -> Sequence[Effect]:
        """Note it."""
        self.heard.append("start")
        return ()

    def on_signal(self, signal: Any, now_ms: int) -> Sequence[Effect]:
        """Carry out what the signal says."""
        effects: Sequence[Effect] = signal
        return effects

    def on_desired(self, desired: Any, now_ms: int) -> Sequence[Effect]:
        """Note it."""
        self.heard.append(desired)
        return ()

    def on_reply(self, reply: Reply, now_ms: int) -> Sequence[Effect]:
        """Note it."""
        self.heard.append(reply)
        return ()

    def on_link(self, *, up: bool, now_ms: int) -> Sequence[Effect]:
        """Note it."""
        self.heard.append("up" if up else "down")
        return ()

    def on_time(self, now_ms: int) -> Sequence[Effect]:
        """Note it; nothing is due afterwards."""
        self.heard.append("time")
        self.due_ms = None
        return ()

    def deadline_ms(self) -> int | None:
        """When the test wants it."""
        return self.due_ms


class Hands:
    """A driver in a test's hands: `do` posts a signal, `driven` is what it was told."""

    def __init__(self, diary: list[object] | None = None) -> None:
        self.driven: list[object] = [] if diary is None else diary
        self.opened = 0
        self.closed = 0
        self.is_alive = True
        self.open_errors: list[Exception] = []
        self.drive_errors: list[Exception] = []
        self.post: Post | None = None

    def do(self, *effects: Effect) -> None:
        """Post a signal that makes obedient decisions return these effects."""
        assert self.post is not None, "the driver is not open"
        self.post(effects)

    def open(self, post: Post) -> None:
        """Fail as told, else open."""
        if self.open_errors:
            raise self.open_errors.pop(0)
        self.opened += 1
        self.post = post

    def drive(self, command: Any) -> None:
        """Fail as told, else note the command; call it if it can be called."""
        if self.drive_errors:
            raise self.drive_errors.pop(0)
        self.driven.append(command() if callable(command) else command)

    def alive(self) -> bool:
        """As told."""
        return self.is_alive

    def close(self) -> None:
        """Count it."""
        self.closed += 1


class Published(msgspec.Struct, frozen=True):
    """What a daemon published."""

    channel: Channel
    payload: bytes
    retain: bool


class FakeLink:
    """A transport without a network. `come_up` and `go_down` are what the network does."""

    def __init__(self, diary: list[object] | None = None) -> None:
        self._lock = threading.Lock()
        self._published: list[Published] = []
        self._diary = diary
        self._is_up = False
        self.is_alive = True
        self.started = self.stopped = 0
        self.missing = 0
        self.dropped: list[str] = []
        self.post: Post = lambda _news: None

    def come_up(self) -> None:
        """Connect."""
        self._is_up = True
        self.post(LinkUp())

    def go_down(self) -> None:
        """Break."""
        self._is_up = False
        self.post(LinkDown())

    def say(self, channel: Channel, message: msgspec.Struct | bytes, *, retained: bool = False) -> None:
        """Let a message of the center arrive."""
        payload = message if isinstance(message, bytes) else encode(message)
        self.post(Arrived(channel=channel, payload=payload, retained=retained))

    def published(self, channel: Channel) -> list[Published]:
        """Return what was published on a channel, oldest first."""
        with self._lock:
            return [each for each in self._published if each.channel is channel]

    def events(self) -> list[Envelope]:
        """Return the events that were sent, repeats included."""
        return [open_envelope(each.payload) for each in self.published(Channel.EVENT)]

    def start(self) -> None:
        """Count it."""
        self.started += 1

    def alive(self) -> bool:
        """As told."""
        return self.is_alive

    def publish(self, channel: Channel, payload: bytes, *, retain: bool = False) -> bool:
        """Note it, if connected."""
        if not self._is_up:
            return False
        with self._lock:
            self._published.append(Published(channel, payload, retain))
        if self._diary is not None:
            self._diary.append(channel)
        return True

    def unconfirmed(self) -> int:
        """As told."""
        return self.missing

    def drop(self, why: str) -> None:
        """Note it."""
        self.dropped.append(why)

    def stop(self) -> None:
        """Count it."""
        self.stopped += 1
