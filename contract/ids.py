"""Identifiers that sort by time (UUID version 7, RFC 9562 section 5.7)."""

import os
import time
import uuid


def uuid7(unix_ms: int | None = None, noise: bytes | None = None) -> str:
    """Return a UUIDv7 as text; `noise` is 10 random bytes, given only where a test or a seed must repeat them."""
    if unix_ms is None:
        unix_ms = time.time_ns() // 1_000_000
    if noise is None:
        noise = os.urandom(10)
    value = (unix_ms & (1 << 48) - 1) << 80 | int.from_bytes(noise, "big")
    value = value & ~(0xF << 76) | 0x7 << 76  # version 7
    value = value & ~(0x3 << 62) | 0x2 << 62  # RFC 9562 variant
    return str(uuid.UUID(int=value))
