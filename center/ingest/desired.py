"""What the devices of a counter should be, by the state of the queue. Pure."""

from collections.abc import Container, Sequence
from typing import Literal

from center.answers import RatingStored
from center.queue.model import Counter
from center.queue.state import State
from contract.states import Armed, CallpadDesired, CameraDesired, DisplayDesired, Keep, RatingDesired

LOWEST = 1
"""The level of the least satisfied, on every scale."""


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


def callpad(state: State, counter: Counter) -> CallpadDesired:
    """Return what the officer's call pad should show. A pause comes first: until it ends, nothing else can be done."""
    ticket = state.tickets.get(counter.ticket or "")
    shown: Literal["closed", "open", "calling", "serving", "paused"] = counter.state
    if ticket is not None and counter.state != "paused":
        shown = "calling" if ticket.state == "called" else "serving"
    return CallpadDesired(
        revision=counter.revision,
        state=shown,
        waiting=state.waiting_count(counter.id),
        number=ticket.number if ticket is not None else None,
    )


def camera(state: State, counter: Counter, *, keep: Sequence[Keep] = ()) -> CameraDesired:
    """Return what the counter's camera should know: what happens there, whose service it is, and what it has to keep.

    Its settings stay those of the station's file.
    """
    pad = callpad(state, counter)
    ticket = counter.ticket if pad.number is not None else None
    return CameraDesired(revision=counter.revision, state=pad.state, ticket=ticket, keep=tuple(keep))


def keep_for(rating: RatingStored) -> Keep | None:
    """Return what a camera keeps because of a rating: of the lowest level, the service it is about. Else None."""
    if rating.ticket is None or rating.level != LOWEST:
        return None
    return Keep(id=rating.id, why="low_rating", ticket=rating.ticket)


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
