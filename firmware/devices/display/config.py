"""The configuration of a display: one table `[device.display]`."""

from typing import Annotated, Literal

import msgspec

CodecName = Literal["modbus-led", "cd5220", "screen"]
Overflow = Literal["cut", "scroll"]

LONGEST_NUMBER = "A1000"
"""After 999 numbers have four digits."""

_BELONGS: dict[str, tuple[CodecName, ...]] = {
    "port": ("modbus-led", "cd5220"),
    "baud": ("modbus-led", "cd5220"),
    "refresh_s": ("modbus-led", "cd5220"),
    "unit": ("modbus-led",),
    "shared": ("modbus-led",),
    "digits": ("modbus-led",),
    "letters": ("modbus-led",),
    "overflow": ("modbus-led",),
    "answer_within_ms": ("modbus-led",),
    "brightness": ("cd5220",),
    "glyphs": ("cd5220",),
}


class DisplayConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A display. A key that is not given takes the value that its codec documents."""

    codec: CodecName
    port: Annotated[str, msgspec.Meta(pattern="^/.+", description="the path of a port, as /dev/ttyUSB0")] | None = None
    baud: Literal[1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200] | None = None
    refresh_s: Annotated[float, msgspec.Meta(ge=1, le=600)] | None = None
    stale_after_s: Annotated[int, msgspec.Meta(ge=5, le=3600)] = 120
    unit: Annotated[int, msgspec.Meta(ge=1, le=247)] | None = None
    shared: bool | None = None
    digits: Annotated[int, msgspec.Meta(ge=4, le=8)] | None = None
    letters: bool | None = None
    overflow: Overflow | None = None
    answer_within_ms: Annotated[int, msgspec.Meta(ge=50, le=2000)] | None = None
    brightness: Annotated[int, msgspec.Meta(ge=1, le=4)] | None = None
    glyphs: Annotated[int, msgspec.Meta(ge=0, le=16)] | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot work together; the text ends up behind the key's path."""
        if self.codec != "screen" and self.port is None:
            raise ValueError(f'codec {self.codec!r} needs `port`, as port = "/dev/ttyUSB0"')
        for key, codecs in _BELONGS.items():
            if self.codec not in codecs and getattr(self, key) is not None:
                raise ValueError(
                    f"`{key}` is only for codec {' or '.join(map(repr, codecs))}, got codec {self.codec!r}"
                )
        if (
            self.digits is not None
            and self.digits < len(LONGEST_NUMBER)
            and not (self.overflow or self.letters is False)
        ):
            raise ValueError(
                f"a panel of {self.digits} digits cannot show {LONGEST_NUMBER}: set overflow to 'cut' (leaves out the"
                " letter) or 'scroll' (letter and digits in turn)"
            )
