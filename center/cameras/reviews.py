"""What there is to review, and who has reviewed, held and looked at it. All functions run in the hall's thread.

An *item* is an incident (`i` and its id), or a recording that was kept without one, as that of a service that was rated
low (`c` and the recording's id). Reviews, holds and looks are rows that are only ever added to; `incident` and `clip`
repeat the newest review, and `clip` whether it is held, so that lists need no more than an index.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal

import msgspec
import sqlalchemy as sa

from center import audit
from center.errors import CenterError
from center.storage.tables import camera_wish, clip, hold, incident, look, rating, review, ticket

KEPT = ("low_rating", "sample", "asked", "service")
"""Why a recording is kept that is of no incident."""

KINDS = ("waiting_alone", "officer_absent", "crowding", "after_hours", "tamper", "panic")

TAMPER = ("tamper", "covered", "defocused", "moved", "frozen")
"""What a camera calls its incidents where somebody asks for `tamper`: each says which of them it is."""

LOOK_MS = 15 * 60_000
"""Looks of one person at one recording within this time are one look.

A player asks for a recording in many parts, and again whenever somebody winds back. A line for each would bury what the
log is for; one a quarter of an hour says who looked, when, and about how long.
"""

NOTE_LENGTH, REASON_LENGTH, REASON_LEAST = 1000, 300, 10
_LETTERS = 4
NEAR_MS = 30 * 60_000
_NEAR = 8
_KEY = re.compile(r"[ic][0-9a-f]{32}")

ClipState = Literal["none", "coming", "here", "wiped"]
File = Literal["shown", "sealed"]
Row = Any


class ReviewError(CenterError):
    """What was asked of a recording cannot be; `code` names the sentence that says why."""

    def __init__(self, code: str, **facts: object) -> None:
        super().__init__(code)
        self.code = code
        self.facts = facts


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which items are asked for. `from_ms` and `until_ms` are a day's ends."""

    station: str | None = None
    kind: str | None = None
    unseen: bool = False
    from_ms: int | None = None
    until_ms: int | None = None


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the list. `clip` is its recording's id, `lasted_ms` how long it was, where that is known."""

    key: str
    station: str
    device: str
    name: str
    kind: str
    at: int
    lasted_ms: int | None
    going_on: bool
    ticket: str | None
    pictured: bool
    clip: str | None
    clip_state: ClipState
    held: bool
    reviewed_at: int | None
    reviewed_by: str | None

    @property
    def place(self) -> "Place":
        """Where it stands in the list."""
        return (self.at, self.key)


Place = tuple[int, str]
"""When, and which of those at the same time."""


class Recording(msgspec.Struct, frozen=True, kw_only=True):
    """A recording as its player needs it."""

    id: str
    station: str
    device: str
    name: str
    start: int
    seconds: float
    bytes: int | None
    sha256: str | None
    sealed_sha256: str | None
    here: bool
    sealed_here: bool
    held: bool
    wiped_at: int | None

    @property
    def title(self) -> str:
        """How the audit log calls it."""
        return f"{self.station}/{self.device} {self.name}"


class Visit(msgspec.Struct, frozen=True, kw_only=True):
    """The ticket that an item is about, and how it was rated."""

    number: str
    service: str
    counter: str | None
    issued_at: int
    called_at: int | None
    started_at: int | None
    ended_at: int | None
    outcome: str | None
    scale: str | None
    level: int | None


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """A review, a hold, a release, a look or an ask: who, when, and in which words. `what` of a look is the file."""

    at: int
    actor: str
    what: str
    words: str


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """An item with all that is known of it. `asked` is who had this recording kept, and the reason, where one did."""

    item: Item
    recording: Recording | None
    asked: Said | None
    began_at: int
    ended_at: int | None
    visit: Visit | None
    near: tuple[Item, ...]
    reviews: tuple[Said, ...]
    holds: tuple[Said, ...]
    looks: tuple[Said, ...]


def is_key(text: str) -> bool:
    """Whether a text could be an item's key."""
    return _KEY.fullmatch(text) is not None


def sound_reason(words: str) -> bool:
    """Whether a reason could tell somebody something next year: two words, ten characters, not one key held down."""
    letters = {one for one in words.casefold() if one.isalnum()}
    return len(words) >= REASON_LEAST and len(words.split()) > 1 and len(letters) >= _LETTERS


# --- lists ---------------------------------------------------------------------------------------------------------


