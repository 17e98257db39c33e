"""The CD5220 display: bytes out."""

from typing import Literal

import pytest
from hypothesis import given
from hypothesis.strategies import sampled_from, text

from firmware.devices.display import glyphs
from firmware.devices.display.codecs.cd5220 import Cd5220Codec, Cells
from firmware.devices.display.signs import Sign

CALL = Sign("calling", "3", "A007")


def _dots(letter: str) -> bytes:
    columns = glyphs.columns(letter)
    assert columns is not None
    return b"\x05" + columns


def _painted(codec: Cd5220Codec, sign: Sign) -> Cells:
    return codec.paint(codec.pages(sign)[0].picture, None).known


def test_a_panel_in_unknown_state_is_unlocked_initialised_and_painted_whole() -> None:
    """Every byte of the first painting, in order: unlock, initialise, settings, own glyphs, both lines."""
    codec = Cd5220Codec(brightness=3)
    (page,) = codec.pages(CALL)
    start, define, upper, lower = codec.paint(page.picture, None).pieces
    assert start == b"\x0c\x1b@\x1b\x11\x1b_\x00\x1b*\x03"
    assert define == b"\x1b&\x01ae" + b"".join(map(_dots, "ỜỐĐẾẦ")) + b"\x1b%\x01"
    assert upper == b"\x1bl\x01\x01" + b"    MaI Sb A007     "
    assert lower == b"\x1bl\x01\x02" + b"     cdN QUeY 3     "


def test_the_next_number_costs_five_bytes_and_no_glyphs() -> None:
    """From A007 to A008 one character is written at its place."""
    codec = Cd5220Codec()
    known = _painted(codec, CALL)
    (page,) = codec.pages(Sign("calling", "3", "A008"))
    assert codec.paint(page.picture, known).pieces == (b"\x1bl\x0f\x018",)


def test_a_short_gap_is_written_through_and_a_long_one_jumped() -> None:
    """Cursor moves cost four bytes; runs of changes nearer than that go out as one."""
    codec = Cd5220Codec()
    known = codec.paint(("A" * 20, "B" * 20), None).known
    near = codec.paint(("AXAAX" + "A" * 15, "B" * 20), known)
    assert near.pieces == (b"\x1bl\x02\x01XAAX",)
    far = codec.paint(("AXAAAAAAAAX" + "A" * 9, "B" * 19 + "Y"), known)
    assert far.pieces == (b"\x1bl\x02\x01X\x1bl\x0b\x01X\x1bl\x14\x02Y",)


def test_a_picture_that_is_there_costs_nothing() -> None:
    """Painting what is shown writes nothing; affirming it writes the two lines."""
    codec = Cd5220Codec()
    known = _painted(codec, CALL)
    (page,) = codec.pages(CALL)
    assert codec.paint(page.picture, known).pieces == ()
    assert [len(piece) for piece in codec.affirm(known).pieces] == [24, 24]


def test_glyphs_keep_their_places_while_they_are_needed() -> None:
    """From calling to idle only the new letters are defined, in free places first."""
    codec = Cd5220Codec()
    known = _painted(codec, CALL)  # Ờ Ố Đ Ế Ầ in places a to e
    (page,) = codec.pages(Sign("idle", "3"))  # Ầ, Ờ, Ọ, Ố
    painting = codec.paint(page.picture, known)
    assert painting.pieces[0] == b"\x1b&\x01ff" + _dots("Ọ") + b"\x1b%\x01"
    assert painting.known.glyphs == ("Ờ", "Ố", "Đ", "Ế", "Ầ", "Ọ", None, None)


def test_a_full_panel_gives_up_glyphs_that_are_not_wanted() -> None:
    """A glyph that the new text does not need makes room for one that it does."""
    codec = Cd5220Codec(glyph_slots=5)
    known = _painted(codec, CALL)
    (page,) = codec.pages(Sign("idle", "3"))
    assert set(codec.paint(page.picture, known).known.glyphs) >= {"Ầ", "Ờ", "Ọ", "Ố"}


