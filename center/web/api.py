"""The HTTP interface: commands to the hall, and questions that the mirror answers."""

import asyncio
from typing import Annotated, Literal

import msgspec
from litestar import Request, Router, get, post
from litestar.datastructures import State as AppState
from litestar.params import FromPath, HeaderParameter, JSONBody, PathParameter

from center.fleet.alerts import Alert
from center.hall import Done, Hall
from center.people.model import PeopleError, Person
from center.people.register import TooManyError
from center.queue.messages import refuse, text
from center.queue.model import (
    AnyCommand,
    Call,
    CallNext,
    Cancel,
    CloseCounter,
    Counter,
    Finish,
    Issue,
    NoShow,
    OpenCounter,
    Outcome,
    Park,
    PauseCounter,
    Priority,
    Recall,
    Refusal,
    Requeue,
    Service,
    Start,
    Ticket,
    Transfer,
)
from center.web import fleet as fleet_routes
from center.web.devices import DeviceView
from center.web.gate import (
    Problem,
    RefusedError,
    WrongField,
    actor_of,
    address_of,
    language_of,
    needs,
    people_of,
    person_of,
    refused,
)
from center.web.stream import Hub
from center.web.views import devices
from contract.events import END
from contract.ids import uuid7

Action = Literal[
    "call_next", "call", "recall", "start", "finish", "no_show", "park", "transfer", "open", "pause", "close"
]
TicketAction = Literal["requeue", "cancel"]
Key = Annotated[
    str,
    HeaderParameter(
        name="Idempotency-Key",
        min_length=1,
        max_length=128,
        description="Chosen by the asker, the same for every try of one ask: a repeat gets the first answer.",
    ),
]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
Number = Annotated[str, msgspec.Meta(pattern=f"^[A-Z][0-9]{{3,4}}{END}", description="As A007")]

HEADERS = {"key": "Idempotency-Key"}
"""What the handlers' parameters are called on the wire."""


