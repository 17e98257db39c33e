"""Simulated display panels: they decode what comes over a serial port and show it, as a photograph would.

```python
panel = ModbusLedPanel(folder / "q03-led", unit=1)
panel.plug()                 # the display daemon opens folder/"q03-led"
panel.shown                  # 'A007'
panel.history                # [Shown(text='A007', at_ns=…)], CLOCK_MONOTONIC
panel.svg()                  # the glass as a picture
panel.unplug(), panel.reset(), panel.close()
```
"""

import enum
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar, overload

from firmware.devices.display import glyphs
from simulator.font5x7 import FONT
from simulator.pty_port import PtyPort

KEEP = 10_000
"""How many changes and frames a panel remembers at least: some hours of a counter."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A text came up on the glass. `at_ns` is CLOCK_MONOTONIC, when the panel had read the last byte of it."""

    text: str
    at_ns: int


T = TypeVar("T")


class Record(Sequence[T]):
    """What happened, in order. Places stay as the record grows; what is far back is forgotten: asking for it fails."""

    def __init__(self, keep: int):
        """Keep at least this many."""
        self._keep = keep
        self._kept: list[T] = []
        self._forgotten = 0
        self._lock = threading.Lock()

    def append(self, item: T) -> None:
        """Add what happened last."""
        with self._lock:
            self._kept.append(item)
            if len(self._kept) > 2 * self._keep:
                del self._kept[: self._keep]
                self._forgotten += self._keep

    def __len__(self) -> int:
        """How much has happened, the forgotten included."""
        with self._lock:
            return self._forgotten + len(self._kept)

    @overload
    def __getitem__(self, place: int) -> T: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[T]: ...
    def __getitem__(self, place: int | slice) -> T | Sequence[T]:
        """Return what happened at a place, or between two."""
        with self._lock:
            size = self._forgotten + len(self._kept)
            if isinstance(place, slice):
                places = range(size)[place]
                return [self._kept[at - self._forgotten] for at in places if at >= self._forgotten]
            at = range(size)[place] - self._forgotten
            if at < 0:
                raise IndexError(f"place {place} is forgotten")
            return self._kept[at]


class Panel(Protocol):
    """What the demo and the tests need of any panel."""

    @property
    def path(self) -> Path:
        """The serial port that the daemon opens."""
        ...

    @property
    def shown(self) -> str:
        """What the glass reads now; lines are parted by a line feed."""
        ...

    @property
    def history(self) -> Sequence[Shown]:
        """Every change of the glass, from the first."""
        ...

    @property
    def frames(self) -> Sequence[bytes]:
        """The bytes as they came."""
        ...

    def plug(self) -> None:
        """Put the cable in."""
        ...

    def unplug(self) -> None:
        """Pull the cable; the glass keeps what it shows."""
        ...

    def reset(self) -> None:
        """Cut the panel's power for a moment: it forgets everything."""
        ...

    def close(self) -> None:
        """Take the panel away."""
        ...

    def svg(self) -> str:
        """Return the glass as a picture."""
        ...


class _PtyPanel(ABC):
    """The port, the record and the waiting, which all panels have in common."""

    def __init__(self, path: Path, clock_ns: Callable[[], int]):
        self._clock_ns = clock_ns
        self._changed = threading.Condition()
        self.history: Record[Shown] = Record(KEEP)
        """Every change of the glass, from the first; it may be read while the panel works."""
        self.frames: Record[bytes] = Record(KEEP)
        """The bytes as they came."""
        self._port = PtyPort(path, self.hear)

    @property
    def path(self) -> Path:
        """The serial port that the daemon opens."""
        return self._port.path

    @property
    def plugged(self) -> bool:
        """Whether the cable is in."""
        return self._port.plugged

    @property
    def shown(self) -> str:
        """What the glass reads now."""
        with self._changed:
            return self._text()

    def plug(self) -> None:
        """Put the cable in."""
        self._port.plug()

    def unplug(self) -> None:
        """Pull the cable; the glass keeps what it shows."""
        self._port.unplug()

    def reset(self) -> None:
        """Cut the panel's power for a moment."""
        with self._changed:
            self._power_on()
            self._note()

    def close(self) -> None:
        """Take the panel away."""
        self._port.unplug()

    def wait_for(self, wanted: str | Callable[[str], bool], timeout_s: float = 30.0, *, since: int = 0) -> Shown:
        """Return the first change from `history[since]` on that reads so; raise TimeoutError with what was there."""
        matches = wanted if callable(wanted) else lambda text: wanted in text
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while True:
                for change in self.history[since:]:
                    if matches(change.text):
                        return change
                    since += 1
                left = deadline - time.monotonic()
                if left <= 0:
                    raise TimeoutError(f"{self.path.name} reads {self._text()!r}, never {wanted!r}")
                self._changed.wait(left)

    def hear(self, data: bytes) -> bytes:
        """Take bytes from the wire and return the answer."""
        with self._changed:
            self.frames.append(data)
            answer = self._decode(data)
            self._note()
            return answer

    def _note(self) -> None:
        text = self._text()
        if text != (self.history[-1].text if self.history else ""):
            self.history.append(Shown(text, self._clock_ns()))
        self._changed.notify_all()

    @abstractmethod
    def _decode(self, data: bytes) -> bytes:
        """Take bytes and return the answer."""

    @abstractmethod
    def _text(self) -> str:
        """Return what the glass reads."""

    @abstractmethod
    def _power_on(self) -> None:
        """Forget everything."""


