"""One business day as events make it: tickets, counters, and who waits where, in calling order.

`State.apply` takes an event of this run or of an earlier one and cannot fail: what the configuration no longer knows is
kept where it can be and skipped where it cannot. The order of calling is described in docs/design/queue.md.
"""

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Iterator, Mapping
from heapq import merge
from itertools import islice
from typing import Any, ClassVar, NamedTuple

from msgspec.structs import replace

from center.queue.model import (
    AnyEvent,
    Counter,
    CounterClosed,
    CounterOpened,
    CounterPaused,
    CounterState,
    DayCorrected,
    DayStarted,
    Priority,
    Rules,
    Service,
    ServingStarted,
    Ticket,
    TicketCalled,
    TicketCancelled,
    TicketIssued,
    TicketNoShow,
    TicketParked,
    TicketRecalled,
    TicketRequeued,
    TicketServed,
    TicketTransferred,
)

# A lane is the tickets of one class that wait at one place, in calling order. A key sorts a ticket among all lanes:
# (place, 0, id) for one that waits since it was issued as the place-th of the day; (place, n, id) for the n-th that was
# put back, right behind whoever has that place.
_Key = tuple[int, int, str]
_LaneName = tuple[str, str, Priority]
_Lane = list[_Key]
_CLASSES: tuple[Priority, Priority] = ("normal", "priority")
_SOONEST: tuple[CounterState, ...] = ("open", "paused", "closed")
_DICTS = (
    "services", "counters", "tickets", "rateable",
    "_configured", "_numbers", "_last_number", "_where", "_priority_run",
)  # fmt: skip


class Ahead(NamedTuple):
    """How many are called before a ticket, and whether that is sure unless somebody comes, leaves or returns."""

    people: int
    exact: bool


