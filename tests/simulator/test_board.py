import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gpiozero
import pytest

from simulator.board import BACKLOG_BYTES, Board, BoardSocket, main

STATION = """
center = "bentre"
station = "q03"
[broker]
port = 1
[device.rating]
scale = "vn-3"
buttons = [{level = 1, pin = 17, led = 5}, {level = 2, pin = 27, led = 6}, {level = 3, pin = 22, led = 13}]
buzzer = 18
mode = "open"
"""


class Visitor:
    """A client of the board's socket."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(30)
        self._socket.connect(str(path))
        self._lines = self._socket.makefile("rb")

    def say(self, text: str) -> None:
        """Send a line."""
        self._socket.sendall(text.encode() + b"\n")

    def hear(self) -> Any:
        """Return the next line; None at the end."""
        line = self._lines.readline()
        return json.loads(line) if line else None

    def hear_until(self, key: str, value: object) -> Any:
        """Return the next line with this key and value; skip the others."""
        while (message := self.hear()) is not None:
            if message.get(key) == value:
                return message
        raise AssertionError(f"the board has gone before it said {key}: {value}")

    def close(self) -> None:
        """Go away."""
        self._lines.close()
        self._socket.close()


@pytest.fixture
def board() -> Iterator[Board]:
    """A board that gpiozero takes its pins from."""
    made = Board()
    gpiozero.Device.pin_factory = made.factory
    yield made
    gpiozero.Device.pin_factory = None
    made.factory.close()


@pytest.fixture
def path(board: Board, tmp_path: Path) -> Iterator[Path]:
    """The path of the board's open socket; afterwards no thread and no file stays."""
    threads = set(threading.enumerate())
    path = tmp_path / "board"
    served = BoardSocket(board, path)
    served.open()
    yield path
    served.close()
    assert not path.exists()
    assert set(threading.enumerate()) <= threads


@pytest.fixture
def visitor(path: Path) -> Iterator[Visitor]:
    """A client."""
    made = Visitor(path)
    yield made
    made.close()


def test_a_press_reaches_the_program(visitor: Visitor) -> None:
    """A hand that presses and releases moves the contact, and is told when."""
    contact = gpiozero.Button(17)
    seen = []
    contact.when_pressed = lambda: seen.append("pressed")
    contact.when_released = lambda: seen.append("released")
    before_ns = time.monotonic_ns()
    visitor.say('{"do": "press", "pin": 17}')
    done = visitor.hear()
    visitor.say('{"do":"release","pin":17}')
    assert visitor.hear()["done"] == "release"
    assert (done["done"], done["pin"]) == ("press", 17)
    assert before_ns <= done["at_ns"] <= time.monotonic_ns()
    assert seen == ["pressed", "released"]
    contact.close()


def test_an_output_is_told_when_it_changes(visitor: Visitor) -> None:
    """Each change of an output is told with its time; what does not change is not told."""
    lamp = gpiozero.LED(5)
    assert (told := visitor.hear()) == {"pin": 5, "high": False, "at_ns": told["at_ns"]}
    before_ns = time.monotonic_ns()
    lamp.on()
    after_ns = time.monotonic_ns()
    lamp.on()
    lamp.off()
    on, off = visitor.hear(), visitor.hear()
    assert [(on["pin"], on["high"]), (off["pin"], off["high"])] == [(5, True), (5, False)]
    assert before_ns <= on["at_ns"] <= after_ns
    lamp.close()


def test_who_comes_later_hears_how_it_is(path: Path) -> None:
    """A client that connects hears every output as it is now, and each of many clients hears each change."""
    lamps = [gpiozero.LED(5, initial_value=True), gpiozero.LED(6)]
    visitors = [Visitor(path) for _ in range(5)]
    for visitor in visitors:
        assert {(told["pin"], told["high"]) for told in (visitor.hear(), visitor.hear())} == {(5, True), (6, False)}
    lamps[1].on()
    for visitor in visitors:
        assert visitor.hear_until("pin", 6)["high"] is True
        visitor.close()
    for lamp in lamps:
        lamp.close()