class Body(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What every request's body has in common: frozen, and an unknown field is an error."""


class IssueBody(Body, frozen=True, kw_only=True):
    """For what a number is wanted."""

    service: Name
    priority: Priority = "normal"


class ActionBody(Body, frozen=True, kw_only=True):
    """What an action needs; `seen` is the counter's revision that the asker acted on."""

    seen: Annotated[int, msgspec.Meta(ge=0)] | None = None
    number: Number | None = None
    to_service: Name | None = None
    to_counter: Name | None = None
    outcome: Outcome | None = None
    services: Annotated[tuple[Name, ...], msgspec.Meta(min_length=1, max_length=50)] | None = None


class TicketBody(Body, frozen=True, kw_only=True):
    """The version of the ticket that the asker acted on."""

    version: Annotated[int, msgspec.Meta(ge=1)] | None = None


class RatingBody(Body, frozen=True, kw_only=True):
    """What a citizen pressed on a tablet."""

    ticket: Name
    level: Annotated[int, msgspec.Meta(ge=1, le=5)]


class LeaseBody(Body, frozen=True, kw_only=True):
    """Nothing: whoever is logged in takes the desk."""


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """A ticket and how many are called before it; `ahead_exact` is false where that is an estimate."""

    ticket: Ticket
    ahead: int
    ahead_exact: bool


class Doing(msgspec.Struct, frozen=True, kw_only=True):
    """What an action led to: the ticket it was about, and the counter now."""

    ticket: Ticket | None
    counter: Counter | None


class Rated(msgspec.Struct, frozen=True, kw_only=True):
    """The rating is stored."""

    ticket: str


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """The desk belongs to whoever asked now."""

    counter: str


class Hallway(msgspec.Struct, frozen=True, kw_only=True):
    """The center as it is: what can be asked for, where, and how many wait."""

    day: str
    services: list[Service]
    counters: list[Counter]
    waiting: dict[str, int]


class Fleet(msgspec.Struct, frozen=True, kw_only=True):
    """The devices that ever reported, open alerts and those that ended lately, and whether the broker is reached."""

    reached: bool
    devices: list[DeviceView]
    alerts: list[Alert]


# --- commands ------------------------------------------------------------------------------------------------------


@post("/tickets", status_code=201, summary="Take a number", tags=["tickets"])
async def issue(data: JSONBody[IssueBody], key: Key, state: AppState, request: Request[None, None, AppState]) -> Place:
    """Give out the next number of a service. Whoever has not logged in gets so many a minute and an hour."""
    if person_of(request) is None:
        wait_s = state["tickets"].take(address_of(request), _hall(state).clock.monotonic_s())
        if wait_s:
            raise refused(TooManyError("tickets_wait", wait_s), language_of(request))
    command = Issue(at=_hall(state).now_ms(), ticket_id=uuid7(), service=data.service, priority=data.priority)
    done = await _ask(state, command, key, request)
    assert done.ticket is not None  # noqa: S101 (an issue that is done has a ticket)
    return _place(state, done.ticket)


@post(
    "/tickets/{ticket_id:str}/{action:str}",
    status_code=200,
    summary="Put back or take out",
    tags=["tickets"],
    guards=[needs("serve")],
)
async def act_on_ticket(
    ticket_id: FromPath[str],
    action: Annotated[TicketAction, PathParameter()],
    data: JSONBody[TicketBody],
    key: Key,
    state: AppState,
    request: Request[None, None, AppState],
) -> Doing:
    """Put a parked or no-show ticket back in line, or take a waiting one out."""
    kind = Requeue if action == "requeue" else Cancel
    done = await _ask(state, kind(at=_hall(state).now_ms(), ticket=ticket_id, version=data.version), key, request)
    return Doing(ticket=done.ticket, counter=done.counter)


@post(
    "/counters/{counter_id:str}/{action:str}",
    status_code=200,
    summary="Act at a counter",
    tags=["counters"],
    guards=[needs("serve")],
)
async def act_at_counter(
    counter_id: FromPath[str],
    action: Annotated[Action, PathParameter()],
    data: JSONBody[ActionBody],
    key: Key,
    state: AppState,
    request: Request[None, None, AppState],
) -> Doing:
    """Call, recall, start, finish, and what else an officer does, under the name of who has logged in.

    Refused where somebody else works, and while a page of whoever asks is open at another counter.
    """
    person = _who(request)
    hub = _hub(state)
    leases = hub.leases
    if not leases.allows(counter_id, person):
        holder = leases.holder(counter_id)
        raise refused(PeopleError("desk_taken", who=holder.who if holder else ""), language_of(request))
    if other := leases.elsewhere(counter_id, person):
        label = hub.mirror.state.counters[other].label
        raise refused(PeopleError("desk_elsewhere", counter=label), language_of(request))
    done = await _ask(state, _command(action, counter_id, data, person, _hall(state).now_ms()), key, request)
    return Doing(ticket=done.ticket, counter=done.counter)


@post("/counters/{counter_id:str}/rating", status_code=200, summary="Rate on a tablet", tags=["ratings"])
async def rate(
    counter_id: FromPath[str],
    data: JSONBody[RatingBody],
    key: Key,
    state: AppState,
    request: Request[None, None, AppState],
) -> Rated:
    """Count what a citizen pressed; the first rating of a ticket wins.

    A ticket that was served may be rated at any later time: the tablet may have been out of contact since the press.
    How long a citizen is asked is up to the page.
    """
    asked = _hall(state).rate(
        counter=counter_id, ticket=data.ticket, level=data.level, key=key, actor=actor_of(request)
    )
    _done(await asyncio.wrap_future(asked), request)
    return Rated(ticket=data.ticket)


@post(
    "/counters/{counter_id:str}/lease",
    status_code=200,
    summary="Take a desk over",
    tags=["counters"],
    guards=[needs("serve")],
)
async def take_over(
    counter_id: FromPath[str],
    data: JSONBody[LeaseBody],  # noqa: ARG001 (an empty object: a form post from elsewhere does not reach this)
    state: AppState,
    request: Request[None, None, AppState],
) -> Taken:
    """Work at this counter from now on; another page of it becomes a spectator, and another counter is left."""
    hub, person = _hub(state), _who(request)
    counter = hub.mirror.state.counters.get(counter_id)
    if counter is None:
        raise _refused(refuse("unknown_counter", counter=counter_id), request)
    if before := hub.take_over(counter_id, person):
        await people_of(request).record(person.actor, "desk_taken_over", counter_id, f"from {before.account}")
    if counter.state == "open" and counter.officer not in (None, person.full_name):
        again = OpenCounter(at=_hall(state).now_ms(), counter=counter_id, officer=person.full_name)
        await _ask(state, again, uuid7(), request)
    return Taken(counter=counter_id)


def _command(action: Action, counter: str, body: ActionBody, person: Person, at: int) -> AnyCommand:
    seen = body.seen
    match action:
        case "call_next":
            return CallNext(at=at, counter=counter, seen=seen)
        case "call":
            if body.number is None:
                raise _unusable("number", _MISSING)
            return Call(at=at, counter=counter, seen=seen, number=body.number)
        case "recall":
            return Recall(at=at, counter=counter, seen=seen)
        case "start":
            return Start(at=at, counter=counter, seen=seen)
        case "finish":
            return Finish(at=at, counter=counter, seen=seen, outcome=body.outcome)
        case "no_show":
            return NoShow(at=at, counter=counter, seen=seen)
        case "park":
            return Park(at=at, counter=counter, seen=seen)
        case "transfer":
            if body.to_service is None and body.to_counter is None:
                raise _unusable("to_service", _MISSING)
            return Transfer(at=at, counter=counter, seen=seen, to_service=body.to_service, to_counter=body.to_counter)
        case "open":
            return OpenCounter(at=at, counter=counter, seen=seen, officer=person.full_name, services=body.services)
        case "pause":
            return PauseCounter(at=at, counter=counter, seen=seen)
        case _:
            return CloseCounter(at=at, counter=counter, seen=seen)


_MISSING = "is required for this action"


def _unusable(field: str, reason: str) -> RefusedError:
    wrong = WrongField(field=field, reason=reason)
    return RefusedError(422, Problem(code="request_invalid", message=f"{field}: {reason}", fields=(wrong,)))


# --- questions -----------------------------------------------------------------------------------------------------


@get("/tickets/{ticket_id:str}", summary="One ticket", tags=["tickets"])
async def ticket(ticket_id: FromPath[str], state: AppState, request: Request[None, None, AppState]) -> Place:
    """Return a ticket of today and how many are called before it."""
    hub = _hub(state)
    hub.catch_up()
    found = hub.mirror.state.tickets.get(ticket_id)
    if found is None:
        raise _refused(refuse("unknown_ticket"), request)
    return _place(state, found)


@get("/state", summary="The center now", tags=["center"], guards=[needs("serve")])
async def hallway(state: AppState) -> Hallway:
    """Return services, counters, and how many wait for each service."""
    hub = _hub(state)
    hub.catch_up()
    queue = hub.mirror.state
    return Hallway(
        day=queue.day,
        services=list(queue.services.values()),
        counters=list(queue.counters.values()),
        waiting={service: hub.mirror.waiting[service] for service in queue.services},
    )


@get("/devices", summary="The devices", tags=["devices"], guards=[needs("see_devices")])
async def fleet(state: AppState) -> Fleet:
    """Return every device with what it said last, and whether it needs a look."""
    hub = _hub(state)
    hub.catch_up()
    reached, board = hub.reached(), hub.board()
    known = devices(hub.mirror, _hall(state).now_ms(), reached=reached, board=board)
    return Fleet(reached=reached, devices=list(known.values()), alerts=list(board.alerts))


# --- between the two -----------------------------------------------------------------------------------------------

_LATER = frozenset({"stopping", "overloaded", "store_failed", "store_full"})
_NOT_THERE = frozenset({"unknown_counter", "unknown_ticket"})
_FIELD_AT_FAULT = {"unknown_service": "service", "unknown_level": "level"}


def _hall(state: AppState) -> Hall:
    hall: Hall = state["hall"]
    return hall


def _hub(state: AppState) -> Hub:
    hub: Hub = state["hub"]
    return hub


def _place(state: AppState, ticket: Ticket) -> Place:
    hub = _hub(state)
    if ticket.id not in hub.mirror.state.tickets:
        hub.catch_up()  # the hall tells its listeners before it answers
    ahead = hub.mirror.state.people_ahead(ticket.id)
    return Place(ticket=ticket, ahead=ahead.people, ahead_exact=ahead.exact)


async def _ask(state: AppState, command: AnyCommand, key: str, request: Request[None, None, AppState]) -> Done:
    asked = _hall(state).submit(command, key=key, actor=actor_of(request))
    return _done(await asyncio.wrap_future(asked), request)


def _done(answer: Done | Refusal, request: Request[None, None, AppState]) -> Done:
    if isinstance(answer, Done):
        return answer
    raise _refused(answer, request)


def _refused(answer: Refusal, request: Request[None, None, AppState]) -> RefusedError:
    status: int = 409
    fields: tuple[WrongField, ...] = ()
    if answer.code in _LATER:
        status = 503
    elif answer.code in _NOT_THERE:
        status = 404
    elif answer.code in _FIELD_AT_FAULT:
        status = 422
        fields = (WrongField(field=_FIELD_AT_FAULT[answer.code], reason=answer.message),)
    return RefusedError(status, Problem(code=answer.code, message=text(answer, language_of(request)), fields=fields))


def _who(request: Request[None, None, AppState]) -> Person:
    person = person_of(request)
    if person is None:  # logged out since the guard looked
        raise refused(PeopleError("login_needed"), language_of(request))
    return person


def api_router() -> Router:
    """Return the routes below /api."""
    return Router(
        path="/api",
        route_handlers=[
            *[issue, act_on_ticket, act_at_counter, rate, take_over, ticket, hallway, fleet],
            *fleet_routes.routes(),
        ],
        response_headers={"cache-control": "no-store"},
    )
