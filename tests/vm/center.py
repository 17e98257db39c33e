"""The center on the host: the real program with its own broker, asked through its store, its API and its broker."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx
import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from simulator.ports import free_port
from simulator.sign_in import sign_in

T = TypeVar("T")

PROGRAM = (sys.executable, "-m", "motcua.cli")

CONFIG = """\
id = "bentre"
name = "Trung tâm Phục vụ hành chính công tỉnh Bến Tre"
data_dir = "{data_dir}"

[http]
port = {http_port}

[broker]
kind = "mosquitto"
port = {mqtt_port}
{broker}

[rating]
scale = "vn-3"
arm_seconds = 30

[[service]]
id = "dat-dai"
letter = "A"
vi = "Đất đai"
en = "Land"

[[counter]]
id = "q03"
label = "3"
services = ["dat-dai"]
"""


@dataclass(frozen=True, slots=True)
class Heard:
    """A message as it came from the broker; `at_ns` is the host's wall clock, `retained` says that it is an old one."""

    channel: str
    body: dict[str, Any]
    retained: bool
    at_ns: int


@dataclass(frozen=True, slots=True)
class Stored:
    """One event of the pad as the center's store has it."""

    id: str
    type: str
    stream: str
    sequence: int
    data: dict[str, Any]


class Center:
    """`motcua center serve` on free ports of the loopback interface; `broker` are more lines of that section."""

    def __init__(self, folder: Path, *, broker: str = "") -> None:
        self.mqtt_port, http_port = free_port(), free_port()
        self._url = f"http://127.0.0.1:{http_port}"
        self._http_port, self._cookie = http_port, ""
        self._folder = folder
        self._config = folder / "center.toml"
        self._config.write_text(
            CONFIG.format(data_dir=folder / "data", http_port=http_port, mqtt_port=self.mqtt_port, broker=broker)
        )
        self._process: subprocess.Popen[bytes] | None = None
        self._opened = False

    def start(self) -> None:
        """Start the program and wait until its API and its broker answer."""
        self._process = subprocess.Popen(
            # A group of its own, so that its broker ends with it; and it ends with the test run.
            ["setpriv", "--pdeathsig", "TERM", *PROGRAM, "center", "serve", "--config", str(self._config)],
            stdin=subprocess.DEVNULL,
            stdout=(self._folder / "center.log").open("ab"),
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        wait_for(self._answers, timeout_s=60, what="the center to answer", log=self.log)

    def stop(self) -> None:
        """End the program in good order."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(20)
            finally:
                _kill_group(self._process.pid)
            self._process = None

    def motcua(self, *arguments: str) -> str:
        """Give a command of this center on its server; it must succeed. Return what it said."""
        done = subprocess.run(
            [*PROGRAM, *arguments, "--config", str(self._config)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    def log(self) -> str:
        """Return what the program said last."""
        return (self._folder / "center.log").read_text(errors="replace")[-3000:]

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Give the API a command; raise with its answer when it refuses."""
        self._cookie = self._cookie or sign_in(
            self._http_port, (self._folder / "center.log").read_text(errors="replace")
        )
        headers = {"Idempotency-Key": str(uuid.uuid4()), "Cookie": self._cookie}
        response = httpx.post(f"{self._url}{path}", json=body, headers=headers, timeout=20, trust_env=False)
        assert response.is_success, f"{path} was refused with {response.status_code}: {response.text}"
        answer: dict[str, Any] = response.json()
        return answer

    def serve_one(self) -> str:
        """Issue a ticket, call it, serve it, finish it; return its id. The pad is armed for it now."""
        counter = "/api/counters/q03"
        if not self._opened:
            self.post(f"{counter}/open", {"seen": None})
            self._opened = True
        ticket = self.post("/api/tickets", {"service": "dat-dai"})["ticket"]["id"]
        for action in ("call_next", "start", "finish"):
            self.post(f"{counter}/{action}", {"seen": None})
        return str(ticket)

    def stored(self) -> list[Stored]:
        """Return the pad's ratings and ignored presses, in the order of its own count."""
        rows = self._query(
            "SELECT id, type, stream, sequence, body FROM device_event"
            " WHERE source = '/bentre/q03/rating' AND type LIKE 'vn.motcua.rating.%' ORDER BY seq"
        )
        return [
            Stored(event, kind, stream, sequence, json.loads(body)["data"])
            for event, kind, stream, sequence, body in rows
        ]

    def ratings(self) -> list[tuple[str | None, int]]:
        """Return ticket and level of every counted rating."""
        return [(ticket, level) for ticket, level in self._query("SELECT ticket, level FROM rating ORDER BY rowid")]

    def _query(self, sql: str) -> list[Any]:
        connection = sqlite3.connect(f"file:{self._folder / 'data' / 'center.db'}?mode=ro", uri=True, timeout=20)
        try:
            return connection.execute(sql).fetchall()
        finally:
            connection.close()

    def _answers(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise AssertionError(f"the center ended with {self._process.returncode}:\n{self.log()}")
        try:
            return httpx.get(f"{self._url}/healthz", timeout=5, trust_env=False).is_success
        except httpx.TransportError:
            return False


class Listener:
    """Hears what passes on the pad's topics."""

    def __init__(self, port: int) -> None:
        self._heard: list[Heard] = []
        self._subscribed = threading.Event()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="rig")
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = lambda client, *_: client.subscribe("motcua/v1/bentre/q03/rating/+", qos=1)
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = self._on_message
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        assert self._subscribed.wait(20), "the center's broker does not answer"

    def close(self) -> None:
        """Hear no more."""
        self._client.disconnect()
        self._client.loop_stop()
        del self._client  # it closes the sockets that wake its thread only when it is collected

    def heard(self, channel: str) -> list[Heard]:
        """Return what passed on one channel since this listener is there."""
        return [each for each in tuple(self._heard) if each.channel == channel and not each.retained]

    def wait(self, channel: str, wanted: Callable[[dict[str, Any]], bool], *, after: int = 0, timeout_s: float) -> None:
        """Wait for a message that is wanted; `after` is how many of them are too old."""

        def came() -> bool:
            return any(wanted(each.body) for each in self.heard(channel)[after:])

        wait_for(came, timeout_s=timeout_s, what=f"a message on {channel!r}", log=lambda: str(self._heard[-20:]))

    def _on_message(self, client: mqtt.Client, userdata: object, message: mqtt.MQTTMessage) -> None:
        channel = message.topic.rpartition("/")[2]
        body = json.loads(message.payload or b"{}")
        self._heard.append(Heard(channel, body, bool(message.retain), time.time_ns()))


def wait_for(
    probe: Callable[[], T | None], *, timeout_s: float, what: str, log: Callable[[], str] = str, every_s: float = 0.05
) -> T:
    """Return the first answer of `probe` that is true; raise with the log when the time is over."""
    deadline = time.monotonic() + timeout_s
    while True:
        if answer := probe():
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"{timeout_s:g} s were not enough for {what}:\n{log()}")
        time.sleep(every_s)


def _kill_group(group: int) -> None:
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return