# --- seven segments on Modbus ----------------------------------------------------------------------------------------


class Fault(enum.Enum):
    """What can be wrong with a panel that should answer."""

    SILENT = "silent"
    REFUSES = "refuses"
    BAD_CRC = "bad_crc"
    OTHER_UNIT = "other_unit"
    CUT_SHORT = "cut_short"
    ECHOING_ADAPTER = "echoing_adapter"


# Which of the segments a to g (bit 0 to 6) the panel lights for a character.
_SEGMENTS = {
    " ": 0x00, "-": 0x40, "_": 0x08, "0": 0x3F, "1": 0x06, "2": 0x5B, "3": 0x4F, "4": 0x66, "5": 0x6D, "6": 0x7D,
    "7": 0x07, "8": 0x7F, "9": 0x6F, "A": 0x77, "B": 0x7C, "C": 0x39, "D": 0x5E, "E": 0x79, "F": 0x71, "G": 0x3D,
    "H": 0x76, "I": 0x30, "J": 0x1E, "L": 0x38, "N": 0x54, "O": 0x5C, "P": 0x73, "Q": 0x67, "R": 0x50, "S": 0x6D,
    "T": 0x78, "U": 0x3E, "Y": 0x6E, "Z": 0x5B,
}  # fmt: skip

_DOT = 0x80
_LED_LIT, _LED_DARK = "#ff3b30", "#2b0d0b"
_TEXT, _VALUE, _POINT = 0x0070, 0x0000, 0x0004
_ILLEGAL_FUNCTION, _ILLEGAL_ADDRESS, _DEVICE_FAILURE = 1, 2, 4


