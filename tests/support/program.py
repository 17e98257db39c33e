"""`motcua center serve` as a process under a test's control, with one counter, `q01`."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.request
from contextlib import closing
from pathlib import Path
from typing import Any

from simulator.ports import free_port
from simulator.sign_in import sign_in
from tests.support.brokers import Broker
from tests.support.waiting import wait_for


class Program:
    """A center's program on free ports, started and ended by a test. `broker`: one that outlives it, for `external`."""

    def __init__(self, folder: Path, kind: str = "amqtt", *, broker: Broker | None = None) -> None:
        self.folder = folder
        self.http_port, self.mqtt_port = free_port(), broker.port if broker is not None else free_port()
        self.config = folder / "center.toml"
        self.config.write_text(
            f"""
id = "bentre"
name = "Trung tâm"
data_dir = "{folder / "data"}"
[http]
port = {self.http_port}
[broker]
kind = "{kind}"
port = {self.mqtt_port}
[[service]]
id = "dat-dai"
letter = "A"
vi = "Đất đai"
en = "Land"
[[counter]]
id = "q01"
label = "1"
services = ["dat-dai"]
""",
            encoding="utf-8",
        )
        self._process: subprocess.Popen[bytes] | None = None
        self._cookie = ""
        self._log = folder / "center.log"

    def start(self, **environment: str) -> None:
        """Start it and wait until it answers."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "motcua.cli", "center", "serve", "--config", str(self.config)],
                stderr=log,
                env={**os.environ, **environment},
            )
        wait_for(self._live, timeout_s=30, every_s=0.05)

    def run(self) -> tuple[int, str]:
        """Run it where it cannot start; returns the exit code and what it said."""
        command = [sys.executable, "-m", "motcua.cli", "center", "serve", "--config", str(self.config)]
        done = subprocess.run(command, stderr=subprocess.PIPE, text=True, timeout=100, check=False)
        return done.returncode, done.stderr

    def end(self, number: signal.Signals) -> tuple[int, float]:
        """Send a signal; returns the exit code and how long the end took."""
        process, self._process = self._process, None
        if process is None:
            return 0, 0.0
        began = time.monotonic()
        process.send_signal(number)
        return process.wait(30), time.monotonic() - began

    def post(self, path: str, key: str, body: dict[str, Any]) -> dict[str, Any]:
        """Ask the API; raises OSError while there is nobody."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.http_port}{path}",
            data=json.dumps(body).encode(),
            headers={"content-type": "application/json", "idempotency-key": key, "cookie": self.cookie()},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 – our own loopback
            found: dict[str, Any] = json.load(answer)
            return found

    def cookie(self) -> str:
        """Return the cookie of whoever set this center up; logs in at the first time."""
        self._cookie = self._cookie or sign_in(self.http_port, self.log())
        return self._cookie

    def refusal(self, path: str, key: str, body: dict[str, Any]) -> dict[str, Any] | None:
        """Ask the API; returns why it refused, None if it did not."""
        try:
            self.post(path, key, body)
        except urllib.error.HTTPError as error:
            with error:
                found: dict[str, Any] = json.load(error)
                return found
        return None

    def rows(self, query: str) -> list[Any]:
        """Read the database."""
        with closing(sqlite3.connect(self.folder / "data" / "center.db")) as database:
            return database.execute(query).fetchall()

    def log(self) -> str:
        """Return what it has said."""
        return self._log.read_text(encoding="utf-8")

    def _live(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log()
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.http_port}/healthz", timeout=30) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False
