import logging
import os
import subprocess
import sys
import threading
from queue import SimpleQueue
from typing import Any

import gpiozero
import pytest
from gpiozero.pins.mock import MockFactory, MockPin

from firmware.devices.debounce import Edge, Reading
from firmware.devices.gpio import Echo, Lines, Read, Switch, check_distinct
from firmware.errors import ConfigError, HardwareError
from simulator.board import Board, Change


class Clock:
    """A monotonic clock that stands still far from the machine's own."""

    def __init__(self) -> None:
        self.ms = 5

    def __call__(self) -> int:
        """Return the time."""
        return self.ms


@pytest.fixture
def posted() -> "SimpleQueue[Any]":
    """What the lines posted."""
    return SimpleQueue()


def everything(posted: "SimpleQueue[Any]") -> list[Any]:
    """Take out all that was posted."""
    return [posted.get_nowait() for _ in range(posted.qsize())]


def lines(**changes: Any) -> Lines:
    """Return two contacts and two outputs that stamp with a standing clock."""
    return Lines(**{"inputs": [17, 27], "outputs": [5, 18], "monotonic_ms": Clock()} | changes)


def test_edges_are_posted_with_their_time(board: Board, posted: "SimpleQueue[Any]") -> None:
    """A contact that closes and opens posts both edges, stamped by the clock."""
    clock = Clock()
    device = lines(monotonic_ms=clock)
    device.open(posted.put)
    clock.ms = 100
    board.move(17, closed=True)
    clock.ms = 180
    board.move(17, closed=False)
    assert everything(posted) == [Edge(17, closed=True, at_ms=100), Edge(17, closed=False, at_ms=180)]
    device.close()


def test_the_library_s_own_stamp_is_used_where_it_is_on_our_clock(board: Board, posted: "SimpleQueue[Any]") -> None:
    """An edge has the time at which it happened, not the later one at which the callback ran."""
    now_ms = 50_000
    device = lines(monotonic_ms=lambda: now_ms)
    device.open(posted.put)
    for ticks, at_ms in ((49.9831, 49_983), (50.001, 50_000), (48.9, 50_000), (1_795_000_000.0, 50_000), (0.0, 50_000)):
        board.factory.pin(17).when_changed(ticks, 0)
        assert everything(posted) == [Edge(17, closed=True, at_ms=at_ms)]
    device.close()


def test_bounces_are_all_posted(board: Board, posted: "SimpleQueue[Any]") -> None:
    """The driver filters nothing: every bounce is posted, for the debounce to judge."""
    device = lines()
    device.open(posted.put)
    for _ in range(5):
        board.move(17, closed=True)
        board.move(17, closed=False)
    assert len(everything(posted)) == 10
    device.close()


def test_a_level_is_read_from_the_line(board: Board, posted: "SimpleQueue[Any]") -> None:
    """To read a contact posts its level: closed to ground is closed."""
    device = lines()
    device.open(posted.put)
    board.move(27, closed=True)
    everything(posted)
    device.drive(Read(17))
    device.drive(Read(27))
    assert everything(posted) == [Reading(17, closed=False, at_ms=5), Reading(27, closed=True, at_ms=5)]
    device.close()


def test_outputs_are_switched(board: Board, posted: "SimpleQueue[Any]") -> None:
    """An output is off when opened, and then as it is switched; closing switches it off."""
    seen: list[Change] = []
    board.watch(seen.append)
    device = lines()
    device.open(posted.put)
    device.drive(Switch(5, on=True))
    device.drive(Switch(18, on=True))
    device.drive(Switch(18, on=False))
    device.close()
    assert [(change.pin, change.high) for change in seen] == [
        (5, False),
        (18, False),
        (5, True),
        (18, True),
        (18, False),
        (5, False),
    ]


@pytest.mark.usefixtures("board")
def test_an_echo_comes_back(posted: "SimpleQueue[Any]") -> None:
    """What is given to echo is posted."""
    device = lines()
    device.open(posted.put)
    device.drive(Echo("kept"))
    assert everything(posted) == ["kept"]
    device.close()


def test_a_post_that_raises_does_not_end_the_callbacks(
    board: Board, posted: "SimpleQueue[Any]", caplog: pytest.LogCaptureFixture
) -> None:
    """An error behind the callback is logged, and the next edge still comes."""
    failures = [ValueError("no")]

    def post(signal: object) -> None:
        if failures:
            raise failures.pop()
        posted.put(signal)

    device = lines()
    device.open(post)
    with caplog.at_level(logging.ERROR):
        board.move(17, closed=True)
    assert "GPIO 17: an edge was lost inside the program" in caplog.text
    board.move(17, closed=False)
    assert everything(posted) == [Edge(17, closed=False, at_ms=5)]
    device.close()


def test_closed_lines_can_be_opened_again(board: Board, posted: "SimpleQueue[Any]") -> None:
    """The lines are free after closing: the same program can take them again."""
    device = lines()
    for _ in range(3):
        device.open(posted.put)
        device.close()
        device.close()
    device.open(posted.put)
    board.move(17, closed=True)
    assert len(everything(posted)) == 1
    device.close()
    board.move(17, closed=False)
    assert everything(posted) == []


