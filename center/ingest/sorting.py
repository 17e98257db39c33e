"""What a message of a device is: an event, a sight of the device, or something for quarantine. Pure."""

import hashlib
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from center.answers import Arrival, Panic, RatingStored, Sighting
from center.cameras import incidents
from center.clock import MOST_AHEAD_MS
from contract.codec import decode
from contract.envelope import MAX_BYTES, Envelope, open_envelope
from contract.errors import ContractError
from contract.events import CallpadPanic, DeviceHealth, Fact, RatingGiven
from contract.scales import SCALES
from contract.states import REPORTED, Status
from contract.topics import CENTER_STATION, Address, Channel, parse

KEPT_BYTES = 8_192
"""So much of a broken message is kept."""

KEPT_STATE_BYTES = 1_024
"""Ours are not half as long, and anybody may be two thousand devices at a broker without keys."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_ID = re.compile(rb'"id"\s*:\s*"([!#-\[\]-~]{1,64})"')
_NAME = re.compile(r"[!-~]{1,64}")  # what the contract lets an id or a stream be: an ack with any other is no ack
_NUMBER = re.compile(r"[0-9]{1,10}", re.ASCII)
_DATA = re.compile(rb'"data"\s*:')


class Message(msgspec.Struct, frozen=True):
    """What came from the broker. `size` is the whole length; `payload` may have been cut to what is looked at."""

    topic: str
    payload: bytes
    size: int
    retained: bool
    at: int  # when it came, UTC milliseconds


class Event(msgspec.Struct, frozen=True):
    """An event to be stored."""

    address: Address
    event_id: str
    stream: str
    sequence: int
    arrival: Arrival
    sighting: Sighting


class Broken(msgspec.Struct, frozen=True):
    """A message to be put aside. What can be read of it lets its device be told, so that it is not sent for ever."""

    address: Address | None  # None: not an event, nobody waits for an ack
    row: dict[str, Any]
    event_id: str | None = None
    stream: str | None = None
    sequence: int | None = None


Sorted = Event | Sighting | Broken

_SAID_BY_US = frozenset({Channel.ACK, Channel.DESIRED, Channel.REPLY})
"""amqtt 0.12 hands each newcomer the retained states of everybody's subscriptions: our own words come back."""


def sort(message: Message) -> Sorted | None:
    """Return what a message is; None for one that says nothing (a cleared retained state, our own words)."""
    try:
        address, channel = parse(message.topic)
    except ContractError as error:
        return _broken(message, None, error)
    if channel is not Channel.EVENT and not message.payload:
        return None
    if channel in _SAID_BY_US or (channel is Channel.STATUS and address.station == CENTER_STATION):
        return None
    try:
        return _read(message, address, channel)
    except ContractError as error:
        return _broken(message, address if channel is Channel.EVENT else None, error)


def _read(message: Message, address: Address, channel: Channel) -> Sorted:
    if message.size > MAX_BYTES:
        raise ContractError("", f"is {message.size} bytes long, at most {MAX_BYTES} are allowed")
    match channel:
        case Channel.EVENT:
            return _event(message, address)
        case Channel.STATUS:
            status = decode(message.payload, Status)
            # A last will and a retained state say nothing about when the device was there.
            seen_at = 0 if message.retained or status.state == "lost" else message.at
            return Sighting(station=address.station, device=address.device, at=seen_at, status=status)
        case Channel.REPORTED:
            decode(message.payload, REPORTED.get(address.device, dict))
            seen_at = 0 if message.retained else message.at
            reported = _reported(message.payload)
            return Sighting(station=address.station, device=address.device, at=seen_at, reported=reported)
        case _:
            raise ContractError("topic", f"the center does not listen to {channel.value}")


def _reported(payload: bytes) -> str:
    """Return what is kept of a reported state: all of one of ours, of a longer one what is wrong with the device."""
    if len(payload) <= KEPT_STATE_BYTES:
        return payload.decode()
    trouble = decode(payload, dict[str, Any]).get("trouble")
    return msgspec.json.encode({"trouble": trouble[:64]} if isinstance(trouble, str) else {}).decode()


