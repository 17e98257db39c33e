"""Incidents: what the events of cameras say, as rows; and the same rows made anew from the events that are stored."""

import binascii
import sqlite3
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from center.cameras.names import name_of
from center.storage.projection import OF_EVENTS, upsert_incident
from center.storage.tables import device_event, incident
from contract.envelope import open_envelope
from contract.events import NAMES, CameraEnded, CameraIncident, CameraStarted, CameraUpdated, Fact

TYPES = tuple(NAMES[kind] for kind in (CameraStarted, CameraUpdated, CameraEnded))
"""The events that speak of an incident, by their names on the wire."""

_AT_ONCE = 200


def row(fact: Fact, *, station: str, device: str, sequence: int, occurred_at: int) -> dict[str, Any] | None:
    """Return what one event says of its incident, as a row of `incident`; None for an event of anything else."""
    if not isinstance(fact, CameraIncident):
        return None
    return {
        "id": name_of(station, device, fact.incident),
        "station": station,
        "device": device,
        "name": fact.incident,
        "kind": fact.kind,
        "zone": fact.zone,
        "confidence": fact.confidence,
        "ticket": fact.ticket,
        "began_at": occurred_at,
        "heard_at": occurred_at,
        "ended_at": occurred_at if isinstance(fact, CameraEnded) else None,
        "lasted_ms": fact.lasted_ms if isinstance(fact, CameraEnded) else None,
        "sequence": sequence,
        "thumbnail": jpeg_of(fact.thumbnail),
        "clip": None if fact.clip is None else name_of(station, device, fact.clip.id),
        "reviewed_at": None,
        "reviewed_by": None,
        "note": None,
    }


def rebuild(connection: sa.Connection) -> int:
    """Make the rows anew from the stored events; returns how many. Reviews stay, and rows without any event, too."""
    reviewed = incident.c.reviewed_at, incident.c.reviewed_by, incident.c.note
    kept = connection.execute(sa.select(incident.c.id, *reviewed).where(incident.c.reviewed_at.is_not(None))).all()
    made: set[str] = set()
    for one in _said(connection):
        if one["id"] not in made:
            connection.execute(sa.delete(incident).where(incident.c.id == one["id"]))
            made.add(one["id"])
        connection.execute(_statement(connection), one)
    for review in kept:
        values = {"reviewed_at": review.reviewed_at, "reviewed_by": review.reviewed_by, "note": review.note}
        connection.execute(sa.update(incident).where(incident.c.id == review.id).values(values))
    return len(made)


def astray(connection: sa.Connection) -> list[str]:
    """Return the incidents whose rows are not what the stored events make of them; reads only."""
    engine = sa.create_engine("sqlite://", creator=lambda: sqlite3.connect(":memory:"), poolclass=sa.StaticPool)
    columns = [incident.c[name] for name in ("id", *OF_EVENTS)]
    try:
        with engine.begin() as beside:
            incident.create(beside)
            for one in _said(connection):
                beside.execute(_statement(beside), one)
            wrong = []
            for wanted in beside.execute(sa.select(*columns).order_by(incident.c.id)):
                found = connection.execute(sa.select(*columns).where(incident.c.id == wanted.id)).first()
                if found is None or tuple(found) != tuple(wanted):
                    wrong.append(str(wanted.id))
            return wrong
    finally:
        engine.dispose()


def _said(connection: sa.Connection) -> Iterator[dict[str, Any]]:
    """Return what each stored event of a camera says, in the order of their arrival."""
    table, last = device_event, 0
    while True:
        query = sa.select(table.c.seq, table.c.source, table.c.occurred_at, table.c.body)
        some = query.where(table.c.type.in_(TYPES), table.c.seq > last).order_by(table.c.seq).limit(_AT_ONCE)
        found = connection.execute(some).all()
        for each in found:
            envelope = open_envelope(each.body.encode())
            _, _, station, device = each.source.split("/")
            said = row(
                envelope.fact(),
                station=station,
                device=device,
                sequence=envelope.sequence_number,
                occurred_at=each.occurred_at,
            )
            if said is not None:
                yield said
        if len(found) < _AT_ONCE:
            return
        last = found[-1].seq


def _statement(connection: sa.Connection) -> Any:
    return upsert_incident(postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert)


def jpeg_of(text: str | None) -> bytes | None:
    """Return a thumbnail's bytes; what is no base64 is no picture."""
    if not text:
        return None
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except binascii.Error:
        return None
