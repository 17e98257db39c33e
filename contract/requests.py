"""Requests of a device and the center's replies: they expire in seconds and are never replayed from a store."""

from typing import Annotated, Literal, get_args

import msgspec

from contract.events import Text, TicketNumber

Action = Literal[
    "call_next", "call", "recall", "start", "finish", "no_show", "park", "transfer", "open", "close", "pause"
]
ACTIONS: tuple[str, ...] = get_args(Action)


class Args(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """What an action needs beside the station it comes from."""

    number: TicketNumber | None = None
    to_service: Text | None = None
    to_counter: Text | None = None
    outcome: Text | None = None


class Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An ask. `seen` is the counter's revision that the asker acted on: a later one makes the ask stale.

    So a request that the network held back, and the one the officer pressed again, cannot both call a number.
    """

    id: Annotated[str, msgspec.Meta(min_length=8, max_length=64)]
    action: Action
    args: Args = Args()
    expires_in_ms: Annotated[int, msgspec.Meta(ge=1, le=60_000)] = 5000
    seen: Annotated[int, msgspec.Meta(ge=0)] | None = None


class TicketView(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A ticket as a device may know it."""

    id: Text
    number: TicketNumber
    service: Text
    state: Text
    version: Annotated[int, msgspec.Meta(ge=0)]


class Reply(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """The answer to one request: done, or refused with a code for programs and a message for people."""

    id: Text
    ok: bool
    ticket: TicketView | None = None
    code: Text | None = None
    message: Annotated[str, msgspec.Meta(max_length=300)] | None = None


class Ack(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """The center has committed these events: all of `stream` up to `upto`, or those named by `ids`."""

    stream: Text | None = None
    upto: Annotated[int, msgspec.Meta(ge=1)] | None = None
    ids: tuple[Text, ...] = ()
