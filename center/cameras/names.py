"""Names of our own for what cameras name: safe in an address, in a path and beside another station's. Pure.

A camera's own ids are any visible characters, and two stations may use the same one.
"""

import hashlib
import re

NAME = re.compile(r"[0-9a-f]{32}")
SHA256 = re.compile(r"[0-9a-f]{64}")


def name_of(station: str, device: str, own: str, *further: str) -> str:
    """Return the name of what a camera calls `own`: 32 hexadecimal digits, always the same ones."""
    # No part has a line break: the contract forbids it.
    return hashlib.sha256("\n".join((station, device, own, *further)).encode()).hexdigest()[:32]
