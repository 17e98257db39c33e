"""What is said when a message is not one of the contract's, or a configuration file is not one of ours."""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

_WHERE = re.compile(r" - at (?:`key` in )?`\$(?P<path>[^`]*)`$")
_NAMED = re.compile(r"(?:required|unknown) field `(?P<name>.*)`$", re.DOTALL)
_LONGEST_FIELD = 128
_LONGEST_REASON = 300


class ContractError(ValueError):
    """A message breaks the contract; `field` says where (dotted, `""` for the whole), `reason` says why.

    Both come from a stranger's bytes, so both are cut to a length and free of control characters: safe in a log line.
    """

    def __init__(self, field: str, reason: str) -> None:
        """Name the field and the reason, both readable by the person who looks into a quarantine."""
        self.field = _printable(field, _LONGEST_FIELD)
        self.reason = _printable(reason, _LONGEST_REASON)
        super().__init__(f"{self.field}: {self.reason}" if self.field else self.reason)


def explain(error: msgspec.MsgspecError, *, under: str = "") -> ContractError:
    """Turn msgspec's complaint into ours: ``Expected `int` <= 5 - at `$.level` `` becomes ``level: expected …``."""
    if not isinstance(error, msgspec.ValidationError):
        return ContractError(under, _malformed(str(error)))
    text = str(error)
    path = ""
    if where := _WHERE.search(text):
        path = where["path"].lstrip(".")
        text = text[: where.start()]
    if isinstance(error.__cause__, ContractError):  # one of our own structs refused its values together
        path = _join(path, error.__cause__.field)
        text = error.__cause__.reason
    elif named := _NAMED.search(text):
        path = _join(path, named["name"])
        text = "is missing" if "missing required" in text else "is not a field of the contract"
    # The patterns say "and no line break at the end" in a way that every regex dialect knows and no reader wants to.
    text = text.replace(r"(?!\\n)$", "$")
    return ContractError(_join(under, path), text if text.startswith("RFC") else text[:1].lower() + text[1:])


def _malformed(text: str) -> str:
    """Say that this is no JSON, for each of msgspec's two ways to put it."""
    return text if text.startswith("JSON is malformed") else f"JSON is malformed: {text[:1].lower()}{text[1:]}"


def _join(*parts: str) -> str:
    return ".".join(part for part in parts if part)


def _printable(text: str, longest: int) -> str:
    if not text.isprintable():
        text = "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


# --- configuration: devices and center say the same of a mistake, so that an operator can act ----------------------

_AT = re.compile(r" - at `(?:key in )?\$(?P<path>[^`]*)`$")
_FIELD = re.compile(r"^Object (?P<what>missing required|contains unknown) field `(?P<name>[^`]+)`$")
_EXPECTED = re.compile(r"^(?:Expected|Invalid) ")
_STEP = re.compile(r"\.(?P<key>[^.\[]+)|\[(?P<index>\d+)\]|\[\.\.\.\]")


def explain_file(error: OSError | ValueError) -> str:
    """Say why a TOML file could not be read, in the words that follow `FILE: `."""
    if isinstance(error, OSError):
        reason = error.strerror or str(error)
        return f"cannot be read: {reason[:1].lower()}{reason[1:]}"
    if isinstance(error, UnicodeDecodeError):
        return f"byte {error.start}: text in UTF-8, got {error.object[error.start]:#04x}"
    text = str(error)
    where = re.search(r" \(at (?P<where>[^)]*)\)$", text)
    reason = text[: where.start()] if where else text
    return f"{where['where'] if where else 'somewhere'}: valid TOML, got: {reason[:1].lower()}{reason[1:]}"


def explain_setting(error: msgspec.ValidationError, table: Mapping[str, Any], kind: type, *, under: str = "") -> str:
    """Turn msgspec's complaint about a table of settings into `key: what is allowed, got …`."""
    key, said = _explain_setting(str(error), table, kind)
    full = _join(under, key)
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
        text = '"' + value.replace("\n", "\\n") + '"'
    elif isinstance(value, bool):
        text = "true" if value else "false"
    elif isinstance(value, dict):
        text = "a table"
    elif isinstance(value, list):
        text = f"a list of {len(value)}"
    else:
        text = str(value)
    return text if len(text) <= 80 else f"{text[:77]}…"
