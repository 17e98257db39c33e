"""What the center asks of cameras, as rows: settings, recordings to keep, each week's sample.

Every function runs inside `Hall.transact`.
"""

import secrets
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from center import audit
from center.answers import Panic
from center.cameras import sample
from center.cameras.desired import LOWEST, Setting
from center.queue.model import AnyEvent, CounterOpened, DayStarted, TicketServed
from center.storage.tables import camera_setting, camera_wish, clip, device_event, queue_event, rating, sample_week
from contract.events import NAMES, CallpadPanic
from contract.states import Keep, Zone

PANIC = NAMES[CallpadPanic]
PANIC_OLD_MS = 600_000
"""A panic that was heard so much later is over. Generous: the pad's clock may be wrong, and help still needed."""

LISTED = 50
"""So many of the last wishes are shown of a camera."""

_events: msgspec.json.Decoder[AnyEvent] = msgspec.json.Decoder(AnyEvent)
DRAWN_OUT = "drawn_out"
"""Why a recording is still here of a service that lost its place in the sample: in no list, and wiped soon."""

BY_CHANCE = ("sample", "service", DRAWN_OUT)
"""Why a recording is there of which nobody has complained."""

_settings = msgspec.json.Decoder(Setting)


class StaleSettingError(Exception):
    """Somebody else has changed the settings since they were read."""


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of a station's camera; revision 0: nobody has made any."""

    revision: int = 0
    setting: Setting = Setting()


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """A recording that the center wants kept. `week`, `officer` and `lot` are of a sample."""

    id: str
    station: str
    why: Literal["low_rating", "sample", "asked"]
    ticket: str | None = None
    before_s: int = 0
    after_s: int = 0
    note: str = ""
    asked_at: int
    asked_by: str = "center"
    week: str | None = None
    officer: str | None = None
    lot: str | None = None
    done_at: int | None = None
    gone_at: int | None = None

    @property
    def keep(self) -> Keep:
        """How the camera is asked."""
        return Keep(id=self.id, why=self.why, ticket=self.ticket, before_s=self.before_s, after_s=self.after_s)


class Served(msgspec.Struct, frozen=True, kw_only=True):
    """A service that ended: whose it was, and where."""

    ticket: str
    station: str
    officer: str
    day: str
    at: int


class Drawn(msgspec.Struct, frozen=True):
    """What became of a lot: the wish, if it is in the sample now, and the wishes it has taken the place of."""

    wish: Wish | None = None
    gone: tuple[str, ...] = ()


class Left(msgspec.Struct, frozen=True):
    """What the last run left."""

    settings: Mapping[str, Known]
    open: Sequence[Wish]
    low: Sequence[Any]
    """Low ratings that nobody has asked a recording for: the run ended between the two."""
    panics: Sequence[Panic]
    """Panic keys that were heard of just now."""


def load(connection: sa.Connection, *, since: int, panics_since: int) -> Left:
    """Return what the last run left; of low ratings those since an instant, of panics since another."""
    settings = {
        row.station: Known(revision=row.revision, setting=_settings.decode(row.body))
        for row in connection.execute(sa.select(camera_setting))
    }
    wish = camera_wish
    still = sa.and_(wish.c.done_at.is_(None), wish.c.gone_at.is_(None))
    rows = connection.execute(sa.select(wish).where(still).order_by(wish.c.asked_at, wish.c.id)).mappings()
    unasked = sa.and_(
        rating.c.level == LOWEST,
        rating.c.ticket.is_not(None),
        rating.c.given_at >= since,
        ~sa.exists().where(wish.c.ticket == rating.c.ticket, wish.c.why == "low_rating"),
    )
    return Left(
        settings=settings,
        open=[Wish(**row) for row in rows],
        low=connection.execute(sa.select(rating).where(unasked)).all(),
        panics=panics(connection, panics_since),
    )


def panics(connection: sa.Connection, since: int) -> list[Panic]:
    """Return the panics that were heard since an instant, the oldest first."""
    event = device_event
    query = sa.select(event.c.source, event.c.id, event.c.occurred_at).where(event.c.type == PANIC)
    # By the index of `type, occurred_at`: a pad whose clock is far behind is not found again.
    lately = event.c.occurred_at >= since - PANIC_OLD_MS
    found = connection.execute(query.where(lately, event.c.received_at >= since).order_by(event.c.seq)).all()
    places = [(row, row.source.split("/")) for row in found]  # /center/station/device
    return [Panic(row.id, place[2], place[3], row.occurred_at) for row, place in places]


