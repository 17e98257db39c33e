"""The connection to the broker: the only module that knows paho-mqtt.

A paho client lives for one connection and is then thrown away with all it holds: nothing is ever queued while there is
no connection, and nothing of an old one can leak into the next. The thread, the retries and the pauses are ours, driven
through paho's documented loop for foreign event loops.
"""

import logging
import os
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from contract.topics import Address, Channel, center_address
from firmware.config import BrokerConfig
from firmware.errors import ConfigError
from firmware.mqtt.namesake import Namesake
from firmware.pulse import Pulse

if TYPE_CHECKING:
    from ssl import SSLContext

    from paho.mqtt.client import Client, MQTTMessage, MQTTMessageInfo

_log = logging.getLogger(__name__)

BACKOFF_FIRST_S = 0.2
BACKOFF_MAX_S = 5.0
REFUSED_PAUSE_S, REFUSED_PAUSE_MAX_S = 30.0, 600.0
"""Before the next try after a fault of the keys: each is a line in a broker's log. Doubled each time the broker refuses
ours, which only new ones mend; files that change end the pause."""
LOOK_AT_KEYS_S = 3.0
STABLE_AFTER_S = 2.0
"""A connection that lived this long was a good one: after it the pauses begin at the first again."""
CONNECT_TIMEOUT_S = 5.0
"""For each of: the TCP connection; the broker's answers to CONNECT and SUBSCRIBE together."""
STOP_TIMEOUT_S = 1.0
GOODBYE_S = 0.5
"""So long a broker has time to read our goodbye before the connection is closed."""
HANGS_AFTER_MS = 180_000
"""A third of the longest keep-alive, or the time-outs of several name servers, fit in there."""
YIELD_S = 60.0
"""So long we stay off the wire, a quarter more or less by chance, when another machine uses our name."""
_SUBSCRIBED = (Channel.ACK, Channel.DESIRED, Channel.REPLY)
_QOS = 1
_MANY = 1_000  # outgoing messages that paho may hold: a state that flickers must not fill the memory

Presence = Literal["online", "offline", "lost"]


class LinkUp(msgspec.Struct, frozen=True):
    """Connected and subscribed: what is published now reaches the broker, and the answers reach us."""


class LinkDown(msgspec.Struct, frozen=True):
    """The connection that was up is gone."""


class NameTaken(msgspec.Struct, frozen=True):
    """Another machine is online by this device's name; we stay off the wire and ask again later."""

    bootid: str
    since: str


class Arrived(msgspec.Struct, frozen=True):
    """A message to this device; on `status`, the center's own word of itself.

    `retained`: it was kept by the broker, so nobody need be there who says it.
    """

    channel: Channel
    payload: bytes
    retained: bool


