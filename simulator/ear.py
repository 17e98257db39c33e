"""A listener on the broker that hears the center's acknowledgements to the rating pads, and takes no part."""

import ssl
import threading
import time
from pathlib import Path
from typing import Any

import msgspec
import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from contract.codec import decode
from contract.errors import ContractError
from contract.requests import Ack
from contract.topics import Channel, center_filter
from simulator.ports import HOST
from simulator.premises import CENTER_ID

RECONNECT_S = 1


class HeardAck(msgspec.Struct, frozen=True):
    """An acknowledgement and when it was heard, on CLOCK_MONOTONIC."""

    ack: Ack
    at_ns: int


class Ear:
    """Hears acknowledgements in paho's own thread. What passes while the broker is away is not heard."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._lock = threading.Lock()
        self._heard: list[HeardAck] = []
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, clean_session=True)
        self._client.reconnect_delay_set(RECONNECT_S, RECONNECT_S)
        self._client.on_connect = self._subscribe
        self._client.on_message = self._hear

    def open(self, *, trust: Path | None = None, key: Path | None = None) -> None:
        """Begin to listen, as soon as there is a broker; with a key where the broker asks for one."""
        if trust is not None and key is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.load_verify_locations(trust)
            context.load_cert_chain(key)
            self._client.tls_set_context(context)
        self._client.connect_async(HOST, self._port)
        self._client.loop_start()

    def close(self) -> None:
        """Listen no more."""
        self._client.disconnect()
        self._client.loop_stop()

    def acknowledged_ns(self, *, event: str, stream: str, sequence: int) -> int | None:
        """When the center's word for an event was heard first; None if it was not."""
        with self._lock:
            for heard in self._heard:
                ack = heard.ack
                if event in ack.ids or (ack.stream == stream and ack.upto is not None and ack.upto >= sequence):
                    return heard.at_ns
        return None

    def _subscribe(self, client: mqtt.Client, *_: Any) -> None:
        client.subscribe(center_filter(CENTER_ID, Channel.ACK), qos=0)

    def _hear(self, _client: mqtt.Client, _userdata: Any, message: mqtt.MQTTMessage) -> None:
        at_ns = time.monotonic_ns()
        try:
            ack = decode(message.payload, Ack)
        except ContractError:
            return  # not the center's word; the devices judge it themselves
        with self._lock:
            self._heard.append(HeardAck(ack, at_ns))
