"""The ledger: the queue's state and the store behind it, kept equal. No threads: the hall's one thread uses it.

A round decides its asks one after another, each on the state the earlier ones made, and commits them together. Until
the commit nobody is told anything; if it fails the state is what the committed events make of it, so nothing happened.
"""

import hashlib
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import TypeVar

import msgspec
import sqlalchemy as sa
from msgspec.structs import asdict, replace

from center.answers import Answer, Arrival, Change, Delivery, Device, Done, Panic, RatingStored, Sighting, Snapshot
from center.clock import Clock, business_day
from center.config import Config
from center.namesakes import Machines
from center.queue.engine import decide
from center.queue.messages import refuse
from center.queue.model import (
    AnyCommand,
    AnyEvent,
    Call,
    CallNext,
    Cancel,
    CorrectDay,
    Counter,
    CounterCommand,
    DayStarted,
    Issue,
    Refusal,
    Requeue,
    StartDay,
    Ticket,
)
from center.queue.state import State
from center.storage import tables
from center.storage.store import Batch, Row, Store
from contract.events import DeviceHealth
from contract.states import Status

log = logging.getLogger(__name__)

T = TypeVar("T")

COMMANDS_KEPT_MS = 3 * 86_400_000
"""First answers are kept so long, at least."""

ASK = 200
"""What a key asked is kept in so many characters."""

STEP_MS = 60_000
"""A wall clock that gained or lost more since the last round was set by somebody."""

CLOSED_DAYS = 31
"""A day that begins so long after the one before is worth a question: Tet is shorter, a wrong clock seldom is."""

DEVICES = 2_000
"""A center has fewer; what claims to be one more is not kept."""


SEEN_EVERY_MS = 10_000
"""How exact the stored time is at which a device was seen last."""