@pytest.mark.parametrize("slots", [0, 2])
def test_letters_without_room_are_plain(slots: int) -> None:
    """A panel without room for all glyphs shows the letter without its marks, never a wrong one."""
    codec = Cd5220Codec(glyph_slots=slots)
    lines = _painted(codec, CALL).lines
    assert lines[0].strip() == {0: b"MOI SO A007", 2: b"MaI Sb A007"}[slots]
    assert lines[1].strip() == b"DEN QUAY 3"


def test_the_glyphs_of_every_sign_fit() -> None:
    """Eight glyphs are enough for each sign, also with the longest number and label."""
    codec = Cd5220Codec(glyph_slots=8)
    for kind in ("calling", "serving"):
        for page in codec.pages(Sign(kind, "12345678", "A1000", blink=True)):
            assert all(len(line) <= 20 for line in page.picture)
    for kind in ("idle", "paused", "closed", "offline"):
        (page,) = codec.pages(Sign(kind, "12345678"))
        wanted = {letter for line in page.picture for letter in line if glyphs.rows(letter)}
        assert len(wanted) <= 8
        assert all(len(line) <= 20 for line in page.picture)


@pytest.mark.parametrize(
    ("sign", "upper", "lower"),
    [
        (CALL, "MỜI SỐ A007", "ĐẾN QUẦY 3"),
        (Sign("serving", "3", "A007"), "QUẦY 3", "ĐANG PHỤC VỤ A007"),
        (Sign("idle", "3"), "QUẦY 3", "XIN CHỜ GỌI SỐ"),
        (Sign("paused", "3"), "QUẦY 3", "TẠM NGHỈ"),
        (Sign("closed", "3"), "QUẦY 3", "ĐÓNG CỬA"),
        (Sign("offline"), "", "XIN CHỜ      ✖"),
    ],
)
def test_signs_in_words(sign: Sign, upper: str, lower: str) -> None:
    """Each sign in Vietnamese, centred."""
    (page,) = Cd5220Codec().pages(sign)
    assert [line.strip() for line in page.picture] == [upper, lower]


def test_only_the_number_blinks() -> None:
    """The words stay readable while the number blinks once a second; going dark costs eight bytes."""
    codec = Cd5220Codec()
    lit, dark = codec.pages(Sign("calling", "3", "A007", blink=True))
    assert lit.hold_ms + dark.hold_ms == 1_000
    assert dark.picture[0].strip() == "MỜI SỐ"
    known = codec.paint(lit.picture, None).known
    assert codec.paint(dark.picture, known).pieces == (b"\x1bl\x0c\x01    ",)


def test_the_repetition_brings_back_what_a_power_cut_took() -> None:
    """Settings, glyphs and both lines are written again without clearing the screen."""
    codec = Cd5220Codec()
    known = _painted(codec, CALL)
    pieces = codec.repeat(known).pieces
    upper, lower = codec.affirm(known).pieces
    assert pieces[0] == b"\x1bl\x01\x02\x18" + lower
    assert pieces[1] == b"\x1b\x11\x1b_\x00\x1b*\x04"
    assert pieces[2].endswith(b"\x1b%\x01")
    assert pieces[3:] == (upper, lower)
    assert b"\x0c" not in b"".join(pieces[:2])


@given(label=text(max_size=8), kind=sampled_from(["idle", "paused", "closed", "offline"]))
def test_any_label_is_shown_somehow(label: str, kind: Literal["idle", "paused", "closed", "offline"]) -> None:
    """Whatever a center calls its counter, both lines are 20 codes that the panel has."""
    codec = Cd5220Codec()
    for line in _painted(codec, Sign(kind, label)).lines:
        assert len(line) == 20
        assert all(0x20 <= code <= 0x68 for code in line)


def test_a_label_that_the_panel_cannot_show_is_a_question_mark() -> None:
    """A character of no Latin capital is shown as a question mark; small letters become capitals."""
    lines = _painted(Cd5220Codec(), Sign("idle", "b字")).lines
    assert lines[0].strip().endswith(b"B?")