def listed(
    connection: sa.Connection, wanted: Wanted, *, beyond: Place | None = None, newer: bool = False, count: int
) -> list[Item]:
    """Return the next items from a place on: older ones, the newest first; or `newer` ones, the oldest first."""
    found = [item for query in _queries(wanted, beyond, newer, count) for item in _items(connection, query)]
    return sorted(found, key=lambda item: item.place, reverse=not newer)[:count]


def unseen(connection: sa.Connection, *, most: int) -> int:
    """Return how many wait for a review; looks no further than `most`."""
    left = most
    for query in _queries(Wanted(unseen=True), None, False, most):
        left -= len(connection.execute(query.with_only_columns(sa.literal(1)).order_by(None).limit(max(left, 0))).all())
    return most - left


def numbers(connection: sa.Connection, tickets: Iterable[str]) -> dict[str, str]:
    """Return the numbers of tickets by their ids."""
    query = sa.select(ticket.c.id, ticket.c.number).where(ticket.c.id.in_(set(tickets)))
    return {row.id: row.number for row in connection.execute(query)}


def picture(connection: sa.Connection, key: str) -> bytes | None:
    """Return an item's thumbnail."""
    table = incident if key.startswith("i") else clip
    return connection.execute(sa.select(table.c.thumbnail).where(table.c.id == key[1:])).scalar()


_OF_INCIDENT = (
    incident.c.id, incident.c.station, incident.c.device, incident.c.name, incident.c.kind, incident.c.began_at,
    incident.c.ended_at, incident.c.lasted_ms, incident.c.ticket, incident.c.thumbnail.is_not(None).label("pictured"),
    incident.c.clip, incident.c.reviewed_at, incident.c.reviewed_by, clip.c.arrived_at, clip.c.wiping_at,
    clip.c.wiped_at, clip.c.held,
)  # fmt: skip
_OF_CLIP = (
    clip.c.id, clip.c.station, clip.c.device, clip.c.name, clip.c.why, clip.c.start, clip.c.seconds, clip.c.ticket,
    clip.c.thumbnail.is_not(None).label("pictured"), clip.c.arrived_at, clip.c.wiping_at, clip.c.wiped_at, clip.c.held,
    clip.c.reviewed_at, clip.c.reviewed_by,
)  # fmt: skip
_INCIDENTS = sa.select(*_OF_INCIDENT).select_from(incident.outerjoin(clip, clip.c.id == incident.c.clip))


def _queries(wanted: Wanted, beyond: Place | None, newer: bool, count: int) -> Iterator[sa.Select[Any]]:
    """Return a query for each part of the list, every one along an index."""
    if wanted.kind not in KEPT:
        for kind in TAMPER if wanted.kind == "tamper" else (wanted.kind,):
            one = msgspec.structs.replace(wanted, kind=kind)
            yield _narrowed(_INCIDENTS, incident, incident.c.began_at, "i", one, beyond, newer).limit(count)
    for why in KEPT if wanted.kind is None else (wanted.kind,):
        if why in KEPT:
            query = sa.select(*_OF_CLIP).where(clip.c.why == why)
            yield _narrowed(query, clip, clip.c.start, "c", wanted, beyond, newer).limit(count)


def _narrowed(
    query: sa.Select[Any],
    table: sa.Table,
    at: sa.ColumnElement[int],
    prefix: str,
    wanted: Wanted,
    beyond: Place | None,
    newer: bool,
) -> sa.Select[Any]:
    if wanted.station is not None:
        query = query.where(table.c.station == wanted.station)
    if wanted.kind is not None and table is incident:
        query = query.where(table.c.kind == wanted.kind)
    if wanted.unseen:
        query = query.where(table.c.reviewed_at.is_(None))
    if wanted.from_ms is not None:
        query = query.where(at >= wanted.from_ms)
    if wanted.until_ms is not None:
        query = query.where(at < wanted.until_ms)
    if beyond is not None:
        when, key = beyond
        own = key[1:] if key[:1] == prefix else ("" if (prefix > key[:1]) else "g")  # after all of the other kind
        if newer:
            query = query.where(at >= when, sa.or_(at > when, table.c.id > own))
        else:
            query = query.where(at <= when, sa.or_(at < when, table.c.id < own))
    return query.order_by(at, table.c.id) if newer else query.order_by(at.desc(), table.c.id.desc())


def _items(connection: sa.Connection, query: sa.Select[Any]) -> Iterator[Item]:
    for row in connection.execute(query):
        yield _incident_item(row) if hasattr(row, "began_at") else _clip_item(row)


