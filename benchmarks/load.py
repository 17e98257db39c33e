"""Fifty kiosks issuing at once, then ten officers calling at once, through HTTP into the durable store.

The center is the real program; the clients run in a process of their own on the same processors, so their time is
part of the figures. Beside tickets per second stand the durable commits per second that one bare writer reaches on
this disk. Peers, measured earlier on such a machine: FQM issues 51 to 120/s (p99 0.5 to 1.7 s) and calls 85 to
130/s, bcgov's queue-management 12 to 20/s; both hand out or call numbers twice under this load.
"""

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.brokers import mosquitto
from benchmarks.center import wait_until_live
from benchmarks.figures import Row, at_least, at_most, median, percentile
from benchmarks.peers import bare_commits_ms
from simulator.ports import free_port
from simulator.premises import SERVICES, Premises, plan_counters
from simulator.sign_in import sign_in

KIOSKS, TICKETS_EACH = 50, 40
OFFICERS, CALLS_EACH = 10, 60


@dataclass(frozen=True, slots=True)
class Load:
    """What one kind of client saw."""

    per_s: float
    p99_ms: float
    twice: int


def run(rounds: int) -> list[Row]:
    """Measure and return medians of the rounds."""
    issued: list[Load] = []
    called: list[Load] = []
    floor: list[float] = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as name, mosquitto() as broker:
            folder = Path(name)
            premises = Premises(
                folder=folder,
                run=folder,
                http_port=free_port(),
                mqtt_port=broker.port,
                counters=plan_counters(OFFICERS),
            )
            premises.write()
            command = [sys.executable, "-m", "motcua.cli", "center", "serve", "--config", str(premises.center_config)]
            with (folder / "center.log").open("wb") as log:
                center = subprocess.Popen(command, stderr=log)
            try:
                wait_until_live(premises.base_url)
                cookie = sign_in(premises.http_port, (folder / "center.log").read_text(encoding="utf-8"))
                issued.append(_issue(premises))
                called.append(_call(premises, cookie))
            finally:
                center.terminate()
                center.wait(20)
            floor.append(1000 / percentile(bare_commits_ms(folder, count=100), 0.5))
    rate = median([each.per_s for each in issued])
    row = at_least(f"{KIOSKS} kiosks: tickets issued", rate, "/s", 400)
    return [
        Row(row.what, rate, "/s", beside=median(floor), beside_name="bare FULL commits", goal=row.goal, met=row.met),
        at_most(f"{KIOSKS} kiosks: p99", median([each.p99_ms for each in issued]), "ms", 150),
        at_most(f"{KIOSKS} kiosks: numbers issued twice", sum(each.twice for each in issued), "", 0),
        at_least(f"{OFFICERS} officers: tickets called", median([each.per_s for each in called]), "/s", 300),
        at_most(f"{OFFICERS} officers: p99", median([each.p99_ms for each in called]), "ms", 50),
        at_most(f"{OFFICERS} officers: tickets called twice", sum(each.twice for each in called), "", 0),
    ]


def _issue(premises: Premises) -> Load:
    job = [["POST", "/api/tickets", {"service": SERVICES[each % len(SERVICES)].id}] for each in range(TICKETS_EACH)]
    seen = _clients(premises, [job] * KIOSKS, expect=201)
    return _load(seen, [answer["ticket"]["number"] for answer in seen["answers"]])


def _call(premises: Premises, cookie: str) -> Load:
    opened = [[["POST", f"/api/counters/{one.id}/open", {}]] for one in premises.counters]
    _clients(premises, opened, expect=200, cookie=cookie)
    jobs = [
        [
            ["POST", f"/api/counters/{one.id}/call_next", {"seen": "last" if turn else None}]
            for turn in range(CALLS_EACH)
        ]
        for one in premises.counters
    ]
    seen = _clients(premises, jobs, expect=200, cookie=cookie)
    return _load(seen, [answer["ticket"]["id"] for answer in seen["answers"]])


def _load(seen: dict[str, Any], things: list[str]) -> Load:
    return Load(
        per_s=len(things) / seen["seconds"],
        p99_ms=percentile(seen["latencies_ms"], 0.99),
        twice=len(things) - len(set(things)),
    )


def _clients(premises: Premises, jobs: list[list[list[Any]]], *, expect: int, cookie: str = "") -> dict[str, Any]:
    order = json.dumps({"port": premises.http_port, "jobs": jobs, "cookie": cookie})
    command = [sys.executable, "-m", "benchmarks.load_client"]
    done = subprocess.run(command, input=order, capture_output=True, text=True, check=True)
    seen: dict[str, Any] = json.loads(done.stdout)
    wrong = [answer for answer in seen["answers"] if answer["status"] != expect]
    if wrong:
        sys.exit(f"the center refused {len(wrong)} of {len(seen['answers'])} requests, the first with {wrong[0]}")
    return seen
