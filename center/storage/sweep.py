"""Takes out of the store what has been kept long enough, a little at a time: each call is one short transaction.

`queue_event`, `ticket` and whole days go together, by the day they belong to. Health is thinned first: of what is older
than a day, one report of each device in ten minutes stays.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from center.storage.tables import (
    alert,
    camera_wish,
    clip,
    device_event,
    device_quarter,
    hold,
    incident,
    look,
    quarantine,
    queue_event,
    rating,
    review,
    sample_week,
    swept,
    ticket,
)
from contract.events import NAMES, TYPES, DeviceHealth

ROWS = 200
"""At most so many rows go at once: about as long as a commit takes."""

WINDOW_MS = 10 * 60_000
FULL_MS = 86_400_000
"""Health is kept in full for so long, then one report in each window."""

HEALTH = NAMES[DeviceHealth]
_THINNED = "health"


@dataclass(frozen=True, slots=True)
class Bounds:
    """What is older goes: days of the record, and instants in UTC milliseconds. None: nothing of it."""

    tickets_before: str | None
    ratings_before: int | None
    events_before: int | None  # what devices said, but their health
    health_before: int | None
    quarantine_before: int | None
    alerts_before: int | None
    quarters_before: int
    clips_before: int | None = None  # recordings and thumbnails, but those that are held


Step = Callable[[sa.Connection], int]
"""Takes out at most ROWS rows; returns how many it took. None left: 0."""


def days(connection: sa.Connection, *, upto: str) -> list[str]:
    """Return the business days of the record up to one of them, the newest first."""
    # One look into the index for each day, not for each event.
    newest = sa.select(sa.func.max(queue_event.c.day).label("day")).where(queue_event.c.day <= upto)
    found = newest.cte("recorded", recursive=True)
    before = sa.select(sa.func.max(queue_event.c.day)).where(queue_event.c.day < found.c.day).scalar_subquery()
    found = found.union_all(sa.select(before).where(found.c.day.is_not(None)))
    return list(connection.execute(sa.select(found.c.day).where(found.c.day.is_not(None))).scalars())


def steps(bounds: Bounds) -> Sequence[tuple[str, Step]]:
    """Return what there is to do, each with the name of what it takes out."""
    found: list[tuple[str, Step]] = []
    if bounds.tickets_before is not None:
        # The last first: whoever reads events of a day finds its tickets.
        found.append(("tickets", _old(ticket.c.id, ticket.c.day < bounds.tickets_before)))
        found.append(("queue events", _old(queue_event.c.seq, queue_event.c.day < bounds.tickets_before)))
    if bounds.ratings_before is not None:
        found.append(("ratings", _old(rating.c.id, rating.c.given_at < bounds.ratings_before)))
    for kind in TYPES:
        before = bounds.health_before if kind == HEALTH else bounds.events_before
        if before is not None:
            old = sa.and_(device_event.c.type == kind, device_event.c.occurred_at < before)
            found.append((kind, _old(device_event.c.seq, old)))
    if bounds.events_before is not None:
        held = sa.exists().where(clip.c.id == incident.c.clip, clip.c.held.is_(True))
        found.append(("incidents", _old(incident.c.id, sa.and_(incident.c.heard_at < bounds.events_before, ~held))))
        found.append(("clips", _old(clip.c.id, clip.c.wiped_at < bounds.events_before)))
        found.append(("wishes", _old(camera_wish.c.id, camera_wish.c.asked_at < bounds.events_before)))
        found.append(("samples", _old(sample_week.c.week, sample_week.c.made_at < bounds.events_before)))
        # Who holds a recording and why, who judged it and who looked stands beside it for as long as it is held.
        key = sa.func.substr(review.c.item, 2)
        of_clip = sa.exists().where(clip.c.id == key, clip.c.held.is_(True))
        for said, kept in (
            (hold, sa.exists().where(clip.c.id == hold.c.clip, clip.c.held.is_(True))),
            (look, sa.exists().where(clip.c.id == look.c.clip, clip.c.held.is_(True))),
            (review, sa.or_(of_clip, held.where(incident.c.id == key))),
        ):
            found.append((f"{said.name}s", _old(said.c.seq, sa.and_(said.c.at < bounds.events_before, ~kept))))
    if bounds.quarantine_before is not None:
        found.append(("quarantine", _old(quarantine.c.seq, quarantine.c.received_at < bounds.quarantine_before)))
    if bounds.alerts_before is not None:
        found.append(("alerts", _old(alert.c.id, alert.c.ended_at < bounds.alerts_before)))
    found.append(("quarters", lambda connection: _quarters(connection, bounds.quarters_before)))
    return found


def thin(connection: sa.Connection, *, now_ms: int) -> int | None:
    """Thin the next window of health; return how many reports went, None when all is thinned that may be."""
    end = (now_ms - FULL_MS) // WINDOW_MS * WINDOW_MS
    upto = connection.execute(sa.select(swept.c.upto).where(swept.c.what == _THINNED)).scalar()
    event = device_event
    first = sa.select(sa.func.min(event.c.occurred_at)).where(event.c.type == HEALTH)
    oldest = connection.execute(first.where(event.c.occurred_at >= (upto or 0))).scalar()
    if upto is not None and upto > end:  # the clock was ahead when it was thinned last
        _thinned(connection, upto, end)
        return None
    if oldest is None or oldest >= end:
        return None
    window = oldest // WINDOW_MS * WINDOW_MS
    within = sa.and_(event.c.type == HEALTH, event.c.occurred_at >= window, event.c.occurred_at < window + WINDOW_MS)
    kept = sa.select(sa.func.min(event.c.seq)).where(within).group_by(event.c.source)
    some = sa.select(event.c.seq).where(within, event.c.seq.not_in(kept)).limit(ROWS)
    gone = _count(connection.execute(sa.delete(event).where(event.c.seq.in_(some))))
    if gone < ROWS:
        _thinned(connection, upto, window + WINDOW_MS)
    return gone


def _thinned(connection: sa.Connection, before: int | None, upto: int) -> None:
    if before is None:
        connection.execute(sa.insert(swept).values(what=_THINNED, upto=upto))
    else:
        connection.execute(sa.update(swept).where(swept.c.what == _THINNED).values(upto=upto))


def _old(key: sa.Column[Any], old: sa.ColumnElement[bool]) -> Step:
    some = sa.select(key).where(old).limit(ROWS)
    statement = sa.delete(key.table).where(key.in_(some))
    return lambda connection: _count(connection.execute(statement))


def _quarters(connection: sa.Connection, before: int) -> int:
    # Few: a day for each device.
    return _count(connection.execute(sa.delete(device_quarter).where(device_quarter.c.at < before))) and 0


def _count(result: sa.CursorResult[Any]) -> int:
    return max(0, result.rowcount)
