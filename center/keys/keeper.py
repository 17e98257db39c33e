"""Keeps the broker's files in step with what was issued and revoked, while a center runs.

`motcua provision` is another process: it writes into `keys/` and this looks there once a second. Who was revoked is
thrown off by a restart of the broker; everybody else connects again within a second, and nothing is lost by it.
"""

import logging
import queue
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import msgspec
import sqlalchemy as sa

from center import audit
from center.broker import BrokerKeys
from center.config import Broker, Config
from center.errors import KeysError
from center.hall import Hall
from center.keys import names
from center.keys.access import KEYS_DEVICE, mosquitto_acl
from center.keys.authority import Authority
from center.keys.index import Issued
from center.storage.tables import audit as audit_table
from contract.requests import Reply, Request
from host.files import replace_file

log = logging.getLogger(__name__)

LOOK_S = 1.0
PREPARE_EVERY_S = 3600.0
"""So often it looks whether its own certificates are due, or this machine has a new address."""
PENDING = 50
"""So many stations may wait for an answer."""
ISSUED, REVOKED = "key_issued", "key_revoked"


class Reloadable(Protocol):
    """What the keeper needs of a broker."""

    def reload(self) -> None:
        """Read the files again; connections stay."""
        ...

    def restart(self) -> None:
        """Start again; every connection is made anew."""
        ...


def authority(config: Config, *, of_machine: Callable[[], tuple[str, ...]] = names.of_this_machine) -> Authority:
    """Return the authority of a center, with all that its broker needs made or renewed."""
    one = Authority(Path(config.data_dir) / "keys", center=config.id)
    one.prepare(_names(config.broker, of_machine()))
    return one


def broker_keys(of: Authority) -> BrokerKeys:
    """Return the files of an authority for the broker."""
    return BrokerKeys(
        root_file=of.root_file,
        broker_file=of.broker_file,
        center_file=of.center_file,
        revoked_file=of.revoked_file,
        acl_file=of.folder / "acl",
    )


def with_keys(config: Config, of: Authority) -> Config:
    """Return the configuration by which the center itself connects, with its own key."""
    broker = msgspec.structs.replace(config.broker, ca_file=str(of.root_file), cert_file=str(of.center_file))
    return msgspec.structs.replace(config, broker=broker)


