"""The center's configuration: one TOML file, read once; a fault is one line with file, key and what is allowed."""

import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

import msgspec

from center.errors import ConfigError
from center.queue.model import Counter, Rules, Service
from contract.scales import SCALES, Scale
from contract.topics import CENTER_STATION, DEFAULT_ROOT, SEGMENT

Segment = Annotated[str, msgspec.Meta(pattern=SEGMENT)]
Label = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
FilePath = Annotated[str, msgspec.Meta(min_length=1, max_length=4096)]
Host = Annotated[str, msgspec.Meta(min_length=1, max_length=253)]
Port = Annotated[int, msgspec.Meta(ge=1, le=65_535)]
BrokerKind = Literal["auto", "mosquitto", "amqtt", "external"]


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What every table of the file has in common: frozen, and an unknown key is an error."""


class Http(Section, frozen=True, kw_only=True):
    """Where pages and API are served."""

    host: Host = "127.0.0.1"
    port: Port = 8080


class Broker(Section, frozen=True, kw_only=True):
    """Which MQTT broker: `auto` takes mosquitto where it is installed, else the built-in amqtt; `external` starts none.

    On loopback everybody on this machine may connect. On another address mosquitto asks for a password: `users_file`
    is made with mosquitto_passwd, `username` and `password_file` are the center's own entry in it (as with `external`).
    """

    kind: BrokerKind = "auto"
    host: Host = "127.0.0.1"
    port: Port = 1883
    username: Label | None = None
    password_file: FilePath | None = None
    users_file: FilePath | None = None

    @property
    def on_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return self.host in ("localhost", "::1") or self.host.startswith("127.")

    @property
    def connect_host(self) -> str:
        """Where the center itself connects."""
        return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104 – compared, not bound


class Rating(Section, frozen=True, kw_only=True):
    """How citizens rate: the scale, and how long a pad stays open after a service."""

    scale: Literal["vn-3", "vn-4", "vn-5"] = "vn-3"
    arm_seconds: Annotated[int, msgspec.Meta(ge=1, le=600)] = 30


class Store(Section, frozen=True, kw_only=True):
    """Where everything is kept; an SQLAlchemy URL, by default an SQLite file in `data_dir`."""

    url: Label | None = None


class ServiceConfig(Section, frozen=True, kw_only=True):
    """A service people take a ticket for; `letter` starts its numbers."""

    id: Segment
    letter: Annotated[str, msgspec.Meta(pattern="^[A-Z]$")]
    vi: Label
    en: Label


class CounterConfig(Section, frozen=True, kw_only=True):
    """A counter; its id is also the station's name on the wire, its label what people read."""

    id: Segment
    label: Annotated[str, msgspec.Meta(min_length=1, max_length=8)]
    services: Annotated[tuple[Segment, ...], msgspec.Meta(min_length=1)]


class Config(Section, frozen=True, kw_only=True):
    """Everything a center can be told."""

    id: Segment
    name: Label
    data_dir: Annotated[str, msgspec.Meta(min_length=1)]
    timezone: Annotated[str, msgspec.Meta(min_length=1, max_length=64)] = "Asia/Ho_Chi_Minh"
    root: Segment = DEFAULT_ROOT
    http: Http = Http()
    broker: Broker = Broker()
    rating: Rating = Rating()
    rules: Rules = Rules()
    store: Store = Store()
    service: Annotated[tuple[ServiceConfig, ...], msgspec.Meta(min_length=1)]
    counter: Annotated[tuple[CounterConfig, ...], msgspec.Meta(min_length=1)]

    @property
    def zone(self) -> ZoneInfo:
        """The time zone that decides the business day."""
        return ZoneInfo(self.timezone)

    @property
    def scale(self) -> Scale:
        """The rating scale in use."""
        return SCALES[self.rating.scale]

    @property
    def store_url(self) -> str:
        """Where everything is kept."""
        return self.store.url or f"sqlite:///{Path(self.data_dir) / 'center.db'}"

    def services(self) -> tuple[Service, ...]:
        """Return the services as the queue knows them."""
        return tuple(Service(id=one.id, letter=one.letter, vi=one.vi, en=one.en) for one in self.service)

    def counters(self) -> tuple[Counter, ...]:
        """Return the counters as the queue knows them, closed."""
        return tuple(Counter(id=one.id, label=one.label, services=one.services) for one in self.counter)


