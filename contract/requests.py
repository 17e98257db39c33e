"""Requests of a device and the center's replies: they expire in seconds and are never replayed from a store."""

from typing import Annotated, Literal, get_args

import msgspec
from msgspec import Meta

from contract.envelope import MAX_SEQUENCE
from contract.errors import ContractError
from contract.events import END, Clip, Count, Id, Text, ThumbnailText, TicketId, TicketNumber

Action = Literal[
    "call_next",
    "call",
    "recall",
    "start",
    "finish",
    "no_show",
    "park",
    "transfer",
    "open",
    "close",
    "pause",
    "renew",
    "upload",
]
ACTIONS: tuple[str, ...] = get_args(Action)


Pem = Annotated[str, Meta(max_length=4000, pattern=r"^-----BEGIN [A-Z ]*-----[ -~\n]*-----END [A-Z ]*-----" + END)]
"""Text of one certificate, or of a request for one, without a line's end after it."""


class Args(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """What an action needs beside the station it comes from."""

    number: Annotated[TicketNumber | None, Meta(description="`call`: whom")] = None
    to_service: Annotated[Text | None, Meta(description="`transfer`: to which service")] = None
    to_counter: Annotated[Text | None, Meta(description="`transfer`: to which counter alone")] = None
    outcome: Annotated[Text | None, Meta(description="`finish`: how the visit ended")] = None
    device: Annotated[Text | None, Meta(description="`renew`: for which device of the station")] = None
    csr: Annotated[
        Pem | None, Meta(description="`renew`: the request to certify a new key (PKCS #10, PEM, ECDSA on P-256)")
    ] = None
    clip: Annotated[
        Clip | None, Meta(description="`upload`: the recording; `bytes` and `sha256` are those of `file`")
    ] = None
    file: Annotated[
        Literal["shown", "sealed"] | None,
        Meta(description="`upload`: which file of the recording: the one to look at, or the encrypted clear version"),
    ] = None
    why: Annotated[Text | None, Meta(description="`upload`: what it was kept for, as `low_rating`")] = None
    ticket: Annotated[TicketId | None, Meta(description="`upload`: the ticket whose service it shows")] = None
    thumbnail: Annotated[
        ThumbnailText | None,
        Meta(description="`upload`: a JPEG of at most 24 KB, in base64; for a recording that is of no incident"),
    ] = None


class Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An ask. `seen` is the counter's revision that the asker acted on: a later one makes the ask stale.

    So a request that the network held back, and the one the officer pressed again, cannot both call a number; and by
    `asked_at_ms` the center knows one that was held back though nothing has changed since. It needs no clock that is
    set: the asker adds to the center's last live `clock_ms` what has passed since by its own.
    """

    id: Annotated[
        str,
        Meta(
            min_length=8,
            max_length=64,
            pattern="^[!-~]*" + END,
            description="Made by the asker, new for each ask: a repeat gets the first answer and is not carried out",
        ),
    ]
    action: Annotated[Action, Meta(description="What to do at the counter that is the topic's station")]
    args: Annotated[Args, Meta(description="What the action needs")] = Args()
    expires_in_ms: Annotated[int, Meta(ge=1, le=60_000, description="Not carried out later than this")] = 5000
    asked_at_ms: Annotated[
        Count | None,
        Meta(
            description="When it was made, by the center's clock as `clock_ms` of its status told it; null while that"
            " is not known: then the time counts from the arrival"
        ),
    ] = None
    seen: Annotated[Count | None, Meta(description="The counter's revision acted on; null skips the check")] = None


class TicketView(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A ticket as a device may know it."""

    id: Annotated[Id, Meta(description="The ticket's id")]
    number: Annotated[TicketNumber, Meta(description="Letter and digits, as `A007`")]
    service: Annotated[Text, Meta(description="The service it was taken for")]
    state: Annotated[Text, Meta(description="What it is now, as `called`")]
    version: Annotated[Count, Meta(description="Grows with every change of the ticket")]


class Upload(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Leave to send one file of a recording over HTTP, resumable by offset (tus 1.0.0)."""

    path: Annotated[
        str, Meta(max_length=200, pattern=r"^/[!-~]*" + END, description="Where, at the center's own HTTP address")
    ]
    token: Annotated[Id, Meta(description="What lets it in (`Authorization: Bearer`); for this file alone, for hours")]
    offset: Annotated[Count, Meta(description="So much of it is there; all of it: the camera may delete its own")]


class Reply(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """The answer to one request: done, or refused with a code for programs and a message for people."""

    id: Annotated[Id, Meta(description="The request's id")]
    ok: Annotated[bool, Meta(description="Done, or refused")]
    ticket: Annotated[TicketView | None, Meta(description="The ticket it was about")] = None
    certificate: Annotated[Pem | None, Meta(description="`renew`: the certificate (X.509, PEM)")] = None
    upload: Annotated[Upload | None, Meta(description="`upload`: where to send it, and from where on")] = None
    code: Annotated[Text | None, Meta(description="Refused: why, for programs, as `queue_empty`")] = None
    message: Annotated[
        Annotated[str, Meta(max_length=500)] | None, Meta(description="Refused: why, for the officer")
    ] = None


class Ack(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """The center has committed these events: all of `stream` up to `upto`, or those named by `ids`, or both."""

    stream: Annotated[Id | None, Meta(description="The outbox; always together with `upto`")] = None
    upto: Annotated[
        Annotated[int, Meta(ge=1, le=MAX_SEQUENCE)] | None,
        Meta(description="Every event of `stream` up to this sequence is stored"),
    ] = None
    ids: Annotated[tuple[Id, ...], Meta(description="Single events that are stored")] = ()

    def __post_init__(self) -> None:
        """Refuse an ack that leaves open what it is about."""
        if (self.stream is None) != (self.upto is None):
            raise ContractError(
                "stream" if self.stream is None else "upto", "is missing: `stream` and `upto` go together"
            )
        if self.upto is None and not self.ids:
            raise ContractError("", "names no event: `stream` and `upto`, or `ids`, are needed")
