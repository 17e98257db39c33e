"""Real brokers for tests: started on a free loopback port in a folder of their own, killed and restarted at will."""

import multiprocessing
import os
import signal
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from simulator.ports import free_port

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 30.0

# Loading amqtt takes half a second, forking a process that has loaded it two hundredths.
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["amqtt.scripts.broker_script"])


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


class _Running(Protocol):
    """What is asked of a process."""

    def poll(self) -> int | None: ...

    def send_signal(self, number: int) -> None: ...

    def kill(self) -> None: ...

    def wait(self, timeout: float) -> int: ...


class _Process:
    """A broker as a process."""

    name = ""
    host = "127.0.0.1"

    def __init__(self, folder: Path, port: int) -> None:
        self.port = port
        self._folder = folder
        self._process: _Running | None = None

    def start(self) -> None:
        self._process = self._run(self._folder / "broker.log")
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

    def _run(self, log: Path) -> _Running:
        raise NotImplementedError

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
            with socket.create_connection((self.host, self.port), timeout=30):
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
        self._command = [program, "-c", str(configuration)]
        super().__init__(folder, port)

    def _run(self, log: Path) -> _Running:
        with log.open("ab") as said:
            return subprocess.Popen(self._command, cwd=self._folder, stdout=said, stderr=said)


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
        self._configuration = configuration
        super().__init__(folder, port)

    def _run(self, log: Path) -> _Running:
        return _Forked(str(self._configuration), str(log))


class _Forked:
    """amqtt's own program in a process that was forked from one which has loaded it."""

    def __init__(self, configuration: str, log: str) -> None:
        self._process = _FORKS.Process(target=_amqtt, args=(configuration, log), daemon=True)
        self._process.start()

    def poll(self) -> int | None:
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        if self._process.pid is not None and self._process.is_alive():
            with suppress(ProcessLookupError):  # it has ended; who forked it says so a moment later
                os.kill(self._process.pid, number)

    def kill(self) -> None:
        self._process.kill()

    def wait(self, timeout: float) -> int:
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired("amqtt", timeout)
        return self._process.exitcode


def _amqtt(configuration: str, log: str) -> None:
    from amqtt.scripts.broker_script import broker_main

    said = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(said, 1)
    os.dup2(said, 2)
    broker_main(config_file=configuration, debug=False)
