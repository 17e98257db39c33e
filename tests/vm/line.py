"""The far end of a serial line: takes what the machine writes, or takes nothing and so holds the line up."""

import socket
import threading
from pathlib import Path

_LOOK_S = 0.05


class Line:
    """What stands at the other end of /dev/ttyS1."""

    def __init__(self, path: Path) -> None:
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._sock.connect(str(path))
        self._sock.settimeout(_LOOK_S)
        self._taken = 0
        self._takes, self._end = threading.Event(), threading.Event()
        self._takes.set()
        self._thread = threading.Thread(target=self._run, name="line", daemon=True)
        self._thread.start()

    def taken(self) -> int:
        """Return how many bytes have come."""
        return self._taken

    def hold_up(self) -> None:
        """Take nothing more: when the buffers on the way are full, the machine's port stands still."""
        self._takes.clear()

    def let_go(self) -> None:
        """Take everything again."""
        self._takes.set()

    def close(self) -> None:
        """Unplug."""
        self._end.set()
        self._takes.set()
        self._thread.join()
        self._sock.close()

    def _run(self) -> None:
        while self._takes.wait() and not self._end.is_set():
            try:
                self._taken += len(self._sock.recv(4096))
            except TimeoutError:
                continue
