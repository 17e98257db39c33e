"""`motcua device renew`: a station looks at its certificates and asks for new ones in the last third of their time.

The new key is made here and never leaves; only the request to certify it goes to the center, over a connection that is
the station's own (`<station>/keys`), and the certificate comes back. A program of its own, by a timer: the daemons go
on meanwhile and take the new files at their next connection. What is done with keys is done by the program `openssl`.
"""

import logging
import queue
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from contract.codec import decode, encode
from contract.errors import ContractError
from contract.ids import uuid7
from contract.requests import Args, Reply, Request
from contract.states import Status
from contract.topics import Address, Channel
from firmware.config import BrokerConfig, Station, read_station, resolve_broker
from firmware.errors import ConfigError, MotcuaError
from firmware.mqtt.tls import tls_context
from firmware.mqtt.transport import Arrived, LinkUp, Transport
from host.files import replace_file

_log = logging.getLogger(__name__)

NAME = "keys"
"""The device's name under which a station asks."""
BEFORE = timedelta(days=243)
"""A third of the two years that a certificate is good for."""
CONNECT_S = 60.0
ANSWER_S = 20.0
_WORK = ".renew-"


class RenewError(MotcuaError):
    """A certificate could not be renewed; the message says why. The old one is still in its place."""


def renew(path: Path, *, clock_is_set: Callable[[], bool], now: Callable[[], datetime], force: bool = False) -> int:
    """Renew what is due and return how much that was; raise RenewError for the first that could not be.

    While the clock was never set it does not say what is due: then the center is asked what time it is.
    """
    station = read_station(path)
    broker = resolve_broker(station, path, NAME)
    if broker.keys_dir is None:
        raise ConfigError(f"{path}: broker.keys_dir: a folder of keys (motcua device install FILE), got nothing")
    if shutil.which("openssl") is None:
        raise RenewError("openssl is missing: sudo apt install openssl")
    pairs = sorted((Path(broker.keys_dir) / station.station).glob("*.pem"))
    if not pairs:
        raise ConfigError(f"{broker.keys_dir}: broker.keys_dir: keys of {station.station}, got none")
    for left in pairs[0].parent.glob(f"{_WORK}*"):  # of one that was killed: keys that nobody certified
        shutil.rmtree(left, ignore_errors=True)
    ends = {pair: _end(pair) for pair in pairs}
    if clock_is_set() and not force and not _due(ends, now()):
        _log.info("no certificate is due: the first ends on %s", f"{min(ends.values()):%Y-%m-%d}")
        return 0
    with _Center(station, broker, clock_is_set) as center:
        due = pairs if force else _due(ends, now() if clock_is_set() else max(now(), center.time()))
        for pair in due:
            _renew_one(pair, broker, center)
    if not due:
        _log.info("no certificate is due, by the center's clock")
    return len(due)


def _due(ends: Mapping[Path, datetime], now: datetime) -> list[Path]:
    return [pair for pair, end in ends.items() if end - now < BEFORE]


def _end(pair: Path) -> datetime:
    told = _openssl("x509", "-in", str(pair), "-noout", "-enddate", "-dateopt", "iso_8601").decode()
    try:
        return datetime.fromisoformat(told.strip().removeprefix("notAfter=").replace("Z", "+00:00"))
    except ValueError as error:
        raise RenewError(f"{pair}: openssl says {told.strip()!r} of its end") from error


def _renew_one(pair: Path, broker: BrokerConfig, center: "_Center") -> None:
    with tempfile.TemporaryDirectory(prefix=_WORK, dir=pair.parent) as folder:
        key, asked = Path(folder) / "key.pem", Path(folder) / "asked.pem"
        _openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", str(key))
        _openssl("req", "-new", "-key", str(key), "-subj", "/CN=motcua", "-out", str(asked))
        certificate = center.certify(pair.stem, asked.read_text("ascii").strip())
        made = Path(folder) / "made.pem"
        made.write_bytes(key.read_bytes() + certificate.encode() + b"\n")
        try:
            # Whether the two fit each other, and the authority is ours, is found out before the old one is given up.
            _openssl("verify", "-CAfile", str(broker.ca_file), "-purpose", "sslclient", "-no_check_time", str(made))
            tls_context(BrokerConfig(ca_file=broker.ca_file, cert_file=str(made)))
        except (RenewError, ConfigError) as error:
            raise RenewError(f"{pair}: what the center sent is no certificate for the new key: {error}") from error
        end = _end(made)
        stat = pair.stat()
        replace_file(pair, made.read_bytes(), mode=stat.st_mode & 0o777)
    _log.info("%s/%s has a new certificate until %s", pair.parent.name, pair.stem, f"{end:%Y-%m-%d}")


