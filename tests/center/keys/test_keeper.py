"""A running center and its keys: what is issued, renewed and revoked takes effect, and the audit log tells of it."""

import logging
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest
import sqlalchemy as sa
from cryptography import x509

from center.broker import BrokerProcess, make_broker
from center.config import Broker, Config
from center.hall import Hall
from center.ingest.ingest import Ingest
from center.keys import keeper as keepers
from center.keys.authority import Authority
from center.keys.keeper import Keeper
from center.storage.tables import audit
from contract.codec import decode, encode
from contract.requests import Args, Reply, Request
from contract.topics import Address, Channel
from firmware.config import BrokerConfig
from firmware.errors import ConfigError
from firmware.keys.renew import RenewError, renew
from firmware.mqtt.transport import LinkUp, Transport
from simulator.ports import free_port
from tests.support.keys import Client, put
from tests.support.waiting import wait_for

pytestmark = pytest.mark.mosquitto
ADDRESS = Address(center="bentre", station="q01", device="rating")


@dataclass
class Center:
    """The parts of a running center that have to do with keys."""

    config: Config
    authority: Authority
    keeper: Keeper
    broker: BrokerProcess
    ingest: Ingest
    hall: Hall
    folder: Path

    def provision(self, *devices: str) -> Path:
        """Make a station's keys as `motcua provision` does, and install them; return the station's file."""
        folder = self.folder / "station"
        for identity, pair in self.issue(*(f"q01/{device}" for device in devices)).items():
            put(folder, identity, pair)
        (folder / "root.pem").write_bytes(self.authority.root_pem())
        file = self.folder / "station.toml"
        file.write_text(
            f'center = "bentre"\nstation = "q01"\n[broker]\nport = {self.config.broker.port}\n'
            f'keys_dir = "{folder}"\n[device.rating]\n',
            encoding="utf-8",
        )
        return file

    def issue(self, *identities: str) -> dict[str, bytes]:
        """Make keys and wait until the broker knows of them."""
        made = self.authority.issue(identities)
        wait_for(lambda: set(identities) <= {identity for _, _, identity in self.audited()})
        return made

    def pair(self, device: str) -> Path:
        """Return the file of a device's key."""
        return self.folder / "station" / "q01" / f"{device}.pem"

    def audited(self) -> list[tuple[str, str, str]]:
        """Return who did what to whose keys, by the audit log."""
        columns = (audit.c.actor, audit.c.action, audit.c.object)
        rows = self.hall.transact(lambda connection: connection.execute(sa.select(*columns)).all()).result(30)
        return [(row.actor, row.action, row.object) for row in rows]


@pytest.fixture
def center(config: Config, hall: Hall, tmp_path: Path) -> Iterator[Center]:
    """Broker, keeper and ingest of a center that asks for keys, on loopback."""
    if shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin") is None:
        pytest.skip("mosquitto is missing: sudo make system-packages")
    data = Path(config.data_dir)
    data.mkdir(exist_ok=True)
    secured = msgspec.structs.replace(config, broker=Broker(kind="mosquitto", port=free_port(), keys=True))
    authority = keepers.authority(secured)
    keeper = Keeper(secured, authority, hall)
    keeper.write()
    secured = keepers.with_keys(secured, authority)
    broker = make_broker(secured.broker, data, keepers.broker_keys(authority))
    assert broker is not None
    broker.start()
    keeper.start(broker)
    ingest = Ingest(secured, hall, renew=keeper.renew)
    ingest.start()
    wait_for(ingest.connected)
    yield Center(secured, authority, keeper, broker, ingest, hall, tmp_path)
    ingest.stop()
    keeper.stop()
    assert not keeper.alive()
    broker.stop()


class Device:
    """A running device's connection."""

    def __init__(self, center: Center) -> None:
        folder = center.folder / "station"
        config = BrokerConfig(
            port=center.config.broker.port,
            ca_file=str(folder / "root.pem"),
            cert_file=str(center.pair("rating")),
        )
        self.news: list[object] = []
        self.transport = Transport(
            ADDRESS, config, password=None, status=lambda presence: presence.encode(), post=self.news.append
        )

    def __enter__(self) -> "Device":
        self.transport.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.transport.stop()

    def ups(self) -> int:
        """Return how often it was connected."""
        return sum(isinstance(one, LinkUp) for one in self.news)


def soon_due() -> datetime:
    """Return a time at which a certificate of today is in its last third."""
    return datetime.now(UTC) + timedelta(days=500)