def _incident_item(row: Row) -> Item:
    return Item(
        key=f"i{row.id}",
        station=row.station,
        device=row.device,
        name=row.name,
        kind=row.kind,
        at=row.began_at,
        lasted_ms=row.lasted_ms,
        going_on=row.ended_at is None,
        ticket=row.ticket,
        pictured=bool(row.pictured),
        clip=row.clip,
        clip_state="none" if row.clip is None and row.ended_at is not None else _state(row),
        held=bool(row.held),
        reviewed_at=row.reviewed_at,
        reviewed_by=row.reviewed_by,
    )


def _clip_item(row: Row) -> Item:
    return Item(
        key=f"c{row.id}",
        station=row.station,
        device=row.device,
        name=row.name,
        kind=row.why or "",
        at=row.start,
        lasted_ms=round(row.seconds * 1000),
        going_on=False,
        ticket=row.ticket,
        pictured=bool(row.pictured),
        clip=row.id,
        clip_state=_state(row),
        held=bool(row.held),
        reviewed_at=row.reviewed_at,
        reviewed_by=row.reviewed_by,
    )


def _state(row: Row) -> ClipState:
    return "wiped" if _gone_at(row) is not None else "here" if row.arrived_at is not None else "coming"


def _gone_at(row: Row) -> int | None:
    """Return when a recording was wiped; one that is about to be is gone for everybody."""
    found: int | None = row.wiped_at if row.wiped_at is not None else row.wiping_at
    return found


# --- one of them ---------------------------------------------------------------------------------------------------


def case(connection: sa.Connection, key: str, *, days: Sequence[str] = ()) -> Case | None:
    """Return all that is known of an item; `days` are those of its time, in which its ticket is looked for."""
    item = _item(connection, key)
    if item is None:
        return None
    found = recording(connection, item.clip) if item.clip is not None else None
    ended_at = None
    if not item.going_on and item.lasted_ms is not None:
        ended_at = item.at + item.lasted_ms
    return Case(
        item=item,
        recording=found,
        asked=_asked(connection, found) if found is not None else None,
        began_at=item.at,
        ended_at=ended_at,
        visit=_visit(connection, item, days),
        near=_near(connection, item),
        reviews=_said(connection, review, review.c.item == key, "note"),
        holds=_said(connection, hold, hold.c.clip == item.clip, "reason") if item.clip else (),
        looks=_said(connection, look, look.c.clip == item.clip, "reason") if item.clip else (),
    )


def when(connection: sa.Connection, key: str) -> int | None:
    """Return when an item began; None where there is none."""
    item = _item(connection, key)
    return None if item is None else item.at


def recording(connection: sa.Connection, id_: str) -> Recording | None:
    """Return a recording by its id."""
    row = connection.execute(sa.select(clip).where(clip.c.id == id_)).first()
    if row is None:
        return None
    alive = _gone_at(row) is None
    return Recording(
        id=row.id,
        station=row.station,
        device=row.device,
        name=row.name,
        start=row.start,
        seconds=row.seconds,
        bytes=row.bytes,
        sha256=row.sha256,
        sealed_sha256=row.sealed_sha256,
        here=alive and row.arrived_at is not None,
        sealed_here=alive and row.sealed_at is not None,
        held=row.held,
        wiped_at=_gone_at(row),
    )


def recording_of(connection: sa.Connection, key: str) -> Recording | None:
    """Return an item's recording."""
    item = _item(connection, key)
    return recording(connection, item.clip) if item is not None and item.clip is not None else None


def _item(connection: sa.Connection, key: str) -> Item | None:
    if not is_key(key):
        return None
    of_clip = sa.select(*_OF_CLIP).where(clip.c.id == key[1:])
    query = _INCIDENTS.where(incident.c.id == key[1:]) if key[0] == "i" else of_clip
    return next(_items(connection, query), None)


def _visit(connection: sa.Connection, item: Item, days: Sequence[str]) -> Visit | None:
    """Return the ticket that the camera named; where it named none, the one that was at the counter then."""
    columns = (ticket, rating.c.scale, rating.c.level)
    query = sa.select(*columns).select_from(ticket.outerjoin(rating, rating.c.ticket == ticket.c.id))
    if item.ticket is not None:
        query = query.where(ticket.c.id == item.ticket)
    else:
        there = sa.and_(
            ticket.c.counter == item.station,
            ticket.c.called_at <= item.at,
            sa.or_(ticket.c.ended_at.is_(None), ticket.c.ended_at >= item.at),
        )
        query = query.where(ticket.c.day.in_(days), there).order_by(ticket.c.called_at.desc())
    row = connection.execute(query.limit(1)).first()
    return None if row is None else Visit(**{name: getattr(row, name) for name in Visit.__struct_fields__})


