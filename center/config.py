"""The center's configuration: one TOML file, read once; a fault is one line with file, key and what is allowed."""

import re
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import quote, urlsplit
from zoneinfo import ZoneInfo

import msgspec

from center.errors import ConfigError
from center.people.model import ROLES
from center.queue.model import Counter, Rules, Service
from contract.scales import SCALES, Scale
from contract.settings import SettingsError, explain_os_error, explain_setting, parse, show
from contract.topics import CENTER_STATION, DEFAULT_ROOT, SEGMENT

Segment = Annotated[str, msgspec.Meta(pattern=SEGMENT, description="1 to 32 of a-z, 0-9 and inner hyphens")]
Label = Annotated[
    str,
    msgspec.Meta(
        min_length=1, max_length=100, pattern=r"\S", description="a text of 1 to 100 characters, not only spaces"
    ),
]
FilePath = Annotated[str, msgspec.Meta(min_length=1, max_length=4096, description="a file")]
Host = Annotated[str, msgspec.Meta(min_length=1, max_length=253, description="a host name or an IP address")]
ServerName = Annotated[
    str,
    msgspec.Meta(
        min_length=1,
        max_length=253,
        pattern="^[A-Za-z0-9]([A-Za-z0-9.:-]*[A-Za-z0-9])?$",
        description="a host name or an IP address",
    ),
]
Port = Annotated[int, msgspec.Meta(ge=1, le=65_535, description="a TCP port from 1 to 65535")]
BrokerKind = Literal["auto", "mosquitto", "amqtt", "external"]

SECURED_PORT = 8883
"""Where a broker listens that speaks TLS, unless it is told otherwise."""

