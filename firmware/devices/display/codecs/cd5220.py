r"""CD5220: a vacuum fluorescent customer display of two lines of 20 characters. It takes bytes and never answers.

```
0C                          clear, and unlock               18        clear the cursor's line, and unlock
1B 40                       initialise                      1B 11     overwrite, do not scroll
1B 2A n                     brightness 1 to 4               1B 5F 00  no cursor
1B 6C x y                   cursor to column 1-20, line 1-2
1B 51 41 <20 characters> 0D upper line \ after either, everything but these two, 0C and 18
1B 51 42 <20 characters> 0D lower line / is ignored: the panel is locked
1B 26 01 n m (05 p1..p5)*   own glyphs for the codes n to m, columns from the left, bit 0 is the top row
1B 25 01                    use own glyphs where they are defined
```

The command list and the glyph's dots: CD5220 user's manual, sections 7.2 and 9.26. This codec moves the cursor rather
than write by `1B 51`: that would lock the panel, and a new glyph could then only be defined after clearing the screen,
which flickers; and a changed digit is 5 bytes (5 ms at 9600 baud) rather than a line of 24. A panel that other
software left locked is unlocked at every full painting.
"""

import unicodedata
from dataclasses import dataclass

from firmware.devices.display import glyphs
from firmware.devices.display.codecs import Page, Painting, Proof
from firmware.devices.display.signs import Sign

WIDTH = 20
LINES = 2
FIRST_GLYPH_CODE = 0x61
"""Own glyphs take the codes of the small letters: every maker's list allows 20 to 7E, and our texts are capitals."""

GLYPH_SLOTS = 8
BRIGHTEST = 4
REFRESH_S = 30.0
BLINK_ON_MS = 600
BLINK_OFF_MS = 400

_UNLOCK_AND_CLEAR = b"\x0c"
_CLEAR_LINE = b"\x18"
_INITIALISE = b"\x1b@"
_OVERWRITE = b"\x1b\x11"
_NO_CURSOR = b"\x1b_\x00"
_USE_GLYPHS = b"\x1b%\x01"
_CURSOR_COST = 4


@dataclass(frozen=True, slots=True)
class Cells:
    """What the panel shows: two lines of codes, and which character each own glyph is."""

    lines: tuple[bytes, ...]
    glyphs: tuple[str | None, ...]


class Cd5220Codec:
    """Signs in words of at most 20 capitals, with as many own glyphs as the panel has room for."""

    proof: Proof = "written"

    def __init__(self, *, brightness: int = BRIGHTEST, glyph_slots: int = GLYPH_SLOTS, refresh_s: float = REFRESH_S):
        self._brightness = brightness
        self._slots = glyph_slots
        self.refresh_s = refresh_s

    def pages(self, sign: Sign) -> tuple[Page, ...]:
        """Return two lines; where the sign blinks, the number alone does, so that the words stay readable."""
        lit = _picture(sign)
        if not sign.blink or sign.number is None:
            return (Page(lit),)
        dark = tuple(line.replace(sign.number, " " * len(sign.number)) for line in lit)
        return Page(lit, BLINK_ON_MS), Page(dark, BLINK_OFF_MS)

    def paint(self, picture: tuple[str, ...], known: Cells | None) -> Painting[Cells]:
        """Return the cells that differ, or everything from an unknown state."""
        if known is None:
            cells = self._cells(picture, (None,) * self._slots)
            return Painting((self._start(), *_glyph_pieces(cells.glyphs), *_line_pieces(cells.lines)), cells)
        cells = self._cells(picture, known.glyphs)
        fresh = tuple(new if new != old else None for new, old in zip(cells.glyphs, known.glyphs, strict=True))
        changes = b"".join(
            _differences(line, old, new)
            for line, (old, new) in enumerate(zip(known.lines, cells.lines, strict=True), start=1)
        )
        pieces = (*_glyph_pieces(fresh), changes) if changes else _glyph_pieces(fresh)
        return Painting(pieces, cells)

    def affirm(self, known: Cells) -> Painting[Cells]:
        """Return both lines."""
        return Painting(_line_pieces(known.lines), known)

    def repeat(self, known: Cells) -> Painting[Cells]:
        """Return everything without clearing the screen: only the lower line is dark, for the time of its own bytes.

        `18` unlocks, `1B 11` to `1B 25` bring back what a power cut took; each piece leaves the panel readable.
        """
        upper, lower = _line_pieces(known.lines)
        unlock = _cursor(1, LINES) + _CLEAR_LINE + lower
        settings = _OVERWRITE + _NO_CURSOR + self._dim()
        return Painting((unlock, settings, *_glyph_pieces(known.glyphs), upper, lower), known)

    def answered(self, sent: bytes, received: bytes) -> bool:
        """Expect nothing: the panel never answers."""
        return True

    def _start(self) -> bytes:
        return _UNLOCK_AND_CLEAR + _INITIALISE + _OVERWRITE + _NO_CURSOR + self._dim()

    def _dim(self) -> bytes:
        return b"\x1b*" + bytes([self._brightness])

    def _cells(self, picture: tuple[str, ...], defined: tuple[str | None, ...]) -> Cells:
        """Return codes for a picture, keeping what glyphs are defined and giving their places up only when needed."""
        wanted = list(dict.fromkeys(character for line in picture for character in line if glyphs.rows(character)))
        slots = list(defined)
        missing = [character for character in wanted if character not in slots]
        free = sorted((i for i, held in enumerate(slots) if held not in wanted), key=lambda i: slots[i] is not None)
        for character, place in zip(missing, free, strict=False):
            slots[place] = character
        codes = {held: FIRST_GLYPH_CODE + place for place, held in enumerate(slots) if held is not None}
        lines = tuple(
            bytes(codes.get(character) or _code(character) for character in line.ljust(WIDTH)[:WIDTH])
            for line in picture
        )
        return Cells(lines, tuple(slots))


