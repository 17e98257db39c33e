"""The panel's thread on real pseudo-terminals, with simulated panels that decode what they get."""

import contextlib
import logging
import os
import termios
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from firmware.devices.display import KIND
from firmware.devices.display.codecs.cd5220 import Cd5220Codec
from firmware.devices.display.config import DisplayConfig
from firmware.devices.display.driver import HANGS_AFTER_MS, PanelDriver
from firmware.devices.display.signs import PortLost, Show, Shown, Sign
from firmware.devices.registry import DeviceContext
from simulator.panels import Cd5220Panel, Fault, ModbusLedPanel, ModbusLine
from tests.support.clock import ManualClock
from tests.support.waiting import wait_for


def _monotonic_ms() -> int:
    return time.monotonic_ns() // 1_000_000


def _call(revision: int, number: str = "A007", *, blink: bool = False) -> Show:
    return Show(revision, Sign("calling", "3", number, blink=blink), _monotonic_ms())


class Heard:
    """The daemon's inbox."""

    def __init__(self) -> None:
        self.signals: list[object] = []

    def __call__(self, signal: object) -> None:
        """Take a signal."""
        self.signals.append(signal)

    def shown(self) -> list[int | None]:
        """Return the revisions that were shown."""
        return [signal.show.revision for signal in self.signals if isinstance(signal, Shown)]

    def troubles(self) -> list[str]:
        """Return why the panel was lost."""
        return [signal.trouble for signal in self.signals if isinstance(signal, PortLost)]


Start = Callable[..., PanelDriver[Any]]


@pytest.fixture
def heard() -> Heard:
    """What the driver says."""
    return Heard()


@pytest.fixture
def start(heard: Heard) -> Iterator[Start]:
    """Start a display on a port, as the daemon does; it is closed with the test."""
    drivers: list[PanelDriver[Any]] = []

    def begin(codec: str, port: Path, **options: Any) -> PanelDriver[Any]:
        config = DisplayConfig(codec=codec, port=str(port), **options)  # type: ignore[arg-type]  # each test names one
        context = DeviceContext("q03", "display", lambda: "id", {}, _monotonic_ms)
        _, driver = KIND.build(config, context)
        assert isinstance(driver, PanelDriver)
        drivers.append(driver)
        driver.open(heard)
        return driver

    yield begin
    for driver in drivers:
        driver.close()


@pytest.fixture
def led(tmp_path: Path) -> Iterator[ModbusLedPanel]:
    """A seven-segment panel that is plugged in."""
    panel = ModbusLedPanel(tmp_path / "led")
    panel.plug()
    yield panel
    panel.close()


@pytest.fixture
def vfd(tmp_path: Path) -> Iterator[Cd5220Panel]:
    """A VFD that is plugged in."""
    panel = Cd5220Panel(tmp_path / "vfd")
    panel.plug()
    yield panel
    panel.close()


def test_a_call_is_on_the_led_panel_with_its_echo(start: Start, heard: Heard, led: ModbusLedPanel) -> None:
    """The number stands on the panel when the driver says so, and the panel's answer is the proof."""
    show = _call(17)
    start("modbus-led", led.path).drive(show)
    signal = wait_for(lambda: heard.signals)[0]
    assert led.shown == "A007"
    assert isinstance(signal, Shown)
    assert (signal.show, signal.text, signal.proof) == (show, "A007", "echoed")
    assert 0 <= signal.at_ms - show.asked_ms < 30_000


def test_a_call_is_on_the_vfd_in_vietnamese(start: Start, heard: Heard, vfd: Cd5220Panel) -> None:
    """The VFD shows words with their marks, drawn by the display's own glyphs; the proof is that bytes left."""
    start("cd5220", vfd.path).drive(_call(17))
    vfd.wait_for("MỜI SỐ A007\nĐẾN QUẦY 3")
    signal = wait_for(lambda: heard.signals)[0]
    assert isinstance(signal, Shown)
    assert (signal.text, signal.proof) == ("MỜI SỐ A007 / ĐẾN QUẦY 3", "written")
    assert vfd.ignored == 0
    assert not vfd.locked


def test_the_latest_call_wins(start: Start, heard: Heard, led: ModbusLedPanel) -> None:
    """Of a burst only what can still be shown is shown, the last one always, and nothing after it."""
    led.late_s = 0.02
    driver = start("modbus-led", led.path)
    for revision in range(1, 101):
        driver.drive(_call(revision, f"A{revision:03}"))
    led.wait_for("A100")
    wait_for(lambda: heard.shown()[-1:] == [100])
    assert len(heard.shown()) < 20
    assert heard.shown() == sorted(heard.shown())  # type: ignore[type-var]  # no sign of the display's own is among them
    assert led.shown == "A100"