# --- settings ------------------------------------------------------------------------------------------------------


def setting(connection: sa.Connection, station: str) -> Known:
    """Return a station's settings."""
    row = connection.execute(sa.select(camera_setting).where(camera_setting.c.station == station)).first()
    return Known() if row is None else Known(revision=row.revision, setting=_settings.decode(row.body))


def put(connection: sa.Connection, station: str, seen: int, wanted: Setting, *, at: int, by: str) -> Known:
    """Change a station's settings as whoever saw that revision wants; raise StaleSettingError."""
    known = setting(connection, station)
    if seen != known.revision:
        raise StaleSettingError
    if wanted == known.setting:
        return known
    new = Known(revision=known.revision + 1, setting=wanted)
    row = {
        "station": station, "revision": new.revision, "body": msgspec.json.encode(wanted).decode(),
        "changed_at": at, "changed_by": by[:64],
    }  # fmt: skip
    if known.revision:
        connection.execute(sa.update(camera_setting).where(camera_setting.c.station == station).values(row))
    else:
        connection.execute(sa.insert(camera_setting).values(row))
    changed = [name for name in wanted.__struct_fields__ if getattr(wanted, name) != getattr(known.setting, name)]
    detail = f"{', '.join(changed)}; {known.revision} -> {new.revision}"
    entry = audit.Entry(at=at, actor=by, action="camera_set", object=station, detail=detail)
    outlines = [
        audit.Entry(at=at, actor=by, action="camera_outline", object=station, detail=each)
        for each in _moved(known.setting, wanted)
    ]
    audit.append(connection, entry, *outlines)
    return new


def _moved(before: Setting, after: Setting) -> list[str]:
    """Return each zone and mask that changed, from where to where: who uncovered something can be told years later."""
    found = []
    for field in ("zones", "masks"):
        old, new = _outlines(getattr(before, field)), _outlines(getattr(after, field))
        names = [name for name in {**old, **new} if old.get(name) != new.get(name)]
        found += [f"{field[:-1]} {name}: {old.get(name, 'none')} -> {new.get(name, 'none')}" for name in names]
    return found


def _outlines(zones: Sequence[Zone] | None) -> dict[str, str]:
    """Return the corners of each zone in thousandths of the picture, which fit an entry twice; of namesakes the all."""
    found: dict[str, str] = {}
    for zone in zones or ():
        corners = " ".join(f"{round(x * 1000)},{round(y * 1000)}" for x, y in zone.points)
        found[zone.name] = f"{found[zone.name]}; {corners}" if zone.name in found else corners
    return found


# --- recordings ----------------------------------------------------------------------------------------------------


def add(connection: sa.Connection, wish: Wish) -> bool:
    """Write a wish down; false if it is there already, whatever has become of it."""
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    values = msgspec.structs.asdict(wish)
    new = insert(camera_wish).values(values).on_conflict_do_nothing(index_elements=["id"])
    if connection.execute(new).rowcount == 0:
        return False
    if wish.why == "low_rating":
        drawn = sa.and_(clip.c.station == wish.station, clip.c.ticket == wish.ticket, clip.c.why.in_(BY_CHANCE))
        connection.execute(sa.update(clip).where(drawn).values(why=wish.why))
    return True


def reason(connection: sa.Connection, station: str, ticket: str | None, why: str | None) -> str | None:
    """Return why a recording is kept, of which its camera knows but a part: a low rating comes before a drawn lot."""
    if ticket is None or why not in BY_CHANCE:
        return why
    wish = camera_wish
    query = sa.select(wish.c.why, wish.c.gone_at)
    asked = connection.execute(query.where(wish.c.ticket == ticket, wish.c.station == station)).all()
    if any(one.why == "low_rating" for one in asked):
        return "low_rating"
    drawn = [one for one in asked if one.why == "sample"]
    return DRAWN_OUT if why == "sample" and drawn and all(one.gone_at is not None for one in drawn) else why


def ask(connection: sa.Connection, wish: Wish) -> Wish:
    """Write down what a person wants kept, and who; the same ask again gets what the first one got."""
    if add(connection, wish):
        detail = f"{wish.before_s} s before, {wish.after_s} s after"
        entry = audit.Entry(
            at=wish.asked_at, actor=wish.asked_by, action="clip_asked", object=wish.station, detail=detail
        )
        audit.append(connection, entry)
        return wish
    row = connection.execute(sa.select(camera_wish).where(camera_wish.c.id == wish.id)).mappings().one()
    return Wish(**row)


