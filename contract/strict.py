"""What JSON leaves open and the contract does not: the size, the encoding, and a name given twice."""

import json
from typing import Any, TypeVar

import msgspec

from contract.errors import ContractError, explain

T = TypeVar("T")


def read(payload: bytes | bytearray, decoder: "msgspec.json.Decoder[T]", *, max_bytes: int) -> T:
    """Decode one JSON text; raise ContractError that names the field, and nothing else, whatever the bytes are."""
    if len(payload) > max_bytes:
        raise ContractError("", f"is {len(payload)} bytes long, at most {max_bytes} are allowed")
    try:
        text = payload.decode()
        message = decoder.decode(payload)
        twice = None if _is_as_written_here(payload) else _names_twice.decode(text)
    except msgspec.MsgspecError as error:
        raise explain(error) from error
    except UnicodeDecodeError as error:
        raise ContractError("", f"is not UTF-8: byte 0x{payload[error.start]:02x} at {error.start}") from error
    except RecursionError as error:
        raise ContractError("", "JSON is nested too deeply") from error
    except json.JSONDecodeError as error:  # in a part that msgspec only skipped
        raise ContractError("", f"JSON is malformed: {error.msg} (character {error.pos})") from error
    if isinstance(twice, _Twice):
        raise ContractError(twice.path, "is given twice")
    return message


def _is_as_written_here(payload: bytes | bytearray) -> bool:
    """Whether these are the very bytes that we would write for what they say: then no name stands in them twice.

    All that our own devices send passes here, four times as fast as by looking at every name.
    """
    try:
        return _encoder.encode(_decoder.decode(payload)) == payload
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return False


class _Twice:
    """A name that stands twice in one object, with the path to it."""

    def __init__(self, path: str) -> None:
        self.path = path


def _object(pairs: list[tuple[str, Any]]) -> _Twice | None:
    """Return the first name given twice in or below this object.

    Readers disagree about which of the two counts (the last for most programs, the first for SQLite), so neither does.
    """
    names = set()
    for name, value in pairs:
        if name in names:
            return _Twice(name)
        names.add(name)
        if (below := _below(value)) is not None:
            return _Twice(f"{name}{below}")
    return None


def _below(value: object) -> str | None:
    """Return the rest of the path when an already read value holds a name given twice."""
    if isinstance(value, _Twice):
        return f".{value.path}"
    if isinstance(value, list):
        for index, item in enumerate(value):
            if (below := _below(item)) is not None:
                return f"[{index}]{below}"
    return None


_decoder = msgspec.json.Decoder()
_encoder = msgspec.json.Encoder()
# Numbers stay text here: an integer of a thousand digits is not ours to convert.
_names_twice = json.JSONDecoder(object_pairs_hook=_object, parse_int=str, parse_float=str)
