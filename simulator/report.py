"""The day's account: what people saw is held against what the center's database says. Pure arithmetic.

Three sources that know nothing of one another are compared:

* the **journal** of the people: what the kiosks answered, which numbers the decoded panels showed, which calls the
  officers asked for and got, which presses the hands made and which of them a light (or the tablet's page) confirmed;
* the **store**: rows read from the center's database with sqlite3 after the day has drained;
* the seeded **plan**: how many visits there had to be.

What the figures mean:

* `numbers_duplicated`: a number on two tickets, one touch with two tickets, or a ticket that nobody was given.
* `calls_duplicated`: numbers called while another counter had them, shown on a panel whose officer had not called
  them, or called in the database more often than an officer had asked and seen.
* `ratings_pressed`: tickets whose hand saw "stored" (the pad's light, the tablet's thanks);
  `ratings_unconfirmed`: pressed, but no light was seen: these may be stored or not, and nobody was promised anything.
* `ratings_lost`: confirmed, but not in the database as it was pressed. `ratings_duplicated`: counted twice for one
  ticket, or counted although no hand pressed.
* `call_to_panel_ms`: from the officer's ask (end of the debounce time of the call pad, or the page's request) to the
  panel having decoded the number. `press_to_light_ms`: from the end of the pad's debounce time to the pin of the
  confirming light. `press_to_stored_ms`: from the end of the debounce time to the center's acknowledgement of the
  event, which it sends after its commit, heard by a listener of our own on the broker; so the figure holds the commit
  and the way back. All on CLOCK_MONOTONIC of one host.
"""

