"""Facts: what happened at a device, in the past tense. Each type names itself on the wire with `TYPES`."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

# Python's `$` also matches before a last line break: `(?!\n)` forbids that, in the regex dialect of every reader.
END = r"(?!\n)$"

Text = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[^\u0000-\u001f\u007f]*" + END)]
"""One short line: no control characters (PostgreSQL refuses some of them, and a log line must stay one)."""

Id = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[!-~]*" + END)]
"""An identifier: visible ASCII, compared byte by byte."""

Comment = Annotated[str, Meta(max_length=1000, pattern=r"^[^\u0000]*" + END)]
TicketId = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[!-~]*" + END)]
TicketNumber = Annotated[str, Meta(pattern="^[A-Z][0-9]{3,4}" + END)]
Milliseconds = Annotated[int, Meta(ge=0, le=2**53 - 1)]
Count = Annotated[int, Meta(ge=0, le=2**53 - 1)]
"""Never beyond what JavaScript counts exactly."""

RatingLevel = Annotated[int, Meta(ge=1, le=5)]
ThumbnailText = Annotated[str, Meta(max_length=32_768, pattern="^[A-Za-z0-9+/]*={0,2}" + END)]

_OfTicket = Annotated[
    TicketId | None, Meta(description="The ticket's id, as the center gave it; null when there was none")
]


class Fact(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What every fact's data has in common: frozen, and no field that the contract does not know."""


class RatingGiven(Fact, frozen=True, kw_only=True):
    """A citizen pressed a rating button and the press counts."""

    level: Annotated[RatingLevel, Meta(description="The button: 1 is the least satisfied")]
    scale: Annotated[Text, Meta(description="The scale the level belongs to, as `vn-3`")]
    ticket: _OfTicket
    armed_for_ms: Annotated[
        Milliseconds | None, Meta(description="From arming to press; null on a pad that is always open")
    ]
    pressed_ms: Annotated[Milliseconds, Meta(description="How long the contact was closed when the press was counted")]


class RatingReason(Fact, frozen=True, kw_only=True):
    """Why a citizen rated so: chosen words, a comment, or both, for an earlier rating."""

    rating: Annotated[Id, Meta(description="The id of the `rating.given` event")]
    reasons: Annotated[tuple[Text, ...], Meta(max_length=10, description="The chosen reasons' codes")]
    comment: Annotated[Comment | None, Meta(description="The citizen's own words")] = None


class RatingIgnored(Fact, frozen=True, kw_only=True):
    """A press that does not count, and why; kept so that a complaint can be looked into."""

    why: Annotated[
        Literal["not_armed", "repeated", "late", "stuck", "together"],
        Meta(
            description="`not_armed`: nobody was asked; `repeated`: the ticket was rated already; `late`: the window"
            " had closed; `stuck`: held for more than 10 s; `together`: two buttons at once"
        ),
    ]
    level: Annotated[RatingLevel | None, Meta(description="The button; null when several were pressed")]


class DisplayShown(Fact, frozen=True, kw_only=True):
    """A display shows a revision of its desired state: `echoed` by the panel, or only `written` to the port."""

    revision: Annotated[Count, Meta(description="The revision of `desired` that is shown")]
    proof: Annotated[
        Literal["echoed", "written"],
        Meta(description="`echoed`: the panel answered; `written`: the bytes left the port"),
    ]
    latency_ms: Annotated[Milliseconds, Meta(description="From hearing `desired` to that proof")]


class TicketCalled(Fact, frozen=True, kw_only=True):
    """A number was called by a station that worked alone."""

    ticket: Annotated[TicketId, Meta(description="The ticket's id")]
    number: Annotated[TicketNumber, Meta(description="Letter and digits, as `A007`")]
    counter: Annotated[Text, Meta(description="The counter it was called to")]


