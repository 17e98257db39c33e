"""A device's request as a command of the queue, and the hall's answer as a reply. Pure."""

from collections.abc import Callable
from typing import get_args

from center.answers import Answer
from center.queue.messages import refuse
from center.queue.model import (
    AnyCommand,
    Call,
    CallNext,
    CloseCounter,
    Finish,
    NoShow,
    OpenCounter,
    Outcome,
    Park,
    PauseCounter,
    Recall,
    Refusal,
    Start,
    Transfer,
)
from contract.requests import Reply, Request, TicketView

_AHEAD_MS = 1_000
"""A clock that reckons from ours for a while may get so far ahead of it."""

_PLAIN: dict[str, Callable[..., AnyCommand]] = {
    "call_next": CallNext,
    "recall": Recall,
    "start": Start,
    "no_show": NoShow,
    "park": Park,
    "open": OpenCounter,
    "close": CloseCounter,
    "pause": PauseCounter,
}


def command(request: Request, *, counter: str, at: int) -> AnyCommand | Refusal:
    """Return what a request of a counter's device asks of the queue."""
    args, seen = request.args, request.seen
    if make := _PLAIN.get(request.action):
        return make(at=at, counter=counter, seen=seen)
    if request.action == "call":
        if args.number is None:
            return refuse("request_invalid", reason="args.number")
        return Call(at=at, counter=counter, seen=seen, number=args.number)
    if request.action in ("renew", "upload"):  # no matter of the queue
        return refuse("request_invalid", reason="action")
    if request.action == "transfer":
        return Transfer(at=at, counter=counter, seen=seen, to_service=args.to_service, to_counter=args.to_counter)
    outcome = next((one for one in get_args(Outcome) if one == args.outcome), None)
    if outcome is None and args.outcome is not None:
        return refuse("request_invalid", reason="args.outcome")
    return Finish(at=at, counter=counter, seen=seen, outcome=outcome)


def left_ms(request: Request, *, now_ms: int) -> int | None:
    """Return how long a request that comes now may still be carried out; None if it has expired on its way.

    One that says it was made later than now reckons by a clock of another boot, so nothing is known of its age.
    """
    if request.asked_at_ms is None:
        return request.expires_in_ms
    age_ms = now_ms - request.asked_at_ms
    if not -_AHEAD_MS <= age_ms <= request.expires_in_ms:
        return None
    return request.expires_in_ms - max(age_ms, 0)


def reply(request_id: str, answer: Answer) -> Reply:
    """Return what the device is told."""
    if isinstance(answer, Refusal):
        return Reply(id=request_id, ok=False, code=answer.code, message=answer.message[:300])
    ticket = answer.ticket
    if ticket is None:
        return Reply(id=request_id, ok=True)
    view = TicketView(
        id=ticket.id, number=ticket.number, service=ticket.service, state=ticket.state, version=ticket.version
    )
    return Reply(id=request_id, ok=True, ticket=view)