STORE_LARGEST_MB = 5_000
"""More a store that speaks S3 takes in no single request (5 GiB)."""


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What every table of the file has in common: frozen, and an unknown key is an error."""


def on_loopback(host: str) -> bool:
    """Whether a host is this machine itself."""
    return host in ("localhost", "::1") or host.startswith("127.")


class Http(Section, frozen=True, kw_only=True):
    """Where pages and API are served.

    `names`: the names by which browsers reach this machine beside its own and its addresses; a page under any other
    name is refused. With `cert_file` and `key_file` it is HTTPS. `proxies`: addresses of reverse proxies: only
    their word is believed for whom they ask, and whether by HTTPS (`X-Forwarded-For`, `X-Forwarded-Proto`).
    """

    host: Host = "127.0.0.1"
    port: Port = 8080
    names: tuple[Host, ...] = ()
    proxies: tuple[Host, ...] = ()
    cert_file: FilePath | None = None
    key_file: FilePath | None = None

    @property
    def scheme(self) -> str:
        """How its addresses begin."""
        return "https" if self.cert_file else "http"

    @property
    def on_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return on_loopback(self.host)

    @property
    def origin(self) -> str:
        """The one address that another site is told for coming back here: by the first of `names`."""
        name = self.names[0] if self.names else self.host
        port = "" if self.port == {"http": 80, "https": 443}[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{f'[{name}]' if ':' in name else name.lower()}{port}"


class Oidc(Section, frozen=True, kw_only=True):
    """Another login of the office that is good here, too: an OpenID Connect provider.

    `roles` says which role a value of the claim `role_claim` means here; the first line that fits counts. `label` is on
    the button. `address` is where browsers reach this center, if it is another than `[http]` says, as behind a proxy.
    `ca_file` is needed where the provider's certificate is of an authority of the office's own.
    """

    issuer: Annotated[
        str,
        msgspec.Meta(
            max_length=500,
            pattern=r"^https?://[^\s/?#@]+(/[^\s?#]*)?$",
            description="an address that begins with https://",
        ),
    ]
    client_id: Label
    client_secret_file: FilePath | None = None
    label: Annotated[
        str,
        msgspec.Meta(
            min_length=1, max_length=40, pattern=r"\S", description="a text of 1 to 40 characters, not only spaces"
        ),
    ]
    scopes: tuple[Annotated[str, msgspec.Meta(pattern=r"^[!#-\[\]-~]+$", description="a scope's name")], ...] = (
        "openid",
        "profile",
    )
    role_claim: Label = "groups"
    roles: dict[str, str]
    address: (
        Annotated[
            str,
            msgspec.Meta(
                max_length=300,
                pattern=r"^https?://[a-z0-9.:\[\]-]+$",
                description="an address such as https://motcua.example.vn, without a path",
            ),
        ]
        | None
    ) = None
    ca_file: FilePath | None = None


class PeopleConfig(Section, frozen=True, kw_only=True):
    """How long a login lasts, unused and altogether; and which other login is good here."""

    idle_minutes: Annotated[int, msgspec.Meta(ge=5, le=1440)] = 240
    session_hours: Annotated[int, msgspec.Meta(ge=1, le=168)] = 12
    oidc: Oidc | None = None


class Tickets(Section, frozen=True, kw_only=True):
    """How many numbers one address may take by itself: a burst, then so many a minute, and so many an hour.

    `kiosks` are addresses to which the hour's limit does not apply. Nothing of this applies to who has logged in.
    """

    burst: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 20
    per_minute: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 60
    per_hour: Annotated[int, msgspec.Meta(ge=1, le=100_000_000)] = 120
    kiosks: tuple[Host, ...] = ()


class Broker(Section, frozen=True, kw_only=True):
    """Which MQTT broker: `auto` takes mosquitto where it is installed, else the built-in amqtt; `external` starts none.

    On loopback everybody on this machine may connect, unless `keys` is true. On another address a broker of ours speaks
    TLS and asks everybody for a certificate of this center's authority (`motcua provision`); `names` are further names
    and addresses by which devices reach this machine. With `external`, `username` and `password_file` are the center's
    own there, and `ca_file`, `cert_file` and `key_file` what it needs where that broker speaks TLS.
    """

    kind: BrokerKind = "auto"
    host: Host = "127.0.0.1"
    port: Port = 1883
    names: tuple[ServerName, ...] = ()
    keys: bool | None = None
    username: Label | None = None
    password_file: FilePath | None = None
    ca_file: FilePath | None = None
    cert_file: FilePath | None = None
    key_file: FilePath | None = None

    @property
    def on_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return on_loopback(self.host)

    @property
    def secured(self) -> bool:
        """Whether it is a broker of ours that lets in only who has a key."""
        return self.kind != "external" and (self.keys if self.keys is not None else not self.on_loopback)

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


class Alerts(Section, frozen=True, kw_only=True):
    """Who is told when something needs somebody: an address that takes a POST for each alert, off unless it is given.

    `secret_file` holds one line that both sides know: with it every message is signed.
    """

    webhook: (
        Annotated[
            str,
            msgspec.Meta(
                max_length=2000,
                pattern=r"^https?://[^\s/?#@]+([/?][^\s#]*)?$",
                description="an address that begins with https:// or http://, without a name and password in it",
            ),
        ]
        | None
    ) = None
    secret_file: FilePath | None = None


class Metrics(Section, frozen=True, kw_only=True):
    """Who may read /metrics: programs on this machine, and others that send the token of `token_file`."""

    token_file: FilePath | None = None


Days = Annotated[int, msgspec.Meta(ge=1, le=36_500, description="1 to 36500 days")]
"""How long something is kept."""


class Retention(Section, frozen=True, kw_only=True):
    """How many days what is kept, reckoned by the record's own days: a clock that is years ahead deletes nothing."""

    health_days: Days = 90
    tickets_days: Days = 1826
    ratings_days: Days = 1826
    quarantine_days: Days = 365
    alerts_days: Days = 365
    clips_days: Days = 30


class Clips(Section, frozen=True, kw_only=True):
    """What cameras may send: how large one file, how many at once, and how much of the disk stays free for the queue.

    `each_gb`: so much of one camera lies here at most, what people hold not counted, and never more than half
    of the disk.
    `sample_per_week`: so many services of each officer are kept for quality review, by lot.
    `spare_gb` is the least; a twentieth of the disk stays free in any case. `reveal_key_file` opens clear versions, and
    without it nobody sees one: `motcua center clips-key` makes it. `contact` is whom to ask about recordings, on the
    notice for the wall. `store`: a bucket that whole recordings go to, as "https://10.0.0.9:9000/recordings", with
    the keys in `store_key_file`; `store_ca_file` is the certificate that signed the store's, if no public one did.
    """

    largest_mb: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 2_000
    at_once: Annotated[int, msgspec.Meta(ge=1, le=32)] = 4
    spare_gb: Annotated[int, msgspec.Meta(ge=0, le=100_000)] = 2
    each_gb: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 50
    sample_per_week: Annotated[int, msgspec.Meta(ge=0, le=100)] = 2
    reveal_key_file: FilePath | None = None
    contact: Label | None = None
    store: Annotated[str, msgspec.Meta(min_length=1, max_length=2048, description="an address")] | None = None
    store_key_file: FilePath | None = None
    store_ca_file: FilePath | None = None
    store_region: Annotated[
        str, msgspec.Meta(pattern="^[a-z0-9-]{1,64}$", description="1 to 64 of a-z, 0-9 and hyphens")
    ] = "us-east-1"