def done(connection: sa.Connection, ids: Collection[str], *, at: int) -> None:
    """Note that a camera has carried out what was asked."""
    connection.execute(sa.update(camera_wish).where(camera_wish.c.id.in_(ids)).values(done_at=at))


def give_up(connection: sa.Connection, ids: Collection[str], *, at: int) -> None:
    """Note that nobody carried out what was asked, and that it is too late now."""
    connection.execute(sa.update(camera_wish).where(camera_wish.c.id.in_(ids)).values(gone_at=at))


def last(connection: sa.Connection, station: str) -> list[Wish]:
    """Return what was asked of a camera last, the newest first."""
    query = sa.select(camera_wish).where(camera_wish.c.station == station)
    rows = connection.execute(query.order_by(camera_wish.c.asked_at.desc(), camera_wish.c.id).limit(LISTED)).mappings()
    return [Wish(**row) for row in rows]


# --- the sample ----------------------------------------------------------------------------------------------------


def enter(connection: sa.Connection, served: Served, *, most: int, now_ms: int) -> Drawn:
    """Let a service draw its lot: it is in the sample of its officer's week, or it is not. Twice is once."""
    week = sample.week_of(served.day)
    key, most_then = _week(connection, week, most, now_ms)
    wish = camera_wish
    of_officer = sa.and_(wish.c.week == week, wish.c.officer == served.officer, wish.c.why == "sample")
    rows = connection.execute(sa.select(wish.c.id, wish.c.ticket, wish.c.lot, wish.c.gone_at).where(of_officer)).all()
    if any(row.ticket == served.ticket for row in rows):
        return Drawn()
    standing = {sample.Lot(row.lot, row.ticket): row.id for row in rows if row.gone_at is None}
    lot = sample.draw(key, served.ticket)
    chosen = sample.lowest([*standing, lot], min(most, most_then))
    if lot not in chosen:
        return Drawn()
    gone = tuple(name for one, name in standing.items() if one not in chosen)
    if gone:
        give_up(connection, gone, at=now_ms)
        tickets = sa.select(wish.c.ticket).where(wish.c.id.in_(gone))
        unjudged = sa.and_(clip.c.why == "sample", clip.c.held.is_(False), clip.c.reviewed_at.is_(None))
        connection.execute(sa.update(clip).where(clip.c.ticket.in_(tickets), unjudged).values(why=DRAWN_OUT))
    new = Wish(
        id=f"sample-{lot.drawn[:32]}",  # of the lot, so that the same service never stands there twice
        station=served.station,
        why="sample",
        ticket=served.ticket,
        asked_at=now_ms,
        week=week,
        officer=served.officer,
        lot=lot.drawn,
    )
    add(connection, new)
    return Drawn(new, gone)


def served_since(connection: sa.Connection, day: str, since: int) -> list[Served]:
    """Return the services of a day that ended since an instant, each with its officer, as the record has them."""
    query = sa.select(queue_event.c.body).where(queue_event.c.day == day).order_by(queue_event.c.seq)
    return services((_events.decode(body) for body in connection.execute(query).scalars()), {}, day=day, since=since)


def services(events: Any, officers: dict[str, str | None], *, day: str, since: int = 0) -> list[Served]:
    """Return the services that ended in these events; `officers`: who is at which counter, brought up to date."""
    found = []
    for event in events:
        match event:
            case DayStarted():
                officers.clear()
            case CounterOpened():
                officers[event.counter] = event.officer
            case TicketServed() if event.counter is not None and event.at >= since:
                # Who opened a counter by its call pad is not named: then the counter stands for whoever sits there.
                officer = officers.get(event.counter) or f"/{event.counter}"
                found.append(Served(ticket=event.ticket, station=event.counter, officer=officer, day=day, at=event.at))
    return found


def _week(connection: sa.Connection, week: str, most: int, now_ms: int) -> tuple[str, int]:
    """Return a week's key and how many services of each officer; the first service of the week makes them."""
    row = connection.execute(sa.select(sample_week).where(sample_week.c.week == week)).first()
    if row is not None:
        return row.key, row.most
    key = secrets.token_hex(32)
    connection.execute(sa.insert(sample_week).values(week=week, key=key, most=most, made_at=now_ms))
    detail = f"{most} of each officer, key {sample.sealed(key)}"
    audit.append(connection, audit.Entry(at=now_ms, actor="center", action="sample_begun", object=week, detail=detail))
    return key, most
