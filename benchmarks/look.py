"""A look of the fleet at its devices, with what it stores of it: the center takes one every 5 s.

Devices that are well, as nearly all are nearly always, in a hall on a real database. The time is that of the fleet's
thread; a quarter of an hour passes between two looks, so that each one begins a cell of every strip, which is the most
that a look writes of devices that are well.
"""

import tempfile
import time

from benchmarks.figures import Row, at_most, median
from center.answers import Delivery, Sighting
from center.config import Broker, Config, CounterConfig, ServiceConfig
from center.fleet.fleet import Fleet
from center.hall import Hall
from center.storage.store import Store
from contract.events import DeviceHealth
from contract.states import Status

LOOKS = 100
DEVICES = ("rating", "callpad", "display")
CENTERS = (3, 100)
"""Counters: a small center, and more than any has."""
A_QUARTER_S = 900
SHARE_OF_EVERY_MS = 50.0
"""One hundredth of the 5 s between two looks."""


class _Clock:
    """Stands still but for what it is moved."""

    def __init__(self) -> None:
        self._wall_ms, self._steady_s = 1_795_395_600_000, 1_000.0

    def now_ms(self) -> int:
        return self._wall_ms

    def monotonic_s(self) -> float:
        return self._steady_s

    def advance(self, seconds: int) -> None:
        self._wall_ms += seconds * 1000
        self._steady_s += seconds


def run(rounds: int) -> list[Row]:
    """Measure and return medians of the rounds."""
    found = []
    for counters in CENTERS:
        seen = [_round(counters) for _ in range(rounds)]
        devices = counters * len(DEVICES)
        found += [
            at_most(f"a look at {devices} devices", median([idle for idle, _ in seen]), "ms", SHARE_OF_EVERY_MS),
            Row(f"… that begins a cell of every strip, stored, at {devices}", median([full for _, full in seen]), "ms"),
        ]
    return found


def _round(counters: int) -> tuple[float, float]:
    """Return how long a look took in the middle, in milliseconds: nothing new, and a new cell for each device."""
    with tempfile.TemporaryDirectory() as name:
        config = Config(
            id="bench",
            name="Bench",
            data_dir=name,
            broker=Broker(kind="external", port=1),
            service=(ServiceConfig(id="s", letter="A", vi="A", en="A"),),
            counter=tuple(
                CounterConfig(id=f"q{number:02}", label=str(number), services=("s",)) for number in range(counters)
            ),
        )
        clock = _Clock()
        hall = Hall(config, Store(config.store_url), clock)
        hall.start()
        fleet = Fleet(hall, config)
        try:
            fleet.begin()
            _report(hall, counters)
            fleet.look()
            idle = [_timed_ms(fleet) for _ in range(LOOKS)]
            full = []
            for _ in range(LOOKS):
                clock.advance(A_QUARTER_S)
                _report(hall, counters)
                full.append(_timed_ms(fleet))
        finally:
            fleet.stop()
            hall.stop()
    return median(idle), median(full)


def _timed_ms(fleet: Fleet) -> float:
    began_ns = time.perf_counter_ns()
    fleet.look()
    return (time.perf_counter_ns() - began_ns) / 1e6


def _report(hall: Hall, counters: int) -> None:
    """Let every device say that it is well."""
    since = "2026-11-23T01:00:00Z"
    hall.ingest(
        Delivery(
            sightings=[
                Sighting(
                    station=f"q{number:02}",
                    device=device,
                    at=hall.now_ms(),
                    status=Status(state="online", version="0.1.0", bootid="b", since=since),
                    health=DeviceHealth(outbox_depth=0, uptime_s=60, clocksynced=True, version="0.1.0"),
                    ahead_ms=0,
                )
                for number in range(counters)
                for device in DEVICES
            ]
        )
    ).result(30)
