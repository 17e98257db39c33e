"""Reading ahead: the same bytes in the same order, by fewer calls."""

import socket
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.enums import CallbackAPIVersion

from center.ingest.read_ahead import Client, ReadAhead
from tests.support.brokers import Broker

pytestmark = pytest.mark.timeout(30)


class Pieces:
    """A socket that gives its bytes in pieces, and says how often it was asked."""

    def __init__(self, pieces: list[bytes]) -> None:
        self.pieces = list(pieces)
        self.asked = 0

    def recv(self, buffer_size: int) -> bytes:
        """Give the next piece."""
        self.asked += 1
        if not self.pieces:
            raise BlockingIOError
        piece = self.pieces.pop(0)
        assert len(piece) <= buffer_size
        return piece


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=8), st.lists(st.integers(1, 50), min_size=1, max_size=60))
def test_the_bytes_are_the_same_however_they_come_and_are_asked_for(pieces: list[bytes], sizes: list[int]) -> None:
    """Nothing is lost, doubled or reordered, and what waits is said to wait."""
    sock = Pieces(pieces)
    ahead = ReadAhead(sock)  # type: ignore[arg-type]
    found = b""
    for size in sizes * 400:
        try:
            piece = ahead.recv(size)
        except BlockingIOError:
            break
        assert 1 <= len(piece) <= size
        found += piece
        assert ahead.pending() == len(b"".join(pieces)) - len(found) - len(b"".join(sock.pieces))
    assert b"".join(pieces).startswith(found)
    assert sock.asked <= len(pieces) + 1


def test_an_end_is_an_end() -> None:
    """A broker that closes the connection is heard, also after its last words."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(b"last")
        theirs.close()
        ahead = ReadAhead(ours)
        assert (ahead.recv(3), ahead.recv(3), ahead.recv(3)) == (b"las", b"t", b"")


@pytest.mark.mosquitto
def test_a_burst_is_read_by_a_few_calls_to_its_last_message(
    mosquitto_broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thousand messages that come at once are all heard, without anything coming after them, by fewer calls."""
    calls = 0
    done, ready = threading.Event(), threading.Event()
    heard: list[bytes] = []

    class Counted(ReadAhead):
        def __init__(self, sock: object) -> None:
            class Inner:
                def recv(self, size: int) -> bytes:
                    nonlocal calls
                    calls += 1
                    return sock.recv(size)  # type: ignore[attr-defined, no-any-return]

                def __getattr__(self, name: str) -> object:
                    return getattr(sock, name)

            super().__init__(Inner())  # type: ignore[arg-type]

    def hear(payload: bytes) -> None:
        heard.append(payload)
        if len(heard) == 1000:
            done.set()

    monkeypatch.setattr("center.ingest.read_ahead.ReadAhead", Counted)
    client = Client(CallbackAPIVersion.VERSION2)
    client.on_subscribe = lambda *_: ready.set()
    client.on_message = lambda _client, _data, message: (
        heard.append(message.payload),
        len(heard) == 1000 and done.set(),
    )
    client.connect("127.0.0.1", mosquitto_broker.port)
    client.subscribe("burst")
    client.loop_start()
    try:
        assert ready.wait(30)
        sender = Client(CallbackAPIVersion.VERSION2)
        sender.connect("127.0.0.1", mosquitto_broker.port)
        sender.loop_start()
        for number in range(1000):
            sender.publish("burst", b"%d" % number)
        assert done.wait(30)
        sender.disconnect()
        sender.loop_stop()
    finally:
        client.disconnect()
        client.loop_stop()
    assert heard == [b"%d" % number for number in range(1000)]
    assert 0 < calls < 2000
