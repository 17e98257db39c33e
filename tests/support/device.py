"""A device's side of the wire, as far as the center's tests need it: says what a test wants, hears what it is told."""

import socket
import threading
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

import msgspec
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from contract.codec import decode, encode
from contract.envelope import seal
from contract.events import Fact, RatingGiven
from contract.ids import uuid7
from contract.requests import Ack, Reply, Request
from contract.topics import Address, Channel
from tests.support.waiting import wait_for


def rated(level: int = 3, *, ticket: str | None = None) -> RatingGiven:
    """Return a press that counted."""
    return RatingGiven(level=level, scale="vn-3", ticket=ticket, armed_for_ms=30_000, pressed_ms=120)


def sealed(
    fact: Fact,
    *,
    sequence: int,
    event_id: str | None = None,
    source: str = "/bentre/q01/rating",
    stream: str = "stream-1",
    synced: bool = True,
    time: datetime = datetime(2026, 11, 23, 2, 0, tzinfo=UTC),
) -> bytes:
    """Return an event as a device's outbox holds it."""
    return seal(
        fact,
        event_id=event_id or uuid7(),
        source=source,
        time=time,
        sequence=sequence,
        stream=stream,
        boot_id="boot-1",
        monotonic_ms=1000 * sequence,
        clock_synced=synced,
    )


class DeviceSide:
    """A client in the place of one device. Nothing is resent by itself: a test says what is sent."""

    def __init__(self, host: str, port: int, address: Address) -> None:
        self._host, self._port, self.address = host, port, address
        self._lock = threading.Lock()
        self._heard: list[tuple[Channel, bytes]] = []
        self._ready = threading.Event()
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id=f"{address.station}-{address.device}")
        self._client.on_socket_open = lambda _c, _d, sock: sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = lambda *_: self._ready.set()
        self._client.on_message = self._on_message

    def __enter__(self) -> Self:
        self._client.connect(self._host, self._port)
        self._client.loop_start()
        assert self._ready.wait(30), "the test's own device could not subscribe"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def say(
        self, channel: Channel, message: msgspec.Struct | bytes, *, retain: bool = False, topic: str | None = None
    ) -> None:
        """Publish and return at once."""
        payload = message if isinstance(message, bytes) else encode(message)
        self._client.publish(topic or self.address.topic(channel), payload, qos=1, retain=retain)

    def tell(self, fact: Fact, *, sequence: int, stream: str = "stream-1") -> str:
        """Send a fact and return its id."""
        event_id = uuid7()
        source = self.address.source
        self.say(Channel.EVENT, sealed(fact, sequence=sequence, event_id=event_id, source=source, stream=stream))
        return event_id

    def ask(self, action: str, *, request_id: str | None = None, timeout_s: float = 30.0, **more: Any) -> Reply:
        """Send a request and return the reply to it."""
        request_id = request_id or uuid7()
        before = len(self.replies(request_id))
        request = msgspec.convert({"id": request_id, "action": action, **more}, Request)
        self.say(Channel.REQUEST, request)
        return wait_for(lambda: self.replies(request_id)[before:], timeout_s=timeout_s)[0]

    def heard(self, channel: Channel) -> list[bytes]:
        """Return what came on a channel, oldest first."""
        with self._lock:
            return [payload for one, payload in self._heard if one is channel]

    def acks(self) -> list[Ack]:
        """Return the application acks so far."""
        return [decode(payload, Ack) for payload in self.heard(Channel.ACK)]

    def acked(self) -> set[str]:
        """Return every id that was acknowledged."""
        return {event_id for ack in self.acks() for event_id in ack.ids}

    def replies(self, request_id: str) -> list[Reply]:
        """Return the replies to a request."""
        return [reply for payload in self.heard(Channel.REPLY) if (reply := decode(payload, Reply)).id == request_id]

    def desired(self) -> dict[str, Any]:
        """Return what this device should be by the last word, or nothing."""
        states = self.heard(Channel.DESIRED)
        return msgspec.json.decode(states[-1]) if states else {}

    def _on_connect(self, client: paho.Client, *_: Any) -> None:
        channels = (Channel.ACK, Channel.REPLY, Channel.DESIRED)
        client.subscribe([(self.address.topic(channel), 1) for channel in channels])

    def _on_message(self, _client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        channel = Channel(message.topic.rpartition("/")[2])
        with self._lock:
            self._heard.append((channel, message.payload))
