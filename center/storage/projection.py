"""How an event of a camera becomes part of its incident's row, in one statement that needs no reading before."""

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from center.storage.tables import incident

OF_EVENTS = (
    "station", "device", "name", "kind", "zone", "confidence", "ticket", "began_at", "heard_at", "ended_at",
    "lasted_ms", "sequence", "thumbnail", "clip",
)  # fmt: skip
"""The columns that events make; the others are of who reviewed it."""


def upsert_incident(insert: Callable[[sa.Table], Any]) -> Any:
    """Return the statement for a dialect's `insert`: a row of what one event says, taken into what others said.

    The newest event is believed, whatever came first; what it does not say stays as an earlier one said it. But the
    recording is the first that was named: people judge and hold by it. And once an incident has ended, only what is
    older than its end is taken in: a camera that was stolen cannot make another one of what was reviewed long ago.
    """
    statement = insert(incident)
    old, new = incident.c, statement.excluded
    newer = new.sequence >= old.sequence
    changes: dict[str, Any] = {
        "began_at": sa.case((new.began_at < old.began_at, new.began_at), else_=old.began_at),
        "heard_at": sa.case((new.heard_at > old.heard_at, new.heard_at), else_=old.heard_at),
        "ended_at": sa.func.coalesce(old.ended_at, new.ended_at),
        "lasted_ms": sa.func.coalesce(old.lasted_ms, new.lasted_ms),
        "sequence": sa.case((newer, new.sequence), else_=old.sequence),
        "clip": sa.func.coalesce(old.clip, new.clip),
    }
    for name in ("kind", "zone", "confidence"):
        changes[name] = sa.case((newer, new[name]), else_=old[name])
    for name in ("ticket", "thumbnail"):
        first, second = sa.func.coalesce(new[name], old[name]), sa.func.coalesce(old[name], new[name])
        changes[name] = sa.case((newer, first), else_=second)
    open_or_older = sa.or_(old.ended_at.is_(None), new.sequence < old.sequence)
    return statement.on_conflict_do_update(index_elements=["id"], set_=changes, where=open_or_older)
