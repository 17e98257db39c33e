"""Events of fifty counters through a real mosquitto into the center's SQLite, each exactly once.

The center is the real program with its own mosquitto. A process of its own plays the devices: each has at most 20
events unacknowledged, and sends on when the center has acknowledged by id, after its commit. The time runs from the
first event to the last acknowledgement; devices and broker use the same processors, so theirs is part of it.

Beside it stand, in the same round: a bare `executemany` of the very rows that the center has stored, into the same
table with the same indexes and the same durability, 500 rows a commit; the center's hall and store alone, given what
has been decoded before; and a paho-mqtt subscriber that counts messages and does nothing else with them, which is what
the receiving side of Python's MQTT alone allows.

So the first share has everything in it: devices, broker, MQTT, decoding, commit, acknowledgement. The second is the
price of the hall and its store alone. The last says how much is left of what Python's MQTT could bring.
"""

import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msgspec.structs import replace
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from benchmarks.brokers import mosquitto
from benchmarks.center import wait_until_live
from benchmarks.feeder import events
from benchmarks.figures import Row, at_least, at_most, median
from center.answers import Arrival, Delivery, Sighting
from center.clock import SystemClock
from center.config import read
from center.hall import Hall
from center.ingest.ingest import BATCH
from center.ingest.progress import Progress
from center.ingest.sorting import Event, Message, sort
from center.storage.store import Store
from contract.topics import Address, Channel
from firmware.mqtt.pump import WINDOW
from simulator.ports import free_port
from simulator.premises import CENTER_ID, Premises, plan_counters

DEVICES, EVENTS_EACH = 50, 800
START_TIMEOUT_S = 60.0
GOAL_PER_S, GOAL_SHARE = 8_000, 40
_NOW_MS = 1_795_395_600_000  # 2026-11-23
_COLUMNS = "id, type, source, stream, sequence, time, clock_synced, occurred_at, received_at, body"


@dataclass(frozen=True, slots=True)
class Seen:
    """What one round measured, in events a second."""

    ours: float
    hall: float
    bare: float
    counted: float
    missing: int


def run(rounds: int) -> list[Row]:
    """Measure and return medians of the rounds; a share is the median of the rounds' own shares."""
    seen = [_round() for _ in range(rounds)]
    ours, bare = median([each.ours for each in seen]), median([each.bare for each in seen])
    row = at_least("events stored and acknowledged", ours, "/s", GOAL_PER_S)
    hall = median([100 * each.hall / each.bare for each in seen])
    return [
        Row(row.what, ours, "/s", beside=bare, beside_name="bare executemany", goal=row.goal, met=row.met),
        at_least("… share of the bare executemany", median([100 * e.ours / e.bare for e in seen]), "%", GOAL_SHARE),
        at_least("hall and store, without decoding and MQTT: share of it", hall, "%", GOAL_SHARE),
        Row("a paho-mqtt subscriber that only counts", median([each.counted for each in seen]), "/s"),
        Row("… what the center does of that", median([100 * each.ours / each.counted for each in seen]), "%"),
        at_most("events lost or stored twice", sum(abs(each.missing) for each in seen), "", 0),
    ]


def _round() -> Seen:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ours, stored = _center(folder)
        missing = DEVICES * EVENTS_EACH - stored
        return Seen(ours=ours, hall=_hall(folder / "hall"), bare=_bare(folder), counted=_counted(), missing=missing)


def _center(folder: Path) -> tuple[float, int]:
    premises = Premises(
        folder=folder, run=folder, http_port=free_port(), mqtt_port=free_port(), counters=plan_counters(3)
    )
    premises.write()
    text = premises.center_config.read_text("utf-8").replace('kind = "external"', 'kind = "mosquitto"')
    premises.center_config.write_text(text, "utf-8")
    command = [sys.executable, "-m", "motcua.cli", "center", "serve", "--config", str(premises.center_config)]
    center = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        wait_until_live(premises.base_url)
        rate = _feed(premises.mqtt_port, heard="center")
    finally:
        center.terminate()
        center.wait(20)
    with closing(_database(folder)) as database:
        (stored,) = database.execute("SELECT count(*) FROM device_event").fetchone()
    return rate, stored


def _feed(port: int, *, heard: str) -> float:
    """Let the devices send everything; return events a second from the first to the last acknowledgement."""
    command = [sys.executable, "-m", "benchmarks.feeder", "--port", str(port), "--center", CENTER_ID]
    command += ["--devices", str(DEVICES), "--events", str(EVENTS_EACH), "--heard", heard]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as feeder:
        if feeder.stdout is None or feeder.stdout.readline() != "ready\n":
            sys.exit("the devices could not connect")
        answer, _ = feeder.communicate("go\n")
    if feeder.returncode:
        sys.exit("the devices did not come to an end")
    return DEVICES * EVENTS_EACH / float(answer)


