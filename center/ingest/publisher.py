"""Publishes what devices should be: after each commit what changed, and everything when a connection was made.

Cameras are told elsewhere (center/cameras/wishes.py). It runs in the hall's thread, as a listener, so it reads the
state that was just committed and keeps its order.
"""

from collections.abc import Callable, Iterable

from center.answers import Change
from center.clock import Clock
from center.ingest import desired
from center.queue.model import Counter, DayStarted
from center.queue.state import State
from contract.codec import encode
from contract.states import State as DeviceState
from contract.topics import Address, Channel

WAITING_EVERY_S = 0.25
"""A call pad hears that more people wait at most so often: each is a message, and hundreds may come in a second."""

DISARM_AFTER_S = 2.0
"""So long after its time a pad is closed from here too: it closes itself, this is for one that restarts later."""

Publish = Callable[[str, bytes], bool]
Later = Callable[[float, Callable[[State], None]], None]


class Publisher:
    """Publishes retained desired states with `publish`; `later` is the hall's timer."""

    def __init__(self, *, center: str, root: str, arm_s: int, clock: Clock, publish: Publish, later: Later) -> None:
        self._center, self._root, self._arm_s = center, root, arm_s
        self._clock, self._publish, self._later = clock, publish, later
        self._revisions: dict[str, int] = {}
        self._waiting: dict[str, int] = {}
        self._armed: dict[str, str | None] = {}
        self._look_pending = False
        self._rated_elsewhere: set[str] = set()

    def begin(self, rated: Iterable[str]) -> None:
        """Take note of the tickets that had their rating before."""
        self._rated_elsewhere.update(rated)

    def everything(self, state: State) -> None:
        """Publish all: the broker may have forgotten, or another center may have spoken."""
        for counter in state.counters.values():
            self._armed.pop(counter.id, None)
            self._counter(state, counter)

    def on_change(self, change: Change) -> None:
        """Publish what a commit changed."""
        state = change.state
        self._take_note(change)
        for station, device in change.forgotten:
            self._forget(Address(center=self._center, station=station, device=device, root=self._root))
        if not change.events:
            return
        for counter in state.counters.values():
            if self._revisions.get(counter.id) != counter.revision:
                self._counter(state, counter)
        if not self._look_pending and any(self._waits_changed(state, one) for one in state.counters.values()):
            self._look_pending = True
            self._later(WAITING_EVERY_S, self._look)

    def _forget(self, address: Address) -> None:
        """Clear what the broker keeps of a device: it would be on the list again after the next connect."""
        for channel in (Channel.STATUS, Channel.REPORTED):
            self._publish(address.topic(channel), b"")

    def _take_note(self, change: Change) -> None:
        """Close a pad whose ticket was rated on a page.

        What the pad itself sent it knows, and it would thank twice.
        """
        if any(isinstance(event, DayStarted) for event in change.events):
            self._rated_elsewhere.clear()
        for rating in change.ratings:
            counter = change.state.counters.get(rating.counter)
            if rating.ticket is None or counter is None or rating.source == self._address(counter, "rating").source:
                continue
            self._rated_elsewhere.add(rating.ticket)
            self._rating(change.state, counter)

    def _look(self, state: State) -> None:
        self._look_pending = False
        for counter in state.counters.values():
            if self._waits_changed(state, counter):
                self._callpad(state, counter)

    def _waits_changed(self, state: State, counter: Counter) -> bool:
        return counter.state != "closed" and self._waiting.get(counter.id) != state.waiting_count(counter.id)

    def _counter(self, state: State, counter: Counter) -> None:
        self._revisions[counter.id] = counter.revision
        self._send(counter, "display", desired.display(state, counter))
        self._callpad(state, counter)
        self._rating(state, counter)

    def _callpad(self, state: State, counter: Counter) -> None:
        wanted = desired.callpad(state, counter)
        self._waiting[counter.id] = wanted.waiting
        self._send(counter, "callpad", wanted)

    def _rating(self, state: State, counter: Counter) -> None:
        wanted = desired.rating(
            state, counter, now_ms=self._clock.now_ms(), arm_s=self._arm_s, rated=self._rated_elsewhere
        )
        armed = wanted.armed.ticket if wanted.armed else None
        if counter.id in self._armed and self._armed[counter.id] == armed:
            return
        self._armed[counter.id] = armed
        self._send(counter, "rating", wanted)
        if wanted.armed is not None:
            self._later(wanted.armed.seconds + DISARM_AFTER_S, lambda now: self._rating(now, now.counters[counter.id]))

    def _send(self, counter: Counter, device: str, wanted: DeviceState) -> None:
        self._publish(self._address(counter, device).topic(Channel.DESIRED), encode(wanted))

    def _address(self, counter: Counter, device: str) -> Address:
        return Address(center=self._center, station=counter.id, device=device, root=self._root)
