"""Hostile bytes against every decoder: the answer is a message of the contract, or ContractError."""

import copy
import json
from datetime import UTC, datetime
from typing import Any

import jsonschema
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contract import asyncapi, examples
from contract.codec import decode, encode
from contract.envelope import open_envelope, seal
from contract.errors import ContractError
from contract.events import TYPES, DeviceHealth, Fact, RatingGiven
from contract.requests import Ack, Reply, Request
from contract.states import DESIRED, REPORTED, Status
from contract.topics import Address, Channel, parse

KINDS: list[type[msgspec.Struct]] = [
    Ack,
    Reply,
    Request,
    Status,
    *DESIRED.values(),
    *REPORTED.values(),
    *TYPES.values(),
]
EVENTS = [json.loads(examples.event(fact)) for fact in examples.FACTS]
MESSAGES = [
    (type(message), json.loads(encode(message)))
    for message in (
        examples.ACK,
        examples.ACK_BY_ID,
        examples.STATUS,
        examples.REQUEST,
        examples.CALL,
        examples.DONE,
        examples.REFUSED,
        *examples.DESIRED.values(),
        *examples.REPORTED.values(),
        *examples.FACTS,
    )
]
DOCUMENT = asyncapi.document()

# Each test draws a fixed number of examples, enough to meet every branch and few enough for a hall full of tests.
bounded = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([2**31, 2**53 - 1, 2**53, 2**63 - 1, 2**63, 2**64, -(2**63) - 1, 10**400])
    | st.floats()
    | st.text(st.characters(), max_size=8)
    | st.sampled_from(["", "\x00", "\n", "\ud800", "A007", "A007\n", "x" * 65, "2026-11-23T01:02:03Z", "vn-3"])
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
)


def in_good_order(error: ContractError) -> None:
    """Check that a refusal is one line that can be logged."""
    assert str(error).isprintable()
    assert len(str(error)) < 450


def opened(payload: bytes) -> Fact | None:
    """Open an event as the center does; None when it is refused in good order."""
    try:
        return open_envelope(payload).fact()
    except ContractError as error:
        in_good_order(error)
        return None


def decoded(payload: bytes, kind: type[msgspec.Struct]) -> msgspec.Struct | None:
    """Decode a message; None when it is refused in good order."""
    try:
        return decode(payload, kind)
    except ContractError as error:
        in_good_order(error)
        return None


@st.composite
def changed(draw: st.DrawFn, originals: list[Any]) -> Any:
    """Draw one of some JSON objects, with one to three places in it replaced, added or removed."""
    whole = copy.deepcopy(draw(st.sampled_from(originals)))
    for _ in range(draw(st.integers(1, 3))):
        place = whole
        while True:
            names = list(place) if isinstance(place, dict) else list(range(len(place)))
            name = draw(st.sampled_from(names)) if names else None
            inner = place[name] if names else None
            if isinstance(inner, dict | list) and inner and draw(st.booleans()):
                place = inner
                continue
            break
        match draw(st.sampled_from(["replace", "remove", "add"])):
            case "replace" if names:
                place[name] = draw(values)
            case "remove" if names:
                del place[name]
            case _ if isinstance(place, dict):
                place[draw(st.text(max_size=6))] = draw(values)
            case _:
                place.append(draw(values))
    return whole


@st.composite
def damaged(draw: st.DrawFn, originals: list[bytes]) -> bytes:
    """Draw one of some payloads with a slice of it replaced by other bytes."""
    payload = draw(st.sampled_from(originals))
    start = draw(st.integers(0, len(payload)))
    end = min(len(payload), start + draw(st.integers(0, 12)))
    syntax = st.sampled_from(
        [b"", b'"', b"{", b"}", b"[", b",", b":", b"\\", b"\\ud800", b"\xff", b"NaN", b"-", b"1e99"]
    )
    return payload[:start] + draw(syntax | st.binary(max_size=6)) + payload[end:]


def as_json(value: Any) -> bytes:
    """Write any Python value as JSON, hostile parts and all."""
    return json.dumps(value, ensure_ascii=True).encode()


@bounded
@given(st.binary(max_size=200))
def test_any_bytes(payload: bytes) -> None:
    """Bytes of any kind are read or refused by every decoder."""
    opened(payload)
    for kind in KINDS:
        decoded(payload, kind)


@bounded
@given(values)
def test_any_json(value: Any) -> None:
    """JSON of any shape is read or refused by every decoder."""
    payload = as_json(value)
    opened(payload)
    for kind in KINDS:
        decoded(payload, kind)


@bounded
@given(damaged([as_json(event) for event in EVENTS]))
def test_a_damaged_event(payload: bytes) -> None:
    """An event with a few wrong bytes is read or refused."""
    opened(payload)