def _hall(folder: Path) -> float:
    """Return events a second of the hall and its store, given batches that were sorted before."""
    premises = Premises(folder=folder, run=folder, http_port=1, mqtt_port=1, counters=plan_counters(3))
    premises.write()
    config = read(premises.center_config)
    batches = list(_batches())
    hall = Hall(config, Store(config.store_url), SystemClock())
    hall.start()
    try:
        began = time.perf_counter()
        verdicts = [hall.ingest(batch).result() for batch in batches]
        seconds = time.perf_counter() - began
    finally:
        hall.stop()
    if set(verdicts) != {"stored"}:
        sys.exit("the hall did not store what it was given")
    return DEVICES * EVENTS_EACH / seconds


def _batches() -> Iterator[Delivery]:
    """Return what ingest would hand to the hall: the outboxes in turn, a window of each."""
    addresses = [Address(center=CENTER_ID, station=f"q{each + 1:02d}", device="rating") for each in range(DEVICES)]
    outboxes = [events(address, EVENTS_EACH) for address in addresses]
    progress = Progress()
    arrivals: list[Arrival] = []
    sightings: list[Sighting] = []
    for at in range(0, EVENTS_EACH, WINDOW):
        for address, payloads in zip(addresses, outboxes, strict=True):
            topic = address.topic(Channel.EVENT)
            for payload in payloads[at : at + WINDOW]:
                found = sort(Message(topic=topic, payload=payload, size=len(payload), retained=False, at=_NOW_MS))
                if not isinstance(found, Event):
                    sys.exit("an event of the benchmark is none")
                fresh = progress.add(address.source, found.stream, found.sequence)
                arrivals.append(replace(found.arrival, fresh=fresh))
                sightings.append(found.sighting)
            if len(arrivals) >= BATCH:
                yield Delivery(arrivals=arrivals, sightings=sightings, streams=progress.rows())
                progress.stored()
                arrivals, sightings = [], []
    if arrivals:
        yield Delivery(arrivals=arrivals, sightings=sightings, streams=progress.rows())


def _bare(folder: Path) -> float:
    with closing(_database(folder)) as database:
        rows = database.execute(f"SELECT {_COLUMNS} FROM device_event ORDER BY seq").fetchall()  # noqa: S608 – ours
        schema = database.execute("SELECT sql FROM sqlite_master WHERE tbl_name = 'device_event' AND sql IS NOT NULL")
        statements = [sql for (sql,) in schema]
    with closing(sqlite3.connect(folder / "bare.db", isolation_level=None)) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        for statement in statements:
            database.execute(statement)
        insert = f"INSERT INTO device_event ({_COLUMNS}) VALUES ({', '.join('?' * 10)})"  # noqa: S608 – ours
        began = time.perf_counter()
        for at in range(0, len(rows), BATCH):
            database.execute("BEGIN IMMEDIATE")
            database.executemany(insert, rows[at : at + BATCH])
            database.execute("COMMIT")
        return len(rows) / (time.perf_counter() - began)


def _counted() -> float:
    """Return messages a second of a subscriber that only counts, in a process of its own."""
    with mosquitto("max_queued_messages 0", "max_inflight_messages 1000") as broker:
        command = [sys.executable, "-m", "benchmarks.ingest", str(broker.port), str(DEVICES * EVENTS_EACH)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as counter:
            if counter.stdout is None or counter.stdout.readline() != "ready\n":
                sys.exit("the counting subscriber could not connect")
            _feed(broker.port, heard="broker")
            return DEVICES * EVENTS_EACH / float(counter.communicate()[0])


def _count(port: int, messages: int) -> None:
    """Count messages until so many have come; print the seconds from the first to the last."""
    done = threading.Event()
    came = 0
    first = last = 0.0

    def on_message(_client: Client, _data: Any, _message: MQTTMessage) -> None:
        nonlocal came, first, last
        first = first or time.perf_counter()
        came += 1
        if came == messages:
            last = time.perf_counter()
            done.set()

    client = Client(CallbackAPIVersion.VERSION2)
    client.on_subscribe = lambda *_: print("ready", flush=True)
    client.on_message = on_message
    client.connect("127.0.0.1", port)
    client.subscribe(f"motcua/v1/{CENTER_ID}/+/+/event", 0)  # as the center does
    client.loop_start()
    if not done.wait(START_TIMEOUT_S):
        sys.exit("messages were lost on the way to the counting subscriber")
    client.disconnect()
    client.loop_stop()
    print(last - first, flush=True)


def _database(folder: Path) -> sqlite3.Connection:
    (file,) = folder.glob("center/*.db")
    return sqlite3.connect(file)


if __name__ == "__main__":
    _count(int(sys.argv[1]), int(sys.argv[2]))
