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

from contract.errors import ContractError, explain
from contract.events import NAMES, TYPES, Fact

MAX_BYTES = 65_536
"""A larger event is quarantined: nothing the contract knows comes near it."""

SEQUENCE_DIGITS = 10

_Id = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]


class Envelope(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One event as it travels. `data` stays encoded until `fact()` reads it by its type."""

    specversion: Literal["1.0"]
    id: _Id
    type: Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
    source: Annotated[str, msgspec.Meta(pattern="^/[a-z0-9-]+/[a-z0-9-]+/[a-z0-9-]+$", max_length=128)]
    time: Annotated[datetime, msgspec.Meta(tz=True)]
    datacontenttype: Literal["application/json"]
    sequence: Annotated[str, msgspec.Meta(pattern="^[0-9]{10,19}$")]
    stream: _Id
    bootid: _Id
    monotonicms: Annotated[str, msgspec.Meta(pattern="^[0-9]{1,18}$")]
    clocksynced: bool
    data: msgspec.Raw

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
    """Return the event's bytes. `time` must be aware; `sequence` counts from 1 in `stream`."""
    stamp = time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return _encoder.encode(
        {
            "specversion": "1.0",
            "id": event_id,
            "type": NAMES[type(fact)],
            "source": source,
            "time": stamp,
            "datacontenttype": "application/json",
            "sequence": f"{sequence:0{SEQUENCE_DIGITS}d}",
            "stream": stream,
            "bootid": boot_id,
            "monotonicms": str(monotonic_ms),
            "clocksynced": clock_synced,
            "data": fact,
        }
    )


def open_envelope(payload: bytes | bytearray) -> Envelope:
    """Read an event's envelope; raise ContractError that names the field."""
    if len(payload) > MAX_BYTES:
        raise ContractError("", f"is {len(payload)} bytes long, at most {MAX_BYTES} are allowed")
    try:
        return _decoder.decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise explain(error) if isinstance(error, msgspec.MsgspecError) else ContractError("", str(error)) from error
