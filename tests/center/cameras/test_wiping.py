"""What was kept long enough is wiped, file first; what is held stays; nothing else is touched."""

import hashlib
import sqlite3
from contextlib import closing
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from msgspec.structs import replace

from center.cameras import book, reviews
from center.cameras.book import Wish
from center.cameras.incidents import astray
from center.cameras.names import name_of
from center.cameras.uploads import make_vault, needed
from center.cameras.vault import Partial, Vault, VaultError
from center.config import Clips, Config, Retention
from center.hall import Hall
from center.retention import Sweeper
from center.storage.sweep import Bounds, steps
from center.storage.tables import clip, device_event, hold, incident, look, queue_event, review, upload
from tests.center.cameras.test_incidents import ENDED, UPDATED, arrival, deliver
from tests.center.conftest import MORNING_MS, TestClock
from tests.center.storage.test_sweep import day_row
from tests.center.test_retention import record

DAY_MS = 86_400_000
NOW = MORNING_MS


@pytest.fixture
def config(config: Config) -> Config:
    """A center that keeps recordings for thirty days, and takes them whatever room there is."""
    return replace(config, clips=Clips(spare_gb=0), retention=Retention(clips_days=30))


@pytest.fixture
def vault(config: Config) -> Vault:
    """Its vault."""
    return make_vault(config)


def put(hall: Hall, vault: Vault, name: str, content: bytes, *, age_days: float, **changes: Any) -> str:
    """Put a recording of an age into vault and index; returns its hash."""
    sha256 = hashlib.sha256(content).hexdigest()
    one = name_of("q01", "camera", name)
    partial = Partial(vault, one)
    partial.append(content)
    partial.sync()
    partial.close()
    vault.put(vault.partial(one), sha256)
    at = int(NOW - age_days * DAY_MS)
    row = {
        "id": one, "station": "q01", "device": "camera", "name": name, "start": at, "seconds": 1.0, "why": None,
        "ticket": None, "bytes": len(content), "sha256": sha256, "arrived_at": at, "made_at": at, "held": False,
    }  # fmt: skip
    hall.transact(lambda connection: connection.execute(sa.insert(clip).values({**row, **changes}))).result(30)
    return sha256


def wiped(hall: Hall) -> dict[str, bool]:
    """Return of each recording whether its row says that it is wiped."""
    rows = hall.transact(lambda connection: connection.execute(sa.select(clip.c.name, clip.c.wiped_at)).all()).result(
        30
    )
    return {row.name: row.wiped_at is not None for row in rows}


def sweep(hall: Hall, config: Config, *, days: int = 40) -> dict[str, int]:
    """Sweep with a record of so many days, one after the other."""

    def fill(connection: sa.Connection) -> None:
        connection.execute(sa.delete(queue_event))
        for seq, day in enumerate(reversed(record(*range(days)))):
            connection.execute(sa.insert(queue_event).values(day_row(seq + 1, day)))

    hall.transact(fill).result(30)
    return Sweeper(hall, config, pause_s=0, quiet_s=0).sweep()


def test_what_is_out_of_the_sample_goes_at_once(hall: Hall, config: Config, vault: Vault) -> None:
    """A service whose place in the sample another took is wiped with the next sweep, unless it is wanted otherwise."""

    def wish(connection: sa.Connection, ticket: str, why: str, gone_at: int | None) -> None:
        row = Wish(id=f"{why}-{ticket}", station="q01", why=why, ticket=ticket, asked_at=NOW, gone_at=gone_at)  # type: ignore[arg-type]
        book.add(connection, row)

    for ticket, why in [("out", "sample"), ("in", "sample"), ("low", "sample"), ("seen", "sample"), ("kept", "sample")]:
        hall.transact(lambda rows, ticket=ticket: wish(rows, ticket, "sample", None if ticket == "in" else NOW)).result(
            5
        )  # type: ignore[misc]
        changes = {"seen": {"reviewed_at": NOW}, "kept": {"held": True}}.get(ticket, {})
        put(hall, vault, ticket, ticket.encode(), age_days=1, ticket=ticket, why=why, **changes)
    put(hall, vault, "incident", b"incident", age_days=1, ticket="out", why="waiting_alone")
    hall.transact(lambda rows: wish(rows, "low", "low_rating", NOW)).result(30)  # its camera did not answer in time
    hall.transact(lambda rows: rows.execute(sa.update(clip).values(why="sample").where(clip.c.name == "low"))).result(
        30
    )
    assert sweep(hall, config)["recordings out of the sample"] == 1
    assert [name for name, gone in wiped(hall).items() if gone] == ["out"]
    assert not vault.path(hashlib.sha256(b"out").hexdigest()).exists()


