"""The center's connection to the broker: with `read_ahead` the only importer of paho-mqtt here.

Each connection has a paho client of its own. So nothing of an earlier one is ever sent again: paho keeps unacknowledged
messages over a reconnect and would publish an old desired state after a new one.
"""

import logging
import socket
import ssl
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

import msgspec
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from center.clock import Clock
from center.config import Broker
from center.ingest.read_ahead import Client
from center.ingest.sorting import Message
from contract.envelope import MAX_BYTES

log = logging.getLogger(__name__)

KEEPALIVE_S = 15
CONNECT_TIMEOUT_S = 5.0
FIRST_BACK_OFF_S = 0.1
LAST_BACK_OFF_S = 5.0
SAY_ONLINE_EVERY_S = 5.0
"""So often the center says that it is there: a message of 150 bytes to each device."""
DEAF_AFTER_S = 15.0
"""So long it waits to hear that itself: a broker may forget on a living connection what was subscribed there."""
_LOOK_S = 1.0
_GOODBYE_S = 0.5
_PAHO = "paho-mqtt-client"  # how paho names its thread
_MANY = 10_000  # outgoing messages that paho may hold; each is small, and a dead link is cut after two keep-alives


State = Literal["online", "offline", "lost"]


class Presence(Protocol):
    """What is said of the center itself, for whoever hears only the broker."""

    @property
    def topic(self) -> str:
        """Where it is said."""
        ...

    def status(self, state: State, *, since_ms: int) -> bytes:
        """Return how it is said of a connection that began then."""
        ...


class Taken(msgspec.Struct, frozen=True):
    """A message and what is needed to acknowledge it to the broker."""

    message: Message
    client: paho.Client
    mid: int
    qos: int


