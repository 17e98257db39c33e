"""The center on the host: the real program with its own broker, asked through its store, its API and its broker."""

import json
import os
import signal
import socket
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
    """A message as it passed the broker; `at_ns` is the host's wall clock."""

    channel: str
    body: dict[str, Any]
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
    """`motcua center serve` on free ports of the loopback interface, with a listener on its broker."""

    def __init__(self, folder: Path) -> None:
        self.mqtt_port, http_port = _free_port(), _free_port()
        self._url = f"http://127.0.0.1:{http_port}"
        self._folder = folder
        self._config = folder / "center.toml"
        self._config.write_text(CONFIG.format(data_dir=folder / "data", http_port=http_port, mqtt_port=self.mqtt_port))
        self._process: subprocess.Popen[bytes] | None = None
        self._heard: list[Heard] = []
        self._news = threading.Condition()
        self._listener = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="rig")
        self._listener.reconnect_delay_set(1, 1)
        self._listener.on_connect = lambda client, *_: client.subscribe("motcua/v1/bentre/q03/rating/+", qos=1)
        self._listener.on_message = self._on_message

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
        if not self._listener.is_connected():
            self._listener.connect("127.0.0.1", self.mqtt_port)
            self._listener.loop_start()
            wait_for(self._listener.is_connected, timeout_s=20, what="the center's broker", log=self.log)

    def stop(self) -> None:
        """End the program in good order."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(20)
            finally:
                _kill_group(self._process.pid)
            self._process = None

    def close(self) -> None:
        """End the program and the listener."""
        self._listener.disconnect()
        self._listener.loop_stop()
        self.stop()

    def log(self) -> str:
        """Return what the program said last."""
        return (self._folder / "center.log").read_text(errors="replace")[-3000:]

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Give the API a command; raise with its answer when it refuses."""
        response = httpx.post(
            f"{self._url}{path}", json=body, headers={"Idempotency-Key": str(uuid.uuid4())}, timeout=20, trust_env=False
        )
        assert response.is_success, f"{path} was refused with {response.status_code}: {response.text}"
        answer: dict[str, Any] = response.json()
        return answer

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
        return [(ticket, level) for ticket, level in self._query("SELECT ticket, level FROM rating ORDER BY given_at")]

    def heard(self, channel: str) -> list[Heard]:
        """Return what passed on one of the pad's channels so far."""
        with self._news:
            return [each for each in self._heard if each.channel == channel]

    def hear(
        self, channel: str, wanted: Callable[[dict[str, Any]], bool], *, after: int = 0, timeout_s: float
    ) -> Heard:
        """Return the first message on a channel that is wanted; `after` is how many of them are old."""

        def first() -> Heard | None:
            return next((each for each in self.heard(channel)[after:] if wanted(each.body)), None)

        return wait_for(first, timeout_s=timeout_s, what=f"a message on {channel!r}", log=self.log)

    def _on_message(self, client: mqtt.Client, userdata: object, message: mqtt.MQTTMessage) -> None:
        channel = message.topic.rpartition("/")[2]
        heard = Heard(channel, json.loads(message.payload or b"{}"), time.time_ns())
        with self._news:
            self._heard.append(heard)
            self._news.notify_all()

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


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _kill_group(group: int) -> None:
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return