class Keeper:
    """A thread of its own that looks after the broker's files. `write` first, then start the broker, then this."""

    def __init__(self, config: Config, of: Authority, hall: Hall) -> None:
        self._config, self._authority, self._hall = config, of, hall
        self._stop = threading.Event()
        self._asked: queue.Queue[tuple[str, Request, Callable[[Reply], None]] | None] = queue.Queue()
        self._thread = threading.Thread(target=self._run, name="keys", daemon=True)
        self._broker: Reloadable | None = None
        self._seen: tuple[object, ...] = ()
        self._revoked: frozenset[tuple[str, str]] = frozenset()

    def write(self) -> None:
        """Write the access list as things stand."""
        self._seen = self._stamps()
        index = self._authority.index()
        acl = mosquitto_acl(index.identities(), center=self._config.id, root=self._config.root).encode()
        self._revoked = frozenset((one.partition("/")[0], one.partition("/")[2]) for one in index.revoked())
        try:
            replace_file(self._authority.folder / "acl", acl)
        except OSError as error:
            raise KeysError(f"{self._authority.folder / 'acl'}: cannot be written: {error.strerror}") from error

    def start(self, broker: Reloadable) -> None:
        """Begin to look."""
        self._broker = broker
        self._record()
        self._thread.start()

    def stop(self) -> None:
        """Look no more; bounded."""
        self._stop.set()
        self._asked.put(None)
        if self._thread.is_alive():
            self._thread.join(2 * LOOK_S)

    def alive(self) -> bool:
        """Whether it looks."""
        return self._thread.is_alive()

    def ends(self) -> dict[tuple[str, str], int]:
        """Return until when each device has a good certificate, in UTC milliseconds; raise KeysError."""
        found: dict[tuple[str, str], int] = {}
        for one in self._authority.index().issued:
            station, _, device = one.identity.partition("/")
            if one.revoked_at is None:
                until = int(one.expires_at.timestamp() * 1000)
                found[station, device] = max(until, found.get((station, device), 0))
        return found

    def revoked(self) -> frozenset[tuple[str, str]]:
        """Return the devices that no key is good for any more, as the files were a second ago. Any thread."""
        return self._revoked

    def renew(self, station: str, request: Request, answer: Callable[[Reply], None]) -> None:
        """Answer a station that asks for a certificate over a connection of its own. Any thread; returns at once."""
        if self._asked.qsize() >= PENDING:
            answer(Reply(id=request.id, ok=False, code="overloaded", message="too many ask for certificates"))
        else:
            self._asked.put((station, request, answer))

    def _renew(self, station: str, request: Request) -> Reply:
        device, asked = request.args.device, request.args.csr
        if device is None or asked is None:
            return Reply(id=request.id, ok=False, code="request_invalid", message="device and csr are needed")
        try:
            certificate = self._authority.sign(asked.encode(), f"{station}/{device}")
        except KeysError as error:
            log.warning("%s asked for a certificate for %s and gets none: %s", station, device, error)
            return Reply(id=request.id, ok=False, code="renew_refused", message=str(error)[:500])
        log.info("%s/%s has a new certificate: its station asked for it", station, device)
        return Reply(id=request.id, ok=True, certificate=certificate.decode().strip())

    def _run(self) -> None:
        prepared_s = time.monotonic()
        failing = False
        while not self._stop.is_set():
            try:
                self._answer_one(within_s=LOOK_S)
                if time.monotonic() - prepared_s >= PREPARE_EVERY_S:
                    prepared_s = time.monotonic()
                    if self._authority.prepare(_names(self._config.broker, names.of_this_machine())):
                        log.info("the broker has a new certificate and starts again with it")
                        self._restart()
                self._look()
                failing = False
            except KeysError as error:
                if not failing:
                    log.error("keys: %s", error)  # noqa: TRY400 – an operator's line; the trace would hide it
                failing = True

    def _answer_one(self, *, within_s: float) -> None:
        try:
            asked = self._asked.get(timeout=within_s)
        except queue.Empty:
            return
        if asked is not None:
            station, request, answer = asked
            answer(self._renew(station, request))

    def _look(self) -> None:
        before = self._seen
        if self._stamps() == before:
            return
        if self._authority.settle():
            log.warning("keys were revoked, but not in the broker's list: whoever revoked them was cut off")
        self.write()
        if before[1] == self._seen[1]:
            log.info("keys were issued: the broker reads its access list again")
            if self._broker is not None:
                self._broker.reload()
        else:
            log.info("keys were revoked: the broker starts again, so that nobody stays connected with one")
            self._restart()
        self._record()

    def _restart(self) -> None:
        if self._broker is not None:
            self._broker.restart()

    def _stamps(self) -> tuple[object, object]:
        return _stamp(self._authority.index_file), _stamp(self._authority.revoked_file)

    def _record(self) -> None:
        """Have the audit log tell of every key, also of what was done while no center ran."""
        issued = self._authority.index().issued
        self._hall.transact(lambda connection: _append_missing(connection, issued, self._hall.now_ms()))


def _append_missing(connection: sa.Connection, issued: tuple[Issued, ...], at: int) -> None:
    told = {
        (row.action, row.detail)
        for row in connection.execute(
            sa.select(audit_table.c.action, audit_table.c.detail).where(audit_table.c.action.in_((ISSUED, REVOKED)))
        )
    }
    for one in issued:
        station = one.identity.split("/")[0]
        actor = "technician" if one.how == "provisioned" else f"device:{station}/{KEYS_DEVICE}"
        detail = f"serial {one.serial}, until {one.expires_at:%Y-%m-%d}"
        for action, by, happened in ((ISSUED, actor, True), (REVOKED, "technician", one.revoked_at is not None)):
            if happened and (action, detail) not in told:
                audit.append(
                    connection, audit.Entry(at=at, actor=by, action=action, object=one.identity, detail=detail)
                )


def _names(broker: Broker, of_machine: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted({*of_machine, *broker.names, broker.connect_host}))


def _stamp(file: Path) -> tuple[int, int] | None:
    try:
        stat = file.stat()
    except FileNotFoundError:
        return None
    return stat.st_mtime_ns, stat.st_ino