def test_recordings_go_after_their_days_and_held_ones_never(hall: Hall, config: Config, vault: Vault) -> None:
    """After thirty days of the record file and content are gone and the row says so; held and younger ones stay."""
    old = put(hall, vault, "old", b"old", age_days=31)
    held = put(hall, vault, "held", b"held", age_days=400, held=True)
    young = put(hall, vault, "young", b"young", age_days=28)
    gone = sweep(hall, config)
    assert gone["recordings"] == 1
    assert wiped(hall) == {"old": True, "held": False, "young": False}
    assert set(vault.list()) == {held, young}
    assert not vault.path(old).exists()
    assert "recordings" not in sweep(hall, config)


def test_a_file_that_cannot_be_deleted_keeps_no_other(hall: Hall, config: Config, vault: Vault) -> None:
    """A bad place on the disk is told, and tried again; all else that is too old goes."""
    bad = vault.path(put(hall, vault, "bad", b"bad", age_days=31))
    put(hall, vault, "old", b"old", age_days=31)
    bad.unlink()
    bad.mkdir()  # fails for root, too
    with pytest.raises(VaultError, match=bad.name):
        sweep(hall, config)
    assert wiped(hall) == {"bad": False, "old": True}
    bad.rmdir()
    assert Sweeper(hall, config, pause_s=0, quiet_s=0).sweep()["recordings"] == 1
    assert wiped(hall) == {"bad": True, "old": True}


def test_a_clock_that_is_years_ahead_wipes_nothing(hall: Hall, config: Config, vault: Vault) -> None:
    """Age is counted by the record's own days: with ten days of record nothing is thirty days old."""
    put(hall, vault, "old", b"old", age_days=400)
    assert "recordings" not in sweep(hall, config, days=10)
    assert wiped(hall) == {"old": False}


def test_a_content_stays_while_another_recording_has_it(hall: Hall, config: Config, vault: Vault) -> None:
    """Two recordings of the same bytes have one file: it goes with the last of them."""
    sha256 = put(hall, vault, "old", b"same", age_days=31)
    put(hall, vault, "young", b"same", age_days=1)
    sweep(hall, config)
    assert wiped(hall) == {"old": True, "young": False}
    assert list(vault.list()) == [sha256]
    old = int(NOW - 31 * DAY_MS)
    hall.transact(lambda connection: connection.execute(sa.update(clip).values(made_at=old))).result(30)
    sweep(hall, config)
    assert list(vault.list()) == []


