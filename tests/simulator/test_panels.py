"""Simulated panels: they are the eyes of other tests, so they are checked by literal bytes."""

import os
import threading
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import pytest
import serial

from firmware.devices.display import glyphs
from simulator.font5x7 import FONT
from simulator.panels import Cd5220Panel, Fault, ModbusLedPanel, Panel, Record, Shown, crc16
from tests.support.waiting import wait_for

TEXT = bytes.fromhex("01 10 00 70 00 03 06 41 30 30 37 20 20 0d 68")
ANSWER = bytes.fromhex("01 10 00 70 00 03 81 d3")
INIT = b"\x0c\x1b@\x1b\x11\x1b_\x00\x1b*\x04"


@pytest.fixture
def led(tmp_path: Path) -> Iterator[ModbusLedPanel]:
    """A plugged-in seven-segment panel."""
    panel = ModbusLedPanel(tmp_path / "led", clock_ns=iter(range(1, 10_000)).__next__)
    panel.plug()
    yield panel
    panel.close()


@pytest.fixture
def vfd(tmp_path: Path) -> Iterator[Cd5220Panel]:
    """A plugged-in VFD."""
    panel = Cd5220Panel(tmp_path / "vfd", clock_ns=iter(range(1, 10_000)).__next__)
    panel.plug()
    yield panel
    panel.close()


def _exchange(panel: Panel, data: bytes, size: int = 8) -> bytes:
    """Return an answer of so many bytes, and whatever follows it soon."""
    with serial.Serial(str(panel.path), 9600, timeout=30) as port:
        port.write(data)
        answer = port.read(size)
        port.timeout = 0.05
        return answer + port.read(64)


def _write(panel: Cd5220Panel, data: bytes, then: str) -> None:
    with serial.Serial(str(panel.path), 9600) as port:
        port.write(data)
        panel.wait_for(lambda text: text == then)


def test_crc_is_the_one_of_the_standard() -> None:
    """The panel's own CRC gives the check value of CRC-16/MODBUS."""
    assert crc16(b"123456789") == bytes.fromhex("37 4b")


def test_a_record_forgets_what_is_far_back_and_keeps_the_places() -> None:
    """A panel that hangs for days needs no more memory, and a place that somebody noted stays the same."""
    record: Record[int] = Record(keep=3)
    for item in range(100):
        record.append(item)
    assert len(record) == 100
    assert record[98] == 98
    assert record[-1] == 99
    assert record[97:] == [97, 98, 99]
    assert 3 <= len(record[:]) <= 6
    with pytest.raises(IndexError):
        record[0]
    with pytest.raises(IndexError):
        record[100]


def test_text_is_shown_and_answered(led: ModbusLedPanel) -> None:
    """FC16 to the text registers lights the text and is answered with address and count."""
    assert _exchange(led, TEXT) == ANSWER
    assert led.shown == "A007"
    assert list(led.history) == [Shown("A007", 1)]
    assert b"".join(led.frames) == TEXT


def test_a_frame_may_come_in_pieces(led: ModbusLedPanel) -> None:
    """Bytes are a stream: a frame cut anywhere is put together again."""
    with serial.Serial(str(led.path), 9600, timeout=30) as port:
        for i in range(len(TEXT)):
            port.write(TEXT[i : i + 1])
        assert port.read(8) == ANSWER


def test_a_value_with_its_decimal_point(led: ModbusLedPanel) -> None:
    """FC06 shows a number and places the point; both are answered by the request itself."""
    point, value = bytes.fromhex("01 06 00 04 00 01 09 cb"), bytes.fromhex("01 06 00 00 00 00 89 ca")
    assert _exchange(led, point) == point
    assert _exchange(led, value) == value
    assert led.shown == "0.0"
    assert led.ascii_art().splitlines()[2].endswith("|_|.|_|")


@pytest.mark.parametrize(
    "frame",
    [
        bytes.fromhex("01 10 00 70 00 03 06 41 30 30 37 20 20 0d 69"),
        bytes.fromhex("02 10 00 70 00 02 04 41 30 30 37") + crc16(bytes.fromhex("02 10 00 70 00 02 04 41 30 30 37")),
    ],
    ids=["broken", "for-another-unit"],
)
def test_what_is_not_for_it_leaves_a_panel_dark_and_silent(led: ModbusLedPanel, frame: bytes) -> None:
    """A broken frame and one for another unit are not obeyed and not answered."""
    with serial.Serial(str(led.path), 9600, timeout=0.1) as port:
        port.write(frame)
        wait_for(lambda: b"".join(led.frames) == frame)
        assert port.read(8) == b""
    assert led.shown == ""


def test_an_unknown_register_is_refused(led: ModbusLedPanel) -> None:
    """A register that the panel has not gets exception 2, a function that it has not exception 1."""
    unknown, reading = bytes.fromhex("01 06 00 99 00 00"), bytes.fromhex("01 03 00 00 00 01")
    assert _exchange(led, unknown + crc16(unknown), 5)[:3] == bytes.fromhex("01 86 02")
    assert _exchange(led, reading + crc16(reading), 5)[:3] == bytes.fromhex("01 83 01")


@pytest.mark.parametrize(
    ("fault", "answer"),
    [
        (Fault.SILENT, b""),
        (Fault.REFUSES, bytes.fromhex("01 90 04 4d c3")),
        (Fault.BAD_CRC, bytes.fromhex("01 10 00 70 00 03 81 2c")),
        (Fault.OTHER_UNIT, bytes.fromhex("02 10 00 70 00 03 81 e0")),
        (Fault.CUT_SHORT, bytes.fromhex("01 10 00")),
        (Fault.ECHOING_ADAPTER, TEXT + ANSWER),
    ],
)
def test_a_panel_can_be_broken_in_many_ways(led: ModbusLedPanel, fault: Fault, answer: bytes) -> None:
    """Each fault answers as the broken thing on the wall would."""
    led.fault = fault
    assert _exchange(led, TEXT, len(answer)) == answer


