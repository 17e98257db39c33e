"""Retained states: what a device should be (`desired`), what it is (`reported`), whether it is there (`status`)."""

from typing import Annotated, Literal

import msgspec

from contract.events import Count, Text, TicketId, TicketNumber


class State(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What every retained state has in common: frozen, and no field that the contract does not know."""


class Status(State, frozen=True, kw_only=True):
    """Whether a device is there. The broker itself says `lost`: it is the last will."""

    state: Literal["online", "offline", "lost"]
    version: Text
    bootid: Text
    since: Annotated[str, msgspec.Meta(min_length=1, max_length=40, description="RFC 3339 in UTC, the device's clock")]


class Armed(State, frozen=True, kw_only=True):
    """For whom a rating pad is open, and for how long from the moment it hears this."""

    ticket: TicketId
    number: TicketNumber
    seconds: Annotated[int, msgspec.Meta(ge=1, le=600)]


class RatingDesired(State, frozen=True, kw_only=True):
    """What a rating pad should be: armed for one ticket, or not."""

    revision: Count
    armed: Armed | None


class RatingReported(State, frozen=True, kw_only=True):
    """What a rating pad is. `presses` counts every press by level since the card was made: a gap is visible."""

    revision: Count
    armed: TicketId | None
    presses: dict[str, int] = {}
    trouble: Text | None = None


class DisplayDesired(State, frozen=True, kw_only=True):
    """What a display should show."""

    revision: Count
    state: Literal["calling", "serving", "idle", "closed", "paused"]
    counter: Annotated[str, msgspec.Meta(min_length=1, max_length=8)]
    number: TicketNumber | None = None
    blink: bool = False


class DisplayReported(State, frozen=True, kw_only=True):
    """What a display really shows, and how that is known."""

    revision: Count
    text: Annotated[str, msgspec.Meta(max_length=64)]
    proof: Literal["echoed", "written", "none"]
    trouble: Text | None = None


class CallpadDesired(State, frozen=True, kw_only=True):
    """What an officer's call pad should show; `revision` is the counter's, and goes back as a request's `seen`."""

    revision: Count
    state: Literal["closed", "open", "calling", "serving", "paused"]
    waiting: Count = 0
    number: TicketNumber | None = None


class CallpadReported(State, frozen=True, kw_only=True):
    """What a call pad is."""

    revision: Count
    trouble: Text | None = None


DESIRED: dict[str, type[State]] = {"rating": RatingDesired, "display": DisplayDesired, "callpad": CallpadDesired}
REPORTED: dict[str, type[State]] = {"rating": RatingReported, "display": DisplayReported, "callpad": CallpadReported}
"""Kind of device → the type of its state."""