def test_a_power_cut_leaves_no_file_without_a_row(
    hall: Hall, config: Config, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file goes first: cut off before the row says so, the next sweep wipes it again and then says so."""
    put(hall, vault, "old", b"old", age_days=31)

    def cut(*_: object) -> None:
        raise RuntimeError("the power is gone")

    with monkeypatch.context() as patched:
        patched.setattr("center.cameras.wiping._say_wiped", cut)
        with pytest.raises(RuntimeError):
            sweep(hall, config)
    assert (wiped(hall), list(vault.list())) == ({"old": False}, [])
    assert sweep(hall, config)["recordings"] == 1
    assert wiped(hall) == {"old": True}


def test_what_is_about_to_go_is_held_and_seen_by_nobody(
    hall: Hall, config: Config, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A recording whose wiping has begun is gone for everybody, whatever is on the disk, and goes at last."""
    put(hall, vault, "old", b"old", age_days=31, thumbnail=b"jpeg", why="sample")

    def away(_sha256: str) -> None:
        raise VaultError("the disk is away")

    with monkeypatch.context() as patched:
        patched.setattr(Vault, "delete", lambda _self, sha256: away(sha256))
        with pytest.raises(VaultError):
            sweep(hall, config)
    one = name_of("q01", "camera", "old")
    found = hall.transact(lambda rows: reviews.recording(rows, one)).result(5)
    assert found is not None
    assert (found.here, found.wiped_at is not None) == (False, True)
    assert hall.transact(lambda rows: reviews.picture(rows, f"c{one}")).result(5) is None
    held = hall.transact(lambda rows: reviews.set_held(rows, one, True, actor="person:d", at=NOW, reason="r"))
    with pytest.raises(reviews.ReviewError, match="review_wiped"):
        held.result(5)
    assert list(vault.list()) == [hashlib.sha256(b"old").hexdigest()]
    assert sweep(hall, config, days=1)["recordings that were going"] == 1
    assert (wiped(hall), list(vault.list())) == ({"old": True}, [])


def pictures(config: Config) -> list[bool]:
    """Return of each stored event whether it has a picture in it."""
    with closing(sqlite3.connect(Path(config.data_dir) / "center.db")) as database:
        return ['"thumbnail":"' in body for (body,) in database.execute("SELECT body FROM device_event ORDER BY seq")]


def test_thumbnails_go_out_of_rows_and_events(hall: Hall, config: Config, vault: Vault, clock: TestClock) -> None:
    """A picture goes with its time, out of the incident and of the very event it came with; a held one stays."""
    other = replace(UPDATED, incident="i-2", clip=replace(ENDED.clip, id="c-2"))
    put(hall, vault, "c-2", b"held", age_days=1, held=True)
    deliver(hall, arrival(UPDATED, 1), arrival(other, 2), arrival(replace(ENDED, clip=None), 3))
    assert pictures(config) == [True, True, False]
    clock.wall_ms += 40 * DAY_MS
    assert sweep_later(hall, config, days=40)["thumbnails"] == 1
    assert pictures(config) == [False, True, False]
    query = sa.select(incident.c.name, incident.c.thumbnail.is_not(None)).order_by(incident.c.name)
    rows = hall.transact(lambda connection: connection.execute(query).all()).result(30)
    assert [tuple(row) for row in rows] == [("i-1", False), ("i-2", True)]
    assert hall.transact(astray).result(30) == []
    body = hall.transact(lambda connection: connection.execute(sa.select(device_event.c.body)).scalars().first())
    assert '"incident":"i-1"' in (body.result(30) or "")


def sweep_later(hall: Hall, config: Config, *, days: int) -> dict[str, int]:
    """Sweep as it is so many days later, all of them in the record."""

    def fill(connection: sa.Connection) -> None:
        for at in range(1, days + 1):
            day = (date(2026, 11, 23) + timedelta(days=at)).isoformat()
            connection.execute(sa.insert(queue_event).values(day_row(1000 + at, day)))

    hall.transact(fill).result(30)
    return Sweeper(hall, config, pause_s=0, quiet_s=0).sweep()


def test_half_recordings_go_a_week_after_their_token(hall: Hall, config: Config, vault: Vault) -> None:
    """What nobody went on with goes with its row, and so does what was set aside; one that still may go on stays."""
    names = {name: name_of("q01", "camera", name, "shown") for name in ("old", "young", "arrived")}
    put(hall, vault, "arrived", b"arrived", age_days=9)
    for name, one in names.items():
        partial = Partial(vault, one)
        partial.append(b"half")
        partial.close()
        row = {"id": name_of("q01", "camera", name), "station": "q01", "device": "camera", "name": name, "start": 1,
               "seconds": 1.0, "bytes": 9, "sha256": "ab" * 32, "made_at": NOW - 9 * DAY_MS, "held": False}  # fmt: skip
        way = {"id": one, "clip": row["id"], "file": "shown", "bytes": 9, "sha256": "ab" * 32, "token": "x",
               "ends_at": NOW - (8 if name != "young" else 6) * DAY_MS}  # fmt: skip

        def enter(connection: sa.Connection, row: Any = row, way: Any = way, name: str = name) -> None:
            if name != "arrived":
                connection.execute(sa.insert(clip).values(row))
            connection.execute(sa.insert(upload).values(way))

        hall.transact(enter).result(30)
    vault.put_aside(names["old"])
    assert sweep(hall, config, days=1)["half recordings"] == 2
    assert wiped(hall) == {"young": False, "arrived": False}
    assert [file.name for file in (vault.folder / "uploads").iterdir()] == [names["young"]]
    assert list((vault.folder / "aside").iterdir()) == []
    assert len(list(vault.list())) == 1


def test_rows_outlive_their_files_and_go_with_the_record(hall: Hall) -> None:
    """That there was a recording is known for as long as the record is kept; then row and incident go."""
    deliver(hall, arrival(UPDATED, 1))
    row = {"id": "x" * 32, "station": "q01", "device": "camera", "name": "c", "start": 1, "seconds": 1.0, "made_at": 1,
           "held": False, "wiped_at": 5}  # fmt: skip
    hall.transact(lambda connection: connection.execute(sa.insert(clip).values(row))).result(30)
    none: dict[str, Any] = dict.fromkeys(Bounds.__dataclass_fields__)
    taken = {}
    for name, step in steps(Bounds(**none | {"events_before": NOW + DAY_MS, "quarters_before": 0})):
        taken[name] = hall.transact(step).result(30)
    assert (taken["incidents"], taken["clips"]) == (1, 1)


def test_what_is_said_of_a_held_recording_stays_with_it(hall: Hall, vault: Vault) -> None:
    """Why it is held, who judged it and who looked is known for as long as it is held; of others it goes in time."""
    deliver(hall, arrival(ENDED, 1))
    for number, held in (("1", True), ("2", False)):
        put(hall, vault, f"c-{number}", number.encode(), age_days=1, held=held)

    def fill(connection: sa.Connection) -> None:
        kept = name_of("q01", "camera", "c-1")
        own = connection.execute(sa.select(incident.c.id)).scalar_one()
        connection.execute(sa.update(incident).values(clip=kept))
        for one in (kept, name_of("q01", "camera", "c-2")):
            connection.execute(sa.insert(hold).values(clip=one, at=1, actor="person:d", held=True, reason="r"))
            connection.execute(sa.insert(look).values(clip=one, at=1, actor="person:d", file="shown", reason=""))
            connection.execute(sa.insert(review).values(item=f"c{one}", at=1, actor="person:d", note=""))
        connection.execute(sa.insert(review).values(item=f"i{own}", at=1, actor="person:d", note=""))

    hall.transact(fill).result(30)
    none: dict[str, Any] = dict.fromkeys(Bounds.__dataclass_fields__)
    bounds = Bounds(**none | {"events_before": 2, "quarters_before": 0})
    taken = {name: hall.transact(step).result(30) for name, step in steps(bounds)}
    assert (taken["holds"], taken["looks"], taken["reviews"]) == (1, 1, 1)
    hall.transact(lambda connection: connection.execute(sa.update(clip).values(held=False))).result(30)
    taken = {name: hall.transact(step).result(30) for name, step in steps(bounds)}
    assert (taken["holds"], taken["looks"], taken["reviews"]) == (1, 1, 2)


def test_what_is_needed_is_known_of_both_files(hall: Hall, vault: Vault) -> None:
    """A content counts as needed also as another's encrypted version, and no longer once that is wiped."""
    sha256 = put(hall, vault, "one", b"one", age_days=1)
    put(hall, vault, "two", b"two", age_days=1, sealed_sha256=sha256)
    one = name_of("q01", "camera", "one")
    assert hall.transact(lambda connection: needed(connection, sha256, but=one)).result(30)
    hall.transact(lambda connection: connection.execute(sa.update(clip).values(wiped_at=1))).result(30)
    assert not hall.transact(lambda connection: needed(connection, sha256, but=one)).result(30)
