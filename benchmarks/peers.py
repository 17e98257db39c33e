"""What stands beside us: mqtt-io with the same pins, and a bare durable commit."""

import sqlite3
import time
from pathlib import Path

MQTT_IO_PREFIX = "peer"

_MQTT_IO = """
mqtt:
  host: 127.0.0.1
  port: {port}
  topic_prefix: {prefix}
  reconnect_delay: 1
gpio_modules:
  - name: gpio
    module: gpiozero
digital_inputs:
{inputs}
"""
_MQTT_IO_INPUT = """  - name: button{pin}
    module: gpio
    pin: {pin}
    pullup: true
    inverted: true
    interrupt: both
"""


def mqtt_io_config(path: Path, *, port: int, pins: tuple[int, ...]) -> Path:
    """Write mqtt-io's configuration for these buttons and return its path."""
    inputs = "".join(_MQTT_IO_INPUT.format(pin=pin) for pin in pins)
    path.write_text(_MQTT_IO.format(port=port, prefix=MQTT_IO_PREFIX, inputs=inputs), encoding="utf-8")
    return path


def bare_commits_ms(folder: Path, *, count: int, size: int = 400) -> list[float]:
    """Time `count` commits of one row of `size` bytes into SQLite (WAL, synchronous=FULL): the floor of durability."""
    database = sqlite3.connect(folder / "floor.db", isolation_level=None)
    try:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        database.execute("CREATE TABLE IF NOT EXISTS row (id INTEGER PRIMARY KEY AUTOINCREMENT, body BLOB)")
        row = b"x" * size
        times = []
        for _ in range(count):
            began = time.perf_counter()
            database.execute("INSERT INTO row (body) VALUES (?)", (row,))
            times.append((time.perf_counter() - began) * 1000)
            time.sleep(0.01)  # one press at a time, as fingers do: a hot loop would flatter the floor
        return times
    finally:
        database.close()
