"""The envelope of a fact: CloudEvents 1.0, structured JSON, checked strictly.

```json
{"specversion": "1.0", "id": "0197…", "type": "vn.motcua.rating.given.v1", "source": "/bentre/q03/rating",
 "time": "2026-11-23T01:02:03.456Z", "datacontenttype": "application/json", "sequence": "0000000042",
 "stream": "9f3c…", "bootid": "…", "monotonicms": "1234567", "clocksynced": true, "data": {…}}
```
"""

from datetime import UTC, datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from contract import strict
from contract.errors import ContractError, explain
from contract.events import END, NAMES, TYPES, Fact, Id
from contract.topics import SEGMENT

MAX_BYTES = 65_536
"""A larger event is quarantined: nothing the contract knows comes near it."""

SEQUENCE_DIGITS = 10
MAX_SEQUENCE = 10**SEQUENCE_DIGITS - 1
"""Ten digits sort as text and as numbers alike, and last 300 years at an event a second."""

_SEGMENT = SEGMENT.strip("^$")


class Envelope(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One event as it travels. `data` stays encoded until `fact()` reads it by its type."""

    specversion: Annotated[Literal["1.0"], Meta(description="CloudEvents 1.0")]
    id: Annotated[Id, Meta(description="A UUID version 7; an id that was seen before is acknowledged and not counted")]
    type: Annotated[
        str, Meta(min_length=1, max_length=128, pattern="^[!-~]*" + END, description="The wire name of the fact")
    ]
    source: Annotated[
        str,
        Meta(
            pattern=f"^/{_SEGMENT}/{_SEGMENT}/{_SEGMENT}{END}",
            max_length=128,
            description="`/<center>/<station>/<device>`, the same as in the topic",
        ),
    ]
    time: Annotated[datetime, Meta(tz=True, description="When it happened, with offset, by the device's clock")]
    datacontenttype: Annotated[Literal["application/json"], Meta(description="What `data` is")]
    sequence: Annotated[
        str,
        Meta(
            pattern=f"^(?!0+$)[0-9]{{{SEQUENCE_DIGITS}}}{END}",
            description="The event's place in its stream: from 1, ten digits, without gaps",
        ),
    ]
    stream: Annotated[Id, Meta(description="The outbox it comes from: a new card starts a new stream")]
    bootid: Annotated[Id, Meta(description="The kernel's id of the boot it happened in")]
    monotonicms: Annotated[
        str,
        Meta(
            pattern="^[0-9]{1,18}" + END,
            description="Milliseconds of the boot's clock that never steps; text: a CloudEvents integer has 32 bits",
        ),
    ]
    clocksynced: Annotated[bool, Meta(description="Whether `time` comes from a clock that had been set in this boot")]
    data: Annotated[msgspec.Raw, Meta(description="The fact, by its type")]

    @property
    def sequence_number(self) -> int:
        """The event's place in its stream, from 1."""
        return int(self.sequence)

    def fact(self) -> Fact:
        """Return the data by the event's type; raise ContractError for an unknown type or wrong data."""
        data_type = TYPES.get(self.type)
        if data_type is None:
            raise ContractError("type", f"unknown event type {self.type!r}")
        try:
            return _fact_decoders[data_type].decode(self.data)
        except msgspec.MsgspecError as error:
            raise explain(error, under="data") from error
        except RecursionError as error:
            raise ContractError("data", "JSON is nested too deeply") from error


_decoder = msgspec.json.Decoder(Envelope)
_encoder = msgspec.json.Encoder()
_fact_decoders: dict[type[Fact], msgspec.json.Decoder[Fact]] = {
    data_type: msgspec.json.Decoder(data_type) for data_type in NAMES
}


def seal(
    fact: Fact,
    *,
    event_id: str,
    source: str,
    time: datetime,
    sequence: int,
    stream: str,
    boot_id: str,
    monotonic_ms: int,
    clock_synced: bool,
) -> bytes:
    """Return the event's bytes. `time` must be aware; `sequence` counts from 1 in `stream`.

    Raises ContractError for what `open_envelope` or `fact` would refuse: better here than in the center's quarantine.
    """
    try:
        data = _encoder.encode(fact)
    except UnicodeEncodeError as error:  # half a surrogate pair
        raise ContractError("data", str(error)) from error
    payload = seal_encoded(
        msgspec.Raw(data),
        type_name=NAMES[type(fact)],
        event_id=event_id,
        source=source,
        time=time,
        sequence=sequence,
        stream=stream,
        boot_id=boot_id,
        monotonic_ms=monotonic_ms,
        clock_synced=clock_synced,
    )
    open_envelope(payload).fact()
    return payload


def seal_encoded(
    data: msgspec.Raw,
    *,
    type_name: str,
    event_id: str,
    source: str,
    time: datetime,
    sequence: int,
    stream: str,
    boot_id: str,
    monotonic_ms: int,
    clock_synced: bool,
) -> bytes:
    """Return the event's bytes for data that an outbox has kept encoded; unchecked, the center has the last word.

    An older version of the program may have written it, so its type need not be one that this version knows.
    """
    return _encoder.encode(
        {
            "specversion": "1.0",
            "id": event_id,
            "type": type_name,
            "source": source,
            "time": _stamp(time),
            "datacontenttype": "application/json",
            "sequence": f"{sequence:0{SEQUENCE_DIGITS}d}",
            "stream": stream,
            "bootid": boot_id,
            "monotonicms": str(monotonic_ms),
            "clocksynced": clock_synced,
            "data": data,
        }
    )


def open_envelope(payload: bytes | bytearray) -> Envelope:
    """Read an event's envelope; raise ContractError that names the field."""
    envelope = strict.read(payload, _decoder, max_bytes=MAX_BYTES)
    _in_utc(envelope.time)
    return envelope


def _stamp(time: datetime) -> str:
    """Return an instant as RFC 3339 in UTC, to the millisecond."""
    if time.utcoffset() is None:
        raise ContractError("time", "has no offset from UTC")
    return _in_utc(time).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _in_utc(time: datetime) -> datetime:
    try:
        return time.astimezone(UTC)
    except OverflowError as error:  # year 1 or 9999, and the offset leads out of the calendar
        raise ContractError("time", f"is out of range: {time.isoformat()}") from error
