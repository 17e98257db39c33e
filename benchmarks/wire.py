"""MQTT 3.1.1 by hand, as far as a load generator needs it: packets made beforehand, little work for each."""

import socket
import struct
import sys
from collections.abc import Sequence

CONNECT, PUBLISH, PUBACK, SUBSCRIBE = 0x10, 0x32, 0x40, 0x82
MIDS = 50_000
"""Publishers use the message ids below this one."""


def publish(topic: str, payload: bytes, *, mid: int, retain: bool = False) -> bytes:
    """Return a PUBLISH packet at QoS 1."""
    return _packet(PUBLISH | retain, _text(topic) + struct.pack(">H", mid) + payload)


class Wire:
    """One connection. `read` acknowledges to the broker by itself."""

    def __init__(self, port: int, client_id: str, filters: Sequence[str]) -> None:
        self._unread = b""
        self.sock = socket.create_connection(("127.0.0.1", port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.sendall(_packet(CONNECT, b"\x00\x04MQTT\x04\x02\x00\x00" + _text(client_id)))
        wanted = b"".join(_text(each) + b"\x01" for each in filters)
        self.sock.sendall(_packet(SUBSCRIBE, struct.pack(">H", MIDS) + wanted))
        granted = 4 + 4 + len(filters)  # CONNACK and SUBACK
        while granted:
            granted -= len(self._receive(granted))

    def send(self, packets: bytes) -> None:
        """Send what `publish` has made."""
        self.sock.sendall(packets)

    def read(self) -> tuple[int, list[tuple[str, bytes]]]:
        """Wait for something; return how many packets the broker confirmed, and the messages that came."""
        self._unread += self._receive(65_536)
        confirmed, answers, messages = 0, b"", []
        while (packet := self._next()) is not None:
            kind, body = packet
            if kind == PUBACK:
                confirmed += 1
            elif kind & 0xF0 == PUBLISH & 0xF0:
                after = 2 + int.from_bytes(body[:2])
                topic = body[2:after].decode()
                if kind & 0x06:
                    answers += _packet(PUBACK, body[after : after + 2])
                    after += 2
                messages.append((topic, body[after:]))
        if answers:
            self.sock.sendall(answers)
        return confirmed, messages

    def _receive(self, size: int) -> bytes:
        received = self.sock.recv(size)
        if not received:
            sys.exit("the broker closed a connection")
        return received

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


def _packet(kind: int, body: bytes) -> bytes:
    size, length = b"", len(body)
    while True:
        length, digit = divmod(length, 128)
        size += bytes([digit | (0x80 if length else 0)])
        if not length:
            return bytes([kind]) + size + body


def _text(text: str) -> bytes:
    encoded = text.encode()
    return struct.pack(">H", len(encoded)) + encoded