@pytest.mark.parametrize("codec", ["modbus-led", "cd5220"])
def test_an_unplugged_panel_is_noticed_at_once_and_comes_back(
    codec: str, start: Start, heard: Heard, led: ModbusLedPanel, vfd: Cd5220Panel, caplog: pytest.LogCaptureFixture
) -> None:
    """Unplugged: said once, without waiting for the next call. Plugged in: the latest call is shown by itself."""
    caplog.set_level(logging.INFO, "firmware")
    panel = led if codec == "modbus-led" else vfd
    driver = start(codec, panel.path)
    driver.drive(_call(1, "A001"))
    wait_for(lambda: heard.shown() == [1])
    panel.unplug()
    wait_for(heard.troubles)
    driver.drive(_call(2, "A002"))
    time.sleep(0.5)  # several attempts
    assert heard.troubles() == ["port_missing"]
    panel.plug()
    panel.wait_for("A002")
    wait_for(lambda: heard.shown() == [1, 2])
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert "plug" in caplog.messages[0]


def test_a_missing_port_is_said_once_with_what_to_do(
    start: Start, heard: Heard, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A daemon starts without its adapter, names the port, and lives on."""
    driver = start("cd5220", tmp_path / "ttyUSB0")
    wait_for(heard.troubles)
    time.sleep(0.5)
    assert heard.troubles() == ["port_missing"]
    assert driver.alive()
    (record,) = caplog.records
    assert f"{tmp_path / 'ttyUSB0'} is not there: plug the panel's cable in" in record.getMessage()


def test_a_port_that_another_program_holds_is_named(
    start: Start, heard: Heard, vfd: Cd5220Panel, caplog: pytest.LogCaptureFixture
) -> None:
    """Two programs on one port would mix their bytes: the second waits, says who to stop, and takes over."""
    first = start("cd5220", vfd.path)
    first.drive(_call(1, "A001"))
    vfd.wait_for("A001")
    second = start("cd5220", vfd.path)
    second.drive(_call(2, "A002"))
    wait_for(heard.troubles)
    assert heard.troubles() == ["port_busy"]
    assert "is held by another program" in caplog.text
    first.close()
    vfd.wait_for("A002")


def test_displays_share_a_line_when_told_to(
    start: Start, heard: Heard, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Three daemons with panels on one RS-485 line take turns: no answer is lost, no panel shows another's number."""
    caplog.set_level(logging.DEBUG, "firmware")
    panels = [ModbusLedPanel(tmp_path / f"unit-{unit}", unit=unit) for unit in (1, 2, 3)]
    line = ModbusLine(tmp_path / "line", panels)
    line.plug()
    drivers = [start("modbus-led", line.path, unit=panel.unit, shared=True) for panel in panels]
    for revision in range(1, 31):
        for letter, driver in zip("ABC", drivers, strict=True):
            driver.drive(_call(revision, f"{letter}{revision:03}"))
        for letter, panel in zip("ABC", panels, strict=True):
            panel.wait_for(f"{letter}{revision:03}")
    assert heard.troubles() == []
    assert "attempt" not in caplog.text
    for letter, panel in zip("ABC", panels, strict=True):
        assert {change.text[0] for change in panel.history} == {letter}
    line.close()


def test_a_line_that_is_not_shared_is_not_taken(start: Start, heard: Heard, led: ModbusLedPanel) -> None:
    """A daemon that shares waits for a turn, and says who does not let it have one."""
    first = start("modbus-led", led.path)
    first.drive(_call(1, "A001"))
    led.wait_for("A001")
    start("modbus-led", led.path, shared=True).drive(_call(2, "A002"))
    wait_for(heard.troubles)
    assert heard.troubles() == ["port_busy"]
    first.close()
    led.wait_for("A002", 8.0)


def test_what_is_no_serial_port_is_said_so(start: Start, heard: Heard, tmp_path: Path) -> None:
    """A path that leads to a file is reported as such, not taken for a panel."""
    (tmp_path / "file").touch()
    start("cd5220", tmp_path / "file").drive(_call(1))
    wait_for(heard.troubles)
    assert heard.troubles() == ["port_failed"]


@pytest.mark.parametrize(
    ("fault", "trouble"),
    [
        (Fault.SILENT, "panel_silent"),
        (Fault.REFUSES, "panel_refuses"),
        (Fault.BAD_CRC, "panel_garbled"),
        (Fault.OTHER_UNIT, "panel_garbled"),
        (Fault.CUT_SHORT, "panel_garbled"),
    ],
)
def test_a_panel_that_does_not_confirm_is_not_believed(
    fault: Fault, trouble: str, start: Start, heard: Heard, led: ModbusLedPanel
) -> None:
    """Silence, refusals and broken answers are never taken for a shown number; a mended panel shows it by itself."""
    led.fault = fault
    start("modbus-led", led.path, answer_within_ms=50).drive(_call(17))
    wait_for(heard.troubles)
    assert heard.troubles() == [trouble]
    assert heard.shown() == []
    led.fault = None
    wait_for(lambda: heard.shown() == [17])
    assert led.shown == "A007"


def test_a_single_lost_answer_is_asked_for_again(start: Start, heard: Heard, led: ModbusLedPanel) -> None:
    """One disturbed frame is repeated before anyone is alarmed."""
    led.fault = Fault.BAD_CRC
    driver = start("modbus-led", led.path, answer_within_ms=300)
    driver.drive(_call(17))
    wait_for(lambda: led.frames)
    led.fault = None
    wait_for(lambda: heard.shown() == [17])
    assert heard.troubles() in ([], ["panel_garbled"])  # the panel may have been quicker than this test


def test_an_adapter_that_echoes_proves_nothing_and_disturbs_nothing(
    start: Start, heard: Heard, led: ModbusLedPanel
) -> None:
    """With an adapter that hands back what it sends, the panel's own answer is still what counts."""
    led.fault = Fault.ECHOING_ADAPTER
    driver = start("modbus-led", led.path)
    for revision in range(1, 6):
        driver.drive(_call(revision, f"A{revision:03}"))
        wait_for(lambda: heard.shown()[-1:] == [revision])  # noqa: B023  # called before the loop goes on
    assert heard.troubles() == []


def test_another_unit_on_the_line_is_left_alone(start: Start, heard: Heard, led: ModbusLedPanel) -> None:
    """A panel with another unit number shows nothing of ours, and the display says that its own is silent."""
    start("modbus-led", led.path, unit=2, answer_within_ms=50).drive(_call(17))
    wait_for(heard.troubles)
    assert heard.troubles() == ["panel_silent"]
    assert led.shown == ""


@pytest.mark.parametrize("codec", ["modbus-led", "cd5220"])
def test_a_panel_that_lost_its_power_is_painted_again(
    codec: str, start: Start, heard: Heard, led: ModbusLedPanel, vfd: Cd5220Panel
) -> None:
    """A power-cycled panel forgets text and glyphs; the repetition brings both back, and it is no new fact."""
    panel = led if codec == "modbus-led" else vfd
    start(codec, panel.path, refresh_s=1).drive(_call(17))
    wait_for(lambda: heard.shown() == [17])
    expected = "A007" if codec == "modbus-led" else "MỜI SỐ A007\nĐẾN QUẦY 3"
    panel.wait_for(lambda text: text == expected)  # the last piece may still be on its way into the panel
    before = len(panel.history)
    panel.reset()
    panel.wait_for(lambda text: text == expected, since=before)
    assert panel.history[before].text == ""
    assert heard.shown() == [17]
    assert heard.troubles() == []


def test_a_blinking_call_does_not_put_the_repetition_off(start: Start, vfd: Cd5220Panel) -> None:
    """A VFD that loses its power while a number blinks has its words back with the next repetition."""
    start("cd5220", vfd.path, refresh_s=1).drive(_call(17, blink=True))
    vfd.wait_for("MỜI SỐ A007\nĐẾN QUẦY 3")
    before = len(vfd.history)
    vfd.reset()
    vfd.wait_for("MỜI SỐ A007\nĐẾN QUẦY 3", since=before)


def test_a_vfd_that_other_software_left_locked_is_unlocked(start: Start, vfd: Cd5220Panel) -> None:
    """A line command of another program locks the panel; the display's first painting frees it."""
    with vfd.path.open("wb", buffering=0) as port:
        port.write(b"\x1bQAWELCOME\r")
    wait_for(lambda: vfd.locked)
    start("cd5220", vfd.path).drive(_call(17))
    vfd.wait_for("MỜI SỐ A007\nĐẾN QUẦY 3")


def test_a_called_number_blinks_and_a_served_one_stands(start: Start, led: ModbusLedPanel) -> None:
    """The panel goes dark and lit in turn, at most three times a second, until the next sign."""
    driver = start("modbus-led", led.path)
    driver.drive(_call(1, blink=True))
    led.wait_for("A007", since=4)  # lit, dark, lit again
    driver.drive(Show(2, Sign("serving", "3", "A007"), _monotonic_ms()))
    lit = [change.at_ns for change in led.history if change.text == "A007"]
    assert (lit[1] - lit[0]) / 1e9 > 1 / 3
    time.sleep(1.2)
    assert led.history[-1].text == "A007"


def test_a_recall_is_written_again(start: Start, heard: Heard, led: ModbusLedPanel) -> None:
    """A later revision with the same words has bytes and an answer of its own."""
    driver = start("modbus-led", led.path)
    driver.drive(_call(17))
    wait_for(lambda: heard.shown() == [17])
    frames = b"".join(led.frames).count(b"A007")
    driver.drive(_call(18))
    wait_for(lambda: heard.shown() == [17, 18])
    assert b"".join(led.frames).count(b"A007") == frames + 1


def test_a_line_that_takes_no_bytes_is_named_and_heals(
    start: Start, heard: Heard, vfd: Cd5220Panel, caplog: pytest.LogCaptureFixture
) -> None:
    """A line that is held up keeps the panel's thread for seconds, not for ever; the call is shown when it goes on."""
    driver = start("cd5220", vfd.path)
    driver.drive(_call(1, "A001"))
    wait_for(lambda: heard.shown() == [1])
    line = os.open(vfd.path, os.O_RDWR | os.O_NOCTTY)
    try:
        termios.tcflow(line, termios.TCOOFF)
        driver.drive(_call(2, "A002"))
        wait_for(lambda: heard.troubles() == ["port_failed"], timeout_s=30)
        assert driver.alive()
        termios.tcflow(line, termios.TCOON)
    finally:
        os.close(line)
    vfd.wait_for("MỜI SỐ A002\nĐẾN QUẦY 3", timeout_s=30)
    wait_for(lambda: heard.shown() == [1, 2], timeout_s=30)
    assert "takes no bytes: unplug its adapter" in caplog.text


class HungPort:
    """A port whose driver does not come back from a call until the test lets it."""

    def __init__(self, read_end: int) -> None:
        self.hung, self.goes_on = threading.Event(), threading.Event()
        self._read_end = read_end

    def fileno(self) -> int:
        """Return something to poll for a hang-up."""
        return self._read_end

    def turn(self) -> contextlib.nullcontext[None]:
        """Have the line alone."""
        return contextlib.nullcontext()

    def write(self, data: bytes) -> None:
        """Hang."""
        self.hung.set()
        assert self.goes_on.wait(30)

    def read(self, timeout_s: float) -> bytes:
        """Return nothing."""
        return b""

    def discard(self) -> None:
        """Forget nothing."""

    def close(self) -> None:
        """Close nothing."""


def test_a_thread_that_hangs_in_its_port_is_seen(heard: Heard) -> None:
    """A call into the port that does not come back makes the driver dead to the watchdog; waiting for work does not."""
    clock = ManualClock()
    ends = os.pipe()
    port = HungPort(ends[0])
    driver = PanelDriver(name="display", codec=Cd5220Codec(), open_port=lambda: port, monotonic_ms=clock.monotonic_ms)
    driver.open(heard)
    try:
        clock.advance(10 * HANGS_AFTER_MS)
        wait_for(driver.alive)
        driver.drive(_call(1))
        assert port.hung.wait(30)
        assert driver.alive()
        clock.advance(HANGS_AFTER_MS + 1)
        assert not driver.alive()
        port.goes_on.set()
        wait_for(driver.alive)
    finally:
        port.goes_on.set()
        driver.close()
        for end in ends:
            os.close(end)


def test_closing_leaves_nothing_behind(start: Start, led: ModbusLedPanel, vfd: Cd5220Panel, tmp_path: Path) -> None:
    """A closed driver has let go of thread, port and descriptors, whatever state its panel was in."""
    threads, descriptors = threading.active_count(), len(os.listdir("/proc/self/fd"))  # noqa: PTH208  # a count only
    drivers = [
        start("modbus-led", led.path),
        start("cd5220", vfd.path),
        start("cd5220", tmp_path / "missing"),
    ]
    for driver in drivers:
        driver.drive(_call(1))
    led.wait_for("A007")
    led.unplug()
    vfd.wait_for("A007")
    for driver in drivers:
        driver.close()
        driver.close()
        assert not driver.alive()
    led.plug()
    assert threading.active_count() == threads
    assert len(os.listdir("/proc/self/fd")) == descriptors  # noqa: PTH208  # a count only
    drivers[0].drive(_call(2))  # after closing: nothing happens


def test_a_call_is_on_the_wire_within_milliseconds(start: Start, led: ModbusLedPanel) -> None:
    """From the command to the panel's last byte the quickest takes at most 10 ms; `make bench` measures the rest."""
    driver = start("modbus-led", led.path)
    took_ms = []
    for revision in range(1, 51):  # each right after the one before: a driver that only looks at times is late for all
        before = len(led.history)
        asked_ns = time.monotonic_ns()
        driver.drive(_call(revision, f"A{revision:03}"))
        took_ms.append((led.wait_for(f"A{revision:03}", since=before).at_ns - asked_ns) / 1e6)
    assert min(took_ms) <= 10