import math
from collections import Counter as Tally
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Step = Literal["got", "returned", "ended"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Slip:
    """What a kiosk was answered for one touch (one idempotency key)."""

    touch: str
    ticket: str
    number: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """A panel began to show a number."""

    counter: str
    number: str
    at_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Handling:
    """What an officer did with a number: got it by an own call, returned it to the queue, or ended the visit."""

    counter: str
    number: str
    step: Step
    asked_ns: int | None = None
    shown_ns: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Press:
    """A hand's attempt to rate. `counts_ns`: end of the debounce time; `light_ns`: when it was confirmed, if at all."""

    ticket: str
    level: int
    way: Literal["pad", "tablet"]
    counts_ns: int
    light_ns: int | None


@dataclass(slots=True)
class Journal:
    """What the people saw and did, in order."""

    slips: list[Slip] = field(default_factory=list)
    sightings: list[Sighting] = field(default_factory=list)
    handlings: list[Handling] = field(default_factory=list)
    presses: list[Press] = field(default_factory=list)
    endings: dict[str, Literal["served", "no_show"]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredTicket:
    """A ticket's row."""

    id: str
    number: str
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredEvent:
    """A queue event's row: `kind` is the event's tag, as `ticket_called`."""

    kind: str
    ticket: str
    counter: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRating:
    """A counted rating's row. `acknowledged_ns`: when the center's word of it was heard; None if it was not."""

    ticket: str | None
    level: int
    acknowledged_ns: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """What the database says after the day."""

    tickets: Sequence[StoredTicket]
    events: Sequence[StoredEvent]
    ratings: Sequence[StoredRating]
    quarantined: int = 0


@dataclass(frozen=True, slots=True)
class Verdict:
    """The figures, and every reason why the day was not good."""

    figures: Mapping[str, Any]
    reasons: Sequence[str]

    @property
    def good(self) -> bool:
        """Whether nothing was lost, duplicated or left undone."""
        return not self.reasons


def judge(journal: Journal, stored: Stored, *, visits: int) -> Verdict:
    """Hold what people saw against what is stored."""
    reasons: list[str] = []
    numbers_duplicated = _numbers_duplicated(journal, stored, reasons)
    calls_duplicated = _calls_duplicated(journal, stored, reasons)
    ratings = _ratings(journal, stored, reasons)
    _completeness(journal, stored, visits, reasons)
    calls = [handling for handling in journal.handlings if handling.step == "got"]
    figures = {
        "issued": len({slip.ticket for slip in journal.slips}),
        "called": len({event.ticket for event in stored.events if event.kind == "ticket_called"}),
        "served": sum(ticket.state == "served" for ticket in stored.tickets),
        "no_show": sum(ticket.state == "no_show" for ticket in stored.tickets),
        "calls_duplicated": calls_duplicated,
        "numbers_duplicated": numbers_duplicated,
        **ratings,
        "call_to_panel_ms": spread(
            call.shown_ns - call.asked_ns for call in calls if call.asked_ns is not None and call.shown_ns is not None
        ),
        "press_to_stored_ms": spread(_stored_after(journal, stored)),
        "press_to_light_ms": spread(
            press.light_ns - press.counts_ns
            for press in journal.presses
            if press.way == "pad" and press.light_ns is not None
        ),
    }
    return Verdict(figures, reasons)


def spread(durations_ns: Iterable[int]) -> dict[str, float | None]:
    """Return the median and the 99th percentile in milliseconds (nearest rank); None where nothing was measured."""
    ordered = sorted(durations_ns)
    if not ordered:
        return {"p50": None, "p99": None}
    return {
        name: round(ordered[math.ceil(share * len(ordered)) - 1] / 1e6, 2)
        for name, share in (("p50", 0.50), ("p99", 0.99))
    }


def _numbers_duplicated(journal: Journal, stored: Stored, reasons: list[str]) -> int:
    tickets_of: dict[str, set[str]] = defaultdict(set)
    touches: dict[str, set[str]] = defaultdict(set)
    for slip in journal.slips:
        tickets_of[slip.number].add(slip.ticket)
        touches[slip.touch].add(slip.ticket)
    for ticket in stored.tickets:
        tickets_of[ticket.number].add(ticket.id)
    given = {slip.ticket for slip in journal.slips}
    twice = sorted(number for number, tickets in tickets_of.items() if len(tickets) > 1)
    two_for_one = [touch for touch, tickets in touches.items() if len(tickets) > 1]
    nobodys = sorted(
        ticket.number for ticket in stored.tickets if ticket.id not in given and ticket.number not in twice
    )
    _blame(reasons, "numbers issued twice", twice)
    _blame(reasons, "touches that gave two tickets", two_for_one)
    _blame(reasons, "tickets that nobody was given", nobodys)
    return len(twice) + len(two_for_one) + len(nobodys)


def _calls_duplicated(journal: Journal, stored: Stored, reasons: list[str]) -> int:
    number_of = {ticket.id: ticket.number for ticket in stored.tickets}
    guilty: set[str] = set()

    # The officers: whoever gets a number must be the only one who has it.
    holder: dict[str, str] = {}
    for handling in journal.handlings:
        if handling.step == "returned":
            holder.pop(handling.number, None)
        elif handling.step == "got":
            if handling.number in holder:
                guilty.add(handling.number)
                reasons.append(
                    f"{handling.number} was called to {handling.counter} while {holder[handling.number]} had it"
                )
            holder[handling.number] = handling.counter

    # The database: a call is right for a ticket that waits, was parked or had not come; nobody may call it otherwise.
    callable_now: dict[str, bool] = {}
    for event in stored.events:
        if event.kind == "ticket_called":
            if not callable_now.get(event.ticket, True):
                guilty.add(number_of.get(event.ticket, event.ticket))
                reasons.append(
                    f"the database has {number_of.get(event.ticket, event.ticket)} called while it was called"
                )
            callable_now[event.ticket] = False
        elif event.kind in {"ticket_no_show", "ticket_parked", "ticket_transferred", "ticket_requeued"}:
            callable_now[event.ticket] = True

    # Both: the calls that were carried out are the calls that officers asked for and saw.
    seen = Tally((handling.counter, handling.number) for handling in journal.handlings if handling.step == "got")
    done = Tally(
        (event.counter or "", number_of.get(event.ticket, event.ticket))
        for event in stored.events
        if event.kind == "ticket_called"
    )
    for (counter, number), times in (done - seen).items():
        guilty.add(number)
        reasons.append(f"{number} was called to {counter} {times} more times than its officer asked and saw")
    for (counter, number), times in (seen - done).items():
        reasons.append(f"{number} was called to {counter}, but the database lacks {times} of these calls")

    # The panels: they show what their own counter called, and nothing else.
    for sighting in journal.sightings:
        if (sighting.counter, sighting.number) not in seen:
            guilty.add(sighting.number)
            reasons.append(f"the panel of {sighting.counter} showed {sighting.number}, which was not called there")
    sighted = {(sighting.counter, sighting.number) for sighting in journal.sightings}
    _blame(reasons, "calls that no panel showed", sorted(f"{number} at {at}" for at, number in set(seen) - sighted))
    return len(guilty)


def _ratings(journal: Journal, stored: Stored, reasons: list[str]) -> dict[str, int]:
    tried: dict[str, set[int]] = defaultdict(set)
    confirmed: dict[str, int] = {}
    for press in journal.presses:
        tried[press.ticket].add(press.level)
        if press.light_ns is not None:
            confirmed.setdefault(press.ticket, press.level)
    rows: dict[str, list[int]] = defaultdict(list)
    for rating in stored.ratings:
        rows[rating.ticket or "no ticket"].append(rating.level)
    lost = sorted(ticket for ticket, level in confirmed.items() if level not in rows.get(ticket, ()))
    twice = sorted(ticket for ticket, levels in rows.items() if len(levels) > 1)
    unpressed = sorted(
        ticket for ticket, levels in rows.items() if len(levels) == 1 and levels[0] not in tried.get(ticket, ())
    )
    _blame(reasons, "ratings confirmed by a light but not stored so", lost)
    _blame(reasons, "tickets with more than one counted rating", twice)
    _blame(reasons, "ratings stored that no hand pressed", unpressed)
    return {
        "ratings_pressed": len(confirmed),
        "ratings_stored": len(stored.ratings),
        "ratings_lost": len(lost),
        "ratings_duplicated": sum(len(rows[ticket]) - 1 for ticket in twice) + len(unpressed),
        "ratings_unconfirmed": len(set(tried) - set(confirmed)),
    }


def _completeness(journal: Journal, stored: Stored, visits: int, reasons: list[str]) -> None:
    issued = {slip.ticket for slip in journal.slips}
    if len(issued) != visits:
        reasons.append(f"{len(issued)} tickets were issued for {visits} visits")
    states = {ticket.id: ticket for ticket in stored.tickets}
    missing = sorted(slip.number for slip in journal.slips if slip.ticket not in states)
    _blame(reasons, "tickets given to people but not in the database", missing)
    undone = sorted(
        f"{ticket.number} ({ticket.state})" for ticket in stored.tickets if ticket.state not in {"served", "no_show"}
    )
    _blame(reasons, "visits that came to no end", undone)
    untrue = sorted(
        f"{states[ticket].number} ({states[ticket].state}, the officer's word is {ending})"
        for ticket, ending in journal.endings.items()
        if ticket in states and states[ticket].state != ending
    )
    _blame(reasons, "visits that ended otherwise than the officer ended them", untrue)
    unended = sorted(ticket.number for ticket in stored.tickets if ticket.id not in journal.endings)
    _blame(reasons, "visits that no officer ended", unended)
    if stored.quarantined:
        reasons.append(f"the center put {stored.quarantined} messages of its own devices aside as broken")


def _stored_after(journal: Journal, stored: Stored) -> Iterable[int]:
    """From the last press that can have caused a rating to the center's word of it, for ratings by pad."""
    presses: dict[str, list[Press]] = defaultdict(list)
    for press in journal.presses:
        presses[press.ticket].append(press)
    for rating in stored.ratings:
        mine = presses.get(rating.ticket or "", [])
        if rating.acknowledged_ns is None or any(press.way != "pad" for press in mine):
            continue
        causes = [press.counts_ns for press in mine if press.counts_ns <= rating.acknowledged_ns]
        if causes:
            yield rating.acknowledged_ns - max(causes)


def _blame(reasons: list[str], what: str, whom: Sequence[str]) -> None:
    if whom:
        shown = ", ".join(whom[:5]) + (", …" if len(whom) > 5 else "")
        reasons.append(f"{len(whom)} {what}: {shown}")
