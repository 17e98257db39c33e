"""A million hostile payloads to the center and to a rating pad: nothing stops, memory stays, good ones get through.

The programs are the real ones behind a real mosquitto. Hostile messages go out in lots of 400 with one good message
behind them: to the center an event of another pad, which has to be stored and acknowledged; to the pad a new desired
state, which it has to report. The next lot goes out when that has happened. Memory is the resident set, from after the
first 20,000 (what a program keeps is bounded, and has to fill first) to the end; what those took stands beside it. The
seed is printed, and `python -m benchmarks.hostile PAYLOADS SEED` sends the same payloads again.
"""

import itertools
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from benchmarks import station
from benchmarks.brokers import mosquitto
from benchmarks.feeder import events
from benchmarks.figures import Row, at_most, percentile, render
from benchmarks.payloads import Hostile, for_the_center
from benchmarks.wire import MIDS, Wire, publish
from contract.codec import decode, encode
from contract.errors import ContractError
from contract.requests import Ack, Reply
from contract.states import RatingDesired, Status
from contract.topics import Address, Channel, center_address
from simulator.ports import free_port
from simulator.premises import CENTER_ID, Premises, plan_counters

PAYLOADS = 1_000_000
FIRST = 20_000
LOT = 400
PATIENCE_S = 30.0
START_TIMEOUT_S = 60.0
GROWTH_GOAL_MB, GOOD_WITHIN_MS = 5, 1_000
_FAULTS = ("Traceback", "please report these lines")
_GOOD = Address(center=CENTER_ID, station="q03", device="good")


