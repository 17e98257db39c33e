"""What each screen shows, as data: pure functions of the mirror. The stream sends the keys that differ."""

from typing import Any, Literal

from msgspec.structs import replace

from center.fleet.fleet import Board
from center.fleet.signs import center_clock
from center.queue.model import Counter, Priority, Service, Ticket
from center.queue.state import State
from center.web.devices import DeviceView, look
from center.web.mirror import Mirror
from contract.scales import Scale

View = dict[str, Any]
Phase = Literal["closed", "paused", "idle", "called", "serving"]

CALLS_ON_BOARD = 9
NEXT_ON_BOARD = 4
_ON_BOARD = frozenset({"called", "serving", "served", "parked"})
WAITING_ON_DESK = 60
ASIDE_ON_DESK = 8

# From the least satisfied up, by how many levels the scale has.
_MOODS = {
    3: ("upset", "content", "delighted"),
    4: ("upset", "neutral", "content", "delighted"),
    5: ("upset", "unhappy", "neutral", "content", "delighted"),
}
_PRIMARY: dict[Phase, str] = {
    "closed": "open",
    "paused": "resume",
    "idle": "call_next",
    "called": "start",
    "serving": "finish",
}


def board(mirror: Mirror) -> View:
    """Return the hall board: the calls, newest first, who is next, how many wait.

    Who did not come, or waits again, is not among the calls: nobody was served.
    """
    state = mirror.state
    found = ((call, state.tickets.get(call.ticket)) for call in reversed(mirror.calls))
    calls = [
        {
            "key": call.key,
            "number": ticket.number,
            "counter": state.counters[call.counter].label,
            "service": ticket.service,
            "state": ticket.state,
            "at": call.at,
        }
        for call, ticket in found
        if ticket and ticket.state in _ON_BOARD and call.counter in state.counters
    ][:CALLS_ON_BOARD]
    return {
        "calls": calls,
        "next": _next(mirror),
        "waiting": state.waiting(),
        "services": {service.id: _names(service) for service in state.services.values()},
    }


def large_call(calls: list[View]) -> View | None:
    """Return the call for the board's large place: the newest that still waits for its citizen, else the newest."""
    return next((call for call in calls if call["state"] == "called"), calls[0] if calls else None)


def _next(mirror: Mirror) -> list[str]:
    """Return the numbers that the open counters would call now."""
    state = mirror.state
    found = {
        ticket
        for counter in state.counters.values()
        if counter.state == "open" and (ticket := state.next_for(counter.id))
    }
    return [ticket.number for ticket in sorted((state.tickets[one] for one in found), key=_age)][:NEXT_ON_BOARD]


def _age(ticket: Ticket) -> tuple[int, str]:
    return ticket.issued_at, ticket.id


def desk(mirror: Mirror, counter_id: str) -> View:
    """Return an officer's desk: the ticket, what may be done with it, who waits, what the day was like."""
    state = mirror.state
    counter = state.counters[counter_id]
    ticket = state.tickets.get(counter.ticket) if counter.ticket else None
    waiting = []
    for one in state.waiting_for(counter_id):
        waiting.append(_line(one, counter))
        if len(waiting) == WAITING_ON_DESK:
            break
    phase = _phase(counter, ticket)
    tally = mirror.tally(counter_id)
    return {
        "counter": counter,
        "ticket": ticket,
        "phase": phase,
        "primary": _PRIMARY[phase],
        "ready": phase != "idle" or bool(waiting),
        "allowed": _allowed(counter, ticket, state.rules.max_recalls),
        "max_recalls": state.rules.max_recalls,
        "waiting": waiting,
        "waiting_count": state.waiting_count(counter_id),
        "aside": _aside(mirror, counter),
        "figures": {
            "served": tally.served,
            "no_show": tally.no_show,
            "service_ms": tally.service_ms,
            "wait_ms": tally.wait_ms,
        },
        "services": [{"id": service.id, **_names(service)} for service in state.services.values()],
        "counters": [{"id": one.id, "label": one.label, "state": one.state} for one in state.counters.values()],
    }


