"""Counters that empty their outboxes: as many devices as asked for, each on a connection of its own.

Each keeps at most 20 events unacknowledged and sends the next when the center has acknowledged some, as the pump on a
Pi does. The packets are made beforehand and MQTT is spoken here by hand, so that little of what is measured is this
program. With `--heard broker` the broker's PUBACK counts instead: then nobody but a counter of messages listens.
"""

import argparse
import itertools
import json
import selectors
import socket
import struct
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from contract.envelope import seal
from contract.events import DeviceHealth, DisplayShown, Fact, RatingGiven, RatingIgnored
from contract.ids import uuid7
from contract.topics import Address, Channel
from firmware.mqtt.pump import WINDOW

CONNECT, PUBLISH, PUBACK, SUBSCRIBE = 0x10, 0x32, 0x40, 0x82
STALLED_S = 20.0
_MIDS = 50_000  # fewer than MQTT has, so that those of a subscription stay free
_START = datetime(2026, 11, 23, 1, 0, tzinfo=UTC)


def facts() -> Iterator[Fact]:
    """Return what a counter says on a busy day: every second one is a display's, every fourth a rating."""
    for turn in itertools.count():
        yield DisplayShown(revision=turn, proof="echoed", latency_ms=9)
        yield RatingGiven(level=1 + turn % 3, scale="vn-3", ticket=uuid7(), armed_for_ms=4210, pressed_ms=15)
        yield DisplayShown(revision=turn + 1, proof="written", latency_ms=11)
        yield (
            DeviceHealth(outbox_depth=turn % 20, uptime_s=turn, clocksynced=True, version="0.1.0", temperature_c=51.5)
            if turn % 2
            else RatingIgnored(why="repeated", level=1)
        )


def events(address: Address, count: int) -> list[bytes]:
    """Return the first events of an outbox."""
    stream = uuid7()
    return [
        seal(
            fact,
            event_id=uuid7(),
            source=address.source,
            time=_START + timedelta(seconds=sequence),
            sequence=sequence,
            stream=stream,
            boot_id="boot-1",
            monotonic_ms=1000 * sequence,
            clock_synced=True,
        )
        for sequence, fact in zip(range(1, count + 1), facts(), strict=False)
    ]


class Outbox:
    """One device: what it has to send, and how much of it was acknowledged."""

    def __init__(self, port: int, address: Address, payloads: list[bytes], *, heard: str) -> None:
        self._topic = address.topic(Channel.EVENT).encode()
        self._packets = [self._publish(mid, payload) for mid, payload in zip(_mids(), payloads, strict=False)]
        self._heard_center = heard == "center"
        self._unread = b""
        self.sent = self.acknowledged = 0
        self.sock = socket.create_connection(("127.0.0.1", port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.sendall(_packet(CONNECT, b"\x00\x04MQTT\x04\x02\x00\x00" + _text(f"feeder-{address.station}")))
        subscription = _text(address.topic(Channel.ACK)) + b"\x01"
        self.sock.sendall(_packet(SUBSCRIBE, struct.pack(">H", _MIDS + 1) + subscription))
        granted = 4 + 5  # CONNACK and SUBACK
        while granted:
            granted -= len(self.sock.recv(granted))

    @property
    def done(self) -> bool:
        """Whether everything was acknowledged."""
        return self.acknowledged == len(self._packets)

    def fill(self) -> None:
        """Send what the window allows."""
        until = min(self.acknowledged + WINDOW, len(self._packets))
        if until > self.sent:
            self.sock.sendall(b"".join(self._packets[self.sent : until]))
            self.sent = until

    def read(self) -> None:
        """Take in what came, then send on."""
        received = self.sock.recv(65_536)
        if not received:
            sys.exit("the broker closed a connection")
        answers = b""
        self._unread += received
        while (packet := self._next()) is not None:
            kind, body = packet
            if kind == PUBACK:
                self.acknowledged += not self._heard_center
            elif kind & 0xF0 == PUBLISH & 0xF0:
                after = 2 + int.from_bytes(body[:2])
                answers += _packet(PUBACK, body[after : after + 2])
                self.acknowledged += len(json.loads(body[after + 2 :])["ids"])
        if answers:
            self.sock.sendall(answers)
        self.fill()

    def _next(self) -> tuple[int, bytes] | None:
        size = shift = 0
        for at in range(1, min(len(self._unread), 5)):
            size |= (self._unread[at] & 0x7F) << shift
            shift += 7
            if self._unread[at] < 0x80:
                end = at + 1 + size
                if len(self._unread) < end:
                    return None
                kind, body, self._unread = self._unread[0], self._unread[at + 1 : end], self._unread[end:]
                return kind, body
        return None

    def _publish(self, mid: int, payload: bytes) -> bytes:
        return _packet(PUBLISH, struct.pack(">H", len(self._topic)) + self._topic + struct.pack(">H", mid) + payload)


def _mids() -> Iterator[int]:
    return itertools.cycle(range(1, _MIDS))


def _packet(kind: int, body: bytes) -> bytes:
    size, length = b"", len(body)
    while True:
        length, digit = divmod(length, 128)
        size += bytes([digit | (0x80 if length else 0)])
        if not length:
            return bytes([kind]) + size + body


def _text(text: str) -> bytes:
    return struct.pack(">H", len(text)) + text.encode()


def main() -> None:
    """Wait for a line on the standard input, send everything, print the seconds it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--center", default="bentre")
    parser.add_argument("--devices", type=int, required=True)
    parser.add_argument("--events", type=int, required=True, help="of each device")
    parser.add_argument("--heard", choices=("center", "broker"), default="center", help="whose acknowledgement counts")
    options = parser.parse_args()
    selector = selectors.DefaultSelector()
    outboxes = []
    for each in range(options.devices):
        address = Address(center=options.center, station=f"q{each + 1:02d}", device="rating")
        outbox = Outbox(options.port, address, events(address, options.events), heard=options.heard)
        selector.register(outbox.sock, selectors.EVENT_READ, outbox)
        outboxes.append(outbox)
    print("ready", flush=True)
    sys.stdin.readline()
    began = time.perf_counter()
    for outbox in outboxes:
        outbox.fill()
    while not all(outbox.done for outbox in outboxes):
        ready = selector.select(STALLED_S)
        if not ready:
            sys.exit(f"no acknowledgement for {STALLED_S:.0f} s")
        for key, _ in ready:
            key.data.read()
    print(time.perf_counter() - began, flush=True)


if __name__ == "__main__":
    main()
