"""Pictures of the panels for the guide: `python -m simulator.panel_pictures docs/pictures`.

What they show went through the real codecs and was decoded by the simulated panels; a test keeps the files as the code
draws them.
"""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import get_args

from firmware.devices.display import glyphs
from firmware.devices.display.codecs.cd5220 import Cd5220Codec
from firmware.devices.display.codecs.modbus_led import ModbusLedCodec
from firmware.devices.display.signs import Kind, Sign
from simulator.panels import Cd5220Panel, ModbusLedPanel

NOWHERE = Path("unplugged")
DOT = 3
GLYPHS_IN_A_ROW = 17


def signs() -> str:
    """Return every sign on both panels, one below the other."""
    parts = []
    for row, kind in enumerate(get_args(Kind)):
        number = "A007" if kind in ("calling", "serving") else None
        sign = Sign(kind, "3", number)
        vfd, led = Cd5220Panel(NOWHERE), ModbusLedPanel(NOWHERE)
        cells, line = Cd5220Codec(), ModbusLedCodec()
        for piece in cells.paint(cells.pages(sign)[0].picture, None).pieces:
            vfd.hear(piece)
        for piece in line.paint(line.pages(sign)[0].picture, None).pieces:
            led.hear(piece)
        top = 76 * row
        parts.append(f'<text x="4" y="{top + 38}" font-size="14" font-family="sans-serif" fill="#888">{kind}</text>')
        parts.append(_placed(vfd.svg(), left=76, top=top, width=432, height=66))
        parts.append(_placed(led.svg(), left=520, top=top, width=224, height=66))
    return _svg(748, 76 * len(get_args(Kind)), parts)


def letters() -> str:
    """Return every own glyph, as dots, above the letter it stands for."""
    parts = []
    alphabet = glyphs.alphabet()
    step = 8 * DOT + 14
    for place, letter in enumerate(alphabet):
        left, top = 10 + step * (place % GLYPHS_IN_A_ROW), 8 + 56 * (place // GLYPHS_IN_A_ROW)
        parts.append(f'<path d="{_dots(glyphs.rows(letter) or (), left, top)}" fill="#5fffd0"/>')
        parts.append(
            f'<text x="{left + 7}" y="{top + 40}" font-size="13" text-anchor="middle" font-family="sans-serif"'
            f' fill="#9ab">{letter}</text>'
        )
    rows = -(-len(alphabet) // GLYPHS_IN_A_ROW)
    width, height = 10 + step * GLYPHS_IN_A_ROW, 8 + 56 * rows
    return _svg(width, height, [f'<rect width="{width}" height="{height}" rx="4" fill="#06120f"/>', *parts])


PICTURES = {"display-signs.svg": signs, "display-glyphs.svg": letters}


def main(arguments: list[str]) -> int:
    """Write the pictures into a folder."""
    (folder,) = map(Path, arguments)
    for name, draw in PICTURES.items():
        (folder / name).write_text(draw(), encoding="utf-8")
    return 0


def _dots(rows: Iterable[str], left: int, top: int) -> str:
    return "".join(
        f"M{left + x * DOT} {top + y * DOT}h2v2h-2z"
        for y, row in enumerate(rows)
        for x, dot in enumerate(row)
        if dot == "#"
    )


def _placed(svg: str, *, left: int, top: int, width: int, height: int) -> str:
    return svg.replace("<svg ", f'<svg x="{left}" y="{top}" width="{width}" height="{height}" ', 1)


def _svg(width: int, height: int, parts: Iterable[str]) -> str:
    body = "\n".join(parts)
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}">\n{body}\n</svg>\n'


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