def _openssl(*arguments: str) -> bytes:
    done = subprocess.run(  # noqa: S603 - our own words
        ["openssl", *arguments],  # noqa: S607 - where the distribution has it
        capture_output=True,
        stdin=subprocess.DEVNULL,
        timeout=60,
        check=False,
    )
    if done.returncode:
        raise RenewError(f"openssl {arguments[0]}: {done.stderr.decode(errors='replace').strip().splitlines()[-1:]}")
    return done.stdout


class _Center:
    """The center at the other end, asked one thing after the other."""

    def __init__(self, station: Station, broker: BrokerConfig, clock_is_set: Callable[[], bool]) -> None:
        self._news: queue.SimpleQueue[object] = queue.SimpleQueue()
        address = Address(center=station.center, station=station.station, device=NAME, root=station.root)
        self._where = f"{broker.host}:{broker.port}"
        self._transport = Transport(
            address,
            broker,
            password=None,
            status=lambda _presence: b"",  # nobody may hear it: the broker lets a station's keys only ask
            post=self._news.put,
            clock_is_set=clock_is_set,
        )
        self._since: datetime | None = None

    def __enter__(self) -> "_Center":
        self._transport.start()
        try:
            self._until(
                lambda news: isinstance(news, LinkUp), CONNECT_S, f"no connection to the broker at {self._where}"
            )
        except RenewError:
            self._transport.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._transport.stop()

    def time(self) -> datetime:
        """Return a time that has passed by the center's clock: since when it is there."""
        if self._since is None:
            self._until(lambda _news: self._since is not None, ANSWER_S, "the center does not say that it is there")
        return self._since or datetime.fromtimestamp(0, UTC)

    def certify(self, device: str, asked: str) -> str:
        """Return the certificate that the center made; raise RenewError."""
        request = Request(id=uuid7(), action="renew", args=Args(device=device, csr=asked), expires_in_ms=20_000)
        if not self._transport.publish(Channel.REQUEST, encode(request)):
            raise RenewError(f"the connection to the broker at {self._where} broke")
        answers: list[Reply] = []

        def is_answer(news: object) -> bool:
            match news:
                case Arrived(channel=Channel.REPLY, payload=payload):
                    try:
                        answers.append(decode(payload, Reply))
                    except ContractError as error:
                        _log.debug("a reply that cannot be read: %s", error)
                        return False
                    return answers[-1].id == request.id
            return False

        self._until(is_answer, ANSWER_S, "the center does not answer; is it as new as this device?")
        answer = answers[-1]
        if not answer.ok or answer.certificate is None:
            raise RenewError(f"the center refuses a certificate for {device}: {answer.message or answer.code}")
        return answer.certificate

    def _until(self, is_it: Callable[[object], bool], within_s: float, otherwise: str) -> None:
        """Take what comes until something is it; what the center says of itself is remembered."""
        deadline = time.monotonic() + within_s
        while True:
            try:
                news = self._news.get(timeout=max(deadline - time.monotonic(), 0.001))
            except queue.Empty:
                raise RenewError(otherwise) from None
            match news:
                case Arrived(channel=Channel.STATUS, payload=payload):
                    self._hear(payload)
            if is_it(news):
                return

    def _hear(self, payload: bytes) -> None:
        try:
            status = decode(payload, Status)
            self._since = datetime.fromisoformat(status.since.replace("Z", "+00:00"))
        except (ContractError, ValueError) as error:
            _log.debug("the center's status cannot be read: %s", error)
