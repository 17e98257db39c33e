"""Facts: what happened at a device, in the past tense. Each type names itself on the wire with `TYPES`."""

from typing import Annotated, Literal

import msgspec

Text = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
Comment = Annotated[str, msgspec.Meta(max_length=1000)]
TicketId = Annotated[str, msgspec.Meta(min_length=1, max_length=64, description="The ticket's id, not its number")]
TicketNumber = Annotated[str, msgspec.Meta(pattern="^[A-Z][0-9]{3,4}$", description="Letter and digits, as A007")]
Milliseconds = Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)]
Count = Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)]
RatingLevel = Annotated[int, msgspec.Meta(ge=1, le=5)]
ThumbnailText = Annotated[str, msgspec.Meta(max_length=32_768, description="JPEG in base64, at most 24 KB of picture")]


class Fact(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What every fact's data has in common: frozen, and no field that the contract does not know."""


class RatingGiven(Fact, frozen=True, kw_only=True):
    """A citizen pressed a rating button and the press counts."""

    level: RatingLevel
    scale: Text
    ticket: TicketId | None
    armed_for_ms: Milliseconds | None
    pressed_ms: Milliseconds


class RatingReason(Fact, frozen=True, kw_only=True):
    """Why a citizen rated so: chosen words, a comment, or both, for an earlier rating."""

    rating: Text
    reasons: Annotated[tuple[Text, ...], msgspec.Meta(max_length=10)]
    comment: Comment | None = None


class RatingIgnored(Fact, frozen=True, kw_only=True):
    """A press that does not count, and why; kept so that a complaint can be looked into."""

    why: Literal["not_armed", "repeated", "late", "stuck", "together"]
    level: RatingLevel | None


class DisplayShown(Fact, frozen=True, kw_only=True):
    """A display shows a revision of its desired state: `echoed` by the panel, or only `written` to the port."""

    revision: Count
    proof: Literal["echoed", "written"]
    latency_ms: Milliseconds


class TicketCalled(Fact, frozen=True, kw_only=True):
    """A number was called by a station that worked alone."""

    ticket: TicketId
    number: TicketNumber
    counter: Text


class Clip(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A recording that the center can fetch: instants are RFC 3339 in UTC."""

    id: Text
    start: Text
    seconds: Annotated[float, msgspec.Meta(ge=0, le=86_400)]
    bytes: Count
    sha256: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]


class CameraIncident(Fact, frozen=True, kw_only=True):
    """What the three camera facts say: one incident id goes through started, updated and ended."""

    incident: Text
    kind: Text
    zone: Text
    confidence: Annotated[float, msgspec.Meta(ge=0, le=1)]
    ticket: TicketId | None = None
    thumbnail: ThumbnailText | None = None
    clip: Clip | None = None


class CameraStarted(CameraIncident, frozen=True, kw_only=True):
    """An incident began."""


class CameraUpdated(CameraIncident, frozen=True, kw_only=True):
    """An incident goes on, with a better picture or a firmer kind."""


class CameraEnded(CameraIncident, frozen=True, kw_only=True):
    """An incident is over."""


class CameraFault(Fact, frozen=True, kw_only=True):
    """The camera itself is in trouble."""

    kind: Literal["covered", "defocused", "moved", "frozen", "lost"]


class PrinterState(Fact, frozen=True, kw_only=True):
    """A ticket printer changed its state."""

    state: Literal["ready", "paper_low", "paper_out", "cover_open", "offline"]


class DeviceHealth(Fact, frozen=True, kw_only=True):
    """How a device is, every 30 s. A figure that this hardware cannot measure is null."""

    outbox_depth: Count
    uptime_s: Count
    clocksynced: bool
    version: Text
    temperature_c: float | None = None
    throttled: bool | None = None
    disk_free_mb: Count | None = None
    memory_mb: float | None = None


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
    "vn.motcua.printer.state.v1": PrinterState,
    "vn.motcua.device.health.v1": DeviceHealth,
}
"""Wire name → data type. A changed meaning is a new name with the next version number."""

NAMES: dict[type[Fact], str] = {fact: name for name, fact in TYPES.items()}
