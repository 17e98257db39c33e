"""A call until its bytes have come out of the panel's serial port, through call pad, center and display.

A whole center in a box: the officer's press on the call pad's pin (from the end of its debounce time), and beside
it a call by the officer's page (from the moment before the request). The panel is a pty that decodes what it gets;
its stamp is the last byte of the number, so no time of a wire at 9600 baud is in the figure: that adds about 1 ms a
byte.
"""

import asyncio
import tempfile
import time
import uuid
from pathlib import Path

from benchmarks.figures import Row, at_most, median, percentile
from simulator.panels import Panel
from simulator.ports import free_port
from simulator.premises import SERVICES, Premises, Timing, plan_counters
from simulator.world import World

CALLS = 60
PAUSE_S = 0.15
SEEN_WITHIN_S = 10.0
DEBOUNCE_MS = 15
_COUNTER = "q01"  # its panel is a modbus-led, which answers


def run(rounds: int) -> list[Row]:
    """Measure and return medians of the rounds."""
    seen = [asyncio.run(_round()) for _ in range(rounds)]
    rows = []
    for index, who in enumerate(("officer's page", f"call pad, from {DEBOUNCE_MS} ms after the contact closed")):
        p50 = median([percentile(each[index], 0.5) for each in seen])
        p99 = median([percentile(each[index], 0.99) for each in seen])
        rows.append(at_most(f"call → panel's wire ({who}), p50", p50, "ms", 10))
        rows.append(at_most(f"call → panel's wire ({who}), p99", p99, "ms", 40))
    return rows


async def _round() -> tuple[list[float], list[float]]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        premises = Premises(
            folder=folder,
            run=folder,
            http_port=free_port(),
            mqtt_port=free_port(),
            counters=plan_counters(1),
            timing=Timing(callpad_lockout_ms=0),
        )
        async with World(premises, broker="mosquitto") as world:
            for _ in range(2 * CALLS + 2):
                await _ask(world, "/api/tickets", {"service": SERVICES[0].id})
            await _ask(world, f"/api/counters/{_COUNTER}/open")
            panel = world.panels[_COUNTER]
            by_page = [await _by_page(world, panel) for _ in range(CALLS)]
            by_pad = [await _by_pad(world, panel) for _ in range(CALLS)]
    return by_page, by_pad


async def _by_page(world: World, panel: Panel) -> float:
    before = len(panel.history)
    asked_ns = time.monotonic_ns()
    await _ask(world, f"/api/counters/{_COUNTER}/call_next")
    return await _shown_ms(panel, before, asked_ns)


async def _by_pad(world: World, panel: Panel) -> float:
    before = len(panel.history)
    closed_ns = await world.press(_COUNTER, "callpad", "next")
    shown_ms = await _shown_ms(panel, before, closed_ns + DEBOUNCE_MS * 1_000_000)
    await world.release(_COUNTER, "callpad", "next")
    await asyncio.sleep(PAUSE_S)
    return shown_ms


async def _shown_ms(panel: Panel, before: int, since_ns: int) -> float:
    async with asyncio.timeout(SEEN_WITHIN_S):
        while len(panel.history) <= before:  # noqa: ASYNC110 – the panel's thread writes its history
            await asyncio.sleep(0.002)
    shown_ns = panel.history[before].at_ns
    await asyncio.sleep(PAUSE_S)
    return (shown_ns - since_ns) / 1e6


async def _ask(world: World, path: str, body: dict[str, str] | None = None) -> None:
    answer = await world.browser.ask(path, body or {}, key=str(uuid.uuid4()), patience_s=10)
    if answer.status not in (200, 201):
        raise RuntimeError(f"{path}: {answer.status} {answer.body}")
