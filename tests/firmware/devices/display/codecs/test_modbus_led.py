"""Modbus LED panels: bytes out, answers in."""

import pytest

from firmware.devices.display.codecs import Page
from firmware.devices.display.codecs.modbus_led import (
    LEGIBLE,
    ModbusLedCodec,
    silence_ms,
    write_point,
    write_text,
    write_value,
)
from firmware.devices.display.faults import PanelError
from firmware.devices.display.signs import Sign

TEXT = bytes.fromhex("01 10 00 70 00 03 06 41 30 30 37 20 20 0d 68")
ANSWER = bytes.fromhex("01 10 00 70 00 03 81 d3")
CALL = Sign("calling", "3", "A007")


def test_text_is_written_two_characters_a_register() -> None:
    """A007 on six digits is the FC16 frame that the panel's manual shows, with its CRC."""
    assert write_text(1, "A007  ") == TEXT
    assert write_text(17, "A007")[:7] == bytes.fromhex("11 10 00 70 00 02 04")
    assert write_text(1, "A1000") == write_text(1, "A1000 ")


def test_a_value_and_the_decimal_point_are_single_registers() -> None:
    """FC06 frames, negative values in two's complement."""
    assert write_value(1, 7) == bytes.fromhex("01 06 00 00 00 07 c8 08")
    assert write_value(17, -1) == bytes.fromhex("11 06 00 00 ff ff 8a ea")
    assert write_point(1, 0) == bytes.fromhex("01 06 00 04 00 00 c8 0b")


def test_the_panels_answer_is_the_proof() -> None:
    """The answer to FC16 repeats address and count; every shorter part of it is not there yet."""
    codec = ModbusLedCodec()
    assert codec.answered(TEXT, ANSWER)
    for size in range(len(ANSWER)):
        assert not codec.answered(TEXT, ANSWER[:size])


def test_an_adapters_own_echo_is_not_the_proof() -> None:
    """RS-485 adapters that hand back what they send prove nothing; the panel's answer behind the echo does."""
    codec = ModbusLedCodec()
    assert not codec.answered(TEXT, TEXT)
    assert codec.answered(TEXT, TEXT + ANSWER)


def test_a_value_is_answered_by_itself() -> None:
    """FC06 is answered by the request itself."""
    value = write_value(1, 7)
    assert ModbusLedCodec().answered(value, value)


@pytest.mark.parametrize(
    ("received", "trouble", "said"),
    [
        ("01 10 00 70 00 03 81 d4", "panel_garbled", "check the cable"),
        ("01 90 04 4d c3", "panel_refuses", "Modbus exception 4"),
        ("02 10 00 70 00 03 81 e0", "panel_garbled", "does not belong to the request"),
        ("01 10 00 70 00 02 40 13", "panel_garbled", "does not belong to the request"),
        ("01 06 00 04 00 00 c8 0b", "panel_garbled", "does not belong to the request"),
    ],
)
def test_a_wrong_answer_is_a_fault_with_advice(received: str, trouble: str, said: str) -> None:
    """A broken CRC, a refusal, another unit and another answer are told apart."""
    with pytest.raises(PanelError, match=said) as caught:
        ModbusLedCodec().answered(TEXT, bytes.fromhex(received))
    assert caught.value.trouble == trouble


@pytest.mark.parametrize(
    ("sign", "text"),
    [
        (CALL, "  A007"),
        (Sign("serving", "3", "A1000"), " A1000"),
        (Sign("idle", "3"), "------"),
        (Sign("paused", "3"), "  NGHI"),
        (Sign("closed", "3"), "  DONG"),
        (Sign("offline", "3"), "-    -"),
    ],
)
def test_signs_in_seven_segments(sign: Sign, text: str) -> None:
    """Numbers stand right-aligned; paused and closed are Vietnamese words that seven segments can show."""
    assert ModbusLedCodec().pages(sign) == (Page((text,)),)


def test_a_called_number_blinks_slower_than_three_times_a_second() -> None:
    """A blink is a second long, and its two frames take less than a tenth of a 9600 baud line."""
    lit, dark = ModbusLedCodec().pages(Sign("calling", "3", "A007", blink=True))
    assert (lit.picture, dark.picture) == (("  A007",), ("      ",))
    period_ms = lit.hold_ms + dark.hold_ms
    assert period_ms >= 1000 / 3
    sent = 2 * (len(write_text(1, "  A007")) + len(ANSWER))
    assert sent * 10 / 9600 < period_ms / 1000 / 10


def test_a_letter_that_seven_segments_cannot_show_is_a_dash() -> None:
    """A letter that would be misread is not shown; the figures are."""
    codec = ModbusLedCodec()
    for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ":
        ((line,),) = (page.picture for page in codec.pages(Sign("calling", "3", f"{letter}012")))
        assert line == (f"  {letter}012" if letter in LEGIBLE else "  -012")


def test_a_number_longer_than_the_panel_follows_the_rule() -> None:
    """On four digits A1000 is cut to its figures, or letter and figures take turns; A007 fits."""
    long = Sign("calling", "3", "A1000", blink=True)
    assert [page.picture for page in ModbusLedCodec(digits=4, overflow="cut").pages(long)] == [("1000",), ("    ",)]
    scrolled = ModbusLedCodec(digits=4, overflow="scroll").pages(long)
    assert [page.picture for page in scrolled] == [("   A",), ("1000",)]
    assert min(page.hold_ms for page in scrolled) >= 500
    assert ModbusLedCodec(digits=4, overflow="scroll").pages(CALL)[0].picture == ("A007",)


def test_only_what_differs_is_written() -> None:
    """The same text costs nothing; an unknown panel also has its decimal point put out; a proof is always one text."""
    codec = ModbusLedCodec()
    picture = ("  A007",)
    assert codec.paint(picture, None).pieces == (write_text(1, "  A007"), write_point(1, 0))
    assert codec.paint(picture, "------").pieces == (write_text(1, "  A007"),)
    assert codec.paint(picture, "  A007").pieces == ()
    assert codec.affirm("  A007").pieces == codec.repeat("  A007").pieces == (write_text(1, "  A007"),)


@pytest.mark.parametrize(
    ("sign", "text", "point", "value"),
    [
        (CALL, "7", 0, 7),
        (Sign("calling", "3", "A1000", blink=True), "1000", 0, 1000),
        (Sign("idle", "3"), "0", 0, 0),
        (Sign("offline", "3"), "0.0", 1, 0),
    ],
)
def test_a_panel_without_letters_shows_figures(sign: Sign, text: str, point: int, value: int) -> None:
    """A panel that knows its value register alone shows the number's figures, 0, or 0.0 while offline."""
    codec = ModbusLedCodec(letters=False)
    assert codec.pages(sign) == (Page((text,)),)
    assert codec.paint((text,), None).pieces == (write_point(1, point), write_value(1, value))
    assert codec.affirm(text).pieces == (write_point(1, point), write_value(1, value))


@pytest.mark.parametrize(("baud", "ms"), [(1200, 33), (9600, 5), (19200, 3), (115200, 2)])
def test_frames_are_parted_by_silence(baud: int, ms: int) -> None:
    """Two frames are at least 3.5 characters apart, 1.75 ms above 19200 baud."""
    assert silence_ms(baud) == ms
