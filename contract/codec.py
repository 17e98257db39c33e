"""Bytes to contract types and back, strictly."""

from typing import Any, TypeVar

import msgspec

from contract import strict

MAX_BYTES = 16_384
"""States, requests, replies and acks are small; a larger one is not ours."""

T = TypeVar("T")
_encoder = msgspec.json.Encoder()
_decoders: dict[type, msgspec.json.Decoder[Any]] = {}


def encode(message: msgspec.Struct) -> bytes:
    """Return a message as JSON."""
    return _encoder.encode(message)


def decode(payload: bytes | bytearray, kind: type[T]) -> T:
    """Read a message of one type; raise ContractError that names the field."""
    decoder = _decoders.get(kind) or _decoders.setdefault(kind, msgspec.json.Decoder(kind))
    message: T = strict.read(payload, decoder, max_bytes=MAX_BYTES)
    return message