def test_lines_lock_the_vfd_until_it_is_cleared(vfd: Cd5220Panel) -> None:
    """After a line command only line commands work, until 0C or 18."""
    _write(vfd, INIT + b"\x1bQAHELLO\r\x1bQBWORLD\r", "HELLO\nWORLD")
    assert vfd.locked
    ignored = vfd.ignored
    _write(vfd, b"\x1bl\x01\x01X\x1b*\x01\x1bQBAGAIN\r", "HELLO\nAGAIN")
    assert vfd.ignored == ignored + 3
    assert vfd.brightness == 4
    _write(vfd, b"\x18", "\nAGAIN".strip("\n"))
    assert not vfd.locked
    _write(vfd, b"\x0c\x1bl\x03\x02OK", "OK")


def test_the_cursor_overwrites_and_wraps(vfd: Cd5220Panel) -> None:
    """Characters go on at the cursor, and from the end of one line to the other."""
    _write(vfd, INIT + b"\x1bl\x13\x01ABCD", "AB\nCD")


def test_own_glyphs_are_read_by_their_dots(vfd: Cd5220Panel) -> None:
    """The panel shows Đ where its dots stand, whatever the code; without glyphs the code's own letter."""
    columns = glyphs.columns("Đ")
    assert columns is not None
    define = b"\x1b&\x01aa\x05" + columns
    _write(vfd, INIT + define + b"\x1bl\x01\x01aI", "aI")
    _write(vfd, b"\x1b%\x01\x1bl\x01\x02", "ĐI")
    assert vfd.dots()[0][:5] == "####."
    _write(vfd, b"\x1b@", "")


def test_more_glyphs_than_the_panel_has_are_ignored(tmp_path: Path) -> None:
    """A panel with room for one glyph keeps the first."""
    panel = Cd5220Panel(tmp_path / "vfd", glyph_slots=1)
    panel.plug()
    define = b"\x1b&\x01ab" + 2 * (b"\x05" + (glyphs.columns("Đ") or b""))
    _write(panel, INIT + define + b"\x1b%\x01ab", "Đb")
    assert panel.ignored == 1
    panel.close()


@pytest.mark.parametrize("kind", [ModbusLedPanel, Cd5220Panel])
def test_unplugging_hangs_up_and_plugging_brings_the_same_path_back(
    kind: type[ModbusLedPanel] | type[Cd5220Panel], tmp_path: Path
) -> None:
    """The port of an unplugged panel fails and its path is gone; plugged in, the path works again."""
    panel = kind(tmp_path / "panel")
    panel.plug()
    port = serial.Serial(str(panel.path), 9600, timeout=30)
    panel.unplug()
    assert not panel.path.exists()
    assert not panel.plugged
    with pytest.raises(serial.SerialException):
        port.read(1)
    port.close()
    panel.plug()
    panel.plug()
    serial.Serial(str(panel.path), 9600).close()
    panel.close()
    panel.close()


def test_a_reset_panel_has_forgotten_everything(led: ModbusLedPanel, vfd: Cd5220Panel) -> None:
    """A power cut empties the glass and is part of the history."""
    _exchange(led, TEXT)
    led.reset()
    assert [change.text for change in led.history] == ["A007", ""]
    _write(vfd, INIT + b"\x1b&\x01aa\x05" + (glyphs.columns("Đ") or b"") + b"\x1b%\x01a", "Đ")
    vfd.reset()
    _write(vfd, b"a", "a")


def test_a_panel_gives_back_its_thread_and_its_descriptors(tmp_path: Path) -> None:
    """Many plugs and unplugs leave neither threads nor descriptors behind."""
    panel = Cd5220Panel(tmp_path / "vfd")
    threads, descriptors = threading.active_count(), len(os.listdir("/proc/self/fd"))  # noqa: PTH208  # a count only
    for _ in range(20):
        panel.plug()
        panel.unplug()
    assert threading.active_count() == threads
    assert len(os.listdir("/proc/self/fd")) == descriptors  # noqa: PTH208  # a count only


def test_waiting_for_what_never_comes_says_what_is_there(led: ModbusLedPanel) -> None:
    """A wait that ends in vain names the panel and what it reads."""
    with pytest.raises(TimeoutError, match="led reads ''"):
        led.wait_for("A007", timeout_s=0.05)


def test_a_panel_is_drawn_as_characters(led: ModbusLedPanel) -> None:
    """The glass of a seven-segment panel as three lines of text."""
    _exchange(led, TEXT)
    assert led.ascii_art() == (
        " _   _   _   _\n"
        "|_| | | | |   |\n"
        "| | |_| |_|   |"
    )  # fmt: skip


def test_pictures_are_well_formed(led: ModbusLedPanel, vfd: Cd5220Panel) -> None:
    """Both panels draw themselves as SVG with their text as the label."""
    _exchange(led, TEXT)
    _write(vfd, INIT + b'A<&">', 'A<&">')
    for panel, label in ((led, "A007"), (vfd, 'A<&">')):
        root = ET.fromstring(panel.svg())  # noqa: S314  # our own drawing
        assert root.attrib["aria-label"] == label


def test_the_built_in_letters_are_five_by_seven_dots() -> None:
    """The panel's font has every code from 20 to 5F."""
    assert sorted(FONT) == [chr(code) for code in range(0x20, 0x60)]
    assert all(len(rows) == 7 and all(len(row) == 5 for row in rows) for rows in FONT.values())