class ModbusLedPanel(_PtyPanel):
    """A seven-segment panel on RS-485: it checks the CRC, hears only its unit, and echoes what it has taken."""

    def __init__(self, path: Path, *, unit: int = 1, digits: int = 6, clock_ns: Callable[[], int] = time.monotonic_ns):
        """Hang a panel on the wall, unplugged."""
        super().__init__(path, clock_ns)
        self.unit = unit
        self.digits = digits
        self.fault: Fault | None = None
        self.late_s = 0.0
        self._buffer = b""
        self._power_on()

    def ascii_art(self) -> str:
        """Return the glass as three lines of characters."""
        rows = ["", "", ""]
        with self._changed:
            lights = self._lights()
        for lit in lights:
            a, b, c, d, e, f, g = (bool(lit >> i & 1) for i in range(7))
            rows[0] += f" {'_' if a else ' '}  "
            rows[1] += f"{'|' if f else ' '}{'_' if g else ' '}{'|' if b else ' '} "
            rows[2] += f"{'|' if e else ' '}{'_' if d else ' '}{'|' if c else ' '}{'.' if lit & _DOT else ' '}"
        return "\n".join(row.rstrip() for row in rows)

    def svg(self) -> str:
        """Return the glass as a picture, red on black."""
        with self._changed:
            lights, label = self._lights(), self._text()
        parts = [_led_digit(place, lit) for place, lit in enumerate(lights)]
        width = 12 + 34 * self.digits
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} 64" role="img" aria-label="{label}">'
            f'<rect width="{width}" height="64" rx="4" fill="#160606"/>{"".join(parts)}</svg>'
        )

    def _power_on(self) -> None:
        self._glass = " " * self.digits
        self._point = 0
        self._value: int | None = None
        self._buffer = b""

    def _text(self) -> str:
        glass = self._glass
        if self._point:
            glass = f"{glass[: -self._point]}.{glass[-self._point :]}"
        return glass.strip()

    def _lights(self) -> tuple[int, ...]:
        """Return which segments of each digit are lit; the point after a digit is bit 7."""
        pointed = self.digits - 1 - self._point if self._point else -1
        return tuple(
            _SEGMENTS.get(character, 0) | (_DOT if place == pointed else 0)
            for place, character in enumerate(self._glass)
        )

    def _decode(self, data: bytes) -> bytes:
        self._buffer += data
        answer = b""
        while (size := _request_size(self._buffer)) and len(self._buffer) >= size:
            frame, self._buffer = self._buffer[:size], self._buffer[size:]
            if crc16(frame[:-2]) != frame[-2:]:
                self._buffer = b""  # a real panel waits for silence before it believes in a frame again
                return answer
            if frame[0] == self.unit:
                answer += self._answer(frame)
        return answer

    def _show_value(self) -> None:
        """Right-align the value, with a zero before the point."""
        figures = str(abs(self._value or 0)).zfill(self._point + 1)
        self._glass = f"{'-' if (self._value or 0) < 0 else ''}{figures}".rjust(self.digits)[-self.digits :]

    def _answer(self, frame: bytes) -> bytes:
        fault = self.fault
        if fault is Fault.SILENT:
            return b""
        if fault is Fault.REFUSES:
            return _closed(bytes((self.unit, frame[1] | 0x80, _DEVICE_FAILURE)))
        answer = self._obey(frame)
        if self.late_s:
            self._changed.wait_for(lambda: False, self.late_s)
        match fault:
            case Fault.BAD_CRC:
                return answer[:-1] + bytes((answer[-1] ^ 0xFF,))
            case Fault.OTHER_UNIT:
                return _closed(bytes((self.unit + 1,)) + answer[1:-2])
            case Fault.CUT_SHORT:
                return answer[:3]
            case Fault.ECHOING_ADAPTER:
                return frame + answer
            case _:
                return answer

    def _obey(self, frame: bytes) -> bytes:
        function, address = frame[1], int.from_bytes(frame[2:4], "big")
        if function == 0x10 and address == _TEXT:
            text = frame[7:-2].decode("ascii", errors="replace").upper()
            self._value = None
            self._glass = "".join(c if c in _SEGMENTS else " " for c in text)[: self.digits].ljust(self.digits)
            return _closed(frame[:6])
        if function == 0x06 and address == _VALUE:
            value = int.from_bytes(frame[4:6], "big", signed=True)
            self._value = value
            self._show_value()
            return frame
        if function == 0x06 and address == _POINT:
            self._point = frame[5]
            if self._value is not None:
                self._show_value()
            return frame
        code = _ILLEGAL_ADDRESS if function in (0x06, 0x10) else _ILLEGAL_FUNCTION
        return _closed(bytes((self.unit, function | 0x80, code)))


class ModbusLine:
    """One RS-485 cable with several seven-segment panels on it, each with its own unit number and none with a plug."""

    def __init__(self, path: Path, panels: Sequence[ModbusLedPanel]):
        """Hang the panels on the line, unplugged. Their own paths stay unused."""
        self._panels = panels
        self._port = PtyPort(path, self._receive)

    @property
    def path(self) -> Path:
        """The serial port that the daemons open."""
        return self._port.path

    def plug(self) -> None:
        """Put the cable in."""
        self._port.plug()

    def unplug(self) -> None:
        """Pull the cable."""
        self._port.unplug()

    def close(self) -> None:
        """Take line and panels away."""
        self._port.unplug()

    def _receive(self, data: bytes) -> bytes:
        return b"".join(panel.hear(data) for panel in self._panels)


def crc16(data: bytes) -> bytes:
    """Return Modbus' CRC, low byte first: polynomial A001 reflected, started with FFFF (serial line 1.02, 6.2.2).

    Written out here, not taken from the library that the firmware uses: the two check each other.
    """
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xA001 if crc & 1 else 0)
    return crc.to_bytes(2, "little")


