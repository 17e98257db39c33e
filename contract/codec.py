"""Bytes to contract types and back, strictly."""

from typing import Any, TypeVar

import msgspec

from contract.errors import ContractError, explain

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
    if len(payload) > MAX_BYTES:
        raise ContractError("", f"is {len(payload)} bytes long, at most {MAX_BYTES} are allowed")
    try:
        decoder = _decoders.get(kind) or _decoders.setdefault(kind, msgspec.json.Decoder(kind))
        message: T = decoder.decode(payload)
    except msgspec.MsgspecError as error:
        raise explain(error) from error
    except (UnicodeDecodeError, RecursionError) as error:
        raise ContractError("", str(error)) from error
    return message
