"""The idle rating daemon, plain and with keys, beside mqtt-io with the same mock pins: memory, processor time, start.

Memory is the resident set. Its share (PSS) counts a page that several processes have in common, such as OpenSSL's, in
parts: the more daemons run, the smaller it is. mqtt-io has no keys. Processor time is the whole process's over 20 s of
idling, start the time from the program's start to its "online" at the broker.
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
from center.keys.authority import Authority
from contract.topics import Address, Channel
from simulator.ports import free_port
from simulator.premises import RATING_BUTTONS

SETTLE_S = 3.0
WATCH_S = 20.0
START_TIMEOUT_S = 30.0
MEMORY_GOAL_MB = 25.0
_PAD = Address(center="bench", station="q01", device="rating")


@dataclass(frozen=True, slots=True)
class Idle:
    """What one program needed."""

    memory_mb: float
    share_mb: float
    processor_ms_per_s: float
    start_s: float


def run(rounds: int) -> list[Row]:
    """Measure all in turn and return medians."""
    ours: list[Idle] = []
    with_keys: list[Idle] = []
    theirs: list[Idle] = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as name:
            folder, secured = Path(name), free_port()
            options = _keys(folder, secured)
            with mosquitto(*options) as broker:
                path = station.write(folder / "station.toml", port=broker.port)
                keyed = station.write(folder / "keyed.toml", port=secured, keys_dir=folder)
                pins = tuple(RATING_BUTTONS.values())
                peer = mqtt_io_config(folder / "mqtt-io.yml", port=broker.port, pins=pins)
                for file, seen in ((path, ours), (keyed, with_keys)):
                    motcua = ["-m", "motcua.cli", "device", "run", "rating", "--config", str(file)]
                    seen.append(observe(motcua, _PAD.topic(Channel.STATUS), broker.port))
                theirs.append(observe(["-m", "mqtt_io", str(peer)], f"{MQTT_IO_PREFIX}/status", broker.port))
    memory = (median([each.memory_mb for each in ours]), median([each.memory_mb for each in theirs]))
    processor = (
        median([each.processor_ms_per_s for each in ours]),
        median([each.processor_ms_per_s for each in theirs]),
    )
    start = (median([each.start_s for each in ours]), median([each.start_s for each in theirs]))
    return [
        _beside("idle memory", *memory, "MB", goal=min(MEMORY_GOAL_MB, memory[1])),
        Row("… its share", median([each.share_mb for each in ours]), "MB"),
        Row("idle memory with keys (TLS)", median([each.memory_mb for each in with_keys]), "MB"),
        Row("… its share", median([each.share_mb for each in with_keys]), "MB"),
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
        memory = seen.memory_full_info()
        return Idle(memory.rss / 1e6, memory.pss / 1e6, used_s * 1000 / WATCH_S, start_s)
    finally:
        process.terminate()
        process.wait(10)
        listener.disconnect()
        listener.loop_stop()


def _keys(folder: Path, port: int) -> list[str]:
    """Make a pad's keys in a folder, and return mosquitto's options for a second listener that asks for them."""
    authority = Authority(folder / "authority", center=_PAD.center)
    authority.prepare(("127.0.0.1",))
    (folder / "root.pem").write_bytes(authority.root_pem())
    for identity, pair in authority.issue([f"{_PAD.station}/{_PAD.device}"]).items():
        file = folder / f"{identity}.pem"
        file.parent.mkdir()
        file.write_bytes(pair)
    return [
        f"listener {port} 127.0.0.1",
        "require_certificate true",
        f"cafile {authority.root_file}",
        f"certfile {authority.broker_file}",
        f"keyfile {authority.broker_file}",
        *(["user root"] if os.geteuid() == 0 else []),  # another user may not read the keys
    ]


def _beside(what: str, mine: float, peers: float, unit: str, *, goal: float) -> Row:
    row = at_most(what, mine, unit, goal)
    return Row(what, mine, unit, beside=peers, beside_name="mqtt-io 2.7.0", goal=row.goal, met=row.met)
