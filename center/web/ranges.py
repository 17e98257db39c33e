"""Byte ranges of HTTP (RFC 9110, section 14), as far as a player needs them: one range of a whole. Pure."""

import re
from dataclasses import dataclass

_ONE = re.compile(r"\s*bytes\s*=\s*(\d{0,18})\s*-\s*(\d{0,18})\s*", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Part:
    """What of a whole is answered: from `start`, up to `end` and not with it; `partial`: it was asked for so (206)."""

    start: int
    end: int
    partial: bool

    @property
    def length(self) -> int:
        """How many bytes that are."""
        return self.end - self.start


def part(asked: str | None, size: int, *, condition: str | None = None, etag: str) -> Part | None:
    """Return what `Range` asks of a whole of `size` bytes; None where nothing of it is there (416).

    `condition` is `If-Range`: with another one than the whole's `etag` all of it is answered. So it is where the header
    is missing, not understood or asks for several ranges, which a server may take for none (section 14.2).
    """
    whole = Part(0, size, partial=False)
    if asked is None or (condition is not None and condition.strip() != etag):
        return whole
    found = _ONE.fullmatch(asked)
    if found is None or not (found[1] or found[2]):
        return whole
    if not found[1]:  # the last so many
        length = min(int(found[2]), size)
        return Part(size - length, size, partial=True) if length else None
    start = int(found[1])
    end = min(int(found[2]) + 1, size) if found[2] else size
    if found[2] and int(found[2]) < start:
        return whole  # not valid, so not there
    return Part(start, end, partial=True) if start < size else None
