"""A whole rating daemon as a process: real program, mock pins behind the simulated board's socket, a real outbox."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from contract.topics import Address
from tests.support.brokers import Broker
from tests.support.waiting import wait_for

PINS = {1: 17, 2: 27, 3: 22}
LEDS = {1: 5, 2: 6, 3: 13}
BUZZER = 18
ADDRESS = Address(center="bentre", station="q03", device="rating")

_STATION = """
center = "bentre"
station = "q03"
state_dir = "{folder}/state"
[broker]
port = {port}
{broker}
[device.rating]
scale = "vn-3"
buttons = [{{level = 1, pin = 17, led = 5}}, {{level = 2, pin = 27, led = 6}}, {{level = 3, pin = 22, led = 13}}]
buzzer = 18
{rating}
"""


class Pad:
    """A rating pad. As a context it runs; `press` and `release` are a finger, `lit` what can be seen."""

    def __init__(
        self, folder: Path, broker: Broker, *, rating: str = "", broker_lines: str = "", prefix: tuple[str, ...] = ()
    ) -> None:
        self._prefix = prefix
        self.folder = folder
        self.config = folder / "station.toml"
        self.config.write_text(
            _STATION.format(folder=folder, port=broker.port, rating=rating, broker=broker_lines), encoding="utf-8"
        )
        self.log = folder / "pad.log"
        self._socket_path = folder / "board.sock"
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._unread = b""
        self.changes: list[tuple[int, bool, int]] = []
        """What the board's outputs did: pin, level, nanoseconds of CLOCK_MONOTONIC."""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end(signal.SIGTERM)

    @property
    def pid(self) -> int:
        """The process."""
        assert self._process is not None
        return self._process.pid

    def start(self, **environment: str) -> None:
        """Give it power, wait until the board can be touched."""
        command = [*self._prefix, sys.executable, "-m", "simulator.board", "--socket", str(self._socket_path)]
        command += ["--", "run", "rating", "--config", str(self.config)]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, env=os.environ | environment)
        wait_for(self._connect, timeout_s=30)

    def end(self, number: signal.Signals) -> int | None:
        """End it; return its exit code."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        process, self._process = self._process, None
        if process is None:
            return None
        process.send_signal(number)
        return process.wait(30)

    def kill(self) -> None:
        """Take the power away."""
        self.end(signal.SIGKILL)

    def press(self, level: int) -> int:
        """Close a contact; return when, in nanoseconds of CLOCK_MONOTONIC."""
        return self._touch("press", PINS[level])

    def release(self, level: int) -> int:
        """Open a contact; return when."""
        return self._touch("release", PINS[level])

    def push(self, level: int, held_s: float = 0.1) -> int:
        """Press and release like a finger; return when the contact closed."""
        at_ns = self.press(level)
        time.sleep(held_s)
        self.release(level)
        return at_ns

    def wait_lit(self, pin: int, *, since_ns: int, timeout_s: float = 30.0) -> int:
        """Wait until a pin has gone high after an instant; return when it did."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            for changed, high, at_ns in self.changes:
                if changed == pin and high and at_ns >= since_ns:
                    return at_ns
            self._next(deadline - time.monotonic())
        raise AssertionError(f"pin {pin} did not light up within {timeout_s} s\n{self.log.read_text()}")

    def _touch(self, what: str, pin: int) -> int:
        assert self._socket is not None
        deadline = time.monotonic() + 30
        order = json.dumps({"do": what, "pin": pin}).encode() + b"\n"
        self._socket.sendall(order)
        while time.monotonic() < deadline:
            line = self._next(deadline - time.monotonic())
            if line.get("done") == what:
                at_ns: int = line["at_ns"]
                return at_ns
            if "error" in line:  # the daemon has not taken its lines yet
                time.sleep(0.01)
                self._socket.sendall(order)
        raise AssertionError(f"the board did not {what} {pin}\n{self.log.read_text()}")

    def _next(self, timeout_s: float) -> dict[str, Any]:
        """Return the next line of the board, {} if there is none in time."""
        assert self._socket is not None
        self._socket.settimeout(max(timeout_s, 0.001))
        while b"\n" not in self._unread:
            try:
                received = self._socket.recv(65536)
            except TimeoutError:
                return {}
            assert received, f"the pad ended:\n{self.log.read_text()}"
            self._unread += received
        text, _, self._unread = self._unread.partition(b"\n")
        line: dict[str, Any] = json.loads(text)
        if "high" in line:
            self.changes.append((line["pin"], line["high"], line["at_ns"]))
        return line

    def _connect(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"the pad ended:\n{self.log.read_text()}"
        sock = socket.socket(socket.AF_UNIX)
        try:
            sock.connect(str(self._socket_path))
        except OSError:
            sock.close()
            return False
        self._socket, self._unread = sock, b""
        return True