def _phase(counter: Counter, ticket: Ticket | None) -> Phase:
    if ticket is not None:
        return "serving" if ticket.state == "serving" else "called"
    return "idle" if counter.state == "open" else counter.state


def _allowed(counter: Counter, ticket: Ticket | None, max_recalls: int) -> list[str]:
    if ticket is None:
        return {"open": ["call", "pause", "close"], "paused": ["close"], "closed": []}[counter.state]
    allowed = ["park", "transfer"]
    if counter.state == "open":
        allowed.append("pause")  # the ticket stays; nobody else is called after it
    if ticket.state == "called":
        allowed.append("no_show")
        if ticket.recalls < max_recalls:
            allowed.append("recall")
    return allowed


def _aside(mirror: Mirror, counter: Counter) -> list[View]:
    tickets = (mirror.state.tickets[ticket] for ticket in reversed(mirror.aside))
    mine = (one for one in tickets if one.counter == counter.id or one.service in counter.services)
    return [_line(ticket, counter) for ticket, _ in zip(mine, range(ASIDE_ON_DESK), strict=False)]


def _line(ticket: Ticket, counter: Counter) -> View:
    return {
        "id": ticket.id,
        "number": ticket.number,
        "service": ticket.service,
        "priority": ticket.priority,
        "state": ticket.state,
        "issued_at": ticket.issued_at,
        "version": ticket.version,
        "only_here": ticket.state == "waiting" and ticket.counter == counter.id,
    }


def _names(service: Service) -> dict[str, str]:
    return {"vi": service.vi, "en": service.en}


def kiosk(mirror: Mirror) -> View:
    """Return the kiosk: the services, how many go before who takes a number now, which counters serve it now."""
    state = mirror.state
    return {
        "services": [
            {
                "id": service.id,
                **_names(service),
                "before": {kind: _before(state, service.id, kind) for kind in ("normal", "priority")},
                "counters": [
                    counter.label
                    for counter in state.counters.values()
                    if counter.state != "closed" and service.id in counter.services
                ],
            }
            for service in state.services.values()
        ]
    }


def _before(state: State, service: str, priority: Priority) -> View:
    people, exact = state.people_ahead_of_newcomer(service, priority)
    return {"people": people, "exact": exact, "at_once": state.calls_at_once(service, priority)}


def rating(mirror: Mirror, counter_id: str, *, scale: Scale, arm_ms: int) -> View:
    """Return the rating tablet of a counter: for whom it is open and until when, and the scale."""
    state = mirror.state
    ticket = state.tickets.get(state.rateable.get(counter_id, ""))
    armed = None
    if ticket is not None and ticket.ended_at is not None and ticket.id not in mirror.rated:
        armed = {"ticket": ticket.id, "number": ticket.number, "until": ticket.ended_at + arm_ms}
    moods = _MOODS[len(scale.levels)]
    return {
        "counter": {"id": counter_id, "label": state.counters[counter_id].label},
        "armed": armed,
        "scale": [
            {"level": level.level, "vi": level.vi, "en": level.en, "mood": moods[at]}
            for at, level in enumerate(scale.levels)
        ],
    }


def devices(mirror: Mirror, now_ms: int, *, reached: bool, board: Board) -> dict[str, DeviceView]:
    """Return the devices by name, each judged by what it said last; while no word gets through, of none is known."""
    off = center_clock(mirror.devices.values())
    seen = {
        name: look(device, now_ms, strip=board.strips.get(name, ""), center_is_off=off, revoked=name in board.revoked)
        for name, device in mirror.devices.items()
    }
    if reached:
        return seen
    return {
        name: one if one.level == "revoked" else replace(one, level="unknown", why=()) for name, one in seen.items()
    }
