"""What the contract says when it refuses."""

import msgspec
import pytest

from contract.codec import MAX_BYTES, decode
from contract.errors import ContractError, explain
from contract.requests import Ack, Request


def test_a_value_error_with_its_two_halves() -> None:
    """The error is a ValueError that reads as `field: reason` and gives both apart."""
    error = ContractError("data.level", "expected `int` <= 5")
    assert isinstance(error, ValueError)
    assert (str(error), error.field, error.reason) == (
        "data.level: expected `int` <= 5",
        "data.level",
        "expected `int` <= 5",
    )
    assert str(ContractError("", "is empty")) == "is empty"


def test_a_stranger_cannot_write_into_the_log() -> None:
    """Control characters of a hostile name are shown as escapes, and a long one is cut."""
    with pytest.raises(ContractError) as caught:
        decode(b'{"\\n2026 ERROR all is lost\\u001b[2J":1}', Ack)
    assert caught.value.field == r"\n2026 ERROR all is lost\x1b[2J"
    with pytest.raises(ContractError) as caught:
        decode(b'{"' + b"x" * 10_000 + b'":1}', Ack)
    assert len(caught.value.field) == 128
    assert caught.value.field.endswith("…")
    with pytest.raises(ContractError) as caught:
        decode(b'{"id":"12345678","action":"' + b"y" * 10_000 + b'"}', Request)
    assert caught.value.field == "action"
    assert len(caught.value.reason) == 300


@pytest.mark.parametrize("name", ["", "`", "a`b", "a` - at `$.b", "$", "ă", "a.b", "\\"])
def test_a_strange_name_is_still_named(name: str) -> None:
    """An unknown field is refused whatever its name is."""
    with pytest.raises(ContractError, match=r"is not a field of the contract$"):
        decode(msgspec.json.encode({name: 1}), Ack)


def test_the_first_word_is_lower_case_unless_it_is_a_name() -> None:
    """A reason reads on after the field, and JSON stays JSON."""
    with pytest.raises(ContractError, match=r"^expected `object`, got `array`$"):
        decode(b"[]", Ack)
    with pytest.raises(ContractError, match=r"^JSON is malformed: invalid character \(byte 0\)$"):
        decode(b"?", Ack)
    with pytest.raises(ContractError, match=r"^JSON is malformed: input data was truncated$"):
        decode(b"{", Ack)


def test_a_pattern_is_shown_as_people_write_it() -> None:
    """The error shows the rule without the part that only guards against a last line break."""
    with pytest.raises(ContractError) as caught:
        decode(b'{"id":"12345678","action":"call","args":{"number":"7"}}', Request)
    assert str(caught.value) == "args.number: expected `str` matching regex '^[A-Z][0-9]{3,4}$'"


def test_a_field_can_be_named_from_above() -> None:
    """A part that was decoded by itself is named with the path to it."""
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.json.decode(b'{"ids":[1]}', type=Ack)
    assert str(explain(caught.value, under="data")) == "data.ids[0]: expected `str`, got `int`"
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.json.decode(b'{"upto":1}', type=Ack)
    assert explain(caught.value, under="data").field == "data.stream"


def test_a_message_has_a_largest_size() -> None:
    """A state, request, reply or ack above 16 KiB is refused before it is read."""
    with pytest.raises(ContractError, match=r"^is 16385 bytes long, at most 16384 are allowed$"):
        decode(b" " * (MAX_BYTES + 1), Ack)
    padded = b'{"ids":["e"]}'.ljust(MAX_BYTES)
    assert decode(padded, Ack) == Ack(ids=("e",))
