"""What goes in and out of the hall beside commands: answers, changes, and what ingest delivers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from center.namesakes import Machines
from center.queue.model import AnyEvent, Counter, Refusal, Ticket
from center.queue.state import State
from contract.events import DeviceHealth
from contract.states import Status

# --- out -----------------------------------------------------------------------------------------------------------


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """A command was carried out and committed. `ticket` is None where a call found nobody waiting.

    A repeat of a key gets what the first one got, without the events.
    """

    ticket: Ticket | None = None
    counter: Counter | None = None
    events: tuple[AnyEvent, ...] = ()
    repeated: bool = False


Answer = Done | Refusal


class Device(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a device: its last words of each kind."""

    station: str
    device: str
    seen_at: int
    status: Status | None = None
    health: DeviceHealth | None = None
    reported: str | None = None
    """As it came, in JSON: what somebody makes up may take thirty times as much memory once it is read."""
    ahead_ms: int | None = None
    """Its clock less the center's when its last health came; None where its clock is not set."""
    machines: Machines | None = None
    """Whose words were heard under its name since the center started."""

    @property
    def trouble(self) -> str:
        """What it reports to be wrong with it; empty if nothing."""
        try:
            said = _reported_decoder.decode(self.reported or "{}").trouble
        except (msgspec.MsgspecError, RecursionError):  # no device of ours says what cannot be read
            return ""
        return said if isinstance(said, str) else ""


class _Reported(msgspec.Struct):
    trouble: Any = None


_reported_decoder = msgspec.json.Decoder(_Reported)


class RatingStored(msgspec.Struct, frozen=True):
    """A rating was counted. `id` is the event's, or one of its own for a tablet's press."""

    id: str
    ticket: str | None
    counter: str
    source: str
    scale: str
    level: int
    given_at: int


class Panic(msgspec.Struct, frozen=True):
    """Panic keys were pressed at a station, for the first time that this is heard. `id` is the event's."""

    id: str
    station: str
    device: str
    at: int
    """When, by the device's clock if it is set; it may be heard long after."""


@dataclass(frozen=True, slots=True)
class Change:
    """What one commit changed. `state` is the hall's own: read it during the callback, never keep or change it."""

    events: tuple[AnyEvent, ...]
    ratings: tuple[RatingStored, ...]
    devices: tuple[Device, ...]
    state: State
    panics: tuple[Panic, ...] = ()
    forgotten: tuple[tuple[str, str], ...] = ()  # stations and devices that were taken off the list
    stored: int = 0  # events of devices that were new
    commit_s: float = 0.0  # how long the disk took


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Where a reader begins: its own state, to which it applies the events of every later change."""

    state: State
    devices: tuple[Device, ...]
    rated: frozenset[str]  # tickets of the day that have their rating


# --- in ------------------------------------------------------------------------------------------------------------


class Arrival(msgspec.Struct, frozen=True):
    """An event of a device, as a row of `device_event`, and what it means for the other tables.

    `fresh`: its outbox has never shown so high a number, so it need not be looked up unless it is a rating, of an
    incident or a panic.
    """

    row: dict[str, Any]
    rating: RatingStored | None = None
    incident: dict[str, Any] | None = None
    panic: Panic | None = None
    fresh: bool = False


class Sighting(msgspec.Struct, frozen=True):
    """A device showed itself, by a retained state, its health or any event."""

    station: str
    device: str
    at: int
    status: Status | None = None
    health: DeviceHealth | None = None
    reported: str | None = None
    ahead_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Delivery:
    """What arrived from the broker, to be stored in one transaction; rows are those of the tables."""

    arrivals: Sequence[Arrival] = ()
    sightings: Sequence[Sighting] = ()
    quarantine: Sequence[dict[str, Any]] = ()
    streams: Sequence[dict[str, Any]] = ()


Verdict = Literal["stored", "failed", "unstorable"]
"""What became of a delivery: committed, not now (send again), or the database itself will never take it."""
