"""The configuration of a counter: one TOML file for all its devices, checked once, errors in one line."""

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol, TypeVar

import msgspec

from contract.topics import CENTER_STATION, DEFAULT_ROOT, SEGMENT, Address
from firmware.errors import ConfigError

Segment = Annotated[
    str,
    msgspec.Meta(
        pattern=SEGMENT, description="1 to 32 of a-z, 0-9 and inner hyphens (it becomes a part of MQTT topics)"
    ),
]
Host = Annotated[str, msgspec.Meta(min_length=1, max_length=253, description="a host name or an IP address")]
Port = Annotated[int, msgspec.Meta(ge=1, le=65535, description="a TCP port from 1 to 65535")]


class BrokerConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where the MQTT broker is. TLS is on as soon as `ca_file` is given."""

    host: Host = "127.0.0.1"
    port: Port = 1883
    protocol: Literal["3.1.1", "5"] = "3.1.1"
    username: Annotated[str, msgspec.Meta(min_length=1, max_length=128)] | None = None
    password_file: str | None = None
    keepalive_s: Annotated[int, msgspec.Meta(ge=5, le=300, description="5 to 300 seconds")] = 15
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None

    def __post_init__(self) -> None:
        """Refuse halves of what only works together."""
        if self.password_file is not None and self.username is None:
            raise ValueError("password_file needs a username beside it")
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("cert_file and key_file go together")
        if self.cert_file is not None and self.ca_file is None:
            raise ValueError("cert_file needs a ca_file beside it")


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The file as it is written; the devices' sections stay raw until their kind is known."""

    center: Segment
    station: Segment
    device: dict[str, Any]
    broker: BrokerConfig = BrokerConfig()
    root: Segment = DEFAULT_ROOT
    state_dir: Annotated[str, msgspec.Meta(min_length=1, description="a folder")] | None = None


class KindOfConfig(Protocol):
    """What this module needs to know of a registered kind of device."""

    @property
    def config(self) -> type[msgspec.Struct]:
        """The type of the kind's own section."""
        ...


class DeviceConfig(msgspec.Struct, frozen=True, kw_only=True):
    """All that one daemon needs: who it is, its kind with the kind's own options, its folder and its broker."""

    kind: str
    options: Any
    address: Address
    state_dir: Path
    broker: BrokerConfig

    @property
    def name(self) -> str:
        """The device's name at its station."""
        return self.address.device


def load(
    path: Path, name: str, kinds: Mapping[str, KindOfConfig], *, environment: Mapping[str, str] = os.environ
) -> DeviceConfig:
    """Read the file and the section of device `name`; raise ConfigError with one line that names file and key.

    Sections of other devices are not decoded: a pad must not need the display's libraries.
    """
    table = _parse(path)
    station = _decode(table, _File, path=path, under="")
    if station.station == CENTER_STATION:
        raise ConfigError(f"{path}: station: any name but the center's own, got {_show(station.station)}")
    if name not in station.device:
        known = ", ".join(sorted(station.device)) or "none"
        raise ConfigError(f"{path}: device.{name}: no such device in this file, it has: {known}")
    section = station.device[name]
    if not isinstance(section, dict):
        raise ConfigError(f"{path}: device.{name}: a table, got {_show(section)}")
    section = dict(section)
    kind_name = section.pop("kind", name)
    kind = kinds.get(kind_name) if isinstance(kind_name, str) else None
    if kind is None:
        allowed = ", ".join(sorted(kinds))
        raise ConfigError(f"{path}: device.{name}.kind: one of {allowed}, got {_show(kind_name)}")
    if not re.match(SEGMENT, name):
        raise ConfigError(f"{path}: device.{name}: a name is 1 to 32 of a-z, 0-9 and inner hyphens, got {_show(name)}")
    options = _decode(section, kind.config, path=path, under=f"device.{name}")
    return DeviceConfig(
        kind=kind_name,
        options=options,
        address=Address(center=station.center, station=station.station, device=name, root=station.root),
        state_dir=_state_dir(station, path, environment) / name,
        broker=station.broker,
    )


def read_secret(path: str, key: str) -> str:
    """Return the one line of a secret's file, which systemd credentials provide; raise ConfigError naming the key."""
    try:
        return Path(path).read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{path}: {key}: a readable file with the secret on one line, got {_reason(error)}"
        ) from error


def _state_dir(station: _File, path: Path, environment: Mapping[str, str]) -> Path:
    if station.state_dir is not None:
        return Path(station.state_dir)
    # systemd gives every StateDirectory= of a unit, separated by colons.
    if given := environment.get("STATE_DIRECTORY", "").split(":")[0]:
        return Path(given)
    raise ConfigError(
        f"{path}: state_dir: a folder for what must survive (or run under systemd with StateDirectory=), got none"
    )


def _parse(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except tomllib.TOMLDecodeError as error:
        text = str(error)
        where = re.search(r" \(at (?P<where>[^)]*)\)$", text)
        place = where["where"] if where else "somewhere"
        reason = text[: where.start()] if where else text
        raise ConfigError(f"{path}: {place}: valid TOML, got: {reason[:1].lower()}{reason[1:]}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: byte {error.start}: text in UTF-8, got {error.object[error.start]:#04x}") from error
    except OSError as error:
        raise ConfigError(f"{path}: a readable configuration file, got: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror[:1].lower() + error.strerror[1:]
    return str(error)


# --- msgspec's complaints, said so that an operator can act --------------------------------------------------------

T = TypeVar("T", bound=msgspec.Struct)
_WHERE = re.compile(r" - at `(?:key in )?\$(?P<path>[^`]*)`$")
_FIELD = re.compile(r"^Object (?P<what>missing required|contains unknown) field `(?P<name>[^`]+)`$")
_EXPECTED = re.compile(r"^(?:Expected|Invalid) ")
_STEP = re.compile(r"\.(?P<key>[^.\[]+)|\[(?P<index>\d+)\]|\[\.\.\.\]")


def _decode(table: Mapping[str, Any], kind: type[T], *, path: Path, under: str) -> T:
    try:
        return msgspec.convert(table, kind)
    except msgspec.ValidationError as error:
        key, said = _explain(str(error), table, kind)
        full = ".".join(part for part in (under, key) if part)
        raise ConfigError(f"{path}: {full}: {said}" if full else f"{path}: {said}") from error


def _explain(text: str, table: Mapping[str, Any], kind: type) -> tuple[str, str]:
    """Return the dotted key and `what is allowed, got X`."""
    where = ""
    if found := _WHERE.search(text):
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
        return dotted, f"{_allowed(node) or text}, got {_show(value)}"
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
            return f"{word} of at least {low}" if low is not None else f"{word} of at most {high}" if high else word
        case "StrType":
            limit = f" of at most {node.max_length} characters" if node.max_length else ""
            return f"a text{limit}" if node.pattern is None else f"a text that matches {node.pattern}"
        case "BoolType":
            return "true or false"
        case "LiteralType":
            return f"one of {', '.join(_show(each) for each in node.values)}"
        case "EnumType":
            return f"one of {', '.join(_show(each.value) for each in node.cls)}"
        case "VarTupleType" | "ListType":
            few = f"at least {node.min_length} " if node.min_length else ""
            many = f"at most {node.max_length} " if node.max_length else ""
            count = f"{few}{'and ' if few and many else ''}{many}"
            return f"a list of {count}items, each {_allowed(node.item_type)}"
        case "DictType":
            return "a table"
        case "StructType":
            return f"a table with {', '.join(each.encode_name for each in node.fields)}"
        case _:
            return ""


def _show(value: Any) -> str:
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
