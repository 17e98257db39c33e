"""The contract as an AsyncAPI 3.0 document, made from the types, from the point of view of the center."""

import inspect
from typing import Any

import msgspec

from contract import examples
from contract.envelope import Envelope
from contract.events import NAMES, TYPES, Fact
from contract.requests import Ack, Reply, Request
from contract.states import DESIRED, REPORTED, Status
from contract.topics import CENTER_STATION, DEFAULT_ROOT, QOS, SEGMENT, VERSION, Channel, center_address

CONTRACT_VERSION = "1.0.0"
"""A field that may be left out or a new type raises the second figure; a changed meaning is a new topic version."""

_SCHEMAS = "#/components/schemas/"
_MESSAGES = "#/components/messages/"

_CHANNELS: dict[Channel, tuple[str, str]] = {
    Channel.EVENT: (
        "Facts",
        "What happened at the device. Kept in its outbox and sent again until the center's ack, so delivery is at least"
        " once and in order; the center drops ids that it has seen.",
    ),
    Channel.ACK: (
        "Facts stored",
        "The center has committed these events. Only this lets the device forget them, never the broker's PUBACK.",
    ),
    Channel.STATUS: (
        "Birth and last will",
        "Whether the device is there. Its last will on this topic says `lost`.",
    ),
    Channel.DESIRED: (
        "What the device should be",
        "Published again by the center at its start and whenever it reaches the broker. The payload's type goes by the"
        " kind of the device.",
    ),
    Channel.REPORTED: (
        "What the device is",
        "Repeats the revision of `desired` that is in effect. The payload's type goes by the kind of the device.",
    ),
    Channel.REQUEST: (
        "Asks",
        "A device asks for an action at its counter. Never kept for later: it is sent while there is contact, or not.",
    ),
    Channel.REPLY: (
        "Answers",
        "The center's answer to one request, found by its `id`.",
    ),
}

CENTER_STATUS = "centerStatus"
_CENTER_STATUS = (
    "The center's own birth and last will",
    "Whether the center is there, also while the broker lives without it. Its last will on this topic says `lost`.",
)


def document() -> dict[str, Any]:
    """Return the whole document."""
    messages = _messages()
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Motcua: devices at the counters of a public service center",
            "version": CONTRACT_VERSION,
            "description": (
                "Facts travel as CloudEvents 1.0 in structured JSON and are acknowledged by the center itself. States"
                " are retained. Requests expire in seconds. Every payload is UTF-8 JSON; unknown fields, names given"
                " twice and values out of range are refused. Operations are the center's: it receives what devices"
                " send."
            ),
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "broker": {
                "host": "{host}:{port}",
                "protocol": "mqtt",
                "protocolVersion": "3.1.1",
                "description": (
                    "The center's broker, any that speaks MQTT 3.1.1 (5 works as well). It holds nothing that matters:"
                    " sessions are clean, and it may be killed or replaced."
                ),
                "variables": {
                    "host": {"default": "127.0.0.1", "description": "The center's address"},
                    "port": {"default": "1883", "description": "The broker's port"},
                },
                "bindings": {"mqtt": {"cleanSession": True, "bindingVersion": "0.2.0"}},
            }
        },
        "channels": {
            **{channel.value: _channel(channel, messages) for channel in Channel},
            CENTER_STATUS: _center_status(),
        },
        "operations": {
            **{_operation_name(channel): _operation(channel) for channel in Channel if channel is not Channel.REPLY},
            "sendCenterStatus": _operation(Channel.STATUS)
            | _said(_CENTER_STATUS)
            | {"action": "send", "channel": {"$ref": f"#/channels/{CENTER_STATUS}"}},
        },
        "components": {
            "schemas": schemas(),
            "messages": {name: body for _, name, body in messages},
            "parameters": _parameters(),
        },
    }


def schemas() -> dict[str, dict[str, Any]]:
    """Return every type of the contract as JSON Schema, by its name."""
    facts: list[type[Fact]] = list(NAMES)
    roots = [Envelope, *facts, Ack, Status, *DESIRED.values(), *REPORTED.values(), Request, Reply]
    _, components = msgspec.json.schema_components(roots, ref_template=_SCHEMAS + "{name}")
    return {name: _tidy(schema) for name, schema in components.items()}


def _channel(channel: Channel, messages: list[tuple[Channel, str, dict[str, Any]]]) -> dict[str, Any]:
    title, description = _CHANNELS[channel]
    way = "device to center" if channel.from_device else "center to device"
    return {
        "address": f"{{root}}/{VERSION}/{{center}}/{{station}}/{{device}}/{channel.value}",
        "title": title,
        "description": f"{description} From {way}, QoS {QOS}, {'retained' if channel.retained else 'not retained'}.",
        "messages": {name: {"$ref": _MESSAGES + name} for where, name, _ in messages if where is channel},
        "parameters": {name: {"$ref": f"#/components/parameters/{name}"} for name in _parameters()},
    }


