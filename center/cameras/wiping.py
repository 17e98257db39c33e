"""Takes out recordings and thumbnails that were kept long enough, a few at a time; those that are held stay.

The row says first that the recording is going, if nobody holds it: from then on nobody can hold it or see it, and who
holds one waits for no file. The file goes next, for good, and then the row says so: a power cut between the two leaves
a row without a file, which is wiped again, and never a file that anybody could look at and no row knows of.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol, TypeVar

import msgspec
import sqlalchemy as sa

from center.cameras.book import DRAWN_OUT
from center.cameras.incidents import TYPES
from center.cameras.uploads import HALF_DAYS, needed
from center.cameras.vault import Vault, VaultError
from center.storage.tables import camera_wish, clip, device_event, incident, upload

T = TypeVar("T")

CLIPS = 20
"""At most so many go in one step."""

_DAY_MS = 86_400_000


class Do(Protocol):
    """Runs something on the store, in the hall's thread, and waits for it."""

    def __call__(self, job: Callable[[sa.Connection], T], /) -> T:
        """Return what the job returned."""
        ...


Step = Callable[[Do], int]
"""Takes out a few; returns how many. None left: 0."""


def steps(vault: Vault, before: int | None, *, now_ms: int) -> Sequence[tuple[str, Step]]:
    """Return what there is to do, each with the name of what it takes out; `before`: what is older goes."""
    halves_before = now_ms - HALF_DAYS * _DAY_MS
    found: list[tuple[str, Step]] = [("half recordings", lambda do: _halves(vault, do, halves_before))]
    found.append(("recordings out of the sample", lambda do: _recordings(vault, do, _drawn_out(), now_ms)))
    if before is not None:
        found.append(("thumbnails", lambda do: do(lambda connection: _thumbnails(connection, before))))
        found.append(("recordings", lambda do: _recordings(vault, do, _old(before), now_ms)))
    found.append(("recordings that were going", lambda do: _recordings(vault, do, _begun(), now_ms)))
    return found


def _recordings(vault: Vault, do: Do, which: sa.Select[Any], now_ms: int) -> int:
    rows = do(lambda connection: connection.execute(which.limit(CLIPS)).all())
    gone, failed = 0, None
    for row in rows:
        try:
            if not do(partial(_begin, query=which.where(clip.c.id == row.id), now_ms=now_ms)):
                continue  # somebody has held it meanwhile
            with vault.alone():
                _delete_files(vault, do, row)
                _say_wiped(do, row.id, now_ms)
        except VaultError as error:
            failed = error  # one file that cannot be deleted keeps no other
        else:
            gone += 1
    if failed is not None and not gone:
        raise failed
    return gone


def _old(before: int) -> sa.Select[Any]:
    return _here().where(clip.c.made_at < before)


def _begun() -> sa.Select[Any]:
    """Return what was going already when the last step ended early."""
    return _here().where(clip.c.wiping_at.is_not(None))


def _drawn_out() -> sa.Select[Any]:
    """Return the services of which another took the place in the sample: nobody was to see more than that."""
    asked = sa.select(camera_wish.c.id).where(
        camera_wish.c.ticket == clip.c.ticket, camera_wish.c.station == clip.c.station
    )
    displaced = asked.where(camera_wish.c.why == "sample", camera_wish.c.gone_at.is_not(None)).exists()
    wanted = asked.where(sa.or_(camera_wish.c.gone_at.is_(None), camera_wish.c.why != "sample")).exists()
    return _here().where(clip.c.why.in_(("sample", DRAWN_OUT)), clip.c.reviewed_at.is_(None), displaced, ~wanted)


def _here() -> sa.Select[Any]:
    """Return the recordings that are here and that nobody holds."""
    here = sa.or_(clip.c.arrived_at.is_not(None), clip.c.sealed_at.is_not(None))
    query = sa.select(clip.c.id, clip.c.sha256, clip.c.sealed_sha256)
    return query.where(clip.c.held.is_(False), clip.c.wiped_at.is_(None), here)


def _begin(connection: sa.Connection, query: sa.Select[Any], now_ms: int) -> bool:
    """Say that a recording is going, unless it is to stay after all."""
    row = connection.execute(query).first()
    if row is not None:
        connection.execute(sa.update(clip).where(clip.c.id == row.id).values(wiping_at=now_ms, thumbnail=None))
    return row is not None


def _say_wiped(do: Do, name: str, now_ms: int) -> None:
    done = sa.update(clip).where(clip.c.id == name).values(wiped_at=now_ms)
    do(lambda connection: connection.execute(done))


def _delete_files(vault: Vault, do: Do, row: Any) -> None:
    for sha256 in (row.sha256, row.sealed_sha256):
        if sha256 is not None and not do(partial(needed, sha256=sha256, but=row.id)):
            vault.delete(sha256)


def _halves(vault: Vault, do: Do, before: int) -> int:
    """Forget uploads whose token ended long ago, with what came of them."""
    query = sa.select(upload.c.id, upload.c.clip).where(upload.c.ends_at < before).limit(CLIPS)
    rows = do(lambda connection: connection.execute(query).all())
    for row in rows:
        vault.forget(row.id)
        with vault.alone():
            # Never arrived, and no other file of it is on its way: there is nothing to say of it.
            nothing = sa.select(clip.c.id, clip.c.sha256, clip.c.sealed_sha256).where(
                clip.c.id == row.clip,
                clip.c.arrived_at.is_(None),
                clip.c.sealed_at.is_(None),
                ~sa.exists().where(upload.c.clip == row.clip, upload.c.id != row.id),
            )
            empty = do(partial(_first, query=nothing))
            if empty is not None:
                _delete_files(vault, do, empty)
            do(partial(_forget, name=row.id, empty=empty))
    return len(rows)


def _first(connection: sa.Connection, query: sa.Select[Any]) -> Any:
    return connection.execute(query).first()


def _forget(connection: sa.Connection, name: str, empty: Any) -> None:
    connection.execute(sa.delete(upload).where(upload.c.id == name))
    if empty is not None:
        still = sa.and_(clip.c.id == empty.id, clip.c.arrived_at.is_(None), clip.c.sealed_at.is_(None))
        connection.execute(sa.delete(clip).where(still))


def _thumbnails(connection: sa.Connection, before: int) -> int:
    """Take pictures out of incidents and out of the events they came with, but where the clip is held."""
    held = sa.exists().where(clip.c.id == incident.c.clip, clip.c.held.is_(True))
    old = sa.and_(incident.c.thumbnail.is_not(None), incident.c.heard_at < before, ~held)
    rows = connection.execute(sa.select(incident).where(old).limit(CLIPS)).all()
    event = device_event
    for row in rows:
        spoke = sa.select(event.c.seq, event.c.body).where(
            event.c.type.in_(TYPES),
            event.c.occurred_at.between(row.began_at, row.heard_at),
            event.c.source.like(f"%/{row.station}/{row.device}"),
        )
        for seq, body in connection.execute(spoke).all():
            if (plain := _without_picture(body, row.name)) is not None:
                connection.execute(sa.update(event).where(event.c.seq == seq).values(body=plain))
        connection.execute(sa.update(incident).where(incident.c.id == row.id).values(thumbnail=None))
    return len(rows)


def _without_picture(body: str, name: str) -> str | None:
    """Return an event's body without its picture; None where it has none, or speaks of another incident."""
    event: dict[str, Any] = msgspec.json.decode(body)
    data = event["data"]
    if data["incident"] != name or data.pop("thumbnail", None) is None:
        return None
    return msgspec.json.encode(event).decode()
