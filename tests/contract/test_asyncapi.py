"""The published document: it is what the types say, whole, and consistent in itself."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from contract import asyncapi, cli
from contract.codec import decode
from contract.envelope import Envelope, open_envelope
from contract.events import TYPES
from contract.requests import Ack, Reply, Request
from contract.states import DESIRED, REPORTED, Status
from contract.topics import Address, Channel, center_address

pytestmark = pytest.mark.docs

COPY = Path(__file__).parents[2] / "docs" / "ref" / "asyncapi.json"
DOCUMENT = asyncapi.document()
PLAIN = {
    "ack": Ack,
    "status": Status,
    "request": Request,
    "reply": Reply,
    **{f"desired.{kind}": state for kind, state in DESIRED.items()},
    **{f"reported.{kind}": state for kind, state in REPORTED.items()},
}


def references(value: Any) -> Iterator[str]:
    """Yield every reference in a part of the document."""
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for inner in value.values():
            yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


def resolved(reference: str) -> Any:
    """Return what a reference points to."""
    place: Any = DOCUMENT
    assert reference.startswith("#/")
    for part in reference[2:].split("/"):
        place = place[part]
    return place


def test_the_copy_in_the_documents_is_equal() -> None:
    """The document under docs/ref is the one the command prints."""
    assert COPY.read_text(encoding="utf-8") == cli.published(), (
        "the contract has changed; renew its copy with: motcua contract asyncapi > docs/ref/asyncapi.json"
    )


def test_it_is_asyncapi_3() -> None:
    """The document names its format and its own version."""
    assert DOCUMENT["asyncapi"] == "3.0.0"
    assert DOCUMENT["info"]["version"] == asyncapi.CONTRACT_VERSION
    assert DOCUMENT["info"]["title"]
    assert set(DOCUMENT) == {
        "asyncapi",
        "info",
        "defaultContentType",
        "servers",
        "channels",
        "operations",
        "components",
    }


def test_every_reference_leads_somewhere() -> None:
    """No reference in the document is dangling, and no schema or message is left over."""
    found = set(references(DOCUMENT))
    for reference in found:
        assert resolved(reference) is not None
    for part in ("schemas", "messages", "parameters"):
        assert {f"#/components/{part}/{name}" for name in DOCUMENT["components"][part]} <= found


def test_every_message_is_there() -> None:
    """Every event type, and every ack, status, desired, reported, request and reply, is a message of its channel."""
    by_channel = {name: set(channel["messages"]) for name, channel in DOCUMENT["channels"].items()}
    assert by_channel == {
        "event": set(TYPES),
        "ack": {"ack"},
        "status": {"status"},
        "desired": {f"desired.{kind}" for kind in DESIRED},
        "reported": {f"reported.{kind}" for kind in REPORTED},
        "request": {"request"},
        "reply": {"reply"},
        asyncapi.CENTER_STATUS: {"status"},
    }
    assert set(DOCUMENT["components"]["messages"]) == {*TYPES, *PLAIN}


@pytest.mark.parametrize("channel", Channel)
def test_an_address_is_the_topic(channel: Channel) -> None:
    """A channel's address, filled with its parameters, is the topic that the code builds."""
    published = DOCUMENT["channels"][channel.value]
    assert set(published["parameters"]) == {"root", "center", "station", "device"}
    names = {"root": "motcua", "center": "bentre", "station": "q03", "device": "rating"}
    address = Address(center="bentre", station="q03", device="rating")
    assert published["address"].format(**names) == address.topic(channel)


def test_the_center_says_of_itself_where_devices_listen() -> None:
    """The center's own status has an address without a station to choose, the one that the code builds."""
    published = DOCUMENT["channels"][asyncapi.CENTER_STATUS]
    assert set(published["parameters"]) == {"root", "center"}
    topic = center_address("bentre").topic(Channel.STATUS)
    assert published["address"].format(root="motcua", center="bentre") == topic


def test_operations_are_the_centers() -> None:
    """The center receives what devices send and sends what devices hear; the reply belongs to its request."""
    operations = DOCUMENT["operations"]
    assert {name: operation["action"] for name, operation in operations.items()} == {
        "receiveEvent": "receive",
        "sendAck": "send",
        "receiveStatus": "receive",
        "sendDesired": "send",
        "receiveReported": "receive",
        "receiveRequest": "receive",
        "sendCenterStatus": "send",
    }
    assert operations["sendCenterStatus"]["channel"] == {"$ref": f"#/channels/{asyncapi.CENTER_STATUS}"}
    assert operations["sendCenterStatus"]["bindings"] == operations["receiveStatus"]["bindings"]
    assert operations["receiveRequest"]["reply"]["channel"] == {"$ref": "#/channels/reply"}
    for channel in (each for each in Channel if each is not Channel.REPLY):
        way = "receive" if channel.from_device else "send"
        operation = operations[f"{way}{channel.value.title()}"]
        assert operation["channel"] == {"$ref": f"#/channels/{channel.value}"}
        assert operation["bindings"]["mqtt"]["qos"] == 1
        assert operation["bindings"]["mqtt"]["retain"] is channel.retained


def test_every_schema_is_a_json_schema() -> None:
    """Every type of the contract is published as valid JSON Schema, each field with its meaning."""
    for name, schema in DOCUMENT["components"]["schemas"].items():
        jsonschema.Draft7Validator.check_schema(schema)
        assert schema["additionalProperties"] is False
        assert schema["description"]
        for field, value in schema["properties"].items():
            assert value.get("description"), f"{name}.{field} says nothing about itself"


@pytest.mark.parametrize("name", [*TYPES, *PLAIN])
def test_an_example_is_valid_twice(name: str) -> None:
    """Every example in the document is valid by its schema and is read by the code."""
    message = DOCUMENT["components"]["messages"][name]
    validator = jsonschema.Draft7Validator({**message["payload"], "components": DOCUMENT["components"]})
    assert message["examples"]
    for example in message["examples"]:
        validator.validate(example["payload"])
        payload = json.dumps(example["payload"]).encode()
        if name in TYPES:
            event = open_envelope(payload)
            assert event.type == name
            assert isinstance(event.fact(), TYPES[name])
        else:
            decode(payload, PLAIN[name])


def test_an_events_schema_is_strict() -> None:
    """By the published schema an event's data must fit its type, and the envelope has no other attribute."""
    message = DOCUMENT["components"]["messages"]["vn.motcua.rating.given.v1"]
    validator = jsonschema.Draft7Validator({**message["payload"], "components": DOCUMENT["components"]})
    event = message["examples"][0]["payload"]
    assert validator.is_valid(event)
    assert not validator.is_valid(event | {"data": event["data"] | {"level": 6}})
    assert not validator.is_valid(event | {"data": {}})
    assert not validator.is_valid(event | {"type": "vn.motcua.rating.reason.v1"})
    assert not validator.is_valid(event | {"traceparent": "00"})
    for attribute in Envelope.__struct_fields__:
        assert not validator.is_valid({name: value for name, value in event.items() if name != attribute})
