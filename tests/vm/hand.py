"""A finger and an eye at the simulated board. Runs inside the virtual machine, on Python's standard library only.

It closes and opens contacts by the lines' `pull` and watches lamps by their lines' `value`, both in sysfs, beside the
daemon under test and without it. One JSON object a line: a question on standard input, its answer on standard output.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

CHIP = Path("/sys/devices/platform/gpio-sim.0/gpiochip0")
EYE_EVERY_S = 0.001


class Lamps:
    """The levels of some lines, and when they changed."""

    def __init__(self, lines: list[int]) -> None:
        self._files = {line: (CHIP / f"sim_gpio{line}" / "value").open("rb", buffering=0) for line in lines}
        self._lit = {line: self.lit(line) for line in lines}
        self.changes: list[tuple[int, bool, int]] = []

    def lit(self, line: int) -> bool:
        """Whether a lamp is on now."""
        self._files[line].seek(0)
        return self._files[line].read(1) == b"1"

    def look(self) -> None:
        """Note what has changed since the last look."""
        for line, before in self._lit.items():
            if (lit := self.lit(line)) is not before:
                self._lit[line] = lit
                self.changes.append((line, lit, time.time_ns()))

    def lit_ns(self, line: int) -> int | None:
        """Return when a lamp was first seen to go on."""
        return next((at_ns for changed, lit, at_ns in self.changes if changed == line and lit), None)

    def close(self) -> None:
        """Look no more."""
        for file in self._files.values():
            file.close()


def press(
    pin: int,
    lamps: list[int],
    bounces: list[float],
    closed_ms: float,
    watch_ms: float,
    after: list[float] | None,
    wait_dark: int | None,
) -> dict[str, Any]:
    """Close a contact to ground, hold it and let it go; both ways it bounces. Times are nanoseconds of the wall clock.

    `bounces` are the pauses in milliseconds between the edges before the contact rests, an even number of them. The
    lamps are watched until the finger is gone and for at least `watch_ms` from the first edge; with `after` = [lamp,
    milliseconds] only until that long after that lamp went on. `wait_dark` names a lamp that must be dark before the
    finger falls.
    """
    eye = Lamps(lamps)
    while wait_dark is not None and eye.lit(wait_dark):
        time.sleep(EYE_EVERY_S)
    eye.look()
    eye.changes.clear()
    edge_ns = _move(pin, bounces, "pull-down", eye)
    _watch_until(time.time_ns() + int(closed_ms * 1e6), eye)
    _move(pin, bounces, "pull-up", eye)
    end_ns = edge_ns + int(watch_ms * 1e6)
    if after is None:
        _watch_until(end_ns, eye)
    else:
        while (lit_ns := eye.lit_ns(int(after[0]))) is None and time.time_ns() < end_ns:
            time.sleep(EYE_EVERY_S)
            eye.look()
        if lit_ns is not None:
            _watch_until(lit_ns + int(after[1] * 1e6), eye)
    eye.close()
    return {"edge_ns": edge_ns, "changes": eye.changes}


def _watch_until(end_ns: int, eye: Lamps) -> None:
    eye.look()
    while time.time_ns() < end_ns:
        time.sleep(EYE_EVERY_S)
        eye.look()


def _move(pin: int, bounces: list[float], pull: str, eye: Lamps | None = None) -> int:
    """Bring the contact to rest at `pull` and return when its first edge was."""
    other = "pull-up" if pull == "pull-down" else "pull-down"
    with (CHIP / f"sim_gpio{pin}" / "pull").open("w") as file:
        edge_ns = time.time_ns()
        _write(file, pull)
        for number, pause_ms in enumerate(bounces):
            end_ns = time.time_ns() + int(pause_ms * 1e6)
            if eye is not None:
                eye.look()
            while time.time_ns() < end_ns:  # a nap would be longer than a bounce
                pass
            _write(file, pull if number % 2 else other)
    return edge_ns


def _write(file: Any, text: str) -> None:
    file.seek(0)
    file.write(text)
    file.flush()


def main() -> None:
    """Answer until standard input ends."""
    for line in sys.stdin:
        question = json.loads(line)
        answer: dict[str, Any] = {}
        match question.pop("do"):
            case "press":
                answer = press(**question)
            case "close":
                _move(question["pin"], [], "pull-down")
            case "open":
                _move(question["pin"], [], "pull-up")
            case "time":
                answer = {"time_ns": time.time_ns()}
            case unknown:
                raise SystemExit(f"hand.py does not know {unknown!r}")
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
