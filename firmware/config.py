"""The configuration of a counter: one TOML file for all its devices, checked once, errors in one line."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol, TypeVar

import msgspec

from contract.settings import SettingsError, explain_os_error, explain_setting, parse, show
from contract.topics import CENTER_STATION, DEFAULT_ROOT, SEGMENT, Address
from firmware.errors import ConfigError

Segment = Annotated[
    str,
    msgspec.Meta(
        pattern=SEGMENT, description="1 to 32 of a-z, 0-9 and inner hyphens (it becomes a part of MQTT topics)"
    ),
]
Host = Annotated[
    str,
    # Parts of 1 to 63 characters (RFC 1035, 2.3.4): Python meets any other with a fault of its own.
    msgspec.Meta(
        max_length=253, pattern=r"^[^.\s]{1,63}(\.[^.\s]{1,63})*\.?$", description="a host name or an IP address"
    ),
]
Port = Annotated[int, msgspec.Meta(ge=1, le=65535, description="a TCP port from 1 to 65535")]


PLAIN_PORT, TLS_PORT = 1883, 8883
"""Where a broker listens that speaks no TLS, and one that does, unless it is told otherwise."""
_CREDENTIALS = "$CREDENTIALS_DIRECTORY"


class BrokerConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where the MQTT broker is. TLS is on as soon as `ca_file` is given, or `keys_dir`, which stands for all of them.

    `cert_file` may hold the key as well.
    """

    host: Host = "127.0.0.1"
    port: Port = 0  # by the protocol, see below
    protocol: Literal["3.1.1", "5"] = "3.1.1"
    username: Annotated[str, msgspec.Meta(min_length=1, max_length=128)] | None = None
    password_file: str | None = None
    keepalive_s: Annotated[int, msgspec.Meta(ge=5, le=300, description="5 to 300 seconds")] = 15
    keys_dir: str | None = None
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    home_assistant: bool = False

    def __post_init__(self) -> None:
        """Refuse halves of what only works together, and choose the usual port."""
        if not self.port:
            secured = self.keys_dir is not None or self.ca_file is not None
            msgspec.structs.force_setattr(self, "port", TLS_PORT if secured else PLAIN_PORT)
        if self.password_file is not None and self.username is None:
            raise ValueError("password_file needs a username beside it")
        if self.key_file is not None and self.cert_file is None:
            raise ValueError("key_file needs a cert_file beside it")
        if self.cert_file is not None and self.ca_file is None:
            raise ValueError("cert_file needs a ca_file beside it")


class MetricsConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where figures are read on this machine: `port` is the first device's in the file, the next one has the next."""

    port: Annotated[int, msgspec.Meta(ge=1024, le=65000, description="a TCP port from 1024 to 65000")] | None = None


class Station(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The file as it is written; the devices' sections stay raw until their kind is known."""

    center: Segment
    station: Segment
    device: dict[str, Any]
    broker: BrokerConfig = BrokerConfig()
    metrics: MetricsConfig = MetricsConfig()
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
    metrics_port: int | None = None

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
    station = read_station(path)
    if name not in station.device:
        known = ", ".join(sorted(station.device)) or "none"
        raise ConfigError(f"{path}: device.{name}: no such device in this file, it has: {known}")
    section = station.device[name]
    if not isinstance(section, dict):
        raise ConfigError(f"{path}: device.{name}: a table, got {show(section)}")
    section = dict(section)
    kind_name = section.pop("kind", name)
    kind = kinds.get(kind_name) if isinstance(kind_name, str) else None
    if kind is None:
        allowed = ", ".join(sorted(kinds))
        raise ConfigError(f"{path}: device.{name}.kind: one of {allowed}, got {show(kind_name)}")
    if not re.match(SEGMENT, name):
        raise ConfigError(f"{path}: device.{name}: a name is 1 to 32 of a-z, 0-9 and inner hyphens, got {show(name)}")
    options = _decode(section, kind.config, path=path, under=f"device.{name}")
    return DeviceConfig(
        kind=kind_name,
        options=options,
        address=Address(center=station.center, station=station.station, device=name, root=station.root),
        state_dir=_state_dir(station, path, environment) / name,
        broker=resolve_broker(station, path, name, environment=environment),
        metrics_port=None if station.metrics.port is None else station.metrics.port + list(station.device).index(name),
    )


def read_secret(path: str, key: str) -> str:
    """Return the one line of a secret's file, which systemd credentials provide; raise ConfigError naming the key."""
    try:
        return Path(path).read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{path}: {key}: a readable file with the secret on one line, got {_reason(error)}"
        ) from error


def read_station(path: Path) -> Station:
    """Return the file as it is written; raise ConfigError. Devices' sections are not judged."""
    station = _decode(_parse(path), Station, path=path, under="")
    if station.station == CENTER_STATION:
        raise ConfigError(f"{path}: station: any name but the center's own, got {show(station.station)}")
    return station


def resolve_broker(
    station: Station, path: Path, name: str, *, environment: Mapping[str, str] = os.environ
) -> BrokerConfig:
    """Return the section as it is meant for device `name`: each file by its whole path."""
    broker = station.broker
    if broker.keys_dir is not None and (broker.ca_file, broker.cert_file, broker.key_file) != (None, None, None):
        raise ConfigError(f"{path}: broker: keys_dir stands for ca_file, cert_file and key_file: leave them out")
    files = {
        key: value.replace(_CREDENTIALS, environment.get("CREDENTIALS_DIRECTORY", _CREDENTIALS), 1)
        for key in ("password_file", "keys_dir", "ca_file", "cert_file", "key_file")
        if (value := getattr(broker, key)) is not None
    }
    if folder := files.get("keys_dir"):
        files |= {"ca_file": f"{folder}/root.pem", "cert_file": f"{folder}/{station.station}/{name}.pem"}
    return msgspec.structs.replace(broker, **files)


def _state_dir(station: Station, path: Path, environment: Mapping[str, str]) -> Path:
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
        return parse(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"{path}: {explain_os_error(error)}") from error
    except SettingsError as error:
        raise ConfigError(f"{path}: {error}") from error


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror[:1].lower() + error.strerror[1:]
    return str(error)


T = TypeVar("T", bound=msgspec.Struct)


def _decode(table: Mapping[str, Any], kind: type[T], *, path: Path, under: str) -> T:
    try:
        return msgspec.convert(table, kind)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{path}: {explain_setting(error, table, kind, under=under)}") from error