@dataclass
class Seen:
    """What one program did under hostile payloads."""

    good_ms: list[float] = field(default_factory=list)
    resident_mb: list[float] = field(default_factory=list)
    lost: int = 0
    faults: int = 0
    per_s: float = 0.0

    @property
    def growth_mb(self) -> float:
        """Memory at the end, less that after the first payloads."""
        return self.resident_mb[-1] - self.resident_mb[FIRST // LOT]

    @property
    def first_mb(self) -> float:
        """What the first payloads took."""
        return self.resident_mb[FIRST // LOT] - self.resident_mb[0]


def run(_rounds: int, *, payloads: int = PAYLOADS, seed: int | None = None) -> list[Row]:
    """Let the payloads loose on both, half of them on each, once."""
    seed = int.from_bytes(os.urandom(4)) if seed is None else seed
    print(f"seed {seed}", flush=True)
    found = (("center", to_the_center(payloads // 2, seed)), ("rating pad", to_the_pad(payloads // 2, seed)))
    return [row for name, seen in found for row in _rows(name, payloads // 2, seen)]


def _rows(name: str, payloads: int, seen: Seen) -> list[Row]:
    return [
        Row(f"{name}: hostile payloads", payloads, ""),
        Row(f"{name}: … taken a second", seen.per_s, "/s"),
        at_most(f"{name}: memory growth", seen.growth_mb, "MB", GROWTH_GOAL_MB),
        Row(f"{name}: … in the first {FIRST}", seen.first_mb, "MB"),
        at_most(f"{name}: good message among them, slowest", max(seen.good_ms), "ms", GOOD_WITHIN_MS),
        Row(f"{name}: … p50", percentile(seen.good_ms, 0.5), "ms"),
        at_most(f"{name}: good messages lost", seen.lost, "", 0),
        at_most(f"{name}: faults in its log, or an end", seen.faults, "", 0),
    ]


def to_the_center(payloads: int, seed: int) -> Seen:
    """Send hostile messages on every topic, and a good event after each lot."""
    seen = Seen()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        premises = Premises(
            folder=folder, run=folder, http_port=free_port(), mqtt_port=free_port(), counters=plan_counters(3)
        )
        premises.write()
        text = premises.center_config.read_text("utf-8").replace('kind = "external"', 'kind = "mosquitto"')
        premises.center_config.write_text(text, "utf-8")
        log = folder / "center.log"
        program = _start(log, "motcua.cli", "center", "serve", "--config", str(premises.center_config))
        try:
            wire = _connected(premises.mqtt_port, "hostile", [_GOOD.topic(Channel.ACK)])
            good = events(_GOOD, payloads // LOT + 2)
            hostile = for_the_center(Hostile(seed), CENTER_ID)
            acknowledged = _send(wire, program, seen, hostile, payloads, _event_in(good))
        finally:
            _end(program, log, seen)
        with closing(sqlite3.connect(premises.center_data / "center.db")) as database:
            query = "SELECT count(*) FROM device_event WHERE source = ?"
            (stored,) = database.execute(query, (_GOOD.source,)).fetchone()
        seen.lost = abs(acknowledged + 1 - stored)
    return seen


def to_the_pad(payloads: int, seed: int) -> Seen:
    """Send hostile messages on every topic that a pad hears, and a good desired state after each lot."""
    seen = Seen()
    with tempfile.TemporaryDirectory() as name, mosquitto() as broker:
        folder = Path(name)
        config = station.write(folder / "station.toml", port=broker.port)
        pad = Address(center="bench", station="q01", device="rating")
        log = folder / "pad.log"
        program = _start(log, "motcua.cli", "device", "run", "rating", "--config", str(config))
        try:
            wire = _connected(broker.port, "hostile", [pad.topic(Channel.REPORTED)])
            seen.lost = payloads // LOT - _send(wire, program, seen, _for_the_pad(seed, pad), payloads, _desired(pad))
        finally:
            _end(program, log, seen)
    return seen


Good = Callable[[int], tuple[str, bytes, Callable[[bytes], bool]]]
"""From a number: a good message's topic and payload, and what recognizes the answer to it."""


def _event_in(good: list[bytes]) -> Good:
    def make(number: int) -> tuple[str, bytes, Callable[[bytes], bool]]:
        payload = good[number]
        event_id = json.loads(payload)["id"]
        return _GOOD.topic(Channel.EVENT), payload, lambda answer: event_id in decode(answer, Ack).ids

    return make


def _desired(pad: Address) -> Good:
    def make(number: int) -> tuple[str, bytes, Callable[[bytes], bool]]:
        state = encode(RatingDesired(revision=number, armed=None))
        return pad.topic(Channel.DESIRED), state, lambda answer: json.loads(answer)["revision"] == number

    return make


def _for_the_pad(seed: int, pad: Address) -> Iterator[tuple[str, bytes, bool]]:
    """Return what a broker might hand to a pad; a message that the center may say is no hostile one."""
    hostile = Hostile(seed)
    heard: dict[str, tuple[Channel, type]] = {
        pad.topic(Channel.ACK): (Channel.ACK, Ack),
        pad.topic(Channel.REPLY): (Channel.REPLY, Reply),
        pad.topic(Channel.DESIRED): (Channel.DESIRED, RatingDesired),
        center_address(pad.center).topic(Channel.STATUS): (Channel.STATUS, Status),
    }
    topics = list(heard)
    while True:
        topic = hostile.random.choice(topics)
        channel, kind = heard[topic]
        payload = hostile.payload(channel)
        try:
            decode(payload, kind)
        except ContractError:
            yield topic, payload, hostile.random.random() < 0.02
        else:
            if channel in (Channel.ACK, Channel.REPLY):  # of nothing that it ever sent
                yield topic, payload, False


def _send(
    wire: Wire,
    program: subprocess.Popen[bytes],
    seen: Seen,
    hostile: Iterator[tuple[str, bytes, bool]],
    payloads: int,
    good: Good,
) -> int:
    """Send lot after lot; return how many good messages were answered."""
    process = psutil.Process(program.pid)
    mids = itertools.cycle(range(1, MIDS))
    _pass(wire, good(0), [])  # it is there; not counted
    began = time.perf_counter()
    for number in range(1, payloads // LOT + 1):
        seen.resident_mb.append(process.memory_info().rss / 1e6)
        lot = [
            publish(topic, payload, mid=next(mids), retain=retain)
            for topic, payload, retain in itertools.islice(hostile, LOT)
        ]
        seen.good_ms.append(_pass(wire, good(number), lot))
    seen.per_s = payloads / (time.perf_counter() - began)
    seen.resident_mb.append(process.memory_info().rss / 1e6)
    return len(seen.good_ms)


def _pass(wire: Wire, good: tuple[str, bytes, Callable[[bytes], bool]], lot: list[bytes]) -> float:
    """Send a lot and a good message behind it; return the milliseconds until that was answered."""
    topic, payload, is_answer = good
    packet = publish(topic, payload, mid=MIDS - 1)
    began = time.perf_counter()
    wire.send(b"".join([*lot, packet]))
    wire.sock.settimeout(1.0)
    while time.perf_counter() - began < PATIENCE_S:
        try:
            _, messages = wire.read()
        except TimeoutError:
            wire.send(packet)  # as an outbox does
            continue
        if any(is_answer(answer) for _, answer in messages):
            return (time.perf_counter() - began) * 1000
    sys.exit(f"a good message was not answered within {PATIENCE_S:.0f} s")


def _start(log: Path, *module: str) -> subprocess.Popen[bytes]:
    with log.open("wb") as output:
        environment = os.environ | {"GPIOZERO_PIN_FACTORY": "mock"}
        return subprocess.Popen([sys.executable, "-m", *module], stdout=output, stderr=output, env=environment)


def _connected(port: int, client_id: str, filters: list[str]) -> Wire:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        try:
            return Wire(port, client_id, filters)
        except OSError:
            time.sleep(0.1)
    sys.exit(f"no broker on port {port} within {START_TIMEOUT_S:.0f} s")


def _end(program: subprocess.Popen[bytes], log: Path, seen: Seen) -> None:
    ended = program.poll() is not None
    program.terminate()
    code = program.wait(20)
    lines = log.read_text("utf-8", "replace")
    seen.faults = ended + (code != 0) + sum(lines.count(each) for each in _FAULTS)
    if seen.faults:
        print(f"exit code {code}; the end of its log:\n{lines[-4000:]}", file=sys.stderr)


if __name__ == "__main__":
    print(render(run(1, payloads=int(sys.argv[1]), seed=int(sys.argv[2]))))