class ServiceConfig(Section, frozen=True, kw_only=True):
    """A service people take a ticket for; `letter` starts its numbers."""

    id: Segment
    letter: Annotated[str, msgspec.Meta(pattern="^[A-Z]$", description="one letter of A to Z")]
    vi: Label
    en: Label


class CounterConfig(Section, frozen=True, kw_only=True):
    """A counter; its id is also the station's name on the wire, its label what people read."""

    id: Segment
    label: Annotated[
        str,
        msgspec.Meta(
            min_length=1, max_length=8, pattern=r"\S", description="a text of 1 to 8 characters, not only spaces"
        ),
    ]
    services: Annotated[tuple[Segment, ...], msgspec.Meta(min_length=1)]


class Config(Section, frozen=True, kw_only=True):
    """Everything a center can be told."""

    id: Segment
    name: Label
    data_dir: Annotated[str, msgspec.Meta(min_length=1, description="a folder")]
    timezone: Annotated[str, msgspec.Meta(min_length=1, max_length=64)] = "Asia/Ho_Chi_Minh"
    root: Segment = DEFAULT_ROOT
    http: Http = Http()
    broker: Broker = Broker()
    rating: Rating = Rating()
    rules: Rules = Rules()
    people: PeopleConfig = PeopleConfig()
    tickets: Tickets = Tickets()
    store: Store = Store()
    alerts: Alerts = Alerts()
    metrics: Metrics = Metrics()
    retention: Retention = Retention()
    clips: Clips = Clips()
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
        return self.store.url or f"sqlite:///{quote(str(Path(self.data_dir) / 'center.db'))}"

    def services(self) -> tuple[Service, ...]:
        """Return the services as the queue knows them."""
        return tuple(Service(id=one.id, letter=one.letter, vi=one.vi, en=one.en) for one in self.service)

    def counters(self) -> tuple[Counter, ...]:
        """Return the counters as the queue knows them, closed."""
        return tuple(Counter(id=one.id, label=one.label, services=one.services) for one in self.counter)


def read(path: Path) -> Config:
    """Return the configuration of a file; raise ConfigError with the one line an operator needs."""
    try:
        values = parse(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"{path}: {explain_os_error(error)}") from error
    except SettingsError as error:
        raise ConfigError(f"{path}: {error}") from error
    try:
        config = msgspec.convert(values, Config)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{path}: {explain_setting(error, values, Config)}") from error
    if config.broker.secured and "port" not in values.get("broker", {}):
        config = msgspec.structs.replace(config, broker=msgspec.structs.replace(config.broker, port=SECURED_PORT))
    _check(path, config)
    return config


def _check(path: Path, config: Config) -> None:
    """Refuse what no single value shows to be wrong."""
    try:
        ZoneInfo(config.timezone)
    except (KeyError, ValueError, OSError) as error:
        raise ConfigError(
            f"{path}: timezone: a time zone such as Asia/Ho_Chi_Minh, got {show(config.timezone)}"
        ) from error
    _unique(path, "service", "id", [one.id for one in config.service])
    _unique(path, "service", "letter", [one.letter for one in config.service])
    _unique(path, "counter", "id", [one.id for one in config.counter])
    _unique(path, "counter", "label", [one.label for one in config.counter])
    _check_alerts(path, config.alerts)
    known = {service.id for service in config.service}
    for at, counter in enumerate(config.counter):
        if counter.id == CENTER_STATION:
            raise ConfigError(f"{path}: counter[{at}].id: any name but the center's own, got {show(counter.id)}")
        if len(set(counter.services)) != len(counter.services):
            given = ", ".join(map(show, counter.services))
            raise ConfigError(f"{path}: counter[{at}].services: each service once, got {given}")
        for one in counter.services:
            if one not in known:
                allowed = ", ".join(map(show, sorted(known)))
                raise ConfigError(f"{path}: counter[{at}].services: services of {allowed}, got {show(one)}")
    _check_broker(path, config.broker)
    for at, proxy in enumerate(config.http.proxies):
        try:
            ip_address(proxy)
        except ValueError as error:
            raise ConfigError(f"{path}: http.proxies[{at}]: an IP address, got {show(proxy)}") from error
    if (config.http.cert_file is None) != (config.http.key_file is None):
        raise ConfigError(f"{path}: http: cert_file and key_file together, got only one of them")
    _check_clips(path, config.clips)
    if config.people.oidc is not None:
        _check_oidc(path, config.people.oidc, config.http)


