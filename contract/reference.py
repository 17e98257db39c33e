"""Keeps the tables and examples of the written reference equal to the types.

A block begins with `<!-- fields TYPE -->` (a table), `<!-- example MESSAGE -->` (of a fact: its data) or
`<!-- event MESSAGE -->` (a fact with its envelope) and ends with `<!-- end -->`. What stands between is made here; all
else is prose and stays as it is.
"""

import json
import re
from typing import Any

import msgspec

from contract import asyncapi
from contract.errors import ContractError
from contract.events import END, Comment, Id, Text, ThumbnailText, TicketNumber

_BLOCK = re.compile(
    r"<!-- (?P<what>fields|example|event) (?P<name>[\w.-]+) -->\n(?P<body>.*?)<!-- end -->\n", re.DOTALL
)
_LARGEST = 2**53 - 1
_LINE = 110


def fill(text: str) -> str:
    """Return the reference with every block made anew; raise ContractError for a name that is not in the contract."""
    document = asyncapi.document()
    schemas, messages = document["components"]["schemas"], document["components"]["messages"]

    def block(match: re.Match[str]) -> str:
        what, name = match["what"], match["name"]
        found = (schemas if what == "fields" else messages).get(name)
        if found is None:
            raise ContractError(name, f"is not in the contract: <!-- {what} {name} -->")
        body = _table(found) if what == "fields" else _examples(found, whole=what == "event")
        return f"<!-- {what} {name} -->\n\n{body}\n<!-- end -->\n"

    return _BLOCK.sub(block, text)


def _table(schema: dict[str, Any]) -> str:
    rows = ["| field | value | meaning |", "|---|---|---|"]
    for name, field in schema["properties"].items():
        value = _value(field)
        if name not in schema["required"]:
            value += f"; may be left out: {_literal(field['default'])}"
        rows.append(f"| `{name}` | {value} | {field.get('description', '')} |")
    return "\n".join(rows) + "\n"


def _examples(message: dict[str, Any], *, whole: bool) -> str:
    payloads = [sample["payload"] for sample in message["examples"]]
    if not whole:
        payloads = [payload.get("data", payload) for payload in payloads]
    return "\n".join(f"```json\n{_written(payload)}\n```\n" for payload in payloads)


def _written(payload: dict[str, Any]) -> str:
    line = json.dumps(payload, ensure_ascii=False)
    return line if len(line) <= _LINE else json.dumps(payload, ensure_ascii=False, indent=2)


def _value(schema: dict[str, Any]) -> str:
    """Say in words what a value may be."""
    match schema:
        case {"$ref": ref} | {"allOf": [{"$ref": ref}]}:
            name = str(ref).rpartition("/")[2]
            return f"[{name}](#{name.lower()})"
        case {"anyOf": choices}:
            return ", or ".join(_value(choice) for choice in choices)
        case {"enum": [only]} | {"const": only}:
            return _literal(only)
        case {"enum": values}:
            return "one of " + ", ".join(_literal(value) for value in values)
        case {"type": "integer"}:
            return f"integer{_span(schema)}"
        case {"type": "number"}:
            return f"number{_span(schema)}"
        case {"type": "boolean"}:
            return "`true` or `false`"
        case {"type": "null"}:
            return "`null`"
        case {"type": "string", "format": "date-time"}:
            return "instant"
        case {"type": "string"}:
            return _string(schema)
        case {"type": "array", "items": items}:
            return f"list{_length(schema, 'Items', 'entries')}, each: {_value(items)}"
        case {"type": "object", "propertyNames": {"pattern": pattern}, "additionalProperties": values}:
            return f"object, `{pattern}` to {_value(values)}"
        case _:
            return "anything"


def _string(schema: dict[str, Any]) -> str:
    pattern = schema.get("pattern")
    if pattern == _TICKET_NUMBER:
        return "ticket number"
    if pattern in _WORDS:
        return _WORDS[pattern] + _length(schema, "Length", "characters", usual=(1, 64))
    return "text" + (f" `{pattern}`" if pattern else "") + _length(schema, "Length", "characters")


def _length(schema: dict[str, Any], of: str, unit: str, usual: tuple[int, int] | None = None) -> str:
    least, most = schema.get(f"min{of}", 0), schema.get(f"max{of}")
    if most is None or (least, most) == usual:
        return ""
    return f", {least} to {most} {unit}" if least else f", at most {most} {unit}"


def _span(schema: dict[str, Any]) -> str:
    least, most = schema.get("minimum"), schema.get("maximum")
    if most == _LARGEST:
        most = None
    if least is None:
        return ""
    return f" from {least}" if most is None else f", {least} to {most}"


def _literal(value: object) -> str:
    return f"`{json.dumps(value)}`"


def _pattern(kind: Any) -> str:
    """Return the pattern of one of the contract's own kinds of text, as the published schemas write it."""
    pattern: str = msgspec.json.schema(kind)["pattern"]
    return pattern.replace(END, "$")


_TICKET_NUMBER = _pattern(TicketNumber)
_WORDS = {
    _pattern(Text): "line",
    _pattern(Id): "id",
    _pattern(Comment): "text",
    _pattern(ThumbnailText): "base64",
    asyncapi.schemas()["Envelope"]["properties"]["source"]["pattern"]: "source",
}
"""What the reference explains once, and then only names."""