class Transport:
    """Keeps one connection to the broker. What happens is posted to the inbox: LinkUp, LinkDown, NameTaken, Arrived.

    Called from the inbox thread only; `post` is called from the network thread.
    """

    def __init__(
        self,
        address: Address,
        broker: BrokerConfig,
        *,
        password: str | None,
        status: Callable[[Presence], bytes],
        post: Callable[[object], None],
        boot_id: str = "",
        hangs_after_ms: int = HANGS_AFTER_MS,
        clock_is_set: Callable[[], bool] = lambda: True,
        yield_s: float = YIELD_S,
        announcement: tuple[str, bytes] | None = None,
    ) -> None:
        self._address = address
        self._broker = broker
        self._password = password
        self._status = status
        self._post = post
        self._yield_s = yield_s
        self._announcement = announcement
        # First of all whether the center is there: what the broker kept of its words is worth less without it.
        # Brokers answer in this order; amqtt does not, but hardly outlives its center.
        presence = center_address(address.center, root=address.root).topic(Channel.STATUS)
        self._topics = {presence: Channel.STATUS} | {address.topic(channel): channel for channel in _SUBSCRIBED}
        self._own_status = address.topic(Channel.STATUS)
        self._client_id = _client_id(address, boot_id)
        self._clock_is_set = clock_is_set
        self._security()  # what is wrong with the files is said before anything begins
        self._paho = import_paho(tls=broker.ca_file is not None)
        self._thread = threading.Thread(target=self._run, name="mqtt", daemon=True)
        self._pulse = Pulse(limit_ms=hangs_after_ms, monotonic_ms=lambda: time.monotonic_ns() // 1_000_000)
        self._stopping = threading.Event()
        # Held for saying `online` and for beginning to stop: `offline` is said after it, or it is not said at all.
        self._coming_and_going = threading.Lock()
        self._client: Client | None = None
        self._up: Client | None = None
        self._asked_for_name: int | None = None
        self._subscription: int | None = None
        self._subscribed_once = False
        self._skipped_logged = False
        self._namesake = Namesake()
        self._online_word = b""  # how it was said on this connection
        self._problem = self._key_problem = self._key_problem_logged = ""
        self._refused = False
        self._lost_logged = self._rival_logged = self._deaf_logged = self._blind_logged = False
        self._unconfirmed: deque[MQTTMessageInfo] = deque()
        self._unconfirmed_on: Client | None = None

    def start(self) -> None:
        """Begin to connect; returns at once, whether there is a broker or not."""
        self._thread.start()

    def alive(self) -> bool:
        """Whether the network thread runs and does not hang."""
        return self._thread.is_alive() and not self._pulse.lost()

    def publish(self, channel: Channel, payload: bytes, *, retain: bool = False) -> bool:
        """Hand a message to the connection; False (and nothing is kept) while there is none."""
        client = self._up
        if client is None:
            return False
        info = client.publish(self._address.topic(channel), payload, qos=_QOS, retain=retain)
        if info.rc != self._paho.MQTT_ERR_SUCCESS:
            return False
        self._forget_confirmed(client)
        self._unconfirmed.append(info)
        return True

    def unconfirmed(self) -> int:
        """Return how many messages of this connection the broker has not confirmed yet."""
        self._forget_confirmed(self._up)
        return len(self._unconfirmed)

    def drop(self, why: str) -> None:
        """Give up a connection that looks alive and is not; another one is made at once."""
        _log.debug("dropping the connection: %s", why)
        self._problem = why
        self._break()

    def stop(self) -> None:
        """Say goodbye (`offline`), disconnect, end the thread; bounded in time, safe to call twice."""
        with self._coming_and_going:
            self._stopping.set()
            up = self._up
        if up is not None:
            info = up.publish(self._address.topic(Channel.STATUS), self._status("offline"), qos=_QOS, retain=True)
            if info.rc == self._paho.MQTT_ERR_SUCCESS:
                info.wait_for_publish(STOP_TIMEOUT_S)
        client = self._client
        if client is not None:
            client.disconnect()  # also before the connection is up: the will would say that we were lost
        if self._thread.is_alive():
            self._thread.join(STOP_TIMEOUT_S)
        self._break()
        self._unconfirmed.clear()
        self._unconfirmed_on = None

    def _forget_confirmed(self, client: "Client | None") -> None:
        # Owned by the inbox thread: no lock that could meet one of paho's in the other order.
        waiting = self._unconfirmed
        if client is not self._unconfirmed_on:
            waiting.clear()
            self._unconfirmed_on = client
        while waiting and waiting[0].is_published():
            waiting.popleft()

    def _break(self) -> None:
        client = self._client
        sock = client.socket() if client is not None else None
        if sock is not None:
            try:
                sock.shutdown(socket.SHUT_RDWR)  # type: ignore[attr-defined]  # paho's protocol names too little
            except OSError as error:
                _log.debug("the connection was gone already: %s", error)

    # --- the network thread --------------------------------------------------------------------------------------

    def _run(self) -> None:
        failures = refusals = 0
        while not self._stopping.is_set():
            self._problem = self._key_problem = ""
            self._refused = False
            keys = self._keys()
            lived_s = self._connection()
            if self._stopping.is_set():
                return
            if (rival := self._namesake.rival) is not None:
                self._post(NameTaken(bootid=rival.bootid, since=rival.since))
                self._log_lost()
                failures = 0
                self._stopping.wait(self._yield_s * _about_one())
                continue
            if not lived_s and not self._problem and self._broker.ca_file is not None:
                lived_s = self._connection(asking_why=True)
            if 0 < lived_s < STABLE_AFTER_S and not self._problem:
                self._problem = "closed right after connecting; the broker's log says why"
            self._log_lost()
            if self._key_problem:
                changed = self._wait_for_keys(keys, refused_pause_s(refusals))
                refusals = refusals + 1 if self._refused and not changed else 0
                continue
            refusals = 0 if lived_s else refusals
            failures = 0 if lived_s >= STABLE_AFTER_S else failures
            self._stopping.wait(backoff_s(failures))
            failures += 1

    def _keys(self) -> list[object]:
        """Return what tells one state of the keys' files from another."""
        return [_stamp(file) for file in (self._broker.ca_file, self._broker.cert_file, self._broker.key_file) if file]

    def _wait_for_keys(self, before: list[object], pause_s: float) -> bool:
        """Wait, but no longer than the keys' files are as they were; return whether they changed."""
        until = time.monotonic() + pause_s
        while (left_s := until - time.monotonic()) > 0 and not self._stopping.wait(min(left_s, LOOK_AT_KEYS_S)):
            if self._keys() != before:
                return True
        return False

    def _connection(self, *, asking_why: bool = False) -> float:
        """Make one connection and live with it until it ends; return how many seconds it was up.

        `asking_why` a broker ended the one before without a word, as TLS 1.3 does with a certificate it refuses.
        """
        up_at: float | None = None
        self._pulse.beat()
        client = self._client = self._new_client()
        try:
            security = self._security(oldest=asking_why)
            if security is not None:
                client.tls_set_context(security)
            client.connect(self._host(), self._broker.port, self._broker.keepalive_s, **self._clean())
            deadline = time.monotonic() + CONNECT_TIMEOUT_S
            while client.loop(self._patience_s(deadline)) == self._paho.MQTT_ERR_SUCCESS:
                self._pulse.beat()
                if self._up is not None:
                    up_at = up_at or time.monotonic()
                elif self._stopping.is_set():
                    client.disconnect()  # from here only while nobody has heard `online`
                elif (until := self._namesake.claim_until) is not None:
                    if time.monotonic() >= until:
                        self._come_up(client)
                elif time.monotonic() >= deadline and up_at is None:
                    self._problem = f"no answer within {CONNECT_TIMEOUT_S:.0f} s"
                    break
        except ConfigError as error:  # a file of the keys was good when the program began
            self._problem = self._key_problem = str(error)
        except OSError as error:
            self._key_problem, self._refused = self._explain(error)
            self._problem = self._key_problem or error.strerror or str(error)
        except UnicodeError as error:
            self._problem = f"no name server can be asked for such a host: {error}"
        except Exception:  # noqa: BLE001 - see below
            # A broker's broken packet must not end the thread: paho trips over some (struct.error, IndexError).
            _log.exception("the connection ended by a fault; another one is made")
            self._problem = "what the broker sent cannot be understood"
        finally:
            self._end(client)
            self._pulse.rest()
        if asking_why and up_at is None and not self._problem:
            self._problem = "the broker ends the connection: does it know this device's key?"
        return time.monotonic() - up_at if up_at is not None else 0.0

    def _security(self, *, oldest: bool = False) -> "SSLContext | None":
        if self._broker.ca_file is None:
            return None
        from firmware.mqtt.tls import tls_context  # only who talks TLS pays for it

        return tls_context(self._broker, clock_is_set=self._clock_is_set(), oldest=oldest)

    def _explain(self, error: OSError) -> tuple[str, bool]:
        """Return what a failed connection means for the keys, or nothing, and whether only new ones help."""
        if self._broker.ca_file is None:
            return "", False
        from firmware.mqtt.tls import explain_tls, needs_new_keys

        return explain_tls(error, self._broker) or "", needs_new_keys(error)

    def _patience_s(self, deadline: float) -> float:
        """Return how long to wait for the network: publishing wakes us, and the keep-alive needs only a look."""
        if self._up is not None:
            return self._broker.keepalive_s / 3
        deadline = self._namesake.claim_until or deadline
        return max(min(deadline - time.monotonic(), 1.0), 0.01)

    def _end(self, client: "Client") -> None:
        was_up = self._up is not None or self._subscribed_once
        self._up = None
        self._client = None
        client.on_connect = client.on_subscribe = client.on_message = client.on_socket_open = None
        client.on_socket_close = client.on_log = None
        if was_up:
            self._post(LinkDown())

    def _new_client(self) -> "Client":
        paho = self._paho
        is_5 = self._broker.protocol == "5"
        client: Client = paho.Client(
            paho.CallbackAPIVersion.VERSION2,
            client_id=self._client_id,
            clean_session=None if is_5 else True,
            protocol=paho.MQTTv5 if is_5 else paho.MQTTv311,
            reconnect_on_failure=False,
        )
        self._namesake.begin()
        self._subscription = self._asked_for_name = None
        self._subscribed_once = self._skipped_logged = False
        client.connect_timeout = CONNECT_TIMEOUT_S
        client.max_queued_messages_set(_MANY)
        client.will_set(self._address.topic(Channel.STATUS), self._status("lost"), qos=_QOS, retain=True)
        if self._broker.username is not None:
            client.username_pw_set(self._broker.username, self._password)
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        client.on_socket_open = _no_delay
        client.on_socket_close = self._hear_out
        # Says that a foreign loop does the writing; without it publish() writes in the caller's thread as well,
        # and two writers can cut each other's packets in half.
        client.on_socket_register_write = _wake_is_enough
        return client

    def _hear_out(self, _client: "Client", _userdata: Any, sock: Any) -> None:
        """After a goodbye wait until the broker has read it and closes its end.

        What it answers to an end that is closed already comes back as a fault: then it takes us for lost, and tells our
        last will instead of reading on to the goodbye.
        """
        if not self._stopping.is_set() and self._namesake.rival is None:
            return  # no goodbye: the connection broke
        until = time.monotonic() + GOODBYE_S
        try:
            sock.shutdown(socket.SHUT_WR)
            while (left_s := until - time.monotonic()) > 0:
                sock.settimeout(left_s)
                if not sock.recv(4096):
                    break
        except OSError as error:
            _log.debug("the broker did not hear the goodbye out: %s", error)

    def _host(self) -> Any:
        # As bytes: a str goes through the IDNA codec, whose tables are 0.3 MB.
        host = self._broker.host
        return host.encode() if host.isascii() else host

    def _clean(self) -> dict[str, Any]:
        # MQTT 5: clean_start, and no session expiry property, so the broker keeps nothing once we are gone.
        return {"clean_start": True} if self._broker.protocol == "5" else {}

    def _on_connect(self, client: "Client", _userdata: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            self._problem = f"refused: {reason}; check protocol, username and password_file under [broker]"
            return
        # Who has our name is asked for apart: a broker hands out what it kept before it answers the next packet.
        _result, self._asked_for_name = client.subscribe(self._own_status, _QOS)
        _result, self._subscription = client.subscribe([(topic, _QOS) for topic in self._topics])

    def _on_subscribe(self, client: "Client", _userdata: Any, mid: int, reasons: Any, _properties: Any) -> None:
        if mid == self._asked_for_name and reasons[0].is_failure and not self._blind_logged:
            self._blind_logged = True
            _log.warning(
                "the broker does not say whether another machine uses this device's name: allow %s to be read in its"
                " access list",
                self._own_status,
            )
        if mid != self._subscription:
            return
        if any(reason.is_failure for reason in reasons[1:]):  # the first is of the center's presence
            self._problem = "subscription refused: allow this device its own topics in the broker's access list"
            client.disconnect()
            return
        if any(reason.is_failure for reason in reasons[:1]) and not self._deaf_logged:
            self._deaf_logged = True
            _log.warning(
                "the broker does not say whether the center is there: allow %s to be read in its access list",
                next(iter(self._topics)),
            )
        if self._namesake.holder is None:
            self._come_up(client)
            return
        claim = self._status("offline")
        self._namesake.claims(claim, time.monotonic())
        client.publish(self._own_status, claim, qos=_QOS)

    def _come_up(self, client: "Client") -> None:
        with self._coming_and_going:
            if self._stopping.is_set():
                return
            # Only now: who reads `online` may speak to us.
            self._online_word = self._status("online")
            self._say_online(client)
            if self._announcement is not None:
                topic, payload = self._announcement
                client.publish(topic, payload, qos=_QOS, retain=True)
            self._subscribed_once = True
            self._up = client
        if self._lost_logged:
            self._lost_logged = self._rival_logged = False
            self._key_problem_logged = ""
            _log.info("connected to the broker at %s:%d again", self._broker.host, self._broker.port)
        else:
            _log.info("connected to the broker at %s:%d", self._broker.host, self._broker.port)
        self._post(LinkUp())

    def _say_online(self, client: "Client") -> None:
        self._namesake.says_online(self._online_word, time.monotonic())
        client.publish(self._own_status, self._online_word, qos=_QOS, retain=True)

    def _on_own_status(self, client: "Client", payload: bytes, *, retained: bool) -> None:
        match self._namesake.hear(payload, retained=retained, now_s=time.monotonic()):
            case "come up":
                self._come_up(client)
            case "say online":
                with self._coming_and_going:
                    if not self._stopping.is_set():
                        self._say_online(client)
            case "yield":
                client.disconnect()  # in order: our last will would say that the other one is lost

    def _on_message(self, client: "Client", _userdata: Any, message: "MQTTMessage") -> None:
        try:
            if message.topic == self._own_status:
                self._on_own_status(client, bytes(message.payload), retained=message.retain)
                return
            channel = self._topics.get(message.topic)
            if channel is not None:
                self._post(Arrived(channel=channel, payload=bytes(message.payload), retained=message.retain))
        except Exception:  # noqa: BLE001 - see below
            # An exception here would end the network thread while paho goes on saying that it is connected.
            # Said once for each connection: a flood of such messages must not fill the card with lines.
            if not self._skipped_logged:
                self._skipped_logged = True
                _log.exception("a message could not be taken; it and any further one like it is skipped")

    def _log_lost(self) -> None:
        problem = self._problem or "the connection broke"
        where = f"{self._broker.host}:{self._broker.port}"
        if (rival := self._namesake.rival) is not None and not self._rival_logged:
            self._rival_logged = self._lost_logged = True
            _log.error(
                "another machine (boot %s, online since %s) uses the name %s/%s: this one stays off the network, facts"
                " wait in its outbox, trying again every minute. Stop one of the two, or correct its station.toml",
                rival.bootid[:8],
                rival.since,
                self._address.station,
                self._address.device,
            )
            return
        # A key that is refused is said in the middle of an outage too: that does not mend itself.
        if self._lost_logged and self._key_problem in ("", self._key_problem_logged):
            _log.debug("no connection to the broker at %s: %s", where, problem)
            return
        self._lost_logged = True
        self._key_problem_logged = self._key_problem
        _log.warning(
            "no connection to the broker at %s: %s; facts wait in the outbox, trying again. If it stays so, check"
            " cable, network and broker",
            where,
            problem,
        )


def backoff_s(failures: int) -> float:
    """Return the pause before the next try: 0.2 s, doubled to 5 s, a quarter more or less by chance.

    The chance keeps the devices of a center from knocking all at once.
    """
    return min(BACKOFF_FIRST_S * 2.0 ** min(failures, 10), BACKOFF_MAX_S) * _about_one()


def refused_pause_s(refusals: int) -> float:
    """Return the pause after a fault of the keys, by how often in a row they were refused before: 30 s to 600."""
    return min(REFUSED_PAUSE_S * 2.0 ** min(refusals, 10), REFUSED_PAUSE_MAX_S) * _about_one()


def _stamp(file: str) -> object:
    try:
        stat = Path(file).stat()
    except OSError as error:
        return error.errno
    return stat.st_ino, stat.st_mtime_ns


def _about_one() -> float:
    return 0.75 + int.from_bytes(os.urandom(2), "big") / 131072


def _client_id(address: Address, boot_id: str) -> str:
    """Return a name for the broker's log that no other process has, also not one with the same address."""
    parts = address.center, address.station, address.device, boot_id[:8], os.urandom(2).hex()
    return "-".join(part for part in parts if part)


def import_paho(*, tls: bool) -> ModuleType:
    """Import paho's client, and spare the process what only TLS, proxies and websockets need: 8 MB, or 4 with TLS.

    paho imports `ssl`, `hashlib` (with it OpenSSL) and `urllib.request` (with it http and email) at once and uses
    them only there, except that it names two exceptions of `ssl` in its receive path. So while it is imported, empty
    stand-ins take their places, unless the real modules are loaded already.
    """
    if "paho.mqtt.client" not in sys.modules:
        unneeded = ("hashlib", "urllib.request") if tls else ("ssl", "hashlib", "urllib.request")
        stand_ins = {name: ModuleType(name) for name in unneeded if name not in sys.modules}
        if "ssl" in stand_ins:
            for exception in ("SSLError", "SSLWantReadError", "SSLWantWriteError", "CertificateError"):
                setattr(stand_ins["ssl"], exception, type(exception, (OSError,), {}))
        sys.modules.update(stand_ins)
        try:
            import paho.mqtt.client
        finally:
            for name in stand_ins:
                del sys.modules[name]
    import paho.mqtt.client

    return paho.mqtt.client


def _no_delay(_client: "Client", _userdata: Any, sock: Any) -> None:
    """Send small packets at once: Nagle's algorithm would hold a press back for the ack of the one before."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _wake_is_enough(_client: "Client", _userdata: Any, _sock: Any) -> None:
    """Nothing to do: paho has woken its own loop already."""