def _asked(connection: sa.Connection, found: Recording) -> Said | None:
    """Return who asked for a recording: the camera calls it by the id of what was asked."""
    wish = camera_wish
    query = sa.select(wish.c.asked_at, wish.c.asked_by, wish.c.note)
    row = connection.execute(
        query.where(wish.c.id == found.name, wish.c.station == found.station, wish.c.why == "asked")
    ).first()
    return None if row is None else Said(at=row.asked_at, actor=row.asked_by, what="asked", words=row.note)


def _near(connection: sa.Connection, item: Item) -> tuple[Item, ...]:
    """Return what else was at this counter within half an hour, the newest first."""
    around = Wanted(station=item.station, from_ms=item.at - NEAR_MS, until_ms=item.at + NEAR_MS)
    older = listed(connection, around, beyond=item.place, count=_NEAR // 2)
    newer = listed(connection, around, beyond=item.place, newer=True, count=_NEAR // 2)
    return (*reversed(newer), *older)


def _said(connection: sa.Connection, table: sa.Table, which: sa.ColumnElement[bool], words: str) -> tuple[Said, ...]:
    rows = connection.execute(sa.select(table).where(which).order_by(table.c.seq.desc())).mappings()
    return tuple(
        Said(
            at=row["at"],
            actor=row["actor"],
            what=row["file"] if table is look else ("held" if row.get("held") else ""),
            words=row[words],
        )
        for row in rows
    )


# --- what people do ------------------------------------------------------------------------------------------------


def add_review(connection: sa.Connection, key: str, *, actor: str, at: int, note: str) -> None:
    """Say that somebody has seen an item. What was said before stays; the newest stands in the list."""
    item = _item(connection, key)
    if item is None:
        raise ReviewError("review_unknown")
    note = note[:NOTE_LENGTH]
    connection.execute(sa.insert(review).values(item=key, at=at, actor=actor, note=note))
    table = incident if key[0] == "i" else clip
    newest = {"reviewed_at": at, "reviewed_by": actor, "note": note}
    connection.execute(sa.update(table).where(table.c.id == key[1:]).values(newest))
    entry = audit.Entry(
        at=at, actor=actor, action="incident_reviewed", object=f"{item.station}/{item.device} {item.name}"
    )
    audit.append(connection, entry)


def set_held(connection: sa.Connection, id_: str, held: bool, *, actor: str, at: int, reason: str) -> None:
    """Keep a recording from being wiped, or let it go again; who holds one that is about to be wiped hears that."""
    found = recording(connection, id_)
    if found is None:
        raise ReviewError("review_unknown")
    if found.wiped_at is not None:
        raise ReviewError("review_wiped")
    if found.held == held:
        raise ReviewError("review_held" if held else "review_not_held")
    connection.execute(sa.update(clip).where(clip.c.id == id_).values(held=held))
    connection.execute(sa.insert(hold).values(clip=id_, at=at, actor=actor, held=held, reason=reason))
    action = "clip_held" if held else "clip_released"
    audit.append(connection, audit.Entry(at=at, actor=actor, action=action, object=found.title, detail=reason))


def note_look(connection: sa.Connection, found: Recording, *, actor: str, at: int) -> int:
    """Write down that somebody looks at a recording now, unless that is still the same look; returns when it began."""
    entry = audit.Entry(at=at, actor=actor, action="clip_seen", object=found.title)
    return _note_once(connection, found.id, "shown", entry)


def note_list(connection: sa.Connection, asked: str, *, actor: str, at: int) -> int:
    """Write down that somebody sees the list with its thumbnails; `asked`: its filters. Like a look at a recording."""
    return _note_once(connection, "", "list", audit.Entry(at=at, actor=actor, action="review_listed", detail=asked))


def _note_once(connection: sa.Connection, of: str, file: str, entry: audit.Entry) -> int:
    mine = sa.and_(look.c.clip == of, look.c.actor == entry.actor, look.c.file == file, look.c.at > entry.at - LOOK_MS)
    began = connection.execute(sa.select(sa.func.max(look.c.at)).where(mine, look.c.at <= entry.at)).scalar()
    if began is not None:
        return int(began)
    connection.execute(sa.insert(look).values(clip=of, at=entry.at, actor=entry.actor, file=file, reason=""))
    audit.append(connection, entry)
    return entry.at


def note_reveal(connection: sa.Connection, found: Recording, *, actor: str, at: int, reason: str) -> None:
    """Write down that somebody is about to see a clear version, and why."""
    connection.execute(sa.insert(look).values(clip=found.id, at=at, actor=actor, file="sealed", reason=reason))
    audit.append(connection, audit.Entry(at=at, actor=actor, action="clip_revealed", object=found.title, detail=reason))
