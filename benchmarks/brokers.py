"""A mosquitto for one benchmark: on a free port of the loopback, without persistence, killed and started at will."""

import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from simulator.ports import free_port

START_TIMEOUT_S = 10.0


class Mosquitto:
    """One broker on one port; `options` are further lines of its configuration."""

    def __init__(self, *options: str) -> None:
        found = shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
        if found is None:
            sys.exit("mosquitto is not installed: sudo make system-packages")
        self._program = found
        self.port = free_port()
        self._lines = "\n".join((f"listener {self.port} 127.0.0.1", "allow_anonymous true", *options))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start, and wait until it answers."""
        with tempfile.NamedTemporaryFile("w", prefix="mosquitto-", suffix=".conf") as file:
            file.write(self._lines)
            file.flush()
            Path(file.name).chmod(0o644)  # started by root it becomes another user
            self._process = subprocess.Popen([self._program, "-c", file.name], stderr=subprocess.DEVNULL)
            self._wait_until_it_answers()

    def _wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                time.sleep(0.05)
            else:
                return
        sys.exit(f"mosquitto did not answer on port {self.port}")

    def kill(self) -> None:
        """Kill it as a power cut would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@contextmanager
def mosquitto(*options: str) -> Iterator[Mosquitto]:
    """Run a broker for the length of a block."""
    broker = Mosquitto(*options)
    broker.start()
    try:
        yield broker
    finally:
        broker.kill()
