"""Real brokers for tests: started on a free loopback port in a folder of their own, killed and restarted at will."""

import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Protocol

START_TIMEOUT_S = 20.0
STOP_TIMEOUT_S = 5.0


class Broker(Protocol):
    """A broker under a test's control; `restart` and `start` use the same port again."""

    name: str
    host: str
    port: int

    def start(self) -> None:
        """Start it and wait until it answers."""
        ...

    def stop(self) -> None:
        """End it in order; nothing to do if it does not run."""
        ...

    def kill(self) -> None:
        """End it with SIGKILL."""
        ...

    def restart(self) -> None:
        """Kill it and start it again."""
        ...

    def freeze(self) -> None:
        """Stop it from running while its connections stay open, as a dead peer behind a live network."""
        ...

    def thaw(self) -> None:
        """Let it run again."""
        ...

    def log(self) -> str:
        """Return what it has written so far."""
        ...


class _Process:
    """A broker as a process."""

    name = ""
    host = "127.0.0.1"

    def __init__(self, folder: Path, command: list[str], port: int) -> None:
        self.port = port
        self._folder = folder
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self._folder / "broker.log").open("ab") as log:
            self._process = subprocess.Popen(self._command, cwd=self._folder, stdout=log, stderr=log)
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"{self.name} did not start:\n{self.log()}")
            time.sleep(0.01)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        self.kill()
        self.start()

    def freeze(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)

    def log(self) -> str:
        return (self._folder / "broker.log").read_text(errors="replace")

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(number)
            process.send_signal(signal.SIGCONT)
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(STOP_TIMEOUT_S)

    def _answers(self) -> bool:
        try:
            with socket.create_connection((self.host, self.port), timeout=1):
                return True
        except OSError:
            return False


class Mosquitto(_Process):
    """Debian's mosquitto, in memory only. `options` are further lines of its configuration."""

    name = "mosquitto"

    def __init__(self, folder: Path, program: str, *, options: str = "allow_anonymous true") -> None:
        port = free_port()
        configuration = folder / "mosquitto.conf"
        configuration.write_text(
            f"listener {port} {self.host}\n{options}\nset_tcp_nodelay true\npersistence false\nlog_type all\n"
            # Started by root it would change to a user who may not read this folder.
            "user root\n"
        )
        super().__init__(folder, [program, "-c", str(configuration)], port)


class Amqtt(_Process):
    """The pure Python broker that a center embeds."""

    name = "amqtt"

    def __init__(self, folder: Path) -> None:
        port = free_port()
        configuration = folder / "amqtt.yaml"
        configuration.write_text(
            f"listeners:\n  default:\n    type: tcp\n    bind: {self.host}:{port}\n"
            "plugins:\n  amqtt.plugins.authentication.AnonymousAuthPlugin:\n    allow_anonymous: true\n"
        )
        program = Path(sys.executable).parent / "amqtt"
        super().__init__(folder, [sys.executable, str(program), "-c", str(configuration)], port)


def free_port() -> int:
    """Return a loopback port that nobody listens on now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
    return port
