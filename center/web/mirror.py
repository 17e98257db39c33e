"""What the pages know: a copy of the queue that follows the hall's events, with what only screens need beside it."""

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Iterable

import msgspec

from center.answers import Device
from center.queue.model import (
    AnyEvent,
    DayStarted,
    Ticket,
    TicketCalled,
    TicketEvent,
    TicketIssued,
    TicketRecalled,
)
from center.queue.state import State

RECENT_CALLS = 12


class Announcement(msgspec.Struct, frozen=True, kw_only=True):
    """A number that was called, or called again; `key` is the same again after a restart."""

    key: str
    ticket: str
    counter: str
    at: int


class Tally:
    """What one counter did today."""

    def __init__(self) -> None:
        self.served = 0
        self.no_show = 0
        self._service_ms: list[int] = []
        self._wait_ms: list[int] = []

    @property
    def service_ms(self) -> int | None:
        """The median time of service."""
        return _median(self._service_ms)

    @property
    def wait_ms(self) -> int | None:
        """The median wait of those who were served."""
        return _median(self._wait_ms)

    def count(self, ticket: Ticket, by: int) -> None:
        """Take a ticket in (`by` 1) or out (`by` -1)."""
        if ticket.state == "no_show":
            self.no_show += by
            return
        self.served += by
        if ticket.started_at is not None and ticket.ended_at is not None:
            _keep(self._service_ms, ticket.ended_at - ticket.started_at, by)
        if ticket.called_at is not None:
            _keep(self._wait_ms, ticket.called_at - ticket.issued_at, by)


def _keep(values: list[int], value: int, by: int) -> None:
    if by > 0:
        insort(values, value)
        return
    at = bisect_left(values, value)
    if at < len(values) and values[at] == value:
        del values[at]


def _median(values: list[int]) -> int | None:
    return values[len(values) // 2] if values else None


class Mirror:
    """A state of the queue that is the event loop's own, and what can be read off the events as they pass."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.calls: list[Announcement] = []
        self.tallies: dict[str, Tally] = {}
        self.aside: dict[str, None] = {}
        self.waiting: Counter[str] = Counter()
        """How many wait for each service."""
        self.rated: set[str] = set()
        self.devices: dict[str, Device] = {}
        self._build(state.tickets.values())

    def apply(self, events: Iterable[AnyEvent]) -> None:
        """Follow what happened."""
        for event in events:
            self._apply(event)

    def meet(self, devices: Iterable[Device]) -> None:
        """Take in what devices said last."""
        for device in devices:
            self.devices[f"{device.station}/{device.device}"] = device

    def forget(self, devices: Iterable[tuple[str, str]]) -> None:
        """Take devices off the list."""
        for station, device in devices:
            self.devices.pop(f"{station}/{device}", None)

    def tally(self, counter: str) -> Tally:
        """Return what a counter did today."""
        return self.tallies.get(counter) or self.tallies.setdefault(counter, Tally())

    def _build(self, tickets: Iterable[Ticket]) -> None:
        called = []
        for ticket in tickets:
            self._count(ticket, 1)
            if ticket.called_at is not None and ticket.state not in ("waiting", "cancelled"):
                called.append(ticket)
        called.sort(key=lambda ticket: ticket.called_at or 0)
        for ticket in called[-RECENT_CALLS:]:
            self._announce(ticket, ticket.counter, ticket.called_at or 0)

    def _apply(self, event: AnyEvent) -> None:
        if isinstance(event, DayStarted):
            self.calls.clear()
            self.tallies.clear()
            self.aside.clear()
            self.rated.clear()
            self.waiting.clear()
        if isinstance(event, TicketIssued):
            self.waiting[event.service] += 1
        if not isinstance(event, TicketEvent):
            self.state.apply(event)
            return
        before = self.state.tickets.get(event.ticket)
        self.state.apply(event)
        after = self.state.tickets.get(event.ticket)
        if before is not None and before is not after:
            self._count(before, -1)
        if after is not None and before is not after:
            self._count(after, 1)
            if isinstance(event, TicketCalled | TicketRecalled):
                self._announce(after, event.counter, event.at)

    def _count(self, ticket: Ticket, by: int) -> None:
        if ticket.state == "waiting":
            self.waiting[ticket.service] += by
        if ticket.state in ("served", "no_show") and ticket.counter is not None:
            self.tally(ticket.counter).count(ticket, by)
        if ticket.state in ("parked", "no_show"):
            if by > 0:
                self.aside[ticket.id] = None
            else:
                self.aside.pop(ticket.id, None)

    def _announce(self, ticket: Ticket, counter: str | None, at: int) -> None:
        if counter is None:
            return
        key = f"{ticket.number}@{ticket.called_at}+{ticket.recalls}"
        self.calls = [call for call in self.calls if call.ticket != ticket.id][-(RECENT_CALLS - 1) :]
        self.calls.append(Announcement(key=key, ticket=ticket.id, counter=counter, at=at))
