"""What the devices of a counter should be, by the state of the queue; cameras aside. Pure."""

from collections.abc import Container
from typing import Literal

from center.queue.model import Counter, Ticket
from center.queue.state import State
from contract.states import Armed, CallpadDesired, DisplayDesired, RatingDesired

Happens = Literal["closed", "open", "calling", "serving", "paused"]


def display(state: State, counter: Counter) -> DisplayDesired:
    """Return what the counter's panel should show."""
    ticket = state.tickets.get(counter.ticket or "")
    if ticket is not None:
        calling = ticket.state == "called"
        return DisplayDesired(
            revision=counter.revision,
            state="calling" if calling else "serving",
            counter=counter.label,
            number=ticket.number,
            blink=calling,
        )
    shown = "idle" if counter.state == "open" else counter.state
    return DisplayDesired(revision=counter.revision, state=shown, counter=counter.label)


def happens(state: State, counter: Counter) -> tuple[Happens, Ticket | None]:
    """Return what happens at a counter, and to whom. A pause comes first: until it ends, nothing else can be done."""
    ticket = state.tickets.get(counter.ticket or "")
    if ticket is None or counter.state == "paused":
        return counter.state, ticket
    return "calling" if ticket.state == "called" else "serving", ticket


def callpad(state: State, counter: Counter) -> CallpadDesired:
    """Return what the officer's call pad should show."""
    shown, ticket = happens(state, counter)
    return CallpadDesired(
        revision=counter.revision,
        state=shown,
        waiting=state.waiting_count(counter.id),
        number=ticket.number if ticket is not None else None,
    )


def rating(
    state: State, counter: Counter, *, now_ms: int, arm_s: int, rated: Container[str] = frozenset()
) -> RatingDesired:
    """Return for whom the rating pad should be open: the one served last, for the rest of its time.

    Not for a ticket of `rated`: its rating came another way, and a light would thank for a press that counts nothing.

    A pad is closed with a higher revision than it was opened with, though nothing else happened at the counter.
    """
    ticket = state.tickets.get(state.rateable.get(counter.id, ""))
    revision = 2 * counter.revision
    if ticket is None or ticket.ended_at is None:
        return RatingDesired(revision=revision, armed=None)
    left_ms = ticket.ended_at + arm_s * 1000 - now_ms
    if left_ms <= 0 or ticket.id in rated:
        return RatingDesired(revision=revision + 1, armed=None)
    seconds = min(-(-left_ms // 1000), arm_s)  # rounded up; a clock that stepped back opens no pad for longer
    return RatingDesired(revision=revision, armed=Armed(ticket=ticket.id, number=ticket.number, seconds=seconds))
