"""Seven-segment panels on RS-485 that speak Modbus RTU (armfly LED-485 and its kin), frames made and read by pymodbus.

```
            unit  function  address  count  bytes  characters          CRC, low byte first
text        01    10        00 70    00 03  06     41 30 30 37 20 20   c c      FC16, two characters a register
  answer    01    10        00 70    00 03                             c c      the panel has taken it
value       01    06        00 00    00 07                             c c      FC06, a 16-bit integer
point       01    06        00 04    00 00                             c c      FC06, place of the decimal point
  answer    the request itself
refusal     01    90 | 86   code                                       c c
```

Registers: the panel's manual by way of LED-485_setuptool. The text is the proof, because its answer is shorter than its
request: an adapter that hands back what it sends cannot be taken for a panel, as with FC06 it could.
"""

from firmware.devices.display.codecs import Page, Painting, Proof
from firmware.devices.display.config import Overflow
from firmware.devices.display.faults import PanelError
from firmware.devices.display.signs import Sign
from firmware.errors import ConfigError

try:
    from pymodbus import ModbusException
    from pymodbus.framer import FramerRTU
    from pymodbus.pdu import DecodePDU, ModbusPDU
    from pymodbus.pdu.register_message import WriteMultipleRegistersRequest, WriteSingleRegisterRequest
except ImportError as error:
    raise ConfigError("codec 'modbus-led' needs pymodbus: pip install 'motcua[modbus]'") from error

TEXT = 0x0070
VALUE = 0x0000
POINT = 0x0004

DIGITS = 6
REFRESH_S = 5.0
BLINK_ON_MS = 600
BLINK_OFF_MS = 400
LETTER_MS = 700
DIGITS_MS = 1_500

LEGIBLE = "ABCDEFGHIJLNOPQRSTUYZ"
"""Letters that seven segments can show. K M V W X would be misread: a dash stands for them."""

_framer = FramerRTU(DecodePDU(is_server=False))


class ModbusLedCodec:
    """Signs in as many characters as the panel has; each is right-aligned, so the digits stand where digits stand.

    A panel without `letters` knows its value register alone: it shows the number's figures, 0 for every other sign, and
    0.0 where the center is out of reach.
    """

    proof: Proof = "echoed"

    def __init__(
        self,
        *,
        unit: int = 1,
        digits: int = DIGITS,
        letters: bool = True,
        overflow: Overflow = "cut",
        refresh_s: float = REFRESH_S,
    ):
        self._unit = unit
        self._digits = digits
        self._letters = letters
        self._overflow = overflow
        self.refresh_s = refresh_s

    def pages(self, sign: Sign) -> tuple[Page, ...]:
        """Return one line; a number that blinks or is too long takes several pages."""
        if not self._letters:
            return (Page((_figures(sign),)),)
        match sign.kind:
            case "calling" | "serving":
                return self._number_pages(sign)
            case "paused":
                text = "NGHI"
            case "closed":
                text = "DONG"
            case "idle":
                text = "-" * self._digits
            case "offline":
                text = "-" + " " * (self._digits - 2) + "-"
        return (Page((text.rjust(self._digits),)),)

    def paint(self, picture: tuple[str, ...], known: str | None) -> Painting[str]:
        """Return the text; on a panel in unknown state a decimal point is put out as well."""
        (text,) = picture
        if known == text:
            return Painting((), text)
        if not self._letters:
            return Painting(self._value_pieces(text), text)
        pieces = (write_text(self._unit, text),)
        return Painting((*pieces, write_point(self._unit, 0)) if known is None else pieces, text)

    def affirm(self, known: str) -> Painting[str]:
        """Return the text again."""
        pieces = (write_text(self._unit, known),) if self._letters else self._value_pieces(known)
        return Painting(pieces, known)

    def repeat(self, known: str) -> Painting[str]:
        """Return the text again: its answer also tells that the panel is still there."""
        return self.affirm(known)

    def answered(self, sent: bytes, received: bytes) -> bool:
        """Read the answer to one request through pymodbus; bytes that the adapter hands back are left out."""
        if sent[1] == WriteMultipleRegistersRequest.function_code and received.startswith(sent):
            received = received[len(sent) :]
        answer = _read(received)
        if answer is None:
            return False
        if answer.isError():
            raise PanelError(
                "panel_refuses",
                f"the panel refuses to show the text (Modbus exception {answer.exception_code}):"
                " check that it is a panel with text registers, or its firmware",
            )
        asked = sent[2:6]  # address, and the count or value that an answer repeats
        told = answer.encode()
        if answer.dev_id != sent[0] or answer.function_code != sent[1] or told != asked:
            raise PanelError(
                "panel_garbled", "the panel's answer does not belong to the request: check the unit numbers"
            )
        return True

    def _number_pages(self, sign: Sign) -> tuple[Page, ...]:
        number = sign.number or ""
        letter, figures = number[:1], number[1:]
        shown = (letter if letter in LEGIBLE else "-") + figures
        if len(shown) > self._digits:
            if self._overflow == "scroll":
                turns = ((shown[:1], LETTER_MS), (figures, DIGITS_MS))
                return tuple(Page((text.rjust(self._digits),), hold_ms) for text, hold_ms in turns)
            shown = figures
        lit = (shown.rjust(self._digits),)
        dark = (" " * self._digits,)
        return (Page(lit, BLINK_ON_MS), Page(dark, BLINK_OFF_MS)) if sign.blink else (Page(lit),)

    def _value_pieces(self, text: str) -> tuple[bytes, ...]:
        whole, _, decimals = text.partition(".")
        return write_point(self._unit, len(decimals)), write_value(self._unit, int(whole + decimals))


def _figures(sign: Sign) -> str:
    """Return a sign for a panel without letters."""
    if sign.kind == "offline":
        return "0.0"
    return str(int(sign.number[1:])) if sign.number else "0"


def write_text(unit: int, text: str) -> bytes:
    """Return the FC16 frame that writes ASCII characters from register 0x0070 on, two a register."""
    characters = text.encode("ascii") + b" " * (len(text) % 2)
    registers = [int.from_bytes(characters[i : i + 2], "big") for i in range(0, len(characters), 2)]
    return _framer.buildFrame(WriteMultipleRegistersRequest(address=TEXT, registers=registers, dev_id=unit))


def write_value(unit: int, value: int) -> bytes:
    """Return the FC06 frame that shows a number from -32768 to 32767."""
    return _framer.buildFrame(WriteSingleRegisterRequest(address=VALUE, registers=[value & 0xFFFF], dev_id=unit))


def write_point(unit: int, place: int) -> bytes:
    """Return the FC06 frame that places the decimal point; 0 is none."""
    return _framer.buildFrame(WriteSingleRegisterRequest(address=POINT, registers=[place], dev_id=unit))


def silence_ms(baud: int) -> int:
    """Return the silence between frames (Modbus serial line, 2.5.1.1): 3.5 characters, above 19200 baud 1.75 ms."""
    return 2 if baud > 19_200 else -(-38_500 // baud)


def _read(received: bytes) -> ModbusPDU | None:
    """Return the answer in what came so far, None while it is short; raise PanelError for a broken one."""
    try:
        used, answer = _framer.handleFrame(received, 0, 0)
    except ModbusException as error:
        raise PanelError("panel_garbled", _GARBLED) from error
    if answer is None and used:
        raise PanelError("panel_garbled", _GARBLED)
    return answer


_GARBLED = "the panel's answer is garbled: check the cable, its shield and the terminating resistor, and the baud rate"