def _picture(sign: Sign) -> tuple[str, ...]:
    """Return the sign's two lines in Vietnamese."""
    label = unicodedata.normalize("NFC", sign.counter.upper())
    counter = f"QUẦY {label}" if label else ""
    match sign.kind:
        case "calling":
            lines = (f"MỜI SỐ {sign.number}", f"ĐẾN {counter}")
        case "serving":
            lines = (counter, f"ĐANG PHỤC VỤ {sign.number}")
        case "idle":
            lines = (counter, "XIN CHỜ GỌI SỐ")
        case "paused":
            lines = (counter, "TẠM NGHỈ")
        case "closed":
            lines = (counter, "ĐÓNG CỬA")
        case "offline":
            return (counter.center(WIDTH), "XIN CHỜ".center(WIDTH)[:-1] + glyphs.OFFLINE_MARK)
    return tuple(line.center(WIDTH) for line in lines)


def _code(character: str) -> int:
    """Return the panel's own code for a character without glyph: its plain capital, or a question mark."""
    code = ord(glyphs.plain(character))
    return code if 0x20 <= code <= 0x5F else ord("?")


def _cursor(column: int, line: int) -> bytes:
    return bytes((0x1B, 0x6C, column, line))


def _line_pieces(lines: tuple[bytes, ...]) -> tuple[bytes, ...]:
    return tuple(_cursor(1, number) + line for number, line in enumerate(lines, start=1))


def _glyph_pieces(slots: tuple[str | None, ...]) -> tuple[bytes, ...]:
    """Return one piece that defines these glyphs, neighbours together; none where there is nothing to define."""
    define = b""
    place = 0
    while place < len(slots):
        run = place
        patterns = b""
        while run < len(slots) and (held := slots[run]) is not None:
            patterns += b"\x05" + (glyphs.columns(held) or bytes(glyphs.COLUMNS))
            run += 1
        if patterns:
            define += b"\x1b&\x01" + bytes((FIRST_GLYPH_CODE + place, FIRST_GLYPH_CODE + run - 1)) + patterns
        place = run + 1
    return (define + _USE_GLYPHS,) if define else ()


def _differences(number: int, old: bytes, new: bytes) -> bytes:
    """Return the cursor moves and characters that turn one line into the other; a short gap is written through."""
    changes = b""
    start: int | None = None
    last = 0
    for column in range(WIDTH):
        if old[column] == new[column]:
            continue
        if start is not None and column - last > _CURSOR_COST:
            changes += _cursor(start + 1, number) + new[start : last + 1]
            start = None
        if start is None:
            start = column
        last = column
    if start is not None:
        changes += _cursor(start + 1, number) + new[start : last + 1]
    return changes