def _check_oidc(path: Path, oidc: Oidc, http: Http) -> None:
    if not keeps_secrets(oidc.issuer):
        raise ConfigError(f"{path}: people.oidc.issuer: an address that begins with https://, got {show(oidc.issuer)}")
    if "openid" not in oidc.scopes:
        given = ", ".join(map(show, oidc.scopes))
        raise ConfigError(f'{path}: people.oidc.scopes: "openid" and others, got {given or "nothing"}')
    if not oidc.roles:
        raise ConfigError(f'{path}: people.oidc.roles: at least one line such as "motcua-officers" = "officer"')
    for value, role in oidc.roles.items():
        if role not in ROLES:
            raise ConfigError(
                f"{path}: people.oidc.roles.{show(value)}: one of {', '.join(map(show, ROLES))}, got {show(role)}"
            )
    if oidc.address is None and not http.names and not http.on_loopback:
        raise ConfigError(f"{path}: http.names: the name by which browsers come back from people.oidc, got nothing")


def keeps_secrets(url: str) -> bool:
    """Whether nobody on the way can read what is sent to an address: HTTPS, or this machine itself."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return False
    return bool(host) and port != 0 and (parts.scheme == "https" or (parts.scheme == "http" and on_loopback(host)))


def _check_broker(path: Path, broker: Broker) -> None:
    if (broker.username is None) != (broker.password_file is None):
        raise ConfigError(f"{path}: broker: username and password_file together, got only one of them")
    if broker.ca_file is None and (broker.cert_file, broker.key_file) != (None, None):
        raise ConfigError(f"{path}: broker.ca_file: a file, because cert_file or key_file is set, got nothing")
    if broker.key_file is not None and broker.cert_file is None:
        raise ConfigError(f"{path}: broker.cert_file: a file, because key_file is set, got nothing")
    if broker.kind == "external":
        if broker.keys:
            raise ConfigError(
                f"{path}: broker.keys: left out, because an external broker has keys of its own, got true"
            )
        return
    for key in ("username", "password_file", "ca_file", "cert_file", "key_file"):
        if getattr(broker, key) is not None:
            raise ConfigError(
                f'{path}: broker.{key}: left out, because only kind = "external" needs it, got'
                f" {show(getattr(broker, key))}"
            )
    if broker.secured and broker.kind == "amqtt":
        raise ConfigError(
            f'{path}: broker.kind: "mosquitto", because broker.host = {show(broker.host)} needs keys, which amqtt'
            ' cannot keep apart, got "amqtt"'
        )
    if not broker.on_loopback and not broker.secured:
        raise ConfigError(
            f"{path}: broker.keys: true, because broker.host = {show(broker.host)} can be reached from other machines,"
            " got false"
        )


def _check_alerts(path: Path, alerts: Alerts) -> None:
    if alerts.webhook is None:
        if alerts.secret_file is not None:
            raise ConfigError(f"{path}: alerts.webhook: an address beside secret_file, got nothing")
        return
    try:
        sound = urlsplit(alerts.webhook).hostname and urlsplit(alerts.webhook).port != 0
    except ValueError:
        sound = False
    if not sound:
        raise ConfigError(f"{path}: alerts.webhook: an address with a host and a port, got {show(alerts.webhook)}")


def _check_clips(path: Path, clips: Clips) -> None:
    if clips.store is None:
        for key in ("store_key_file", "store_ca_file"):
            if getattr(clips, key) is not None:
                raise ConfigError(f"{path}: clips.store: an address, because {key} is set, got nothing")
        return
    if not _is_bucket(clips.store):
        wanted = "an address that begins with https:// and ends with a bucket, as https://10.0.0.9:9000/recordings"
        raise ConfigError(f"{path}: clips.store: {wanted}, got {show(clips.store)}")
    if clips.store_key_file is None:
        raise ConfigError(f"{path}: clips.store_key_file: a file, because clips.store is set, got nothing")
    if clips.largest_mb > STORE_LARGEST_MB:
        allowed = f"at most {STORE_LARGEST_MB}, because clips.store takes no more at once"
        raise ConfigError(f"{path}: clips.largest_mb: {allowed}, got {clips.largest_mb}")


def _is_bucket(url: str) -> bool:
    """Whether an address is that of a bucket, by path, and nothing else."""
    if not keeps_secrets(url):
        return False
    parts = urlsplit(url)
    return (
        re.fullmatch(r"/[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/?", parts.path) is not None
        and parts.netloc.isascii()
        and ((parts.query, parts.fragment, parts.username) == ("", "", None))
    )


def _unique(path: Path, table: str, key: str, values: list[str]) -> None:
    for at, value in enumerate(values):
        if value in values[:at]:
            raise ConfigError(f"{path}: {table}[{at}].{key}: different from every other, got {show(value)} again")