class Link:
    """Keeps one connection up, and says that the center is there while it is.

    `filters` are what it hears, each with the highest quality of service. `on_message` and `on_up` are called in paho's
    thread and must return at once.
    """

    def __init__(
        self,
        config: Broker,
        *,
        client_id: str,
        filters: Sequence[tuple[str, int]],
        presence: Presence,
        clock: Clock,
        on_message: Callable[[Taken], None],
        on_up: Callable[[], None],
    ) -> None:
        self._config, self._clock, self._presence = config, clock, presence
        self._client_id, self._filters = client_id, filters
        self._on_message, self._on_up = on_message, on_up
        self._stop = threading.Event()
        self._gone = threading.Event()
        # Held for saying `online` and for the end: `offline` is said after it, or it is not said at all.
        self._coming_and_going = threading.Lock()
        self._client: paho.Client | None = None  # only while connected
        self._since_ms = 0
        self._said_online_s = 0.0
        self._unheard_since_s: float | None = None  # when it said what it has not heard itself yet
        self._hears_itself = False  # did once on this connection: access rules may forbid it
        self._said_lost = False
        self._thread = threading.Thread(target=self._run, name="mqtt", daemon=True)

    def start(self) -> None:
        """Begin to connect, and keep trying."""
        self._thread.start()

    def stop(self, timeout_s: float = 3.0) -> None:
        """Say goodbye (`offline`) and disconnect; bounded."""
        self._stop.set()
        self._gone.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def alive(self) -> bool:
        """Whether the connection is being kept."""
        return self._thread.is_alive()

    def connected(self) -> bool:
        """Whether the broker has accepted us and not been lost since."""
        return self._client is not None

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> bool:
        """Send at QoS 1 if connected; false if not. Any thread."""
        client = self._client
        return client is not None and client.publish(topic, payload, qos=1, retain=retain).rc == paho.MQTT_ERR_SUCCESS

    def say_online(self) -> None:
        """Say again that the center is there. Any thread."""
        client = self._client
        if client is not None:
            self._say_online_on(client)

    def _say_online_on(self, client: paho.Client) -> None:
        self._said_online_s = self._clock.monotonic_s()
        if self._unheard_since_s is None:
            self._unheard_since_s = self._said_online_s
        client.publish(self._presence.topic, self._status("online"), qos=1, retain=True)

    def _status(self, state: State) -> bytes:
        return self._presence.status(state, since_ms=self._since_ms)

    def ack(self, taken: Taken) -> None:
        """Tell the broker that a message has been dealt with, on the connection it came by. Any thread."""
        if taken.qos and taken.client is self._client:
            taken.client.ack(taken.mid, taken.qos)

    # --- the thread that keeps it up ---------------------------------------------------------------------------------

    def _run(self) -> None:
        back_off_s = FIRST_BACK_OFF_S
        while not self._stop.is_set():
            started_s = self._clock.monotonic_s()
            try:
                self._connect_once()
            except (OSError, ValueError) as error:
                self._lost(str(error))
            if self._clock.monotonic_s() - started_s > LAST_BACK_OFF_S:
                back_off_s = FIRST_BACK_OFF_S
            self._stop.wait(back_off_s)
            back_off_s = min(2 * back_off_s, LAST_BACK_OFF_S)

    def _connect_once(self) -> None:
        """Connect, and return when the connection has ended; raises OSError where there is no broker."""
        self._since_ms = self._clock.now_ms()
        client = self._make_client()
        self._gone.clear()
        self._unheard_since_s, self._hears_itself = None, False
        network: threading.Thread | None = None
        try:
            client.connect(self._config.connect_host, self._config.port, KEEPALIVE_S)
            before = set(threading.enumerate())
            client.loop_start()
            network = next(iter(one for one in set(threading.enumerate()) - before if one.name.startswith(_PAHO)), None)
            # Its thread may die of a fault of its own and leave is_connected() true for ever.
            while not self._stop.is_set() and not self._gone.wait(_LOOK_S):
                if network is None or not network.is_alive():
                    self._lost("the connection's thread has ended")
                    break
                if self._is_deaf():
                    self._lost("what is said does not come back; does another program use the center's name there?")
                    break
                if self._clock.monotonic_s() - self._said_online_s >= SAY_ONLINE_EVERY_S:
                    self.say_online()
        finally:
            with self._coming_and_going:
                up, self._client = self._client, None
            if up is not None and self._stop.is_set():
                self._say_offline(up)
            client.disconnect()
            if network is not None:
                network.join(_GOODBYE_S)
            sock = client.socket()
            if sock is not None:  # a broker that hangs would hold paho's loop until the keep-alive
                _shut(sock)
            client.loop_stop()

    def _is_deaf(self) -> bool:
        """Whether the center hears itself no more: then it does not hear devices either."""
        since_s = self._unheard_since_s
        return self._hears_itself and since_s is not None and self._clock.monotonic_s() - since_s >= DEAF_AFTER_S

    def _say_offline(self, client: paho.Client) -> None:
        goodbye = client.publish(self._presence.topic, self._status("offline"), qos=1, retain=True)
        if goodbye.rc == paho.MQTT_ERR_SUCCESS:
            goodbye.wait_for_publish(_GOODBYE_S)

    def _make_client(self) -> paho.Client:
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=self._client_id,
            clean_session=True,
            manual_ack=True,
            reconnect_on_failure=False,
        )
        client.connect_timeout = CONNECT_TIMEOUT_S
        client.will_set(self._presence.topic, self._status("lost"), qos=1, retain=True)
        client.max_inflight_messages_set(_MANY)
        client.max_queued_messages_set(_MANY)
        client.on_socket_open = _without_delay
        client.on_connect = self._connected
        client.on_subscribe = self._subscribed
        client.on_disconnect = self._disconnected
        client.on_message = self._message
        if self._config.username is not None and self._config.password_file is not None:
            client.username_pw_set(self._config.username, _password(Path(self._config.password_file)))
        if self._config.ca_file is not None:
            client.tls_set_context(_tls(self._config, self._config.ca_file))
        return client

    def _lost(self, reason: str) -> None:
        if self._stop.is_set() or self._said_lost:
            log.debug("no contact to the broker: %s", reason)
            return
        self._said_lost = True
        log.warning(
            "no contact to the broker on %s:%d (%s): devices keep their events, pages go on",
            self._config.connect_host,
            self._config.port,
            reason,
        )

    # --- paho's callbacks: an exception here would end its thread ----------------------------------------------------

    def _connected(self, client: paho.Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            self._lost(f"refused: {reason}")
            self._gone.set()
            return
        client.subscribe(list(self._filters))

    def _subscribed(self, client: paho.Client, _data: Any, _mid: int, reasons: Any, _properties: Any) -> None:
        if any(reason.is_failure for reason in reasons):
            self._lost("the broker refuses a subscription: check its access rules")
            self._gone.set()
            return
        with self._coming_and_going:
            if self._stop.is_set():
                return
            # Only now, and before the desired states: who reads `online` may speak to us.
            self._say_online_on(client)
            self._client = client
        if self._said_lost:
            log.info("in contact with the broker again")
            self._said_lost = False
        _guarded(self._on_up)

    def _disconnected(self, _client: paho.Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        self._client = None
        self._lost(str(reason))
        self._gone.set()

    def _message(self, client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:
            client.ack(message.mid, message.qos)
            return
        if topic == self._presence.topic:
            self._unheard_since_s, self._hears_itself = None, True
        size = len(message.payload)
        payload = bytes(message.payload[:MAX_BYTES])  # a larger one is only looked at
        taken = Taken(
            Message(topic=topic, payload=payload, size=size, retained=message.retain, at=self._clock.now_ms()),
            client,
            message.mid,
            message.qos,
        )
        _guarded(self._on_message, taken)


def _guarded(run: Callable[..., None], *arguments: Any) -> None:
    try:
        run(*arguments)
    except Exception:
        log.exception("a message could not be handled; the connection goes on; please report these lines")


def _without_delay(_client: paho.Client, _data: Any, sock: Any) -> None:
    """Send each packet at once: Nagle's algorithm and the peer's delayed ACK together cost 40 ms a message."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _shut(sock: Any) -> None:
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        log.debug("the connection was closed already")


def _tls(config: Broker, ca_file: str) -> ssl.SSLContext:
    """Return whom to trust and who we are; read at each connection, because keys are renewed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_verify_locations(ca_file)
    except OSError as error:
        raise OSError(f"{ca_file}: {error.strerror or error}; check broker.ca_file") from error
    if config.cert_file is not None:
        try:
            context.load_cert_chain(config.cert_file, config.key_file, password="")
        except OSError as error:
            raise OSError(f"{config.cert_file}: {error.strerror or error}; check broker.cert_file, key_file") from error
    return context


def _password(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise OSError(error.errno, f"{file}: {error.strerror}; check broker.password_file") from error