def test_the_pins_that_the_program_took_are_listed(visitor: Visitor) -> None:
    """The list names each pin that was taken, what it is and its level: a contact is high while it is open."""
    contact, lamp = gpiozero.Button(17), gpiozero.LED(5)
    visitor.hear_until("pin", 5)
    visitor.say('{"do": "pins"}')
    assert visitor.hear() == {
        "pins": [{"pin": 5, "function": "output", "high": False}, {"pin": 17, "function": "input", "high": True}]
    }
    contact.close()
    lamp.close()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"do": "press", "pin": 4}', "GPIO 4 is not a contact of this device"),
        ('{"do": "press", "pin": 5}', "GPIO 5 is not a contact of this device"),
        ('{"do": "press"}', "press needs a pin"),
        ('{"do": "press", "pin": 40}', "not an order: Expected `int` <= 27 - at `$.pin`"),
        ('{"do": "kick", "pin": 5}', "not an order: Invalid enum value 'kick' - at `$.do`"),
        ('{"do": "pins", "hard": true}', "not an order: Object contains unknown field `hard`"),
        ("press 17", "not an order: JSON is malformed: invalid character (byte 0)"),
    ],
)
def test_what_cannot_be_done_is_answered(visitor: Visitor, line: str, said: str) -> None:
    """An order that makes no sense gets an error that says why, and the connection goes on."""
    lamp = gpiozero.LED(5)
    visitor.hear_until("pin", 5)
    visitor.say(line)
    assert visitor.hear() == {"error": said}
    visitor.say('{"do": "pins"}')
    assert "pins" in visitor.hear()
    lamp.close()


def test_an_endless_line_ends_the_connection(visitor: Visitor) -> None:
    """A client that sends no end of line is told and let go."""
    visitor.say("x" * 20_000)
    heard = visitor.hear()
    assert "error" in heard


def test_a_client_that_does_not_read_is_dropped(path: Path) -> None:
    """A client that never reads neither slows the device down nor fills its memory: it is let go."""
    lazy, eager = Visitor(path), Visitor(path)
    lamp = gpiozero.LED(5)
    lazy._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    reader = threading.Thread(target=lambda: eager.hear_until("pin", 6))
    reader.start()
    for _ in range(BACKLOG_BYTES // 40):
        lamp.toggle()
    last = gpiozero.LED(6)
    reader.join(30)
    assert not reader.is_alive()
    with pytest.raises((ConnectionError, AssertionError)):
        lazy.hear_until("pin", 6)
    for visitor in (lazy, eager):
        visitor.close()
    lamp.close()
    last.close()


def test_a_killed_board_s_socket_is_taken_over(board: Board, tmp_path: Path) -> None:
    """The socket file that a killed board left does not keep the next one from starting."""
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(tmp_path / "board"))
    stale.close()
    served = BoardSocket(board, tmp_path / "board")
    served.open()
    served.close()


@pytest.mark.parametrize("what", ["board", "file", "folder"])
def test_a_path_that_is_taken_is_refused(
    what: str, path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A socket that another board serves, a file, and a folder that is not there: one line says so, exit 2."""
    (tmp_path / "notes").write_text("keep me")
    wanted = {"board": path, "file": tmp_path / "notes", "folder": tmp_path / "none" / "board"}[what]
    assert main(["--socket", str(wanted), "--", "run", "rating"], program=lambda _: 0) == 2
    said = {"board": "another board listens", "file": "is not a socket", "folder": "No such file or directory"}[what]
    error = capsys.readouterr().err
    assert error.startswith(f"{wanted}: the board's socket cannot be opened: ")
    assert said in error
    assert (tmp_path / "notes").read_text() == "keep me"


def test_the_program_s_exit_code_is_the_board_s(tmp_path: Path) -> None:
    """The board ends with the program, with its exit code, and gives it its arguments untouched."""
    given: list[list[str]] = []

    def program(arguments: list[str]) -> int:
        given.append(arguments)
        return 7

    try:
        path = tmp_path / "board"
        assert main(["--socket", str(path), "--", "run", "rating", "--config", "x.toml"], program=program) == 7
    finally:
        gpiozero.Device.pin_factory = None
    assert given == [["run", "rating", "--config", "x.toml"]]
    assert not path.exists()


@pytest.mark.e2e
def test_the_real_rating_program_runs_on_the_board(tmp_path: Path) -> None:
    """The unchanged program takes its pins, thanks for a press with light and tone, and ends in order on SIGTERM."""
    config = tmp_path / "station.toml"
    config.write_text(f'state_dir = "{tmp_path}"\n' + STATION)
    path = tmp_path / "board"
    command = ["-m", "simulator.board", "--socket", str(path), "--", "run", "rating", "--config", str(config)]
    with subprocess.Popen([sys.executable, *command], stderr=subprocess.PIPE) as process:
        try:
            deadline = time.monotonic() + 30
            while not path.exists() and time.monotonic() < deadline:
                time.sleep(0.02)
            visitor = Visitor(path)
            while visitor.hear_until("pin", 13)["high"] is not True:
                pass
            visitor.say('{"do": "press", "pin": 22}')
            pressed_ns = visitor.hear_until("done", "press")["at_ns"]
            while (tone := visitor.hear_until("pin", 18))["high"] is not True:
                pass
            assert tone["at_ns"] - pressed_ns >= 14_000_000  # the debounce, on a clock of whole milliseconds
            visitor.close()
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
        finally:
            process.kill()
        assert process.stderr is not None
        assert b"Traceback" not in process.stderr.read()
    assert not path.exists()
