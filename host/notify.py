"""What a daemon tells systemd (sd_notify(3)): datagrams to the socket it names in the environment."""

import logging
import os
import socket
from collections.abc import Mapping

_log = logging.getLogger(__name__)


class Notifier:
    """Speaks to the service manager; without one (no NOTIFY_SOCKET) every call does nothing."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._address = _address(environment.get("NOTIFY_SOCKET", ""))
        self.watchdog_interval_ms = _watchdog_interval_ms(environment) if self._address else None
        """How often `watchdog()` is due: half of what systemd waits; None when it does not watch."""
        self._status = ""

    def ready(self) -> None:
        """Say that the daemon has started: units that wait for it may go on."""
        self._send("READY=1")

    def status(self, text: str) -> None:
        """Set the line that `systemctl status` shows; the same line again is not sent."""
        if text != self._status:
            self._status = text
            self._send(f"STATUS={text}")

    def watchdog(self) -> None:
        """Say that the daemon is alive."""
        self._send("WATCHDOG=1")

    def stopping(self) -> None:
        """Say that an orderly stop has begun."""
        self._send("STOPPING=1")

    def _send(self, line: str) -> None:
        if self._address is None:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
                sock.setblocking(False)
                sock.sendto(line.encode(), self._address)
        except OSError as error:
            # systemd is restarting or its queue is full: the next line will do.
            _log.debug("could not tell systemd %s: %s", line, error)


def _address(text: str) -> str | None:
    if text.startswith("@"):
        return "\0" + text[1:]  # the abstract namespace (unix(7))
    return text if text.startswith("/") else None


def _watchdog_interval_ms(environment: Mapping[str, str]) -> int | None:
    if environment.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    try:
        microseconds = int(environment.get("WATCHDOG_USEC", "0"))
    except ValueError:
        return None
    return max(microseconds // 2000, 1) if microseconds > 0 else None
