"""A hundred presses while the broker is gone for four seconds: how many arrive, beside mqtt-io.

One press every 100 ms; the broker is killed after the third second and started again four seconds later. Kept is what a
subscriber that was there all the time has heard in the end, each press once. Ours is counted by event ids, behind an
acknowledging listener that stands for the center; mqtt-io's by its messages for a pressed button.
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
from benchmarks.brokers import Mosquitto, mosquitto
from benchmarks.figures import Row, median
from benchmarks.peers import MQTT_IO_PREFIX, mqtt_io_config
from simulator.hands import Board
from simulator.premises import RATING_BUTTONS
from simulator.processes import Program, Supervisor, python

PRESSES = 100
EVERY_S = 0.1
HELD_S = 0.03
GONE_FROM_S, GONE_FOR_S = 3.0, 4.0
DRAIN_S = 15.0
_PIN = next(iter(RATING_BUTTONS.values()))


def run(rounds: int) -> list[Row]:
    """Measure both in turn and return medians."""
    ours = [asyncio.run(_round(_motcua)) for _ in range(rounds)]
    theirs = [asyncio.run(_round(_mqtt_io)) for _ in range(rounds)]
    kept = median(ours)
    return [
        Row(
            f"presses kept of {PRESSES} over {GONE_FOR_S:g} s without a broker",
            kept,
            "",
            beside=median(theirs),
            beside_name="mqtt-io 2.7.0",
            goal=f"all {PRESSES}",
            met=min(ours) == PRESSES,
        )
    ]


class _Listener:
    """Counts presses, and acknowledges ours as the center would."""

    def __init__(self, port: int) -> None:
        self.heard: set[str] = set()
        self._client = Client(CallbackAPIVersion.VERSION2)
        self._client.on_message = self._on_message
        self._client.on_connect = self._on_connect
        self._client.reconnect_delay_set(min_delay=1, max_delay=1)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _on_connect(self, client: Client, *_: Any) -> None:
        client.subscribe([("motcua/v1/+/+/+/event", 1), (f"{MQTT_IO_PREFIX}/input/#", 1)])

    def _on_message(self, client: Client, _userdata: Any, message: MQTTMessage) -> None:
        if not message.topic.endswith("/event"):
            if message.payload == b"ON":
                self.heard.add(str(len(self.heard)))
            return
        event = json.loads(message.payload)
        if event["type"].startswith("vn.motcua.rating.given."):
            self.heard.add(event["id"])
        client.publish(message.topic.removesuffix("event") + "ack", json.dumps({"ids": [event["id"]]}), qos=1)


def _motcua(folder: Path, socket: Path, port: int) -> tuple[str, ...]:
    path = station.write(folder / "station.toml", port=port, options=station.OPEN)
    return python("simulator.board", "--socket", str(socket), "--", "run", "rating", "--config", str(path))


def _mqtt_io(folder: Path, socket: Path, port: int) -> tuple[str, ...]:
    config = mqtt_io_config(folder / "mqtt-io.yml", port=port, pins=tuple(RATING_BUTTONS.values()))
    return python("benchmarks.mqtt_io_board", "--socket", str(socket), "--", str(config))


async def _round(program: Any) -> float:
    with tempfile.TemporaryDirectory() as name, mosquitto() as broker:
        folder = Path(name)
        listener = _Listener(broker.port)
        supervisor = Supervisor(folder)
        socket = folder / "board.sock"
        await supervisor.start(Program(name="device", argv=program(folder, socket, broker.port)))
        board = Board(socket)
        hands = asyncio.create_task(board.run())
        try:
            await _press(board, broker)
            deadline = time.monotonic() + DRAIN_S
            while len(listener.heard) < PRESSES and time.monotonic() < deadline:  # noqa: ASYNC110 – paho's thread counts
                await asyncio.sleep(0.1)
            return float(len(listener.heard))
        finally:
            hands.cancel()
            await supervisor.close()
            listener.close()


async def _press(board: Board, broker: Mosquitto) -> None:
    while not board.powered:  # noqa: ASYNC110 – the board connects when it can
        await asyncio.sleep(0.05)
    await asyncio.sleep(2)  # both programs are connected by then
    outage = threading.Thread(target=_outage, args=(broker,), name="outage")
    outage.start()
    began = time.monotonic()
    for index in range(PRESSES):
        await asyncio.sleep(max(0.0, began + index * EVERY_S - time.monotonic()))
        await board.press(_PIN)
        await asyncio.sleep(HELD_S)
        await board.release(_PIN)
        await asyncio.sleep(HELD_S)  # a finger lifts: also where this process was late
    await asyncio.to_thread(outage.join)


def _outage(broker: Mosquitto) -> None:
    time.sleep(GONE_FROM_S)
    broker.kill()
    time.sleep(GONE_FOR_S)
    broker.start()
