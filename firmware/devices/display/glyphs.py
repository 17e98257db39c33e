"""Own 5×7 letters for what a panel's code page lacks: every Vietnamese capital with its marks, and the offline mark.

A letter with marks is composed, so that one stroke is changed in one place: rows of marks, a small capital in the rows
that are left, a dot below.

```
marks    on E     two on E  marks and dot  a dot   whole
#..#.    ..#..    .#..#     ..#..          .###.   ####.
.##.#    .#.#.    #.##.     .#.#.          #...#   .#..#
.....    #####    .....     .###.          #####   .#..#
.###.    #....    #####     #...#          #...#   ###.#
#...#    ####.    ####.     #####          #...#   .#..#
#####    #....    #....     #...#          .....   .#..#
#...#    #####    #####     ..#..          ..#..   ####.
  Ầ        Ê        Ế         Ậ              Ạ       Đ
```
"""

import unicodedata
from functools import cache

COLUMNS = 5
ROWS = 7

OFFLINE_MARK = "✖"
"""Stands at the end of a line while the display has no contact: for staff; citizens need not know it."""

_WHOLE: dict[str, tuple[str, ...]] = {
    "Đ": ("####.", ".#..#", ".#..#", "###.#", ".#..#", ".#..#", "####."),
    "Ơ": ("....#", ".##.#", "#..#.", "#..#.", "#..#.", "#..#.", ".##.."),
    "Ư": ("....#", "#..##", "#..#.", "#..#.", "#..#.", "#..#.", ".##.."),
    OFFLINE_MARK: (".....", "#...#", ".#.#.", "..#..", ".#.#.", "#...#", "....."),
}

_FIVE: dict[str, tuple[str, ...]] = {
    "A": (".###.", "#...#", "#####", "#...#", "#...#"),
    "E": ("#####", "#....", "####.", "#....", "#####"),
    "I": (".###.", "..#..", "..#..", "..#..", ".###."),
    "O": (".###.", "#...#", "#...#", "#...#", ".###."),
    "U": ("#...#", "#...#", "#...#", "#...#", ".###."),
    "Y": ("#...#", ".#.#.", "..#..", "..#..", "..#.."),
    "Ơ": (".##.#", "#..##", "#..#.", "#..#.", ".##.."),
    "Ư": ("#..##", "#..#.", "#..#.", "#..#.", ".##.."),
}
_FOUR: dict[str, tuple[str, ...]] = {
    "A": (".###.", "#...#", "#####", "#...#"),
    "E": ("#####", "####.", "#....", "#####"),
    "I": (".###.", "..#..", "..#..", ".###."),
    "O": (".###.", "#...#", "#...#", ".###."),
    "U": ("#...#", "#...#", "#...#", ".###."),
    "Y": ("#...#", ".#.#.", "..#..", "..#.."),
    "Ơ": (".##.#", "#..##", "#..#.", ".##.."),
    "Ư": ("#..##", "#..#.", "#..#.", ".##.."),
}
_ABOVE_DOT: dict[str, tuple[str, ...]] = {
    "A": _FOUR["A"],
    "E": ("#####", "##...", "#####", "....."),
    "O": (".###.", "#...#", ".###.", "....."),
}
"""Four rows between marks and a dot: only A's own foot is open enough to have the dot close."""

_GRAVE, _ACUTE, _HOOK, _TILDE, _DOT = "\u0300", "\u0301", "\u0309", "\u0303", "\u0323"
_CIRCUMFLEX, _BREVE, _HORN = "\u0302", "\u0306", "\u031b"

_MARKS: dict[str, tuple[str, str]] = {
    _GRAVE: (".#...", "..#.."),
    _ACUTE: ("...#.", "..#.."),
    _HOOK: (".##..", "..##."),
    _TILDE: (".##.#", "#..#."),
    _CIRCUMFLEX: ("..#..", ".#.#."),
    _BREVE: ("#...#", ".###."),
    _CIRCUMFLEX + _GRAVE: ("#..#.", ".##.#"),
    _CIRCUMFLEX + _ACUTE: (".#..#", "#.##."),
    _CIRCUMFLEX + _HOOK: (".#.##", "#.#.#"),
    _CIRCUMFLEX + _TILDE: (".#.#.", "#.#.#"),
    _BREVE + _GRAVE: ("#.##.", ".#..#"),
    _BREVE + _ACUTE: ("#.#.#", ".#.#."),
    _BREVE + _HOOK: ("#.###", ".#..#"),
    _BREVE + _TILDE: ("#.##.", ".##.#"),
}
_OWN = {_CIRCUMFLEX: "AEO", _BREVE: "A"}
"""Marks that make another letter, and of which; the rest are tones, which any vowel takes."""

_BLANK = "....."
_BELOW = "..#.."


@cache
def rows(character: str) -> tuple[str, ...] | None:
    """Return a character's picture, seven rows of five dots `#` or `.`; None for one that needs no own glyph."""
    whole = _WHOLE.get(character)
    if whole is not None:
        return whole
    base, *marks = list(unicodedata.normalize("NFD", character))
    if _HORN in marks:
        marks.remove(_HORN)
        base = unicodedata.normalize("NFC", base + _HORN)
    dotted = _DOT in marks
    # The letter's own mark before the tone, in whatever order Unicode has them.
    upper = "".join(sorted(set(marks) - {_DOT}, key=lambda mark: mark not in _OWN))
    if not marks or base not in _FIVE or any(base not in _OWN.get(mark, base) for mark in marks):
        return None
    if not upper:
        return (*_FIVE[base], _BLANK, _BELOW)
    if upper not in _MARKS:
        return None
    if dotted:
        return (*_MARKS[upper], *_ABOVE_DOT[base], _BELOW) if upper in _OWN else None
    if base == "E" and len(upper) == 1:
        return (*_MARKS[upper], *_FIVE[base])  # with four rows it is hardly an E
    return (*_MARKS[upper], _BLANK, *_FOUR[base])  # without the gap marks and letter melt into a blot


def columns(character: str) -> bytes | None:
    """Return the picture as a panel takes it: five columns from the left, bit 0 is the top row."""
    picture = rows(character)
    if picture is None:
        return None
    return bytes(sum(1 << row for row in range(ROWS) if picture[row][column] == "#") for column in range(COLUMNS))


def plain(character: str) -> str:
    """Return the letter without its marks, for a panel without room for own glyphs: Ầ is A, Đ is D."""
    if character == "Đ":
        return "D"
    if character == OFFLINE_MARK:
        return "*"
    return unicodedata.normalize("NFD", character)[0]


def alphabet() -> str:
    """Return every character that has an own glyph."""
    vowels = "AĂÂEÊIOÔƠUƯY"
    tones = ("", _GRAVE, _ACUTE, _HOOK, _TILDE, _DOT)
    marked = [unicodedata.normalize("NFC", vowel + tone) for vowel in vowels for tone in tones]
    return "".join(character for character in ("Đ", *marked, OFFLINE_MARK) if rows(character) is not None)
