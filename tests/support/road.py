"""A road between a camera and the center's HTTP port, on which connections break at the byte a test says."""

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

_PIECE = 16_384


class Road:
    """Passes bytes on. `next_cut` says for each new connection after how many bytes of the client it breaks.

    At each number of bytes in `halts` everything stands still and `halted` is set, until `go`.
    """

    def __init__(
        self,
        target: Callable[[], int],
        next_cut: Callable[[], int | None] = lambda: None,
        *,
        halts: Sequence[int] = (),
    ) -> None:
        self._target = target
        self._next_cut = next_cut
        self._halts = sorted(halts)
        self.halted = threading.Event()
        self._free = threading.Event()
        self._free.set()
        self._door = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, name="road")
        self._threads: list[threading.Thread] = []
        self._open: set[socket.socket] = set()
        self._ending = False
        self.port: int = self._door.getsockname()[1]
        self.passed = 0
        """Bytes from clients that went on."""
        self.cuts = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending = True
        self._free.set()
        self._door.shutdown(socket.SHUT_RDWR)
        self._door.close()
        self._thread.join(30)
        for link in list(self._open):
            with contextlib.suppress(OSError):
                link.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(30)

    def go(self) -> None:
        """Let bytes pass again."""
        self.halted.clear()
        self._free.set()

    def _serve(self) -> None:
        while not self._ending:
            try:
                client, _ = self._door.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self._target()), timeout=30)
                server.settimeout(None)
            except OSError:
                client.close()
                continue
            self._open |= {client, server}
            for work in (self._up, self._down):
                thread = threading.Thread(target=work, args=(client, server), name="road")
                thread.start()
                self._threads.append(thread)

    def _up(self, client: socket.socket, server: socket.socket) -> None:
        left = self._next_cut()
        with contextlib.suppress(OSError):
            while piece := client.recv(_PIECE if left is None else max(min(_PIECE, left), 1)):
                if left is not None:
                    left -= len(piece)
                self._pass(server, piece)
                if left is not None and left <= 0:
                    self.cuts += 1
                    for link in (client, server):  # as when a cable is pulled and the far end hears of it late
                        link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    break
        self._close(client, server)

    def _pass(self, server: socket.socket, piece: bytes) -> None:
        while piece:
            self._free.wait()
            now = piece
            if self._halts and self.passed + len(piece) >= self._halts[0]:
                now = piece[: max(self._halts.pop(0) - self.passed, 0)]
                self._free.clear()
                self.halted.set()
            server.sendall(now)
            self.passed += len(now)
            piece = piece[len(now) :]

    def _down(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while piece := server.recv(_PIECE):
                client.sendall(piece)
        self._close(client, server)

    def _close(self, *links: socket.socket) -> None:
        for link in links:
            with contextlib.suppress(OSError):
                link.shutdown(socket.SHUT_RDWR)
            link.close()
            self._open.discard(link)
