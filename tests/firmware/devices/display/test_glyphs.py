"""Own letters for panels."""

import pytest

from firmware.devices.display import glyphs


def test_a_glyph_goes_out_as_columns_with_the_top_row_in_bit_0() -> None:
    """Đ leaves as the five bytes that the panel's manual asks for (section 9.26)."""
    assert glyphs.rows("Đ") == ("####.", ".#..#", ".#..#", "###.#", ".#..#", ".#..#", "####.")
    assert glyphs.columns("Đ") == bytes((0b1001001, 0b1111111, 0b1001001, 0b1000001, 0b0111110))


def test_every_vietnamese_capital_has_a_glyph_of_its_own() -> None:
    """All 67 capitals with marks are there, and no two of them look the same on the glass."""
    capitals = "ÀÁẢÃẠĂẰẮẲẴẶÂẦẤẨẪẬÈÉẺẼẸÊỀẾỂỄỆÌÍỈĨỊÒÓỎÕỌÔỒỐỔỖỘƠỜỚỞỠỢÙÚỦŨỤƯỪỨỬỮỰỲÝỶỸỴĐ"
    pictures = {glyphs.rows(letter) for letter in capitals}
    assert None not in pictures
    assert len(pictures) == len(capitals) == 67
    assert set(glyphs.alphabet()) == {*capitals, glyphs.OFFLINE_MARK}


@pytest.mark.parametrize("letter", glyphs.alphabet())
def test_a_glyph_fills_five_by_seven_dots(letter: str) -> None:
    """Every glyph has seven rows of five dots, and its columns use seven bits."""
    rows, columns = glyphs.rows(letter), glyphs.columns(letter)
    assert rows is not None
    assert columns is not None
    assert [len(row) for row in rows] == [5] * 7
    assert len(columns) == 5
    assert max(columns) < 0x80


@pytest.mark.parametrize("letter", ["A", "Z", "7", " ", "-", "Ç", "Î", "Ǎ", "字", "\u0301"])
def test_other_letters_have_none(letter: str) -> None:
    """A letter that the panel's own font has, or that is not Vietnamese, takes no glyph."""
    assert glyphs.rows(letter) is None
    assert glyphs.columns(letter) is None


@pytest.mark.parametrize(("letter", "bare"), [("Ầ", "A"), ("Đ", "D"), ("Ự", "U"), ("Ơ", "O"), ("✖", "*"), ("A", "A")])
def test_a_letter_without_room_loses_its_marks_only(letter: str, bare: str) -> None:
    """Where a panel takes no more glyphs the plain letter stands: the word can still be read."""
    assert glyphs.plain(letter) == bare