def serial(pair: Path) -> int:
    """Return the number of the certificate in a file."""
    return x509.load_pem_x509_certificate(pair.read_bytes()).serial_number


def test_a_provisioned_station_is_let_in_without_a_restart(center: Center) -> None:
    """Keys that are made while the center runs are good at once, nobody is disconnected, and the audit log tells."""
    center.provision("rating", "keys")
    pid = center.broker.pid
    with Device(center) as device:
        wait_for(device.ups)
        wait_for(lambda: ("technician", "key_issued", "q01/rating") in center.audited())
        assert center.broker.pid == pid


def test_a_revoked_device_is_thrown_off(center: Center) -> None:
    """Seconds after its key was revoked a device is no longer connected, and others are again."""
    center.provision("rating", "keys")
    with Device(center) as device:
        wait_for(device.ups)
        center.authority.revoke("q01")
        wait_for(lambda: not device.transport.publish(Channel.EVENT, b"x"), timeout_s=30)
        wait_for(center.ingest.connected, timeout_s=30)
        wait_for(lambda: ("technician", "key_revoked", "q01/rating") in center.audited())
        assert device.ups() == 1
        assert center.keeper.revoked() == {("q01", "rating"), ("q01", "keys")}
        center.authority.issue(["q01/rating"])
        wait_for(lambda: center.keeper.revoked() == {("q01", "keys")})


def test_a_revocation_that_was_cut_off_throws_the_device_off(center: Center) -> None:
    """Where the command died after the index, the running center finishes the list and puts the device out."""
    center.provision("rating", "keys")
    pid = center.broker.pid
    with center.authority._locked():
        index = center.authority.index()
        (one,) = index.of("q01", "rating")
        center.authority._write_index(index.revoke(frozenset({one.serial}), datetime.now(UTC)))
    wait_for(lambda: center.broker.pid not in (None, pid))
    listed = x509.load_pem_x509_crl(center.authority.revoked_file.read_bytes())
    assert [f"{each.serial_number:x}" for each in listed] == [one.serial]


def test_nobody_takes_over_anothers_connection(center: Center) -> None:
    """A foreign key that uses the names of a device and of the center as client ids throws neither of them off."""
    center.provision("rating", "keys")
    put(center.folder / "station", "q02/rating", center.issue("q02/rating")["q02/rating"])
    foreign = center.folder / "station" / "q02" / "rating.pem"
    site = SimpleNamespace(host="127.0.0.1", port=center.config.broker.port, authority=center.authority)
    with Device(center) as device:
        wait_for(device.ups)
        for name in ("bentre-q01-rating", "q01/rating", "center-bentre", "center/hall"):
            with Client(site, foreign, client_id=name) as thief:  # type: ignore[arg-type] - as much of a site as it needs
                assert thief.connected()
        assert device.transport.publish(Channel.EVENT, b"still here")
        wait_for(lambda: device.transport.unconfirmed() == 0)
        assert device.ups() == 1
        assert center.ingest.connected()


def test_a_station_renews_its_keys_by_itself(center: Center, caplog: pytest.LogCaptureFixture) -> None:
    """In the last third of their time all keys of a station are made anew there, and the devices go on with them."""
    caplog.set_level(logging.INFO)
    file = center.provision("rating", "callpad", "keys")
    before = {pair: (serial(pair), pair.read_bytes()[:200]) for pair in (center.folder / "station" / "q01").iterdir()}
    with Device(center) as device:
        wait_for(device.ups)
        put(center.folder / "station", "q01/.renew-left/key", b"of a renewal that was killed")
        assert renew(file, clock_is_set=lambda: True, now=lambda: datetime.now(UTC)) == 0
        assert renew(file, clock_is_set=lambda: True, now=soon_due) == 3
        for pair, (number, key) in before.items():
            assert serial(pair) != number
            assert pair.read_bytes()[:200] != key
        assert {one.name for one in (center.folder / "station" / "q01").iterdir()} == {one.name for one in before}
        assert device.ups() == 1
        center.broker.restart()
        wait_for(lambda: device.ups() == 2, timeout_s=30)
    wait_for(lambda: ("device:q01/keys", "key_issued", "q01/callpad") in center.audited())
    private = center.pair("rating").read_text().split("-----END PRIVATE KEY-----")[0].splitlines()[1]
    assert private not in caplog.text


