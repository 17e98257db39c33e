"""From the edges of bouncing contacts to settled presses and releases. Pure: edges and the time in, outcomes out.

Every edge opens a restless period. When a contact has been still for `debounce_ms`, its level is read once more, for a
library or a kernel queue may have dropped an edge; only then is the period judged:

    open ─┐┌┐┌──────────        still for debounce_ms, then read: closed → Pressed
    closed└┘└┘           │
          │  └ 15 ms ──► ┘

A period that ends at the level where it began was interference: it is counted and nothing else.

Edges carry the kernel's stamps and may come late, so the line can be read before the edge that changed it is heard.
Then that edge is waited for: a press is as long as its stamps say, however late they come.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

READ_WITHIN_MS = 50
"""A level that was asked for and has not come by then is taken from the last edge instead."""
LATE_MS = 80
"""An edge that a reading announces has this long to come: only its stamp tells how long the level before it lasted."""


@dataclass(frozen=True, slots=True)
class Edge:
    """A contact changed at `at_ms`, as the library told it."""

    pin: int
    closed: bool
    at_ms: int


@dataclass(frozen=True, slots=True)
class Reading:
    """A contact's level, read from the line itself at `at_ms`."""

    pin: int
    closed: bool
    at_ms: int


@dataclass(frozen=True, slots=True)
class ToRead:
    """Read this contact and bring the Reading."""

    pin: int


@dataclass(frozen=True, slots=True)
class Pressed:
    """A contact is closed for good since `closed_ms`."""

    pin: int
    closed_ms: int


@dataclass(frozen=True, slots=True)
class Released:
    """A contact is open again for good."""

    pin: int


@dataclass(frozen=True, slots=True)
class Together:
    """These contacts closed within each other's debounce time: which one was meant is unknown, none is pressed."""

    pins: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Stuck:
    """A contact has been closed for longer than a finger stays; told once until it opens."""

    pin: int


Outcome = ToRead | Pressed | Released | Together | Stuck


@dataclass(slots=True)
class _Contact:
    pin: int
    closed: bool | None = None  # the last level heard; None until anything is
    changed_ms: int = 0  # when it got there
    settled_closed: bool = False  # the level that counts
    settled_ms: int = 0
    restless: bool = False
    asked_ms: int | None = None  # when a reading was asked for
    read_ms: int | None = None  # when a reading contradicted the edges: one of them is late or lost
    decided_ms: int = 0  # when the line was read for the last outcome: edges up to then have nothing to add
    barred: bool = False  # closed together with another one: it settles without a press
    stuck: bool = False

    def due_ms(self, debounce_ms: int, stuck_after_ms: int) -> int | None:
        if self.read_ms is not None:
            return self.read_ms + LATE_MS
        if self.asked_ms is not None:
            return self.asked_ms + READ_WITHIN_MS
        if self.restless:
            return self.changed_ms + debounce_ms
        return self.settled_ms + stuck_after_ms if self.settled_closed else None


