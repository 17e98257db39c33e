"""A center's authority in a test's folder, the broker that asks for its keys, and strangers that try the door."""

import shutil
import ssl
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import paho.mqtt.client as paho
import pytest

from center.broker import BrokerKeys, BrokerProcess, make_broker
from center.config import Broker
from center.keys import papers
from center.keys.access import mosquitto_acl
from center.keys.authority import Authority
from firmware.config import BrokerConfig
from simulator.ports import free_port

CENTER, ROOT = "bentre", "motcua"
HOST = "127.0.0.1"
NAMES = ("127.0.0.1", "localhost")


class Site:
    """An authority, and a mosquitto that lets in only who has a key of it."""

    def __init__(self, folder: Path) -> None:
        if shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin") is None:
            pytest.skip("mosquitto is missing: sudo make system-packages")
        self.folder, self.port, self.host = folder, free_port(), HOST
        self.authority = Authority(folder / "keys", center=CENTER)
        self.authority.prepare(NAMES)
        self.keys = BrokerKeys(
            root_file=self.authority.root_file,
            broker_file=self.authority.broker_file,
            center_file=self.authority.center_file,
            revoked_file=self.authority.revoked_file,
            acl_file=folder / "acl",
        )
        broker = make_broker(Broker(kind="mosquitto", host=HOST, port=self.port, keys=True), folder, self.keys)
        assert broker is not None
        self.broker: BrokerProcess = broker

    def __enter__(self) -> Self:
        self.write_acl()
        self.broker.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.broker.stop()

    def write_acl(self) -> None:
        """Write the access list, as the keeper does."""
        self.keys.acl_file.write_text(mosquitto_acl(self.authority.index().identities(), center=CENTER, root=ROOT))

    def provision(self, *identities: str) -> Path:
        """Make keys and return the folder that a station has them in."""
        folder = self.folder / "station"
        for identity, pair in self.authority.issue(identities).items():
            put(folder, identity, pair)
        (folder / "root.pem").write_bytes(self.authority.root_pem())
        self.write_acl()
        return folder

    def config(self, keys_dir: Path, identity: str = "q03/rating", **options: Any) -> BrokerConfig:
        """Return a station's `[broker]` section as it is after reading."""
        return BrokerConfig(
            host=options.pop("host", self.host),
            port=self.port,
            keys_dir=str(keys_dir),
            ca_file=str(keys_dir / "root.pem"),
            cert_file=str(keys_dir / f"{identity}.pem"),
            **options,
        )

    def root(self) -> papers.Pair:
        """Return the authority's own key, to make what no authority makes."""
        return papers.load((self.authority.folder / "root.key").read_bytes() + self.authority.root_pem())


def put(folder: Path, identity: str, pair: bytes) -> None:
    """Put a key where a station has it."""
    file = folder / f"{identity}.pem"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(pair)


def in_days(days: float) -> datetime:
    """Return the time so many days from now."""
    return datetime.now(UTC) + timedelta(days=days)


class Client:
    """A client that has some key, or none, and tries what it likes. `refused` is why it did not get in."""

    def __init__(
        self,
        site: Site,
        pair: Path | None,
        *,
        client_id: str = "x",
        subscribe: Sequence[str] = (),
        will: str | None = None,
        tell: Callable[[], None] | None = None,
    ) -> None:
        self.heard: list[tuple[str, bytes]] = []
        self.refused = ""
        self._settled = threading.Event()
        self._filters = subscribe
        self._client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id=client_id, reconnect_on_failure=False)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(site.authority.root_file)
        if pair is not None:
            context.load_cert_chain(pair)
        self._client.tls_set_context(context)
        if will is not None:
            self._client.will_set(will, b"will", qos=1, retain=True)
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = lambda *_: self._settled.set()
        self._client.on_disconnect = self._on_disconnect
        self._client.on_message = lambda _c, _d, message: self.heard.append((message.topic, message.payload))
        self._tell, self._site = tell, site

    def __enter__(self) -> Self:
        try:
            self._client.connect(self._site.host, self._site.port)
        except OSError as error:
            self.refused = str(error)
            return self
        self._client.loop_start()
        assert self._settled.wait(30), "neither let in nor refused"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def connected(self) -> bool:
        """Whether it is still in."""
        return self._client.is_connected()

    def break_off(self) -> None:
        """Vanish, so that the broker speaks the will."""
        sock = self._client.socket()
        assert sock is not None
        sock.shutdown(2)  # type: ignore[attr-defined]

    def say(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Publish, and wait until the broker has taken it, or has hung up."""
        info = self._client.publish(topic, payload, qos=1, retain=retain)
        for _ in range(100):
            if info.is_published() or not self._client.is_connected():
                return
            try:
                info.wait_for_publish(0.05)
            except (RuntimeError, ValueError):
                return

    def _on_connect(self, client: paho.Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            self.refused = str(reason)
            self._settled.set()
        elif self._filters:
            client.subscribe([(one, 1) for one in self._filters])
        else:
            self._settled.set()

    def _on_disconnect(self, _client: paho.Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        self.refused = self.refused or str(reason)
        self._settled.set()