def test_keys_are_renewed_where_proc_shows_processes_only(center: Center) -> None:
    """The renew unit sees nothing of /proc but processes (ProcSubset=pid), and needs no more."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount such a /proc: run the tests as root")
    file = center.provision("rating", "keys")
    before = serial(center.pair("rating"))
    inside = 'mount -t proc -o subset=pid proc /proc && test ! -e /proc/sys && exec "$@"'
    renewing = [sys.executable, "-m", "motcua.cli", "device", "renew", "--force", "--config", str(file)]
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", inside, "sh", *renewing],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert serial(center.pair("rating")) != before


def test_a_clock_that_was_never_set_asks_the_center(center: Center) -> None:
    """A Pi without the time learns from the center whether its keys are due, instead of letting them end."""
    file = center.provision("rating", "keys")
    long_ago = datetime(1970, 1, 2, tzinfo=UTC)
    assert renew(file, clock_is_set=lambda: False, now=lambda: long_ago) == 0
    center.hall.clock.wall_ms += 500 * 86_400_000  # type: ignore[attr-defined] - a test's clock
    center.broker.restart()
    wait_for(lambda: not center.ingest.connected(), timeout_s=30)
    wait_for(center.ingest.connected, timeout_s=30)
    assert renew(file, clock_is_set=lambda: False, now=lambda: long_ago) == 2


def test_a_station_gets_no_certificate_for_another(center: Center) -> None:
    """The keys of a station ask for its own devices only, and a device's key asks for none at all."""
    file = center.provision("rating", "keys")
    put(center.folder / "station", "q01/display", center.issue("q02/rating")["q02/rating"])
    with pytest.raises(RenewError, match="q01/display has no certificate that could be renewed"):
        renew(file, clock_is_set=lambda: True, now=soon_due)
    request = Request(
        id="request-1", action="renew", args=Args(device="rating", csr="-----BEGIN X-----\n-----END X-----")
    )
    with Device(center) as device:
        wait_for(device.ups)
        assert device.transport.publish(Channel.REQUEST, encode(request))
        wait_for(lambda: _replies(device))
    assert _replies(device)[0].code == "renew_refused"


def _replies(device: Device) -> list[Reply]:
    return [decode(one.payload, Reply) for one in device.news if getattr(one, "channel", None) is Channel.REPLY]


def test_without_keys_a_center_signs_nothing(config: Config, hall: Hall) -> None:
    """Over a broker that asks for no keys, anybody could be anybody: a request for a certificate is refused."""
    answers: list[bytes] = []
    ingest = Ingest(config, hall)
    ingest._link.publish = lambda _topic, payload, **_: bool(answers.append(payload)) or True  # type: ignore[method-assign]
    request = Request(
        id="request-1", action="renew", args=Args(device="rating", csr="-----BEGIN X-----\n-----END X-----")
    )
    ingest._renewal(Address(center="bentre", station="q01", device="keys"), request)
    assert decode(answers[0], Reply).code == "renew_refused"


@pytest.mark.parametrize(
    ("case", "error", "line"),
    [
        ("no center", RenewError, "no connection to the broker at 127.0.0.1"),
        ("no keys_dir", ConfigError, "broker.keys_dir: a folder of keys"),
        ("no keys", ConfigError, "broker.keys_dir: keys of q01, got none"),
    ],
)
def test_what_keeps_a_station_from_renewing_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str, error: type[Exception], line: str
) -> None:
    """A station that cannot renew says why in one line, and keeps the keys it has."""
    monkeypatch.setattr("firmware.keys.renew.CONNECT_S", 0.3)
    authority = Authority(tmp_path / "keys", center="bentre")
    authority.prepare(["127.0.0.1"])
    folder = tmp_path / "station"
    folder.mkdir()
    (folder / "root.pem").write_bytes(authority.root_pem())
    if case != "no keys":
        for identity, pair in authority.issue(["q01/rating", "q01/keys"]).items():
            put(folder, identity, pair)
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    keys = "" if case == "no keys_dir" else f'keys_dir = "{folder}"\n'
    file = tmp_path / "station.toml"
    file.write_text(f'center = "bentre"\nstation = "q01"\n[broker]\nport = {port}\n{keys}[device.rating]\n')
    before = {one: one.read_bytes() for one in folder.rglob("*.pem")}
    with pytest.raises(error, match=line):
        renew(file, clock_is_set=lambda: True, now=soon_due)
    assert {one: one.read_bytes() for one in folder.rglob("*.pem")} == before