class Clip(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A recording that the center can fetch."""

    id: Annotated[Id, Meta(description="The recording's id")]
    start: Annotated[Text, Meta(description="When it begins: RFC 3339 in UTC")]
    seconds: Annotated[float, Meta(ge=0, le=86_400, description="How long it is")]
    bytes: Annotated[Count, Meta(description="How large it is")]
    sha256: Annotated[str, Meta(pattern="^[0-9a-f]{64}" + END, description="Its hash, in hexadecimal")]


class CameraIncident(Fact, frozen=True, kw_only=True):
    """What the three camera facts say: one incident id goes through started, updated and ended."""

    incident: Annotated[Id, Meta(description="The same id from started to ended")]
    kind: Annotated[Text, Meta(description="What it is, as `officer_absent`")]
    zone: Annotated[Text, Meta(description="Where in the picture, as `citizen`")]
    confidence: Annotated[float, Meta(ge=0, le=1, description="How sure the camera is")]
    ticket: _OfTicket = None
    thumbnail: Annotated[ThumbnailText | None, Meta(description="A JPEG of at most 24 KB, in base64")] = None
    clip: Annotated[Clip | None, Meta(description="The recording, once there is one")] = None


class CameraStarted(CameraIncident, frozen=True, kw_only=True):
    """An incident began."""


class CameraUpdated(CameraIncident, frozen=True, kw_only=True):
    """An incident goes on, with a better picture or a firmer kind."""


class CameraEnded(CameraIncident, frozen=True, kw_only=True):
    """An incident is over."""

    lasted_ms: Annotated[
        Milliseconds | None, Meta(description="From its start to its end, without what the clip shows after it")
    ] = None


class CallpadPanic(Fact, frozen=True, kw_only=True):
    """An officer held the panic keys of a call pad: somebody has to come at once."""

    held_ms: Annotated[
        Milliseconds, Meta(description="How long all of the keys had been down together when it was told")
    ]


class CameraFault(Fact, frozen=True, kw_only=True):
    """The camera itself is in trouble."""

    kind: Annotated[
        Literal["covered", "defocused", "moved", "frozen", "lost"], Meta(description="What is wrong with its picture")
    ]


class PrinterState(Fact, frozen=True, kw_only=True):
    """A ticket printer changed its state."""

    state: Annotated[
        Literal["ready", "paper_low", "paper_out", "cover_open", "offline"], Meta(description="What it is now")
    ]


class DeviceHealth(Fact, frozen=True, kw_only=True):
    """How a device is, every 30 s. A figure that this hardware cannot measure is null."""

    outbox_depth: Annotated[Count, Meta(description="Events that wait for the center's ack")]
    uptime_s: Annotated[Count, Meta(description="Since the program started")]
    clocksynced: Annotated[bool, Meta(description="Whether the clock was set from a time source in this boot")]
    version: Annotated[Text, Meta(description="The program's version")]
    temperature_c: Annotated[float | None, Meta(description="The processor's temperature")] = None
    throttled: Annotated[bool | None, Meta(description="Whether the processor is slowed by heat or low voltage")] = None
    disk_free_mb: Annotated[Count | None, Meta(description="Where the outbox is")] = None
    memory_mb: Annotated[float | None, Meta(description="What the program itself uses")] = None


TYPES: dict[str, type[Fact]] = {
    "vn.motcua.rating.given.v1": RatingGiven,
    "vn.motcua.rating.reason.v1": RatingReason,
    "vn.motcua.rating.ignored.v1": RatingIgnored,
    "vn.motcua.display.shown.v1": DisplayShown,
    "vn.motcua.ticket.called.v1": TicketCalled,
    "vn.motcua.camera.started.v1": CameraStarted,
    "vn.motcua.camera.updated.v1": CameraUpdated,
    "vn.motcua.camera.ended.v1": CameraEnded,
    "vn.motcua.camera.fault.v1": CameraFault,
    "vn.motcua.callpad.panic.v1": CallpadPanic,
    "vn.motcua.printer.state.v1": PrinterState,
    "vn.motcua.device.health.v1": DeviceHealth,
}
"""Wire name → data type. A changed meaning is a new name with the next version number."""

NAMES: dict[type[Fact], str] = {fact: name for name, fact in TYPES.items()}