class Debounce:
    """Settles the contacts of one device. `interference` counts the pulses that were too short to be a finger."""

    def __init__(self, pins: Iterable[int], *, debounce_ms: int, stuck_after_ms: int) -> None:
        self.interference = 0
        self._debounce_ms = debounce_ms
        self._stuck_after_ms = stuck_after_ms
        self._contacts = {pin: _Contact(pin) for pin in pins}

    def start(self) -> Sequence[Outcome]:
        """Forget what was heard and ask for every level: a contact that is closed already is not a press."""
        self._contacts = {pin: _Contact(pin) for pin in self._contacts}
        return [ToRead(pin) for pin in self._contacts]

    def edge(self, edge: Edge, now_ms: int) -> Sequence[Outcome]:
        """Take an edge; one that is older than what is known changes nothing."""
        contact = self._contacts.get(edge.pin)
        if contact is None or edge.at_ms < max(contact.changed_ms, contact.decided_ms):
            return ()
        outcomes: Sequence[Outcome] = ()
        at_ms = min(edge.at_ms, now_ms)
        if contact.read_ms is not None and contact.read_ms < at_ms and edge.closed is contact.closed:
            # The edge that the reading announced is lost.
            self._move(contact, closed=not contact.closed, at_ms=contact.read_ms)
        # An edge to where the contact is already means that the one between was lost: that was no stillness.
        alternates = edge.closed is not contact.closed
        if alternates and contact.restless and at_ms - contact.changed_ms >= self._debounce_ms:
            # The loop was late: what this edge ends had been still for long enough.
            outcomes = self._settle(contact)
        self._move(contact, closed=edge.closed, at_ms=at_ms)
        return outcomes

    def reading(self, reading: Reading, now_ms: int) -> Sequence[Outcome]:
        """Take a level; it outranks the edges, of which any may have been lost."""
        contact = self._contacts.get(reading.pin)
        if contact is None:
            return ()
        at_ms = min(reading.at_ms, now_ms)
        if contact.closed is None:
            contact.closed = contact.settled_closed = reading.closed
            contact.changed_ms = contact.settled_ms = at_ms
            return ()
        if at_ms < contact.changed_ms:
            return ()
        if reading.closed is not contact.closed:
            contact.asked_ms = None
            contact.read_ms = at_ms
            return ()
        if contact.asked_ms is None:
            return ()
        outcomes = self._judge(contact, now_ms)
        if outcomes:
            contact.decided_ms = at_ms
        return outcomes

    def on_time(self, now_ms: int) -> Sequence[Outcome]:
        """Ask for the levels that are due, and judge by the edges where no level came."""
        outcomes: list[Outcome] = []
        for contact in self._contacts.values():
            # At most twice: a contact that is judged late may seem stuck at once.
            while (due_ms := contact.due_ms(self._debounce_ms, self._stuck_after_ms)) is not None and due_ms <= now_ms:
                if contact.read_ms is not None:
                    self._move(contact, closed=not contact.closed, at_ms=contact.read_ms)
                elif contact.asked_ms is None:
                    contact.asked_ms = now_ms
                    outcomes.append(ToRead(contact.pin))
                else:
                    outcomes.extend(self._judge(contact, now_ms))
        return outcomes

    def deadline_ms(self) -> int | None:
        """When `on_time` has something to do."""
        dues = (contact.due_ms(self._debounce_ms, self._stuck_after_ms) for contact in self._contacts.values())
        return min((due for due in dues if due is not None), default=None)

    def is_open(self, pin: int) -> bool:
        """Whether a contact is known to be open."""
        contact = self._contacts[pin]
        return contact.closed is not None and not contact.settled_closed

    def closed_ms(self, pin: int) -> int | None:
        """Since when a contact has been closed for good; None where it is not, or not known to be."""
        contact = self._contacts[pin]
        return contact.settled_ms if contact.settled_closed else None

    def _move(self, contact: _Contact, *, closed: bool, at_ms: int) -> None:
        contact.closed = closed
        contact.changed_ms = at_ms
        contact.restless = True
        contact.asked_ms = None
        contact.read_ms = None

    def _judge(self, contact: _Contact, now_ms: int) -> Sequence[Outcome]:
        contact.asked_ms = None
        if contact.restless:
            return self._settle(contact)
        # Held for long, and the line agrees. It is read again from time to time: the edge of its release may get lost.
        contact.settled_ms = now_ms
        if contact.stuck:
            return ()
        contact.stuck = True
        return [Stuck(contact.pin)]

    def _settle(self, contact: _Contact) -> Sequence[Outcome]:
        contact.restless = False
        contact.asked_ms = None
        if contact.closed is contact.settled_closed:
            self.interference += 1
            contact.barred = False
            return ()
        contact.settled_closed = bool(contact.closed)
        contact.settled_ms = contact.changed_ms
        if not contact.settled_closed:
            contact.stuck = contact.barred = False
            return [Released(contact.pin)]
        if contact.barred:
            return ()
        others = [other for other in self._contacts.values() if self._closing_with(other, contact)]
        if not others:
            return [Pressed(contact.pin, contact.changed_ms)]
        for other in others:
            other.barred = True
        return [Together((contact.pin, *(other.pin for other in others)))]

    def _closing_with(self, other: _Contact, contact: _Contact) -> bool:
        return (
            other is not contact
            and other.restless
            and other.closed is True
            and not other.settled_closed
            and abs(other.changed_ms - contact.changed_ms) < self._debounce_ms
        )
