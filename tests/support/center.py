"""The center's side of the wire, as far as a device's tests need it: hears all, says what a test wants."""

import threading
from types import TracebackType
from typing import Any, Self

import msgspec
import paho.mqtt.client as paho

from contract.codec import encode
from contract.envelope import Envelope, open_envelope
from contract.topics import Address, Channel
from tests.support.brokers import Broker
from tests.support.waiting import wait_for


class Heard(msgspec.Struct, frozen=True):
    """One message as it came."""

    topic: str
    payload: bytes
    retained: bool


class CenterSide:
    """A client that listens to everything. `heard` is what came so far; `acks` makes it acknowledge each event."""

    def __init__(self, broker: Broker, address: Address, *, acks: bool = False) -> None:
        self._broker = broker
        self._address = address
        self._acks = acks
        self._lock = threading.Lock()
        self._heard: list[Heard] = []
        self._ready = threading.Event()
        self._client = paho.Client(paho.CallbackAPIVersion.VERSION2)
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = lambda *_: self._ready.set()
        self._client.on_message = self._on_message

    def __enter__(self) -> Self:
        self._client.connect(self._broker.host, self._broker.port)
        self._client.loop_start()
        assert self._ready.wait(30), "the test's own client could not subscribe"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def say(
        self, channel: Channel, message: msgspec.Struct | bytes, *, retain: bool = False, wait: bool = True
    ) -> None:
        """Publish to the device and wait until the broker has it."""
        payload = message if isinstance(message, bytes) else encode(message)
        info = self._client.publish(self._address.topic(channel), payload, qos=1, retain=retain)
        if wait:
            info.wait_for_publish(30)

    def heard(self, channel: Channel) -> list[Heard]:
        """Return what the device has said on a channel, oldest first."""
        topic = self._address.topic(channel)
        with self._lock:
            return [each for each in self._heard if each.topic == topic]

    def everything(self) -> list[Heard]:
        """Return all that came, oldest first."""
        with self._lock:
            return list(self._heard)

    def events(self) -> list[Envelope]:
        """Return the device's events, oldest first, repeats included."""
        return [open_envelope(each.payload) for each in self.heard(Channel.EVENT)]

    def wait_for(self, channel: Channel, count: int = 1, *, timeout_s: float = 30.0) -> list[Heard]:
        """Return what was said on a channel once that is at least `count` messages."""
        return wait_for(lambda: heard if len(heard := self.heard(channel)) >= count else None, timeout_s=timeout_s)

    def _on_connect(self, client: paho.Client, *_: Any) -> None:
        client.subscribe(f"{self._address.root}/#", qos=1)

    def _on_message(self, client: paho.Client, _userdata: Any, message: paho.MQTTMessage) -> None:
        with self._lock:
            self._heard.append(Heard(message.topic, message.payload, message.retain))
        if self._acks and message.topic == self._address.topic(Channel.EVENT):
            event = open_envelope(message.payload)
            ack = b'{"stream":"%s","upto":%d}' % (event.stream.encode(), event.sequence_number)
            client.publish(self._address.topic(Channel.ACK), ack, qos=1)
