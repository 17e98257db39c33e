"""Tells systemd that the center is ready, alive, or stopping (sd_notify(3)); silent where systemd does not ask."""

import os
import socket
from collections.abc import Mapping


class Notifier:
    """Sends states to the socket of `NOTIFY_SOCKET`."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._address = environment.get("NOTIFY_SOCKET", "")
        if self._address.startswith("@"):
            self._address = "\0" + self._address[1:]  # an abstract socket
        pid = environment.get("WATCHDOG_PID", "")
        usec = environment.get("WATCHDOG_USEC", "")
        asked = usec.isdigit() and (not pid or pid == str(os.getpid()))
        self.watchdog_s: float | None = int(usec) / 1_000_000 if asked and int(usec) > 0 else None

    def ready(self) -> None:
        """The center answers."""
        self._send("READY=1")

    def alive(self) -> None:
        """The center still answers."""
        self._send("WATCHDOG=1")

    def stopping(self) -> None:
        """The center ends."""
        self._send("STOPPING=1")

    def _send(self, state: str) -> None:
        if not self._address:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
            try:
                sock.connect(self._address)
                sock.send(state.encode())
            except OSError:
                return  # systemd is not there to hear it: nothing depends on it
