"""Reading configuration: devices and center take the same files and say the same of a mistake.

What is said follows `FILE: ` on one line: the key, what is allowed, and what was given.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

_AT = re.compile(r" - at `(?:key in )?\$(?P<path>[^`]*)`$")
_FIELD = re.compile(r"^Object (?P<what>missing required|contains unknown) field `(?P<name>[^`]+)`$")
_EXPECTED = re.compile(r"^(?:Expected|Invalid) ")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")  # the last two turn what stands around them
_STEP = re.compile(r"\.(?P<key>[^.\[]+)|\[(?P<index>\d+)\]|\[\.\.\.\]")


class SettingsError(ValueError):
    """A file is no configuration; its text says why, in the words that follow `FILE: `."""


def parse(data: bytes) -> dict[str, Any]:
    """Return the tables of a TOML file; raise SettingsError.

    Takes the mark that Windows' editor puts in front, and no control character in any value: a name or a path with one
    is never meant.
    """
    try:
        values = tomllib.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise SettingsError(f"byte {error.start}: text in UTF-8, got {error.object[error.start]:#04x}") from error
    except tomllib.TOMLDecodeError as error:
        text = str(error)
        where = re.search(r" \(at (?P<where>[^)]*)\)$", text)
        reason = text[: where.start()] if where else text
        place = f"{where['where']}: " if where else ""
        raise SettingsError(f"{place}valid TOML, got: {reason[:1].lower()}{reason[1:]}") from error
    except RecursionError as error:
        raise SettingsError("valid TOML, got: lists in lists without end") from error
    except ValueError as error:  # of int(), which reads no number of thousands of digits
        raise SettingsError("numbers of a few digits, got one of thousands") from error
    for key, text in _texts(values, ""):
        if _CONTROL.search(text):
            raise SettingsError(f"{key}: a text without control characters, got {show(text)}")
    return values


def _texts(value: Any, key: str) -> Iterator[tuple[str, str]]:
    """Yield every text in the tables with its dotted key."""
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from _texts(inner, f"{key}.{name}" if key else name)
    elif isinstance(value, list):
        for at, inner in enumerate(value):
            yield from _texts(inner, f"{key}[{at}]")


def explain_os_error(error: OSError) -> str:
    """Say why a file could not be read, in the words that follow `FILE: `."""
    reason = error.strerror or str(error)
    return f"cannot be read: {reason[:1].lower()}{reason[1:]}"


def explain_setting(error: msgspec.ValidationError, table: Mapping[str, Any], kind: type, *, under: str = "") -> str:
    """Turn msgspec's complaint about a table of settings into `key: what is allowed, got …`."""
    key, said = _explain_setting(str(error), table, kind)
    full = ".".join(part for part in (under, key) if part)
    return f"{full}: {said}" if full else said


def _explain_setting(text: str, table: Mapping[str, Any], kind: type) -> tuple[str, str]:
    """Return the dotted key and `what is allowed, got X`."""
    where = ""
    if found := _AT.search(text):
        where = found["path"]
        text = text[: found.start()]
    value: Any = table
    node = _type_info(kind)
    steps = [(step["key"], step["index"]) for step in _STEP.finditer(where)]
    for key, index in steps:
        value = _value_at(value, key, index)
        node = _type_at(node, key)
    dotted = where.lstrip(".")
    if field := _FIELD.match(text):
        dotted = f"{dotted}.{field['name']}" if dotted else field["name"]
        fields = {each.encode_name: each for each in getattr(_struct(node), "fields", ())}
        if field["what"] == "missing required":
            return dotted, f"{_allowed(fields[field['name']].type)}, got nothing" if field[
                "name"
            ] in fields else "is required"
        from difflib import get_close_matches  # as below: only a mistake pays for it

        near = get_close_matches(field["name"], fields, n=1)
        hint = f"did you mean {near[0]}?" if near else f"allowed are {', '.join(fields)}"
        return dotted, f"unknown key, {hint}"
    if _EXPECTED.match(text):
        return dotted, f"{_allowed(node) or text}, got {show(value)}"
    return dotted, text  # a __post_init__ of ours says it in its own words


def _type_info(kind: type) -> Any:
    # Imported only to explain a mistake: a daemon that starts well never pays for it.
    from msgspec import inspect

    return inspect.type_info(kind)


def _bare(node: Any) -> Any:
    """Take the description and the `| None` off a type."""
    while node is not None:
        match type(node).__name__:
            case "Metadata":
                node = node.type
            case "UnionType":
                node = next((each for each in node.types if type(each).__name__ != "NoneType"), None)
            case _:
                return node
    return None


def _struct(node: Any) -> Any:
    return _bare(node)


def _type_at(node: Any, key: str | None) -> Any:
    node = _bare(node)
    match type(node).__name__:
        case "StructType":
            return next((each.type for each in node.fields if each.encode_name == key), None)
        case "VarTupleType" | "ListType" | "SetType" | "FrozenSetType":
            return node.item_type
        case "DictType":
            return node.value_type
        case _:
            return None


def _value_at(value: Any, key: str | None, index: str | None) -> Any:
    try:
        if key is not None:
            return value[key]
        if index is not None:
            return value[int(index)]
    except (KeyError, IndexError, TypeError):
        return None
    # `[...]` is one of a mapping's values; msgspec does not say which.
    return value


def _allowed(node: Any) -> str:
    """Say in words what a type allows; "" where it cannot be said."""
    match type(node).__name__:
        case "Metadata":
            described = (node.extra_json_schema or {}).get("description")
            return str(described) if described else _allowed(node.type)
        case "UnionType":
            return " or ".join(each for each in map(_allowed, node.types) if each)
        case "IntType" | "FloatType":
            word = "a whole number" if type(node).__name__ == "IntType" else "a number"
            low, high = node.ge, node.le
            if low is not None and high is not None:
                return f"{word} from {low} to {high}"
            if low is not None:
                return f"{word} of at least {low}"
            return f"{word} of at most {high}" if high is not None else word
        case "StrType":
            limit = (
                f" of {_range(node)} characters" if node.max_length else " that is not empty" if node.min_length else ""
            )
            return f"a text{limit}" if node.pattern is None else f"a text that matches {node.pattern}"
        case "BoolType":
            return "true or false"
        case "LiteralType":
            return f"one of {', '.join(show(each) for each in node.values)}"
        case "EnumType":
            return f"one of {', '.join(show(each.value) for each in node.cls)}"
        case "VarTupleType" | "ListType":
            count = f"{_range(node)} " if node.min_length or node.max_length else ""
            return f"a list of {count}{'item' if count == 'at least 1 ' else 'items'}, each {_allowed(node.item_type)}"
        case "DictType":
            return "a table"
        case "StructType":
            return f"a table with {', '.join(each.encode_name for each in node.fields)}"
        case _:
            return ""


def _range(node: Any) -> str:
    if node.max_length is None:
        return f"at least {node.min_length}"
    return f"{node.min_length} to {node.max_length}" if node.min_length else f"at most {node.max_length}"


def show(value: Any) -> str:
    """Write a value as the file does, at most 80 characters of it."""
    if isinstance(value, str):
        printable = (sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in value[:80])
        text = '"' + "".join(printable) + '"'
    elif isinstance(value, bool):
        text = "true" if value else "false"
    elif isinstance(value, dict):
        text = "a table"
    elif isinstance(value, list):
        text = f"a list of {len(value)}"
    else:
        text = str(value)
    return text if len(text) <= 80 else f"{text[:77]}…"