def _center_status() -> dict[str, Any]:
    """Return the one channel that is not a device's."""
    title, description = _CENTER_STATUS
    own = center_address("x").topic(Channel.STATUS).split("/")[3:]
    return {
        "address": f"{{root}}/{VERSION}/{{center}}/{'/'.join(own)}",
        "title": title,
        "description": f"{description} From center to device, QoS {QOS}, retained.",
        "messages": {Channel.STATUS.value: {"$ref": _MESSAGES + Channel.STATUS.value}},
        "parameters": {name: {"$ref": f"#/components/parameters/{name}"} for name in ("root", "center")},
    }


def _parameters() -> dict[str, dict[str, Any]]:
    """Return the variable segments of every address, in their order."""
    rule = f"It matches `{SEGMENT}`."
    return {
        "root": {"default": DEFAULT_ROOT, "description": f"Sets installations on one broker apart. {rule}"},
        "center": {"description": f"The site. {rule}", "examples": ["bentre"]},
        "station": {
            "description": f"A counter or a place in the hall. {rule} `{CENTER_STATION}` is the center's own.",
            "examples": ["q03", "hall-1"],
        },
        "device": {
            "description": f"The device's name there; its kind unless configured otherwise. {rule}",
            "examples": [*DESIRED, "kiosk", "printer"],
        },
    }


def _operation_name(channel: Channel) -> str:
    return f"{'receive' if channel.from_device else 'send'}{channel.value.title()}"


def _operation(channel: Channel) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "action": "receive" if channel.from_device else "send",
        "channel": {"$ref": f"#/channels/{channel.value}"},
        **_said(_CHANNELS[channel]),
        "bindings": {"mqtt": {"qos": QOS, "retain": channel.retained, "bindingVersion": "0.2.0"}},
    }
    if channel is Channel.REQUEST:
        operation["reply"] = {
            "channel": {"$ref": f"#/channels/{Channel.REPLY.value}"},
            "messages": [{"$ref": f"#/channels/{Channel.REPLY.value}/messages/{Channel.REPLY.value}"}],
        }
    return operation


def _said(about: tuple[str, str]) -> dict[str, Any]:
    title, description = about
    return {"title": title, "summary": description.split(". ")[0].rstrip(".") + "."}


def _messages() -> list[tuple[Channel, str, dict[str, Any]]]:
    """Return each message with its channel and its name in the document."""
    found: list[tuple[Channel, str, dict[str, Any]]] = []
    sample = {type(fact): fact for fact in examples.FACTS}
    for name, fact in TYPES.items():
        payload = {
            "allOf": [
                {"$ref": _SCHEMAS + Envelope.__name__},
                {
                    "type": "object",
                    "properties": {"type": {"const": name}, "data": {"$ref": _SCHEMAS + fact.__name__}},
                },
            ]
        }
        body = _message(name, fact, payload, examples.event(sample[fact]))
        body["contentType"] = "application/cloudevents+json"
        found.append((Channel.EVENT, name, body))
    found.append((Channel.ACK, "ack", _plain("ack", Ack, examples.ACK, examples.ACK_BY_ID)))
    found.append((Channel.STATUS, "status", _plain("status", Status, examples.STATUS)))
    for channel, kinds, samples in (
        (Channel.DESIRED, DESIRED, examples.DESIRED),
        (Channel.REPORTED, REPORTED, examples.REPORTED),
    ):
        for kind, state in kinds.items():
            name = f"{channel.value}.{kind}"
            found.append((channel, name, _plain(name, state, samples[kind])))
    request = _plain("request", Request, examples.REQUEST, examples.CALL, examples.RENEW, examples.UPLOAD)
    reply = _plain("reply", Reply, examples.DONE, examples.RENEWED, examples.LEAVE, examples.REFUSED)
    for body in (request, reply):
        body["correlationId"] = {"location": "$message.payload#/id"}
    return [*found, (Channel.REQUEST, "request", request), (Channel.REPLY, "reply", reply)]


def _plain(name: str, kind: type[msgspec.Struct], *samples: msgspec.Struct) -> dict[str, Any]:
    payload = {"$ref": _SCHEMAS + kind.__name__}
    return _message(name, kind, payload, *(msgspec.json.encode(sample) for sample in samples))


def _message(name: str, kind: type[msgspec.Struct], payload: dict[str, Any], *samples: bytes) -> dict[str, Any]:
    return {
        "name": name,
        "title": kind.__name__,
        "summary": inspect.cleandoc(kind.__doc__ or ""),
        "payload": payload,
        "examples": [{"payload": msgspec.json.decode(sample)} for sample in samples],
    }


def _tidy(schema: Any) -> Any:
    """Say the same in the words of JSON Schema draft 7, which AsyncAPI speaks."""
    if isinstance(schema, list):
        return [_tidy(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    tidy = {name: _tidy(value) for name, value in schema.items()}
    if isinstance(tidy.get("description"), str):
        tidy["description"] = inspect.cleandoc(tidy["description"])
    if isinstance(tidy.get("pattern"), str):
        tidy["pattern"] = tidy["pattern"].replace(r"(?!\n)$", "$")  # what `$` means there anyway
    if "$ref" in tidy and len(tidy) > 1:  # in draft 7, what stands beside a reference is not read
        tidy = {"allOf": [{"$ref": tidy.pop("$ref")}], **tidy}
    return tidy
