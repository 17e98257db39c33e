"""Each benchmark in small, so that none is found broken on the day when its figure is wanted.

What they measure is judged by `make bench`, on a quiet machine.
"""

import importlib
import math
from typing import Any

import pytest

from benchmarks import __main__ as benchmarks
from benchmarks.figures import render

SMALL: dict[str, dict[str, Any]] = {
    "press": {"PRESSES": 4},
    "panel": {"CALLS": 3},
    "idle": {"SETTLE_S": 0.2, "WATCH_S": 0.5},
    "outage": {"PRESSES": 12, "GONE_FROM_S": 0.3, "GONE_FOR_S": 0.5, "DRAIN_S": 6.0},
    "load": {"KIOSKS": 4, "TICKETS_EACH": 3, "OFFICERS": 2, "CALLS_EACH": 3},
    "ingest": {"DEVICES": 4, "EVENTS_EACH": 20},
    "board": {"CALLS": 3},
    "look": {"LOOKS": 3, "CENTERS": (3,)},
}
"""Benchmark → what of it is smaller than in `make bench`."""

pytestmark = [pytest.mark.long, pytest.mark.mosquitto, pytest.mark.timeout(120)]


@pytest.mark.usefixtures("make_mosquitto")
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.browser) if name == "board" else name for name in SMALL]
)
def test_a_benchmark_still_measures(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It runs to its end, and each of its rows has a figure, and a figure beside it where something stands there."""
    module = importlib.import_module(f"benchmarks.{name}")
    for constant, value in SMALL[name].items():
        assert hasattr(module, constant), f"benchmarks/{name}.py has no {constant} any more"
        monkeypatch.setattr(module, constant, value)
    rows = module.run(1)
    print(render(rows))
    assert rows
    for row in rows:
        figures = [row.ours] if row.beside is None else [row.ours, row.beside]
        assert all(math.isfinite(figure) and figure >= 0 for figure in figures), row


def test_none_is_forgotten() -> None:
    """Every benchmark of `make bench` is tried: here, or a camera's with its own tests."""
    cameras = {"camera_analysis", "camera_recording", "camera_daemon", "camera_incidents"}
    assert set(benchmarks.NAMES) - cameras == set(SMALL)