def _closed(frame: bytes) -> bytes:
    return frame + crc16(frame)


def _request_size(buffer: bytes) -> int:
    """Return the size of the request that begins here, 0 while that cannot be told."""
    if len(buffer) < 8:
        return 0
    return 9 + buffer[6] if buffer[1] in (0x0F, 0x10) else 8


def _led_digit(place: int, lit: int) -> str:
    x = 10 + 34 * place
    bars = (
        (x + 4, 8, 16, 4), (x + 20, 11, 4, 18), (x + 20, 33, 4, 18), (x + 4, 52, 16, 4),
        (x, 33, 4, 18), (x, 11, 4, 18), (x + 4, 30, 16, 4),
    )  # fmt: skip
    parts = []
    for i, (left, top, wide, high) in enumerate(bars):
        fill = _LED_LIT if lit >> i & 1 else _LED_DARK
        parts.append(f'<rect x="{left}" y="{top}" width="{wide}" height="{high}" rx="2" fill="{fill}"/>')
    fill = _LED_LIT if lit & _DOT else _LED_DARK
    parts.append(f'<circle cx="{x + 28}" cy="54" r="2" fill="{fill}"/>')
    return "".join(parts)


# --- a vacuum fluorescent display ------------------------------------------------------------------------------------

_WIDTH, _LINES = 20, 2
_LINE_GAP = 2
_ESC = 0x1B