def unstorable(event: Event, message: Message, reason: str) -> Broken:
    """Return an event that the database refuses, as something for quarantine."""
    return Broken(
        address=event.address,
        row=_row(message, reason, event.event_id),
        event_id=event.event_id,
        stream=event.stream,
        sequence=event.sequence,
    )


def _event(message: Message, address: Address) -> Event:
    envelope = open_envelope(message.payload)
    if envelope.source != address.source:
        raise ContractError("source", f"says {envelope.source} but came from {address.source}")
    fact = envelope.fact()
    time_ms = (envelope.time - _EPOCH) // _MILLISECOND
    trusted = envelope.clocksynced and time_ms <= message.at + MOST_AHEAD_MS
    occurred_at = time_ms if trusted else message.at
    return Event(
        address=address,
        event_id=envelope.id,
        stream=envelope.stream,
        sequence=envelope.sequence_number,
        arrival=Arrival(
            row={
                "id": envelope.id,
                "type": envelope.type,
                "source": envelope.source,
                "stream": envelope.stream,
                "sequence": envelope.sequence_number,
                "time": time_ms,
                "clock_synced": envelope.clocksynced,
                "occurred_at": occurred_at,
                "received_at": message.at,
                "body": message.payload.decode(),
            },
            rating=_rating(fact, envelope, address, occurred_at),
            incident=incidents.row(
                fact,
                station=address.station,
                device=address.device,
                sequence=envelope.sequence_number,
                occurred_at=occurred_at,
            ),
            panic=Panic(envelope.id, address.station, address.device, occurred_at)
            if isinstance(fact, CallpadPanic)
            else None,
        ),
        sighting=Sighting(
            station=address.station,
            device=address.device,
            at=message.at,
            health=fact if isinstance(fact, DeviceHealth) else None,
            ahead_ms=time_ms - message.at if envelope.clocksynced else None,
        ),
    )


def _rating(fact: Fact, envelope: Envelope, address: Address, occurred_at: int) -> RatingStored | None:
    if not isinstance(fact, RatingGiven):
        return None
    scale = SCALES.get(fact.scale)
    if scale is None:
        raise ContractError("data.scale", f"is not known: {fact.scale!r}")
    if scale.level(fact.level) is None:
        raise ContractError("data.level", f"scale {scale.name} has no level {fact.level}")
    return RatingStored(
        id=envelope.id,
        ticket=fact.ticket,
        counter=address.station,
        source=envelope.source,
        scale=fact.scale,
        level=fact.level,
        given_at=occurred_at,
    )


# --- quarantine ----------------------------------------------------------------------------------------------------


def _broken(message: Message, address: Address | None, error: ContractError) -> Broken:
    event_id, stream, sequence = lenient(message.payload) if address is not None else (None, None, None)
    return Broken(
        address=address, row=_row(message, str(error), event_id), event_id=event_id, stream=stream, sequence=sequence
    )


def _row(message: Message, reason: str, event_id: str | None) -> dict[str, Any]:
    digest = hashlib.sha256(message.topic.encode() + b"\0" + message.payload).hexdigest()
    return {
        "digest": digest,
        "received_at": message.at,
        "topic": message.topic[:256],
        "event_id": event_id,
        "reason": reason[:300],
        "size": message.size,
        "body": message.payload[:KEPT_BYTES],
    }


def lenient(payload: bytes) -> tuple[str | None, str | None, int | None]:
    """Return what can be read of a broken event's id, stream and sequence."""
    try:
        found = msgspec.json.decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        # Only before the data: an id in there is that of something else.
        data = _DATA.search(payload)
        match = _ID.search(payload, 0, data.start() if data else len(payload))
        return (match[1].decode() if match else None), None, None
    if not isinstance(found, dict):
        return None, None, None
    event_id, stream, sequence = (
        value if isinstance(value := found.get(name), str) and pattern.fullmatch(value) else None
        for name, pattern in (("id", _NAME), ("stream", _NAME), ("sequence", _NUMBER))
    )
    return event_id, stream, int(sequence) if sequence else None