class _Kept(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A first answer as it is stored."""

    refusal: Refusal | None = None
    ticket: Ticket | None = None
    counter: Counter | None = None


_encode = msgspec.json.Encoder().encode
_kept_decoder = msgspec.json.Decoder(_Kept)
_event_decoder: msgspec.json.Decoder[AnyEvent] = msgspec.json.Decoder(AnyEvent)
_status_decoder = msgspec.json.Decoder(Status)
_health_decoder = msgspec.json.Decoder(DeviceHealth)


@dataclass(slots=True)
class Round:
    """What one commit will hold, while it is being decided."""

    batch: Batch = field(default_factory=Batch)
    events: list[AnyEvent] = field(default_factory=list)
    tickets: dict[str, Ticket] = field(default_factory=dict)
    earlier: Mapping[str, tuple[str, str]] = field(default_factory=dict)  # of keys used before: ask and first answer
    answers: dict[str, tuple[str, Answer]] = field(default_factory=dict)
    ratings: list[RatingStored] = field(default_factory=list)
    rated: set[str] = field(default_factory=set)
    panics: list[Panic] = field(default_factory=list)
    device_events: set[str] = field(default_factory=set)
    devices: dict[tuple[str, str], Device] = field(default_factory=dict)
    clock_ahead_ms: int = 0  # the wall clock, less the one that never steps


class Ledger:
    """State and store. `begin`, any number of `ask`, `rate`, `deliver`, then `commit`; `undo` after any failure."""

    def __init__(self, config: Config, store: Store, clock: Clock) -> None:
        self._config, self._store, self._clock = config, store, clock
        self._zone = config.zone
        kept = store.load()
        self._seq = kept.last_seq
        self._log: list[AnyEvent] = [_event_decoder.decode(body) for body in kept.events]
        self._devices = {(row["station"], row["device"]): _device(row) for row in kept.devices}
        self._written = {name: device.seen_at for name, device in self._devices.items()}
        self._ignored_device = False
        self._clock_was_behind = False
        self._doubted = ""
        self._clock_ahead_ms: int | None = None
        self.state = self._replayed()
        self._rated_tickets = store.rated(list(self.state.tickets))
        self.streams: tuple[Row, ...] = tuple(kept.streams)
        """How far each outbox had been stored when the ledger was opened."""

    def close(self) -> None:
        """Let the store go."""
        self._store.close()

    def transact(self, job: Callable[[sa.Connection], T]) -> T:
        """Run a job on the store in a transaction of its own. Only between rounds."""
        return self._store.transact(job)

    def snapshot(self) -> Snapshot:
        """Return a copy of what is. Only between rounds."""
        return Snapshot(
            state=self.state.copy(), devices=tuple(self._devices.values()), rated=frozenset(self._rated_tickets)
        )

    # --- a round ---------------------------------------------------------------------------------------------------

    def begin(self, this: Round, keys: Collection[str] = ()) -> None:
        """Start a round of asks with these keys.

        A new business day begins with it, unless the date only changed because the clock was set.
        """
        now = self._clock.now_ms()
        day = business_day(now, self._zone)
        this.clock_ahead_ms = now - round(self._clock.monotonic_s() * 1000)
        was_set = self._clock_ahead_ms is not None and abs(this.clock_ahead_ms - self._clock_ahead_ms) > STEP_MS
        if was_set and self.state.day and day != self.state.day:
            log.warning("the clock was set from %s to %s: the queue goes on as it is", self.state.day, day)
            events = decide(self.state, CorrectDay(at=now, day=day, taken=self._store.last_numbers(day)))
            if isinstance(events, list):
                self._happen(this, events, actor="center", key=None)
        elif day > self.state.day:
            self._doubt(day)
            events = decide(self.state, StartDay(at=now, day=day, taken=self._store.last_numbers(day)))
            if isinstance(events, list):
                self._happen(this, events, actor="center", key=None)
            this.batch.forget_commands_before = now - COMMANDS_KEPT_MS
        elif day < self.state.day and not self._clock_was_behind:
            log.warning(
                "the clock says %s, but %s has begun already: set the clock of this machine", day, self.state.day
            )
        self._clock_was_behind = day < self.state.day
        this.earlier = self._store.answered(keys, since=this.batch.forget_commands_before or 0)

    def _doubt(self, day: str) -> None:
        """Ask whether the clock is right that begins a day long after the last one; a center may have been closed."""
        before = self.state.day
        if (
            before
            and day != self._doubted
            and (date.fromisoformat(day) - date.fromisoformat(before)).days > CLOSED_DAYS
        ):
            self._doubted = day
            log.warning(
                "the last day of the record is %s and the clock says %s: if that is wrong, set the clock of this"
                " machine now; the date is corrected then, and no number is given out again",
                before,
                day,
            )

    def ask(self, this: Round, command: AnyCommand, *, key: str, actor: str, late: bool = False) -> Answer:
        """Decide a command; one that is late is refused, for good."""
        ask = _ask(command)
        earlier = self._earlier(this, key, ask)
        if earlier is not None:
            return earlier
        if isinstance(command, Issue) and command.ticket_id in self.state.tickets:
            return refuse("key_reused")
        events = refuse("request_expired") if late else decide(self.state, command)
        answer: Answer
        if isinstance(events, Refusal):
            answer = events
        else:
            self._happen(this, events, actor=actor, key=key)
            answer = self._done(command, events)
        self._remember(this, answer, key=key, ask=ask, at=command.at, actor=actor)
        return answer

    def rate(self, this: Round, rating: RatingStored, *, key: str, actor: str) -> Answer:
        """Count a press on a rating page."""
        ask = f"rate {rating.level} {rating.counter} {rating.ticket}"[:ASK]
        earlier = self._earlier(this, key, ask)
        if earlier is not None:
            return earlier
        answer = self._rated(this, rating)
        self._remember(this, answer, key=key, ask=ask, at=rating.given_at, actor=actor)
        return answer

    def _rated(self, this: Round, rating: RatingStored) -> Answer:
        if self._config.scale.level(rating.level) is None:
            return refuse("unknown_level", level=str(rating.level))
        wanted = rating.ticket or ""
        ticket = self.state.tickets.get(wanted)
        # A tablet out of contact keeps a press that it gave thanks for, also over midnight.
        served_at = self._store.served_at(wanted) if ticket is None else _served_at(ticket)
        if served_at != rating.counter:
            return refuse("not_rateable")
        if wanted in this.rated or self._rated_before([wanted]):
            return refuse("already_rated")
        self._count(this, rating)
        return Done(ticket=ticket, counter=self.state.counters.get(rating.counter))

    def deliver(self, this: Round, delivery: Delivery) -> None:
        """Take in what arrived from the broker; what is stored already is dropped by its id."""
        self._arrive(this, delivery.arrivals)
        for sighting in delivery.sightings:
            self._see(this, sighting)
        this.batch.quarantine += delivery.quarantine
        this.batch.streams += delivery.streams

    def _arrive(self, this: Round, arrivals: Sequence[Arrival]) -> None:
        ratings = [arrival.rating for arrival in arrivals if arrival.rating is not None]
        # A rating is looked up in any case: if its id was another's, its ticket would count as rated without one; so is
        # what is said of an incident, and a panic.
        doubtful = [rating.id for rating in ratings]
        doubtful += [
            arrival.row["id"]
            for arrival in arrivals
            if arrival.rating is None
            and (arrival.incident is not None or arrival.panic is not None or not arrival.fresh)
        ]
        known = self._store.known_events(doubtful)
        this.rated |= self._rated_before([rating.ticket for rating in ratings if rating.ticket is not None])
        for arrival in arrivals:
            event_id = arrival.row["id"]
            if event_id in known or event_id in this.device_events:
                continue
            this.device_events.add(event_id)
            this.batch.device_events.append(arrival.row)
            if arrival.incident is not None:
                this.batch.incidents.append(arrival.incident)
            if arrival.panic is not None:
                this.panics.append(arrival.panic)
            rating = arrival.rating
            if rating is not None and rating.ticket not in this.rated:
                self._count(this, rating)

    def _rated_before(self, tickets: Sequence[str]) -> set[str]:
        """Return which of these tickets had their rating before this round; those of today are known by heart."""
        today = self._rated_tickets.intersection(tickets)
        return today | self._store.rated([ticket for ticket in tickets if ticket not in self.state.tickets])

    def _count(self, this: Round, rating: RatingStored) -> None:
        if rating.ticket is not None:
            this.rated.add(rating.ticket)
        this.ratings.append(rating)
        this.batch.ratings.append(
            {
                "id": rating.id,
                "ticket": rating.ticket,
                "counter": rating.counter,
                "source": rating.source,
                "scale": rating.scale,
                "level": rating.level,
                "given_at": rating.given_at,
                "received_at": self._clock.now_ms(),
            }
        )

    def _see(self, this: Round, sighting: Sighting) -> None:
        name = (sighting.station, sighting.device)
        known = this.devices.get(name) or self._devices.get(name)
        if known is None:
            if len(self._devices) + len(this.devices) >= DEVICES:
                if not self._ignored_device:
                    log.warning("more than %d devices: %s/%s and later ones are not listed", DEVICES, *name)
                self._ignored_device = True
                return
            known = Device(station=sighting.station, device=sighting.device, seen_at=sighting.at)
        this.devices[name] = replace(
            known,
            # What was seen in a future that the clock has left since was seen before now at the latest.
            seen_at=max(min(known.seen_at, self._clock.now_ms()), sighting.at),
            status=sighting.status or known.status,
            health=sighting.health or known.health,
            reported=known.reported if sighting.reported is None else sighting.reported,
            ahead_ms=known.ahead_ms if sighting.health is None else sighting.ahead_ms,
            machines=_machines(known, sighting),
        )

    def commit(self, this: Round) -> Change | None:
        """Make the round last; returns what changed, if anything. Raises StoreError: then `undo`."""
        batch = this.batch
        batch.tickets = [asdict(ticket) for ticket in this.tickets.values()]
        batch.devices = [
            _device_row(device) for name, device in this.devices.items() if self._worth_writing(name, device)
        ]
        began_s = self._clock.monotonic_s()
        if batch:
            self._store.write(batch)
        commit_s = self._clock.monotonic_s() - began_s
        self._clock_ahead_ms = this.clock_ahead_ms
        self._seq += len(batch.queue_events)
        for event in this.events:
            if isinstance(event, DayStarted):
                self._log.clear()
                self._rated_tickets.clear()
            self._log.append(event)
        self._rated_tickets |= this.rated & self.state.tickets.keys()
        self._devices.update(this.devices)
        self._written.update({(row["station"], row["device"]): row["seen_at"] for row in batch.devices})
        if not (this.events or this.ratings or this.panics or this.devices):
            return None
        return Change(
            events=tuple(this.events),
            ratings=tuple(this.ratings),
            devices=tuple(this.devices.values()),
            panics=tuple(this.panics),
            state=self.state,
            stored=len(batch.device_events),
            commit_s=commit_s,
        )

    def forget(self, station: str, device: str) -> Change | None:
        """Take a device off the list, until it speaks again; None if it is not on it. Only between rounds."""
        name = (station, device)
        if name not in self._devices:
            return None
        table = tables.device
        delete = sa.delete(table).where(table.c.station == station, table.c.device == device)
        self._store.transact(lambda connection: connection.execute(delete))
        del self._devices[name]
        self._written.pop(name, None)
        return Change(events=(), ratings=(), devices=(), state=self.state, forgotten=(name,))

    def undo(self, this: Round) -> None:
        """Forget a round that was not committed."""
        if this.events:
            self.state = self._replayed()

    def _worth_writing(self, name: tuple[str, str], device: Device) -> bool:
        """A device that was merely seen again need not be written each time."""
        before = self._devices.get(name)
        if before is None or replace(before, seen_at=device.seen_at) != device:
            return True
        return device.seen_at - self._written.get(name, 0) >= SEEN_EVERY_MS

    # --- helpers ---------------------------------------------------------------------------------------------------

    def _replayed(self) -> State:
        state = State(self._config.services(), self._config.counters(), self._config.rules)
        for event in self._log:
            state.apply(event)
        return state

    def _happen(self, this: Round, events: Sequence[AnyEvent], *, actor: str, key: str | None) -> None:
        for event in events:
            self.state.apply(event)
            this.events.append(event)
            ticket = self.state.tickets.get(getattr(event, "ticket", ""))
            if ticket is not None:
                this.tickets[ticket.id] = ticket
            this.batch.queue_events.append(
                {
                    "seq": self._seq + len(this.events),
                    "day": self.state.day,
                    "at": event.at,
                    "body": _encode(event).decode(),
                    "actor": actor,
                    "key": key,
                }
            )

    def _done(self, command: AnyCommand, events: Sequence[AnyEvent]) -> Done:
        counter = self.state.counters.get(command.counter) if isinstance(command, CounterCommand) else None
        if isinstance(command, CallNext | Call) and counter is not None:
            about = counter.ticket
        elif isinstance(command, Requeue | Cancel):
            about = command.ticket
        else:
            about = getattr(events[-1], "ticket", None) if events else None
        return Done(ticket=self.state.tickets.get(about or ""), counter=counter, events=tuple(events))

    def _earlier(self, this: Round, key: str, ask: str) -> Answer | None:
        """Return the first answer to a key that was used."""
        if key in this.answers:
            asked, answer = this.answers[key]
            if isinstance(answer, Done):
                answer = Done(ticket=answer.ticket, counter=answer.counter, repeated=True)
        elif key in this.earlier:
            asked, kept = this.earlier[key]
            found = _kept_decoder.decode(kept)
            answer = found.refusal or Done(ticket=found.ticket, counter=found.counter, repeated=True)
        else:
            return None
        return answer if asked == ask else refuse("key_reused")

    def _remember(self, this: Round, answer: Answer, *, key: str, ask: str, at: int, actor: str) -> None:
        this.answers[key] = (ask, answer)
        if isinstance(answer, Done):
            kept = _Kept(ticket=answer.ticket, counter=answer.counter)
        else:
            kept = _Kept(refusal=answer)
        this.batch.commands.append({"key": key, "ask": ask, "at": at, "actor": actor, "answer": _encode(kept).decode()})


def _served_at(ticket: Ticket) -> str | None:
    return ticket.counter if ticket.state == "served" else None


def _ask(command: AnyCommand) -> str:
    """Return what a command asks, in one line: a key may be repeated for the same ask only."""
    parts = asdict(command)
    for volatile in ("at", "ticket_id", "seen", "version"):
        parts.pop(volatile, None)
    ask = f"{type(command).__name__} {_encode(parts).decode()}"
    if len(ask) > ASK:  # a counter that opens with dozens of services
        ask = ask[: ASK - 64] + hashlib.sha256(ask.encode()).hexdigest()
    return ask


def _device(row: Row) -> Device:
    return Device(
        station=row["station"],
        device=row["device"],
        seen_at=row["seen_at"],
        status=_status_decoder.decode(row["status"]) if row["status"] else None,
        health=_health_decoder.decode(row["health"]) if row["health"] else None,
        reported=row["reported"],
    )


def _machines(known: Device, sighting: Sighting) -> Machines | None:
    status = sighting.status
    if status is None or not sighting.at:  # what was kept, and a last will, are nobody's live word
        return known.machines
    if known.machines is None:
        return Machines(status.bootid, sighting.at)
    return known.machines.hear(status.bootid, sighting.at)


def _device_row(device: Device) -> Row:
    return {
        "station": device.station,
        "device": device.device,
        "seen_at": device.seen_at,
        "status": _encode(device.status).decode() if device.status else None,
        "health": _encode(device.health).decode() if device.health else None,
        "reported": device.reported,
    }
