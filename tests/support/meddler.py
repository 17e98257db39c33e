"""A program between a client and its broker that reads MQTT and meddles with it, as bad brokers and networks do."""

import contextlib
import socket
import threading
from collections.abc import Sequence
from types import TracebackType
from typing import Protocol, Self

from tests.support.brokers import Broker

_PUBLISH, _PUBACK = 3, 4
_FLUSH_S = 0.05


class Publish:
    """One PUBLISH packet (MQTT 3.1.1, 3.3): where it goes, its message id, and all of its bytes."""

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        at = 1
        while raw[at] & 0x80:
            at += 1
        at += 1
        length = int.from_bytes(raw[at : at + 2])
        at += 2
        self.topic = raw[at : at + length].decode()
        self._mid_at = at + length
        self.qos = raw[0] >> 1 & 3
        self.mid = raw[self._mid_at : self._mid_at + 2] if self.qos else b""

    def without_mid(self) -> bytes:
        """Return it as a message that nobody confirms: for further copies."""
        if not self.qos:
            return self.raw
        head = 2
        while self.raw[head - 1] & 0x80:
            head += 1
        body = self.raw[head : self._mid_at] + self.raw[self._mid_at + 2 :]
        return bytes([self.raw[0] & 0xF1]) + _length(len(body)) + body


class Mischief(Protocol):
    """What is done to messages. Each method returns the packets that go on; what it keeps, it gives with `rest`."""

    def up(self, publish: Publish) -> Sequence[bytes]:
        """A client's message."""
        ...

    def down(self, publish: Publish) -> Sequence[bytes]:
        """A broker's message."""
        ...

    def forgets(self, publish: Publish) -> bool:
        """Whether a client's message is confirmed to it and then forgotten."""
        ...

    def rest(self, direction: str) -> Sequence[bytes]:
        """Give what was held back, when nothing more comes for a moment."""
        ...


class Honest:
    """Does nothing; others change what they like."""

    def up(self, publish: Publish) -> Sequence[bytes]:
        """Pass it on."""
        return [publish.raw]

    def down(self, publish: Publish) -> Sequence[bytes]:
        """Pass it on."""
        return [publish.raw]

    def forgets(self, publish: Publish) -> bool:
        """Nothing."""
        return False

    def rest(self, direction: str) -> Sequence[bytes]:
        """Nothing."""
        return []


class TenTimes(Honest):
    """Each message comes ten times."""

    def up(self, publish: Publish) -> Sequence[bytes]:
        """Copies that need no confirmation, and the message."""
        return [publish.without_mid()] * 9 + [publish.raw]

    def down(self, publish: Publish) -> Sequence[bytes]:
        """The message, and copies."""
        return [publish.raw] + [publish.without_mid()] * 9


class Backwards(Honest):
    """Messages come in handfuls, each the wrong way round."""

    HANDFUL = 5

    def __init__(self) -> None:
        self._held: dict[str, list[bytes]] = {"up": [], "down": []}
        self.turned = 0

    def up(self, publish: Publish) -> Sequence[bytes]:
        """Hold it."""
        return self._hold("up", publish)

    def down(self, publish: Publish) -> Sequence[bytes]:
        """Hold it."""
        return self._hold("down", publish)

    def rest(self, direction: str) -> Sequence[bytes]:
        """The handful so far."""
        held, self._held[direction] = self._held[direction], []
        self.turned += len(held) > 1
        return held[::-1]

    def _hold(self, direction: str, publish: Publish) -> Sequence[bytes]:
        self._held[direction].append(publish.raw)
        return self.rest(direction) if len(self._held[direction]) >= self.HANDFUL else []


class Forgetful(Honest):
    """Confirms events and forgets them, until it is cured."""

    def __init__(self) -> None:
        self.forgotten = 0
        self.cured = False

    def forgets(self, publish: Publish) -> bool:
        """Every event."""
        forgets = not self.cured and publish.topic.endswith("/event")
        self.forgotten += forgets
        return forgets


class Meddler:
    """Stands for a broker at `host` and `port`, and hands on to the real one."""

    name = "meddler"

    def __init__(self, broker: Broker, mischief: Mischief) -> None:
        self._broker, self._mischief = broker, mischief
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.host, self.port = "127.0.0.1", int(self._listener.getsockname()[1])
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, name="meddler")]

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._threads[0].join(30)
        self._listener.close()
        for one in self._sockets:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(30)
        for one in self._sockets:
            one.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                real = socket.create_connection((self._broker.host, self._broker.port), timeout=30)
                for one in (client, real):
                    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._sockets += [client, real]
                locks = {client: threading.Lock(), real: threading.Lock()}
                for direction, source, sink in (("up", client, real), ("down", real, client)):
                    thread = threading.Thread(
                        target=self._pass_on, args=(direction, source, sink, locks), name="meddler"
                    )
                    self._threads.append(thread)
                    thread.start()

    def _pass_on(
        self, direction: str, source: socket.socket, sink: socket.socket, locks: dict[socket.socket, threading.Lock]
    ) -> None:
        source.settimeout(_FLUSH_S)
        waiting = b""

        def send(where: socket.socket, packets: Sequence[bytes]) -> None:
            with locks[where]:
                where.sendall(b"".join(packets))

        with contextlib.suppress(OSError):
            while True:
                try:
                    received = source.recv(65536)
                except TimeoutError:
                    with self._lock:
                        rest = self._mischief.rest(direction)
                    if rest:
                        send(sink, rest)
                    continue
                if not received:
                    break
                waiting += received
                while (size := _whole(waiting)) is not None:
                    raw, waiting = waiting[:size], waiting[size:]
                    if raw[0] >> 4 != _PUBLISH:
                        send(sink, [raw])
                        continue
                    publish = Publish(raw)
                    with self._lock:
                        if direction == "up" and self._mischief.forgets(publish):
                            send(source, [bytes([_PUBACK << 4, 2]) + publish.mid])
                            continue
                        packets = getattr(self._mischief, direction)(publish)
                    send(sink, packets)
        for one in (source, sink):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


def _whole(waiting: bytes) -> int | None:
    """Return the size of the first packet, None if it is not all there (MQTT 3.1.1, 2.2.3)."""
    length = 0
    for at in range(1, min(5, len(waiting))):
        length |= (waiting[at] & 0x7F) << 7 * (at - 1)
        if not waiting[at] & 0x80:
            size = at + 1 + length
            return size if len(waiting) >= size else None
    return None


def _length(value: int) -> bytes:
    encoded = bytearray()
    while True:
        value, digit = divmod(value, 128)
        encoded.append(digit | (0x80 if value else 0))
        if not value:
            return bytes(encoded)
