"""What systemd hears, with a datagram socket in systemd's place."""

import os
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from host.notify import Notifier


class Manager:
    """A socket that plays the service manager."""

    def __init__(self, address: str, shown: str) -> None:
        self.shown = shown
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._sock.bind(address)
        self._sock.setblocking(False)

    def heard(self) -> list[str]:
        """Return the datagrams that came since the last time."""
        lines = []
        while True:
            try:
                lines.append(self._sock.recv(4096).decode())
            except BlockingIOError:
                return lines

    def close(self) -> None:
        """Stop listening."""
        self._sock.close()


@pytest.fixture(params=["file", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    """A service manager on both kinds of address that systemd gives."""
    if request.param == "file":
        address = shown = str(tmp_path / "notify")
    else:
        name = f"motcua-test-{os.getpid()}"
        address, shown = f"\0{name}", f"@{name}"
    with closing(Manager(address, shown)) as manager:
        yield manager


def test_a_life_is_told(manager: Manager) -> None:
    """Ready, status, watchdog and stop are the datagrams of sd_notify(3)."""
    notifier = Notifier({"NOTIFY_SOCKET": manager.shown})
    notifier.ready()
    notifier.status("running")
    notifier.watchdog()
    notifier.stopping()
    assert manager.heard() == ["READY=1", "STATUS=running", "WATCHDOG=1", "STOPPING=1"]


def test_the_same_status_is_sent_once(manager: Manager) -> None:
    """A status is sent when it changes."""
    notifier = Notifier({"NOTIFY_SOCKET": manager.shown})
    for text in ("running", "running", "waiting", "running"):
        notifier.status(text)
    assert manager.heard() == ["STATUS=running", "STATUS=waiting", "STATUS=running"]


def test_the_watchdog_is_due_twice_in_its_time() -> None:
    """A daemon tells that it lives twice as often as systemd asks; not at all if systemd watches another process."""
    environment = {"NOTIFY_SOCKET": "/run/none", "WATCHDOG_USEC": "30000000"}
    assert Notifier(environment).watchdog_interval_ms == 15_000
    assert Notifier(environment | {"WATCHDOG_PID": str(os.getpid())}).watchdog_interval_ms == 15_000
    assert Notifier(environment | {"WATCHDOG_PID": "1"}).watchdog_interval_ms is None
    assert Notifier({"NOTIFY_SOCKET": "/run/none"}).watchdog_interval_ms is None
    assert Notifier({"WATCHDOG_USEC": "30000000"}).watchdog_interval_ms is None
    assert Notifier(environment | {"WATCHDOG_USEC": "soon"}).watchdog_interval_ms is None


def test_without_systemd_nothing_happens(tmp_path: Path) -> None:
    """Without a socket, or with one that is gone, telling does no harm."""
    for environment in ({}, {"NOTIFY_SOCKET": str(tmp_path / "gone")}, {"NOTIFY_SOCKET": "odd"}):
        notifier = Notifier(environment)
        notifier.ready()
        notifier.status("running")
