"""The configuration of a station that has nothing but a rating pad, as the benchmarks press it."""

from pathlib import Path

from simulator.ports import HOST
from simulator.premises import BUZZER, RATING_BUTTONS, RATING_LEDS, SCALE

_FILE = """
center = "{center}"
station = "{station}"
state_dir = "{folder}"
[broker]
host = "{host}"
port = {port}
{keys}
[device.rating]
scale = "{scale}"
buttons = [{buttons}]
buzzer = {buzzer}
{options}
"""
OPEN = "mode = 'open'\nlockout_ms = 0\nthanks_ms = 100"
"""Options of a pad that takes every press: no ticket, no lock-out."""


def write(
    path: Path,
    *,
    port: int,
    center: str = "bench",
    station: str = "q01",
    options: str = "",
    keys_dir: Path | None = None,
) -> Path:
    """Write the file, its outbox beside it, and return its path."""
    buttons = ", ".join(
        f"{{level = {level}, pin = {pin}, led = {RATING_LEDS[level]}}}" for level, pin in RATING_BUTTONS.items()
    )
    text = _FILE.format(
        center=center, station=station, folder=path.parent, host=HOST, port=port, scale=SCALE, buttons=buttons,
        buzzer=BUZZER, options=options, keys=f'keys_dir = "{keys_dir}"' if keys_dir else "",
    )  # fmt: skip
    path.write_text(text, encoding="utf-8")
    return path