class Cd5220Panel(_PtyPanel):
    """A VFD of two lines of 20 characters: its command list, its lock, its own glyphs; it never answers."""

    def __init__(self, path: Path, *, glyph_slots: int = 16, clock_ns: Callable[[], int] = time.monotonic_ns):
        """Put a panel on the counter, unplugged. More own glyphs than `glyph_slots` are ignored."""
        super().__init__(path, clock_ns)
        self.glyph_slots = glyph_slots
        self._buffer = b""
        self._power_on()

    @property
    def brightness(self) -> int:
        """1 to 4."""
        with self._changed:
            return self._brightness

    @property
    def locked(self) -> bool:
        """Whether a line command keeps the panel from other commands until it is cleared."""
        with self._changed:
            return self._locked

    @property
    def ignored(self) -> int:
        """How many commands and characters the panel did not take, because it was locked or did not know them."""
        with self._changed:
            return self._ignored

    def dots(self) -> tuple[str, ...]:
        """Return the glass as rows of `#` and `.`: cells of 5×7 dots, one dot apart, the lines two dots apart."""
        with self._changed:
            cells = [[self._cell(code) for code in line] for line in self._glass]
        rows: list[str] = []
        for line in cells:
            rows += [".".join(cell[row] for cell in line) for row in range(glyphs.ROWS)]
            rows += ["." * len(rows[0])] * _LINE_GAP
        return tuple(rows[:-_LINE_GAP])

    def ascii_art(self) -> str:
        """Return the dots as characters, two rows of dots in one of text."""
        rows = self.dots()
        pairs = zip(rows[::2], rows[1::2], strict=True)
        blocks = {"..": " ", "#.": "▀", ".#": "▄", "##": "█"}
        return "\n".join(
            "".join(blocks[up + down] for up, down in zip(upper, lower, strict=True)).rstrip() for upper, lower in pairs
        )

    def svg(self) -> str:
        """Return the glass as a picture, blue-green on black."""
        dots = self.dots()
        lit = "".join(
            f"M{x * 3} {y * 3}h2v2h-2z" for y, row in enumerate(dots) for x, dot in enumerate(row) if dot == "#"
        )
        width, height = len(dots[0]) * 3 + 11, len(dots) * 3 + 11
        label = self.shown.replace("\n", ", ").replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
        strength = 0.4 + 0.15 * self.brightness
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="-6 -6 {width} {height}" role="img" aria-label="{label}">'
            f'<rect x="-6" y="-6" width="{width}" height="{height}" rx="4" fill="#06120f"/>'
            f'<path d="{lit}" fill="#5fffd0" opacity="{strength:.2f}"/></svg>'
        )

    def _power_on(self) -> None:
        self._buffer = b""
        self._ignored = 0
        self._initialise()

    def _initialise(self) -> None:
        self._glass = [bytearray(b" " * _WIDTH) for _ in range(_LINES)]
        self._column = self._line = 0
        self._own: dict[int, bytes] = {}
        self._use_own = False
        self._brightness = 4
        self._cursor_on = False
        self._locked = False

    def _text(self) -> str:
        lines = ("".join(self._character(code) for code in line).strip() for line in self._glass)
        return "\n".join(lines).strip("\n")

    def _cell(self, code: int) -> tuple[str, ...]:
        own = self._own.get(code) if self._use_own else None
        if own is None:
            return FONT.get(chr(code), FONT["?"])
        return tuple("".join("#" if column >> row & 1 else "." for column in own) for row in range(glyphs.ROWS))

    def _character(self, code: int) -> str:
        """Read a cell as a person would: an own glyph by its dots."""
        own = self._own.get(code) if self._use_own else None
        return chr(code) if own is None else _BY_DOTS.get(own, "\N{REPLACEMENT CHARACTER}")

    def _decode(self, data: bytes) -> bytes:
        self._buffer += data
        while self._buffer and (size := self._take(self._buffer)):
            self._buffer = self._buffer[size:]
        return b""

    def _take(self, buffer: bytes) -> int:
        """Obey the command that begins here and return its size; 0 while it is not complete."""
        size = _command_size(buffer)
        if size == 0 or len(buffer) < size:
            return 0
        command = buffer[:size]
        line_command = command[:2] == b"\x1bQ"
        if self._locked and not line_command and command[0] not in (0x0C, 0x18):
            self._ignored += 1
            return size
        if command[0] == _ESC:
            self._escape(command)
        else:
            self._control(command[0])
        return size

    def _control(self, code: int) -> None:
        match code:
            case 0x0C:
                self._glass = [bytearray(b" " * _WIDTH) for _ in range(_LINES)]
                self._column = self._line = 0
                self._locked = False
            case 0x18:
                self._glass[self._line][:] = b" " * _WIDTH
                self._column = 0
                self._locked = False
            case 0x0B:
                self._column = self._line = 0
            case 0x0D:
                self._column = 0
            case _ if code >= 0x20:
                self._glass[self._line][self._column] = code
                self._column += 1
                if self._column == _WIDTH:  # overwrite mode: on to the other line
                    self._column = 0
                    self._line = 1 - self._line
            case _:
                self._ignored += 1

    def _escape(self, command: bytes) -> None:
        match command[1]:
            case 0x40:
                self._initialise()
            case 0x51:
                line = command[2] - 0x41
                self._glass[line][:] = command[3:-1][:_WIDTH].ljust(_WIDTH)
                self._locked = True
            case 0x6C if 1 <= command[2] <= _WIDTH and 1 <= command[3] <= _LINES:
                self._column, self._line = command[2] - 1, command[3] - 1
            case 0x2A if 1 <= command[2] <= 4:
                self._brightness = command[2]
            case 0x5F:
                self._cursor_on = bool(command[2] & 1)
            case 0x25:
                self._use_own = bool(command[2] & 1)
            case 0x26:
                self._define(command)
            case 0x11:
                pass  # overwrite mode: the only one this panel has
            case _:
                self._ignored += 1

    def _define(self, command: bytes) -> None:
        at = 5
        for code in range(command[3], command[4] + 1):
            wide = command[at]
            if code in self._own or len(self._own) < self.glyph_slots:
                self._own[code] = command[at + 1 : at + 1 + wide].ljust(glyphs.COLUMNS, b"\0")
            else:
                self._ignored += 1
            at += 1 + wide


_FIXED_SIZES = {0x40: 2, 0x11: 2, 0x12: 2, 0x13: 2, 0x6C: 4, 0x2A: 3, 0x5F: 3, 0x25: 3, 0x3F: 3}


def _command_size(buffer: bytes) -> int:
    """Return the size of the command that begins here, 0 while that cannot be told."""
    if buffer[0] != _ESC:
        return 1
    if len(buffer) < 2:
        return 0
    if buffer[1] == 0x51:
        return buffer.find(b"\r") + 1
    if buffer[1] == 0x26:
        if len(buffer) < 5:
            return 0
        size = 5
        for _ in range(buffer[3], buffer[4] + 1):
            if len(buffer) <= size:
                return 0
            size += 1 + buffer[size]
        return size
    return _FIXED_SIZES.get(buffer[1], 2)


_BY_DOTS: dict[bytes, str] = {dots: letter for letter in glyphs.alphabet() if (dots := glyphs.columns(letter))}
