"""What of the fleet is stored: alerts, and each device's last day. Every function runs inside `Hall.transact`."""

from collections.abc import Iterable, Sequence
from typing import Any, get_args

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from center import audit
from center.fleet.alerts import Alert
from center.fleet.signs import Kind
from center.fleet.strip import CELL_MS, CELLS, Cell
from center.storage.tables import alert, device_quarter

NOTHING, BEGAN, ALL = 0, 1, 2
"""What the webhook has been told of an alert."""

RECENT_MS = 86_400_000
RECENT = 50
"""So many alerts that ended within a day stand on the page."""

TELL_MS = 7 * 86_400_000
"""What is older is not told any more: by now everybody knows."""

UNTOLD = 1_000

_KINDS = get_args(Kind)


class Kept(msgspec.Struct, frozen=True):
    """What the last run left."""

    open: Sequence[Alert]
    ended: Sequence[Alert]
    cells: Sequence[Cell]
    untold: Sequence[tuple[Alert, int]]


def load(connection: sa.Connection, *, now_ms: int, tells: bool) -> Kept:
    """Read what the last run left. With `tells` a webhook is there: it hears of what is open, too."""
    if tells:  # an alert that is open and told to its end began when there was no webhook
        connection.execute(sa.update(alert).where(alert.c.ended_at.is_(None), alert.c.told == ALL).values(told=NOTHING))
    quarter = device_quarter
    cells = connection.execute(sa.select(quarter).where(quarter.c.at > now_ms - CELLS * CELL_MS))
    return Kept(
        open=_alerts(connection, alert.c.ended_at.is_(None)),
        ended=_alerts(connection, alert.c.ended_at > now_ms - RECENT_MS, newest=alert.c.ended_at)[:RECENT],
        cells=[((row.station, row.device), row.at, row.level) for row in cells],
        untold=untold(connection, now_ms=now_ms) if tells else (),
    )


def untold(connection: sa.Connection, *, now_ms: int) -> list[tuple[Alert, int]]:
    """Return what the webhook does not know yet, with what it knows, the oldest first; at most UNTOLD."""
    fresh = sa.func.coalesce(alert.c.ended_at, alert.c.begun_at) > now_ms - TELL_MS
    waits = sa.or_(alert.c.told == NOTHING, sa.and_(alert.c.told == BEGAN, alert.c.ended_at.is_not(None)))
    rows = connection.execute(sa.select(alert).where(waits, fresh).order_by(alert.c.begun_at).limit(UNTOLD))
    return [(_alert(row._asdict()), row.told) for row in rows if row.kind in _KINDS]


def history(connection: sa.Connection, *, before: int, limit: int) -> list[Alert]:
    """Return alerts that began before an instant, the newest first."""
    return _alerts(connection, alert.c.begun_at < before, newest=alert.c.begun_at, limit=limit)


def write(connection: sa.Connection, alerts: Iterable[Alert], cells: Iterable[Cell], *, tells: bool) -> None:
    """Keep what has changed. What is there already is brought up to date: the same may be written twice."""
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    told = NOTHING if tells else ALL
    rows = [{**msgspec.structs.asdict(one), "told": told} for one in alerts]
    if rows:
        new = insert(alert)
        change = {"detail": new.excluded.detail, "ended_at": new.excluded.ended_at}
        connection.execute(new.on_conflict_do_update(index_elements=["id"], set_=change), rows)
    quarters = [
        {"station": station, "device": device, "at": at, "level": mark} for (station, device), at, mark in cells
    ]
    if quarters:
        fresh = insert(device_quarter)
        keys = ["station", "device", "at"]
        connection.execute(
            fresh.on_conflict_do_update(index_elements=keys, set_={"level": fresh.excluded.level}), quarters
        )


def acknowledge(connection: sa.Connection, alert_id: str, *, at: int, by: str) -> Alert | None:
    """Note who has seen an alert, the first of them for good; None if there is no such alert."""
    row = connection.execute(sa.select(alert).where(alert.c.id == alert_id)).first()
    if row is None:
        return None
    if row.acknowledged_at is not None:
        return _alert(row._asdict())
    values = {"acknowledged_at": at, "acknowledged_by": by[:64]}
    connection.execute(sa.update(alert).where(alert.c.id == alert_id).values(**values))
    seen = _alert({**row._asdict(), **values})
    entry = audit.Entry(
        at=at, actor=by, action="alert_acknowledged", object=seen.subject, detail=f"{seen.kind} {seen.id}"
    )
    audit.append(connection, entry)
    return seen


def told(connection: sa.Connection, alert_id: str, what: int) -> None:
    """Note what the webhook knows of an alert."""
    connection.execute(sa.update(alert).where(alert.c.id == alert_id, alert.c.told < what).values(told=what))


def forget(connection: sa.Connection, station: str, device: str, *, at: int, by: str) -> None:
    """Let go of a device's last day, and note who took the device off the list."""
    quarter = device_quarter
    connection.execute(sa.delete(quarter).where(quarter.c.station == station, quarter.c.device == device))
    audit.append(connection, audit.Entry(at=at, actor=by, action="device_forgotten", object=f"{station}/{device}"))


def _alerts(
    connection: sa.Connection,
    where: sa.ColumnElement[bool],
    *,
    newest: sa.Column[int] | None = None,
    limit: int = 1000,
) -> list[Alert]:
    order = alert.c.begun_at.asc() if newest is None else newest.desc()
    rows = connection.execute(sa.select(alert).where(where).order_by(order).limit(limit)).mappings()
    return [_alert(dict(row)) for row in rows if row["kind"] in _KINDS]


def _alert(row: dict[str, Any]) -> Alert:
    row.pop("told")
    return Alert(**row)