_READABLE = {
    f"`str` matching regex {SEGMENT!r}": "1 to 32 of a-z, 0-9 and inner hyphens",
    "`str` matching regex '^[A-Z]$'": "one letter of A to Z",
}
_WHERE = re.compile(r" - at `(?:key in )?\$(?P<path>[^`]*)`$")
_NAMED = re.compile(r"(?:required|unknown) field `(?P<name>[^`]+)`")


def read(path: Path) -> Config:
    """Return the configuration of a file; raise ConfigError with the one line an operator needs."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not UTF-8 text: {error.reason} at byte {error.start}") from error
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: is not TOML: {error}") from error
    try:
        config = msgspec.convert(values, Config)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{path}: {_explain(error, values)}") from error
    _check(path, config)
    return config


def _explain(error: msgspec.ValidationError, values: dict[str, Any]) -> str:
    """Turn msgspec's complaint into `key.path: what is allowed, got …`."""
    text, key = str(error), ""
    if where := _WHERE.search(text):
        key, text = where["path"].lstrip("."), text[: where.start()]
    if named := _NAMED.search(text):
        name = named["name"]
        key = f"{key}.{name}" if key else name
        return f"{key}: {'is missing' if 'required' in text else 'is not a key of the configuration'}"
    for pattern, words in _READABLE.items():
        text = text.replace(pattern, words)
    if got := _got(key, values):
        text = text.partition(", got `")[0]
    return f"{key}: {text[:1].lower()}{text[1:]}{got}"


def _got(key: str, values: Any) -> str:
    """Return `, got …` for a key path such as `counter[0].label`, where it leads to a plain value."""
    for name, index in re.findall(r"([^.\[\]]+)|\[(\d+)\]", key):
        try:
            values = values[int(index)] if index else values[name]
        except (KeyError, IndexError, TypeError):
            return ""
    return f", got {values!r:.60}" if isinstance(values, str | int | float | bool) else ""


def _check(path: Path, config: Config) -> None:
    """Refuse what no single value shows to be wrong."""
    try:
        ZoneInfo(config.timezone)
    except (ValueError, OSError) as error:  # ZoneInfoNotFoundError is a KeyError, caught below
        raise ConfigError(
            f"{path}: timezone: must be a name such as Asia/Ho_Chi_Minh, got {config.timezone!r}"
        ) from error
    except KeyError as error:
        raise ConfigError(f"{path}: timezone: is not known here, got {config.timezone!r}") from error
    _unique(path, "service", "id", [one.id for one in config.service])
    _unique(path, "service", "letter", [one.letter for one in config.service])
    _unique(path, "counter", "id", [one.id for one in config.counter])
    _unique(path, "counter", "label", [one.label for one in config.counter])
    known = {service.id for service in config.service}
    for at, counter in enumerate(config.counter):
        if counter.id == CENTER_STATION:
            raise ConfigError(f"{path}: counter[{at}].id: must not be the center's own name, got {counter.id!r}")
        if len(set(counter.services)) != len(counter.services):
            raise ConfigError(f"{path}: counter[{at}].services: must name each service once, got {counter.services!r}")
        for one in counter.services:
            if one not in known:
                allowed = ", ".join(sorted(known))
                raise ConfigError(f"{path}: counter[{at}].services: must be of {allowed}, got {one!r}")
    _check_broker(path, config.broker)


def _check_broker(path: Path, broker: Broker) -> None:
    if (broker.username is None) != (broker.password_file is None):
        raise ConfigError(f"{path}: broker.password_file: must stand together with broker.username")
    if broker.kind == "external" or broker.on_loopback:
        return
    if broker.kind == "amqtt":
        raise ConfigError(
            f"{path}: broker.host: amqtt has no passwords: must be a loopback address, got {broker.host!r}"
        )
    if broker.users_file is None or broker.username is None:
        raise ConfigError(
            f"{path}: broker.users_file: must be given, with username and password_file, because broker.host ="
            f" {broker.host!r} can be reached from other machines"
        )


def _unique(path: Path, table: str, key: str, values: list[str]) -> None:
    for at, value in enumerate(values):
        if value in values[:at]:
            raise ConfigError(f"{path}: {table}[{at}].{key}: must differ from every other, got {value!r} again")
