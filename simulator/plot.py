"""What the world wants to be seen before the demo's camera: a line of JSON in a file, written whole."""

from pathlib import Path
from typing import Literal

import msgspec

Doing = Literal["closed", "paused", "open", "called", "serving"]
"""What happens at the counter."""


class Plot(msgspec.Struct, frozen=True, kw_only=True):
    """What happens before the lens, and whether somebody holds a hand before it."""

    doing: Doing = "closed"
    covered: bool = False


def read_plot(file: Path) -> Plot:
    """Return what the world wants; nothing in particular, while it has not said."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=Plot)
    except (FileNotFoundError, msgspec.DecodeError):
        return Plot()


def write_whole(file: Path, content: bytes) -> None:
    """Write a file at one stroke for its readers. It need not outlive a power cut."""
    new = file.with_name(f".{file.name}.new")
    new.write_bytes(content)
    new.replace(file)
