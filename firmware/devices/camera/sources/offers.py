"""What a V4L2 camera offers: its formats, and the sizes of each."""

import fcntl
import os
import struct
from collections.abc import Callable, Mapping, Sequence

Offers = Mapping[str, Sequence[tuple[int, int]]]
"""Format (a four-character code) → sizes `(width, height)`; none where it takes any size within limits."""

# linux/videodev2.h: the numbers carry the sizes of their structures, 64 and 44 bytes.
_ENUM_FMT = 0xC0405602
_ENUM_FRAMESIZES = 0xC02C564A
_FMTDESC = struct.Struct("=III32s4sI12x")  # index, type, flags, description, pixelformat, mbus_code
_FRMSIZE = struct.Struct("=I4sIII16x8x")  # index, pixel_format, type, width, height (of a discrete size)
_VIDEO_CAPTURE = 1
_DISCRETE = 1
_MOST = 64
"""So many are asked for at most, whatever a driver says."""


def offers_of(device: str) -> Offers:
    """Ask the device; raise OSError if there is none."""
    descriptor = os.open(device, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        return read_offers(lambda request, into: fcntl.ioctl(descriptor, request, into))
    finally:
        os.close(descriptor)


def read_offers(ioctl: Callable[[int, bytearray], object]) -> Offers:
    """Ask by `ioctl(request, structure)`, which fills in the structure or raises OSError where the list ends."""
    offers: dict[str, list[tuple[int, int]]] = {}
    for index in range(_MOST):
        format_ = bytearray(_FMTDESC.pack(index, _VIDEO_CAPTURE, 0, b"", b"", 0))
        if not _asked(ioctl, _ENUM_FMT, format_):
            break
        code: bytes = _FMTDESC.unpack(format_)[4]
        offers[code.decode("ascii", "replace").strip()] = _sizes(ioctl, code)
    return offers


def _sizes(ioctl: Callable[[int, bytearray], object], code: bytes) -> list[tuple[int, int]]:
    sizes: list[tuple[int, int]] = []
    for index in range(_MOST):
        size = bytearray(_FRMSIZE.pack(index, code, 0, 0, 0))
        if not _asked(ioctl, _ENUM_FRAMESIZES, size):
            break
        _, _, kind, width, height = _FRMSIZE.unpack(size)
        if kind != _DISCRETE:
            break
        sizes.append((width, height))
    return sizes


def _asked(ioctl: Callable[[int, bytearray], object], request: int, into: bytearray) -> bool:
    try:
        ioctl(request, into)
    except OSError:
        return False
    return True
