"""A press on the rating pad: to its light, and to the center's acknowledgement.

The daemons, the broker and the center are the real programs, each in its own process; the pad's pins are mock pins.
Times count from the end of the debounce time (15 ms after the contact closed, on the board's clock). The light is
the pin's own change. Stored and acknowledged is the center's acknowledgement as a subscriber of the same broker
hears it: the center sends it after its commit. The floor is one bare durable commit, timed in the same round on the
same disk.
"""

import asyncio
import json
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from benchmarks import station
from benchmarks.brokers import mosquitto
from benchmarks.figures import Row, at_most, median, percentile
from benchmarks.peers import bare_commits_ms
from simulator.hands import Board, PinChange
from simulator.ports import free_port
from simulator.premises import CENTER_ID, RATING_BUTTONS, RATING_LEDS, Premises, plan_counters
from simulator.processes import Program, Supervisor, python

PRESSES = 100
HELD_S = 0.06
PAUSE_S = 0.12
DEBOUNCE_MS = 15
LIGHT_GOAL_RATIO = 1.5
START_TIMEOUT_S = 60.0
_LEVEL = "3"
_COUNTER = "q01"


def run(rounds: int) -> list[Row]:
    """Measure and return medians of the rounds."""
    seen = [asyncio.run(_round()) for _ in range(rounds)]
    light = [[each[0] for each in one.presses] for one in seen]
    stored = [[each[1] for each in one.presses] for one in seen]
    light_p50 = median([percentile(one, 0.5) for one in light])
    floor_p50 = median([percentile(one.floor_ms, 0.5) for one in seen])
    after = f"(from {DEBOUNCE_MS} ms after the contact closed)"
    return [
        Row(
            f"press → light, p50 {after}",
            light_p50,
            "ms",
            beside=floor_p50,
            beside_name="bare SQLite FULL commit",
            goal=f"≤ {LIGHT_GOAL_RATIO}×",
            met=light_p50 <= LIGHT_GOAL_RATIO * floor_p50,
        ),
        at_most("press → stored and acknowledged, p50", median([percentile(one, 0.5) for one in stored]), "ms", 5),
        at_most("press → stored and acknowledged, p99", median([percentile(one, 0.99) for one in stored]), "ms", 25),
    ]


class _Round:
    def __init__(self) -> None:
        self.presses: list[tuple[float, float]] = []  # ms to the light, ms to the acknowledgement
        self.floor_ms: list[float] = []


class _Acks:
    """Notes when the center acknowledged each rating of the pad. Owned by paho's thread, read under the condition."""

    def __init__(self, port: int) -> None:
        self._heard = threading.Condition()
        self._pending: dict[str, int] = {}
        self._at_ns: list[int] = []
        self._client = Client(CallbackAPIVersion.VERSION2)
        self._client.on_message = self._on_message
        self._client.connect("127.0.0.1", port)
        self._client.subscribe([(f"motcua/v1/{CENTER_ID}/{_COUNTER}/rating/{what}", 1) for what in ("event", "ack")])
        self._client.loop_start()

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def count(self) -> int:
        return len(self._at_ns)

    def wait_ns(self, beyond: int) -> int:
        with self._heard:
            if not self._heard.wait_for(lambda: len(self._at_ns) > beyond, timeout=30):
                raise TimeoutError("the center did not acknowledge a press within 30 s")
            return self._at_ns[beyond]

    def _on_message(self, _client: Client, _userdata: Any, message: MQTTMessage) -> None:
        at_ns = time.monotonic_ns()
        body = json.loads(message.payload)
        if message.topic.endswith("/event"):
            if body["type"].startswith("vn.motcua.rating.given."):
                self._pending[body["id"]] = int(body["sequence"])
            return
        upto = body.get("upto") or 0
        done = [each for each, sequence in self._pending.items() if sequence <= upto or each in body.get("ids", ())]
        with self._heard:
            for each in done:
                del self._pending[each]
                self._at_ns.append(at_ns)
            self._heard.notify_all()


async def _round() -> _Round:
    found = _Round()
    with tempfile.TemporaryDirectory() as name, mosquitto() as broker:
        folder = Path(name)
        premises = Premises(
            folder=folder, run=folder, http_port=free_port(), mqtt_port=broker.port, counters=plan_counters(1)
        )
        premises.write()
        options = f"{station.OPEN}\ndebounce_ms = {DEBOUNCE_MS}"
        path = premises.station_config(_COUNTER)
        station.write(path, port=broker.port, center=CENTER_ID, station=_COUNTER, options=options)
        supervisor = Supervisor(premises.logs)
        acks = _Acks(broker.port)
        socket = premises.board_socket(_COUNTER, "rating")
        center = python("motcua.cli", "center", "serve", "--config", str(premises.center_config))
        device = ("--socket", str(socket), "--", "run", "rating", "--config", str(path))
        await supervisor.start(Program(name="center", argv=center))
        await supervisor.start(Program(name="rating", argv=python("simulator.board", *device)))
        board = Board(socket)
        hands = asyncio.create_task(board.run())
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                while not board.lit(RATING_LEDS[_LEVEL]):  # noqa: ASYNC110 – an open pad invites with all lights
                    await asyncio.sleep(0.05)
                await _press(board, acks)  # the first one also waits until everything is up
            for index in range(PRESSES):
                found.presses.append(await _press(board, acks))
                if index % 2:
                    found.floor_ms += await asyncio.to_thread(bare_commits_ms, folder, count=2)
        finally:
            hands.cancel()
            await supervisor.close()
            acks.close()
    return found


async def _press(board: Board, acks: _Acks) -> tuple[float, float]:
    """Press once; return the milliseconds to the light and to the acknowledgement."""
    lit: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    led = RATING_LEDS[_LEVEL]
    other = RATING_LEDS["1"]

    def watch(change: PinChange) -> None:
        # An open pad invites with all its lights on: "stored" is the others going out, or this one coming on.
        if not lit.done() and ((change.pin == led and change.high) or (change.pin == other and not change.high)):
            lit.set_result(change.at_ns)

    stop = board.watch(watch)
    before = acks.count()
    try:
        closed_ns = await board.press(RATING_BUTTONS[_LEVEL])
        lit_ns = await asyncio.wait_for(lit, 10)
        stored_ns = await asyncio.to_thread(acks.wait_ns, before)
        await asyncio.sleep(HELD_S)
        await board.release(RATING_BUTTONS[_LEVEL])
        await asyncio.sleep(PAUSE_S)
    finally:
        stop()
    counted_ns = closed_ns + DEBOUNCE_MS * 1_000_000
    return (lit_ns - counted_ns) / 1e6, (stored_ns - counted_ns) / 1e6