@pytest.mark.usefixtures("board")
def test_closed_lines_drive_nothing() -> None:
    """To drive closed lines is a hardware error, as it is with a pulled plug."""
    with pytest.raises(HardwareError, match="closed"):
        lines().drive(Switch(5, on=True))


# --- what can be wrong -----------------------------------------------------------------------------------------------


class BusyError(Exception):
    """What lgpio raises."""


class BusyPin(MockPin):
    """A board on which another program holds line 27."""

    def __init__(self, factory: Any, info: Any) -> None:
        if info.name == "GPIO27":
            raise BusyError("'GPIO busy'")
        super().__init__(factory, info)


def test_a_busy_line_is_named_and_nothing_stays_taken(posted: "SimpleQueue[Any]") -> None:
    """A line that another program holds is a fault that may pass, named with its number; the other lines are free."""
    gpiozero.Device.pin_factory = factory = MockFactory(pin_class=BusyPin)
    try:
        with pytest.raises(HardwareError, match=r"GPIO 27 is busy .*gpioinfo"):
            lines().open(posted.put)
        again = lines(inputs=[17])
        again.open(posted.put)
        again.close()
    finally:
        gpiozero.Device.pin_factory = None
        factory.close()


@pytest.mark.usefixtures("board")
def test_a_line_that_this_program_holds_already_is_named(posted: "SimpleQueue[Any]") -> None:
    """A line that is taken within the program is busy as well."""
    first = lines()
    first.open(posted.put)
    with pytest.raises(HardwareError, match="GPIO 5 is busy"):
        lines().open(posted.put)
    first.close()


@pytest.mark.usefixtures("board")
def test_a_line_that_the_board_has_not_is_a_configuration_error(posted: "SimpleQueue[Any]") -> None:
    """A number that is no line of this board can only be mended in the configuration."""
    with pytest.raises(ConfigError, match="GPIO 99 cannot be used"):
        lines(inputs=[99]).open(posted.put)


def test_a_line_with_a_fixed_resistor_still_works(board: Board, posted: "SimpleQueue[Any]") -> None:
    """The lines 2 and 3 are pulled up on the board itself: contacts work there too."""
    device = lines(inputs=[2, 3])
    device.open(posted.put)
    board.move(2, closed=True)
    assert everything(posted) == [Edge(2, closed=True, at_ms=5)]
    device.close()


def test_a_board_without_a_chip_may_come_back(posted: "SimpleQueue[Any]", monkeypatch: pytest.MonkeyPatch) -> None:
    """A chip that cannot be opened is a hardware error that says what to check."""

    def missing() -> None:  # lgpio on a machine without a chip; this one has no lgpio
        raise BusyError("'can not open gpiochip'")

    monkeypatch.setattr(gpiozero.Device, "_default_pin_factory", missing)
    assert gpiozero.Device.pin_factory is None
    with pytest.raises(HardwareError, match=r"group 'gpio'.*can not open gpiochip"):
        lines().open(posted.put)


def test_a_machine_without_a_gpio_library_is_told_what_to_install(
    posted: "SimpleQueue[Any]", monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no GPIO library works, the error says so and names the extra, and only then what was tried."""
    monkeypatch.setenv("GPIOZERO_PIN_FACTORY", "absent")
    assert gpiozero.Device.pin_factory is None
    with pytest.raises(ConfigError, match=r"extra 'pi' \(.*Unable to find pin factory 'absent'"):
        lines().open(posted.put)


def test_opening_lines_loads_no_more_than_needed() -> None:
    """A pad's lines are opened without what gpiozero can do without, and what stands there meanwhile is as good."""
    program = (
        "import sys; from firmware.devices.gpio import Lines\n"
        "Lines(inputs=[17], outputs=[5]).open(print)\n"
        "spared = 'importlib.metadata', 'email', 'zipfile', 'statistics', 'colorzero', 'subprocess'\n"
        "print([name for name in spared if name in sys.modules])\n"
        "from gpiozero import input_devices, internal_devices, output_devices\n"
        "assert input_devices.median([3, 1, 9]) == 3 and input_devices.mean([1, 3]) == 2\n"
        "assert output_devices.Color(1, 0, 0).html == '#ff0000'\n"
        "assert issubclass(internal_devices.subprocess.CalledProcessError, Exception)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"GPIOZERO_PIN_FACTORY": "mock"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.stdout, done.stderr) == ("[]\n", "")


@pytest.mark.usefixtures("board")
def test_a_dead_library_thread_is_noticed(posted: "SimpleQueue[Any]") -> None:
    """When the library's thread that brings the edges has ended, the driver is not alive."""
    stop = threading.Event()
    # lgpio's own thread class is defined in the module lgpio; that is how it is recognised.
    notifier = type("_callback_thread", (threading.Thread,), {"__module__": "lgpio", "run": lambda _: stop.wait()})()
    notifier.start()
    device = lines()
    device.open(posted.put)
    assert device.alive()
    stop.set()
    notifier.join()
    assert not device.alive()
    device.close()


def test_a_line_used_twice_names_both_uses() -> None:
    """Two uses of one line are refused with the number and both names."""
    with pytest.raises(
        ValueError, match="recall led must be a line of its own, got GPIO 12, which is already next led"
    ):
        check_distinct([("next led", 12), ("buzzer", None), ("recall led", 12)])