class State:
    """One business day of one center: tickets, counters, and who waits where. Only `apply` changes it."""

    def __init__(self, services: Iterable[Service], counters: Iterable[Counter], rules: Rules) -> None:
        self.rules = rules
        self.day = ""
        self.services: dict[str, Service] = {service.id: service for service in services}
        self.counters: dict[str, Counter] = {counter.id: counter for counter in counters}
        self._configured = {counter.id: counter.services for counter in self.counters.values()}
        self.tickets: dict[str, Ticket] = {}
        self.rateable: dict[str, str] = {}
        """Counter → the ticket served there last, until the next one's serving starts: whom a rating is from."""
        self._numbers: dict[str, str] = {}
        self._last_number: dict[str, int] = {}
        self._issued = 0
        self._put_back = 0
        self._lanes: dict[_LaneName, _Lane] = {}
        self._where: dict[str, tuple[_LaneName, _Key]] = {}
        self._priority_run: dict[str, int] = {}

    # --- reading ---------------------------------------------------------------------------------------------------

    def by_number(self, number: str) -> Ticket | None:
        """Return today's ticket with this number."""
        ticket = self._numbers.get(number)
        return None if ticket is None else self.tickets[ticket]

    def last_number(self, letter: str) -> int:
        """Return the last number given out under a letter today, 0 before the first."""
        return self._last_number.get(letter, 0)

    def waiting(self, service: str | None = None) -> int:
        """Return how many wait, in all or for one service (those sent to one counter alone included)."""
        if service is None:
            return len(self._where)
        return sum(1 for ticket in self._where if self.tickets[ticket].service == service)

    def next_for(self, counter: str) -> str | None:
        """Return the ticket a counter would call now."""
        one = self.counters[counter]
        normal, priority = (min((lane[0] for lane in self._lanes_of(one, kind)), default=None) for kind in _CLASSES)
        if priority and (normal is None or self._priority_run.get(counter, 0) < self.rules.priority_in_a_row):
            return priority[2]
        return normal[2] if normal else None

    def waiting_for(self, counter: str) -> Iterator[Ticket]:
        """Return who waits for a counter, in the order in which it would call them if nothing else happened."""
        one = self.counters[counter]
        normal, priority = (merge(*self._lanes_of(one, kind)) for kind in _CLASSES)
        run = self._priority_run.get(counter, 0)
        ordinary, preferred = next(normal, None), next(priority, None)
        while ordinary or preferred:
            if preferred and (ordinary is None or run < self.rules.priority_in_a_row):
                yield self.tickets[preferred[2]]
                preferred, run = next(priority, None), run + 1
            elif ordinary:
                yield self.tickets[ordinary[2]]
                ordinary, run = next(normal, None), 0

    def sent_to(self, counter: str) -> list[str]:
        """Return the tickets that wait for this counter alone, in the order of their lines."""
        return [key[2] for kind in _CLASSES for key in self._lanes.get(("counter", counter, kind), ())]

    def waiting_count(self, counter: str) -> int:
        """Return how many wait for a counter."""
        one = self.counters[counter]
        return sum(len(lane) for kind in _CLASSES for lane in self._lanes_of(one, kind))

    def people_ahead(self, ticket: str) -> Ahead:
        """Return how many are called before a waiting ticket; nobody if it does not wait. See `_ahead`."""
        where = self._where.get(ticket)
        return Ahead(0, exact=True) if where is None else self._ahead(*where)

    def people_ahead_of_newcomer(self, service: str, priority: Priority) -> Ahead:
        """Return how many would be called before a ticket that was issued now. See `_ahead`."""
        return self._ahead(("service", service, priority), (self._issued + 1, 0, ""))

    def calls_at_once(self, service: str, priority: Priority) -> bool:
        """Return whether a counter is open and free, and would call a ticket that was issued now as its next."""
        name, key = ("service", service, priority), (self._issued + 1, 0, "")
        return any(
            one.state == "open" and one.ticket is None and self._before(priority, key, [one]) == 0
            for one in self._callers(name)
        )

    def copy(self) -> "State":
        """Return an independent state that is equal to this one."""
        other = State((), (), self.rules)
        other.day = self.day
        other._issued, other._put_back = self._issued, self._put_back
        for name in _DICTS:
            setattr(other, name, dict(getattr(self, name)))
        other._lanes = {name: list(lane) for name, lane in self._lanes.items()}
        return other

    def __eq__(self, other: object) -> bool:
        return isinstance(other, State) and self._facts() == other._facts()

    __hash__ = None  # type: ignore[assignment]  # it changes, so it must not be a key

    def _facts(self) -> tuple[object, ...]:
        lanes = {name: lane for name, lane in self._lanes.items() if lane}
        return self.day, self.rules, self._issued, self._put_back, lanes, *(getattr(self, name) for name in _DICTS)

    # --- what happened ---------------------------------------------------------------------------------------------

    def apply(self, event: AnyEvent) -> None:
        """Take in what happened."""
        self._apply_by_type[type(event)](self, event)

    def _day_corrected(self, event: DayCorrected) -> None:
        self.day = event.day
        self._take(event.taken)

    def _day_started(self, event: DayStarted) -> None:
        self.day = event.day
        for ticketed in (self.tickets, self.rateable, self._numbers, self._last_number, self._lanes, self._where):
            ticketed.clear()
        self._priority_run.clear()
        self._issued = self._put_back = 0
        self._take(event.taken)
        for counter in self.counters.values():
            self.counters[counter.id] = replace(
                counter,
                state="closed",
                officer=None,
                ticket=None,
                services=self._configured[counter.id],
                revision=max(event.revision, counter.revision),
            )

    def _take(self, numbers: Mapping[str, int]) -> None:
        """Go on behind the numbers that another day of this date has given out."""
        for letter, last in numbers.items():
            self._last_number[letter] = max(self.last_number(letter), last)

    def _ticket_issued(self, event: TicketIssued) -> None:
        self._issued += 1
        self.tickets[event.ticket] = Ticket(
            id=event.ticket,
            number=event.number,
            service=event.service,
            day=self.day,
            priority=event.priority,
            state="waiting",
            issued_at=event.at,
        )
        self._numbers[event.number] = event.ticket
        letter, digits = event.number[:1], event.number[1:]
        self._last_number[letter] = max(self.last_number(letter), int(digits))
        self._enter(("service", event.service, event.priority), (self._issued, 0, event.ticket))

    def _ticket_called(self, event: TicketCalled) -> None:
        ticket = self.tickets.get(event.ticket)
        if ticket is None:
            return
        self._leave(ticket.id)
        self._change(ticket, state="called", counter=event.counter, called_at=event.at, started_at=None, recalls=0)
        if event.counter is not None:
            run = self._priority_run.get(event.counter, 0)
            self._priority_run[event.counter] = run + 1 if ticket.priority == "priority" else 0
            self._touch(event.counter, ticket=ticket.id)

    def _ticket_recalled(self, event: TicketRecalled) -> None:
        ticket = self.tickets.get(event.ticket)
        if ticket is not None:
            self._change(ticket, recalls=ticket.recalls + 1)
            self._touch(event.counter)

    def _serving_started(self, event: ServingStarted) -> None:
        ticket = self.tickets.get(event.ticket)
        if ticket is not None:
            self._change(ticket, state="serving", started_at=event.at)
            self.rateable.pop(event.counter or "", None)
            self._touch(event.counter)

    def _ticket_served(self, event: TicketServed) -> None:
        ticket = self.tickets.get(event.ticket)
        if ticket is not None:
            self._change(ticket, state="served", ended_at=event.at, outcome=event.outcome)
            if event.counter in self.counters:
                self.rateable[event.counter] = ticket.id
            self._touch(event.counter, ticket=None)

    def _ticket_no_show(self, event: TicketNoShow) -> None:
        ticket = self.tickets.get(event.ticket)
        if ticket is not None:
            self._change(ticket, state="no_show", ended_at=event.at)
            self._touch(event.counter, ticket=None)

    def _ticket_parked(self, event: TicketParked) -> None:
        ticket = self.tickets.get(event.ticket)
        if ticket is not None:
            self._change(ticket, state="parked")
            self._touch(event.counter, ticket=None)

    def _ticket_transferred(self, event: TicketTransferred) -> None:
        ticket = self.tickets.get(event.ticket)
        if ticket is not None:
            self._touch(event.counter, ticket=None)
            self._wait_again(
                replace(ticket, service=event.to_service, started_at=None), event.to_counter, behind=event.behind
            )

    def _ticket_requeued(self, event: TicketRequeued) -> None:
        ticket = self.tickets.get(event.ticket)
        if ticket is not None:
            self._wait_again(replace(ticket, ended_at=None), event.counter, behind=event.behind)

    def _ticket_cancelled(self, event: TicketCancelled) -> None:
        ticket = self.tickets.get(event.ticket)
        if ticket is not None:
            self._leave(ticket.id)
            self._change(ticket, state="cancelled", ended_at=event.at)

    def _counter_opened(self, event: CounterOpened) -> None:
        services = tuple(service for service in event.services if service in self.services)
        self._touch(event.counter, state="open", officer=event.officer, services=services)

    def _counter_paused(self, event: CounterPaused) -> None:
        self._touch(event.counter, state="paused")

    def _counter_closed(self, event: CounterClosed) -> None:
        self._touch(event.counter, state="closed", officer=None)

    def _change(self, ticket: Ticket, **changes: Any) -> None:
        self.tickets[ticket.id] = replace(ticket, version=ticket.version + 1, **changes)

    def _touch(self, counter_id: str | None, **changes: Any) -> None:
        counter = self.counters.get(counter_id or "")
        if counter is not None:
            self.counters[counter.id] = replace(counter, revision=counter.revision + 1, **changes)

    # --- who waits where -------------------------------------------------------------------------------------------

    def _enter(self, name: _LaneName, key: _Key) -> None:
        insort(self._lanes.setdefault(name, []), key)
        self._where[key[2]] = (name, key)

    def _leave(self, ticket: str) -> None:
        where = self._where.pop(ticket, None)
        if where is not None:
            name, key = where
            lane = self._lanes[name]
            del lane[bisect_left(lane, key)]

    def _ahead(self, name: _LaneName, key: _Key) -> Ahead:
        """Return how many the counters that may call this ticket call before it, if nobody else comes.

        Those counters are the open ones; if none is, the paused ones; if none is, the closed ones.

        One counter calls in a known order, so the figure is exact. So it is where several would each call the same
        people first, none of them of the other class. Else it is an estimate, the lower of two that can only be too
        high: everybody who comes before the ticket at any of the counters; and what the counters call until the one
        with the fewest before the ticket reaches it, while all take equally long (so each calls at most one more than
        that one, and never more than stand before the ticket there). Open counters that may call some of those before
        the ticket, but not the ticket, are left out: they make it an estimate, too, and only shorten the wait.
        """
        callers = self._callers(name)
        if not callers:
            return Ahead(bisect_left(self._lanes.get(name, ()), key), exact=False)
        priority = name[2]
        each = [self._before(priority, key, [one]) for one in callers]
        anywhere = self._before(priority, key, callers) if len(callers) > 1 else each[0]
        fewest = min(each)
        people = min(anywhere, sum(min(one, fewest + 1) for one in each))
        if callers[0].state == "closed":
            return Ahead(people, exact=False)
        if people and len(callers) > 1:
            same_class = sum(bisect_left(lane, key) for lane in self._lanes_of_all(callers, priority))
            if any(one != same_class for one in (anywhere, *each)):
                return Ahead(people, exact=False)
        return Ahead(people, exact=not people or not self._helped(callers))

    def _helped(self, callers: list[Counter]) -> bool:
        """Return whether another open counter calls from the same lines as these."""
        ids = {one.id for one in callers}
        services = {
            service
            for one in callers
            for service in one.services
            if any(self._lanes.get(("service", service, kind)) for kind in _CLASSES)
        }
        return any(
            one.state == "open" and one.id not in ids and not services.isdisjoint(one.services)
            for one in self.counters.values()
        )

    def _callers(self, name: _LaneName) -> list[Counter]:
        """Return the counters from which a ticket of this lane can expect its call."""
        place, which, _ = name
        found = [
            one for one in self.counters.values() if (one.id == which if place == "counter" else which in one.services)
        ]
        state = min((one.state for one in found), key=_SOONEST.index, default=None)
        return [one for one in found if one.state == state]

    def _before(self, priority: Priority, key: _Key, counters: list[Counter]) -> int:
        """Return how many of both classes these counters can call before a ticket with this key; exact for one."""
        every = self.rules.priority_in_a_row
        left = [max(0, every - self._priority_run.get(one.id, 0)) for one in counters]  # until a normal one goes first
        own = sum(bisect_left(lane, key) for lane in self._lanes_of_all(counters, priority))
        other = sum(
            len(lane) for lane in self._lanes_of_all(counters, "priority" if priority == "normal" else "normal")
        )
        if priority == "normal":
            return own + min(other, sum(left) + every * own)
        turns, calls = 0, own  # a normal one goes first after so many calls of priority tickets
        for cost in sorted(left):
            if calls >= cost:
                turns, calls = turns + 1, calls - cost
        return own + min(other, turns + calls // every)

    def _lanes_of_all(self, counters: list[Counter], priority: Priority) -> list[_Lane]:
        """Return the lanes of one class that any of these counters calls from."""
        names = {("counter", one.id, priority) for one in counters}
        names.update(("service", service, priority) for one in counters for service in one.services)
        return [lane for name in names if (lane := self._lanes.get(name))]

    def _wait_again(self, ticket: Ticket, counter: str | None, *, behind: int) -> None:
        """Put a ticket back into line behind `behind` others, wherever it may be called."""
        self._leave(ticket.id)
        lane: _LaneName
        if counter is None:
            lane = ("service", ticket.service, ticket.priority)
            callers = [
                other
                for other in self.counters.values()
                if other.state != "closed" and ticket.service in other.services
            ]
        else:
            lane = ("counter", counter, ticket.priority)
            callers = [self.counters[counter]] if counter in self.counters else []
        self._put_back += 1
        place = self._place_behind(behind, lane, callers)
        self._change(ticket, state="waiting", counter=counter, behind=behind)
        self._enter(lane, (place, self._put_back, ticket.id))

    def _place_behind(self, behind: int, lane: _LaneName, callers: list[Counter]) -> int:
        """Return the place that lets `behind` others go first at each of the counters that may call it.

        Between two that were put back stays at least one who never left, so a stream of them starves nobody.
        """
        groups = [self._lanes_of(caller, lane[2]) for caller in callers] or [[self._lanes.get(lane, [])]]
        place = max((self._nth_place(group, behind) for group in groups), default=self._issued)
        lanes = [one for group in groups for one in group]
        last = max((key[0] for one in lanes for key in one if key[1]), default=-1)
        if last < place:
            return place
        after = [one[at][0] for one in lanes if (at := bisect_left(one, (last + 1,))) < len(one)]
        return min(after, default=last)

    def _nth_place(self, lanes: list[_Lane], behind: int) -> int:
        first = list(islice(merge(*lanes), max(behind, 1)))
        if not first:
            return self._issued
        return first[-1][0] if behind else first[0][0] - 1

    def _lanes_of(self, counter: Counter, priority: Priority) -> list[_Lane]:
        """Return the lanes of one class that a counter calls from."""
        lanes = [self._lanes.get(("counter", counter.id, priority))]
        lanes += [self._lanes.get(("service", service, priority)) for service in counter.services]
        return [lane for lane in lanes if lane]

    _apply_by_type: ClassVar[dict[type, Callable[["State", Any], None]]] = {
        DayCorrected: _day_corrected,
        DayStarted: _day_started,
        TicketIssued: _ticket_issued,
        TicketCalled: _ticket_called,
        TicketRecalled: _ticket_recalled,
        ServingStarted: _serving_started,
        TicketServed: _ticket_served,
        TicketNoShow: _ticket_no_show,
        TicketParked: _ticket_parked,
        TicketTransferred: _ticket_transferred,
        TicketRequeued: _ticket_requeued,
        TicketCancelled: _ticket_cancelled,
        CounterOpened: _counter_opened,
        CounterPaused: _counter_paused,
        CounterClosed: _counter_closed,
    }
