"""The idle rating daemon beside mqtt-io with the same mock pins: memory, processor time, start.

Memory is the resident set, processor time the whole process's over 20 s of idling, start the time from the program's
start to its "online" at the broker.
"""

import os
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from benchmarks import station
from benchmarks.brokers import mosquitto
from benchmarks.figures import Row, at_most, median
from benchmarks.peers import MQTT_IO_PREFIX, mqtt_io_config
from simulator.premises import RATING_BUTTONS

SETTLE_S = 3.0
WATCH_S = 20.0
START_TIMEOUT_S = 30.0
MEMORY_GOAL_MB = 25.0


@dataclass(frozen=True, slots=True)
class Idle:
    """What one program needed."""

    memory_mb: float
    processor_ms_per_s: float
    start_s: float


def run(rounds: int) -> list[Row]:
    """Measure both in turn and return medians."""
    ours: list[Idle] = []
    theirs: list[Idle] = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as name, mosquitto() as broker:
            folder = Path(name)
            path = station.write(folder / "station.toml", port=broker.port)
            peer = mqtt_io_config(folder / "mqtt-io.yml", port=broker.port, pins=tuple(RATING_BUTTONS.values()))
            motcua = ["-m", "motcua.cli", "device", "run", "rating", "--config", str(path)]
            ours.append(observe(motcua, "motcua/v1/bench/q01/rating/status", broker.port))
            theirs.append(observe(["-m", "mqtt_io", str(peer)], f"{MQTT_IO_PREFIX}/status", broker.port))
    memory = (median([each.memory_mb for each in ours]), median([each.memory_mb for each in theirs]))
    processor = (
        median([each.processor_ms_per_s for each in ours]),
        median([each.processor_ms_per_s for each in theirs]),
    )
    start = (median([each.start_s for each in ours]), median([each.start_s for each in theirs]))
    return [
        _beside("idle memory", *memory, "MB", goal=min(MEMORY_GOAL_MB, memory[1])),
        _beside("idle processor time", *processor, "ms/s", goal=processor[1]),
        _beside("start → online at the broker", *start, "s", goal=start[1]),
    ]


def observe(arguments: list[str], status_topic: str, port: int) -> Idle:
    """Start a program with mock pins, wait for its status at the broker, let it idle, and measure."""
    online = threading.Event()

    def heard(_client: Client, _userdata: Any, message: MQTTMessage) -> None:
        if not message.retain and b"lost" not in message.payload:
            online.set()

    listener = Client(CallbackAPIVersion.VERSION2)
    listener.on_message = heard
    listener.connect("127.0.0.1", port)
    listener.subscribe(status_topic, qos=1)
    listener.loop_start()
    time.sleep(0.3)  # the subscription is there before the program
    began = time.monotonic()
    environment = {**os.environ, "GPIOZERO_PIN_FACTORY": "mock"}
    process = subprocess.Popen([sys.executable, *arguments], env=environment, stderr=subprocess.DEVNULL)
    try:
        if not online.wait(START_TIMEOUT_S):
            sys.exit(f"{arguments} was not online after {START_TIMEOUT_S:.0f} s")
        start_s = time.monotonic() - began
        seen = psutil.Process(process.pid)
        time.sleep(SETTLE_S)
        before = sum(seen.cpu_times()[:2])
        time.sleep(WATCH_S)
        used_s = sum(seen.cpu_times()[:2]) - before
        return Idle(seen.memory_info().rss / 1e6, used_s * 1000 / WATCH_S, start_s)
    finally:
        process.terminate()
        process.wait(10)
        listener.disconnect()
        listener.loop_stop()


def _beside(what: str, mine: float, peers: float, unit: str, *, goal: float) -> Row:
    row = at_most(what, mine, unit, goal)
    return Row(what, mine, unit, beside=peers, beside_name="mqtt-io 2.7.0", goal=row.goal, met=row.met)
