"""A paho-mqtt client that takes what the broker has sent in one go.

paho reads a message by four calls: a byte, two for the length, the rest. Each call lets go of the interpreter and takes
it back from whoever computes meanwhile: at a busy center a quarter of the events a second.
"""

from typing import Any

import paho.mqtt.client as paho

_AT_ONCE = 65_536


class ReadAhead:
    """A socket as paho uses one, plain or TLS, that reads ahead. For one reader."""

    def __init__(self, sock: "paho.SocketLike") -> None:
        self._sock = sock
        self._read = b""
        self._place = 0

    def recv(self, buffer_size: int) -> bytes:
        """Return at most so many bytes, none at the end; raises what the socket raises when nothing is there."""
        if self._place == len(self._read):
            self._read, self._place = self._sock.recv(_AT_ONCE), 0
        piece = self._read[self._place : self._place + buffer_size]
        self._place += len(piece)
        return piece

    def pending(self) -> int:
        """Return how much can be read although the socket itself has nothing: paho looks here before it waits."""
        inner = getattr(self._sock, "pending", None)  # TLS reads ahead, too
        return len(self._read) - self._place + (inner() if inner is not None else 0)

    def __getattr__(self, name: str) -> Any:
        """Be the socket in everything else."""
        return getattr(self._sock, name)

    # What paho asks of a socket by name, so that a type checker sees it.

    def send(self, buffer: bytes | bytearray) -> int:
        """Send; returns how much of it."""
        return self._sock.send(buffer)

    def close(self) -> None:
        """Close the socket."""
        self._sock.close()

    def fileno(self) -> int:
        """Return the socket's number, to wait for."""
        return self._sock.fileno()

    def setblocking(self, flag: bool) -> None:
        """Make it wait, or not."""
        self._sock.setblocking(flag)


class Client(paho.Client):
    """A client whose socket reads ahead. Should paho name its own seam otherwise one day, it is only slower."""

    def _create_socket(self) -> "paho.SocketLike":
        return ReadAhead(super()._create_socket())
