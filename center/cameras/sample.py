"""Which services are kept for quality review: of each officer the same number a week, by lot. Pure.

Each service draws a lot when it ends: the HMAC-SHA256 of its ticket's id, with a key that is made for the week and
that nobody has seen. The lowest lots of an officer's week are the sample. So every service of an officer has the same
chance; who had few people and who had many give equally many, in whatever order services end; the same key gives the
same sample; and nobody who knows a ticket knows its lot.
"""

import hashlib
import hmac
from collections.abc import Iterable
from datetime import date
from typing import NamedTuple


class Lot(NamedTuple):
    """What a ticket has drawn; the lower one comes first."""

    drawn: str
    ticket: str


def week_of(day: str) -> str:
    """Return the ISO week of a business day, as `2026-W48`."""
    year, week, _ = date.fromisoformat(day).isocalendar()
    return f"{year}-W{week:02}"


def draw(key: str, ticket: str) -> Lot:
    """Return the lot of a ticket in the week of that key (hexadecimal)."""
    return Lot(hmac.digest(bytes.fromhex(key), ticket.encode(), "sha256").hex(), ticket)


def lowest(lots: Iterable[Lot], most: int) -> list[Lot]:
    """Return the sample of an officer's week: of all its lots, at most so many."""
    return sorted(set(lots))[:most]


def sealed(key: str) -> str:
    """Return what the audit log says of a week's key when it is made: it tells nothing, and proves it afterwards."""
    return hashlib.sha256(bytes.fromhex(key)).hexdigest()