@bounded
@given(damaged([as_json(event) for event in EVENTS]), st.integers(1, 30))
def test_an_event_cut_short(payload: bytes, missing: int) -> None:
    """An event that ends too early is refused."""
    assert opened(payload.rstrip()[:-missing].rstrip(b"}")) is None


@bounded
@given(changed(EVENTS))
def test_a_changed_event(event: Any) -> None:
    """An event with other values is refused, or its fact can be written and read again as itself."""
    fact = opened(as_json(event))
    if fact is not None:
        assert opened(examples.event(fact)) == fact


@pytest.mark.parametrize("index", range(len(MESSAGES)), ids=lambda index: MESSAGES[index][0].__name__)
@settings(parent=bounded, max_examples=20)
@given(st.data())
def test_a_changed_message(index: int, data: st.DataObject) -> None:
    """A message with other values is refused, or can be written and read again as itself."""
    kind, original = MESSAGES[index]
    message = decoded(as_json(data.draw(changed([original]))), kind)
    if message is not None:
        assert decode(encode(message), kind) == message


def validator(schema: dict[str, Any]) -> jsonschema.Draft7Validator:
    """Return a validator for one schema of the published document."""
    return jsonschema.Draft7Validator({**schema, "components": DOCUMENT["components"]})


SCHEMAS = {kind: validator({"allOf": [{"$ref": f"#/components/schemas/{kind.__name__}"}]}) for kind in KINDS}
EVENT_SCHEMAS = {name: validator(DOCUMENT["components"]["messages"][name]["payload"]) for name in TYPES}


@settings(parent=bounded, max_examples=120)
@given(st.data())
def test_what_is_read_is_what_was_published(data: st.DataObject) -> None:
    """A message that the decoder takes is valid by the published schema too."""
    kind, original = data.draw(st.sampled_from(MESSAGES))
    value = data.draw(changed([original]))
    if decoded(as_json(value), kind) is not None:
        SCHEMAS[kind].validate(value)


@settings(parent=bounded, max_examples=120)
@given(changed(EVENTS))
def test_what_is_opened_is_what_was_published(event: Any) -> None:
    """An event that is opened is valid by the published schema of its type too."""
    if opened(as_json(event)) is not None:
        EVENT_SCHEMAS[event["type"]].validate(event)


@bounded
@given(
    fact=st.builds(
        RatingGiven,
        level=st.integers(-1, 7),
        scale=st.text(max_size=70),
        ticket=st.none() | st.text(max_size=70),
        armed_for_ms=st.none() | st.integers(-1, 2**54),
        pressed_ms=st.integers(-1, 2**54),
    )
    | st.builds(
        DeviceHealth,
        outbox_depth=st.integers(0, 2**54),
        uptime_s=st.integers(0, 9),
        clocksynced=st.booleans(),
        version=st.text(max_size=70),
        temperature_c=st.none() | st.floats(allow_nan=False, allow_infinity=False),
    ),
    time=st.datetimes(timezones=st.just(UTC) | st.timezones()),
    sequence=st.integers(-1, 10**11),
    event_id=st.text(max_size=70),
    monotonic_ms=st.integers(-1, 10**20),
)
def test_what_is_sealed_can_be_opened(
    fact: Fact, time: datetime, sequence: int, event_id: str, monotonic_ms: int
) -> None:
    """Whatever a device seals, the center opens as the same fact of the same instant; the rest is not sealed."""
    try:
        payload = seal(
            fact,
            event_id=event_id,
            source="/bentre/q03/rating",
            time=time,
            sequence=sequence,
            stream="s",
            boot_id="b",
            monotonic_ms=monotonic_ms,
            clock_synced=False,
        )
    except ContractError:
        return
    event = open_envelope(payload)
    assert event.fact() == fact
    assert (event.id, event.sequence_number, int(event.monotonicms)) == (event_id, sequence, monotonic_ms)
    assert abs((event.time - time).total_seconds()) < 0.001


@bounded
@given(st.text(max_size=60) | st.lists(st.text(max_size=8), min_size=6, max_size=6).map("/".join))
def test_any_topic(topic: str) -> None:
    """A topic of any kind is read or refused; what is read is built again as itself."""
    try:
        address, channel = parse(topic)
    except ContractError as error:
        in_good_order(error)
        return
    assert address.topic(channel) == topic


@bounded
@given(
    *[st.from_regex(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?", fullmatch=True)] * 4,
    st.sampled_from(Channel),
)
def test_any_address(root: str, center: str, station: str, device: str, channel: Channel) -> None:
    """A topic built from any good names leads back to them."""
    address = Address(center=center, station=station, device=device, root=root)
    assert parse(address.topic(channel)) == (address, channel)
