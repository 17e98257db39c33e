"""The store: migrates itself, keeps a batch whole or not at all, and says in a line what is wrong."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateTable

from center.errors import BusyError, StoreError
from center.storage import schema
from center.storage import store as store_module
from center.storage.store import Batch, Row, Store, metadata
from tests.support.schema import Copied, content


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where the database is."""
    return tmp_path / "data" / "center.db"


@pytest.fixture
def store(file: Path) -> Iterator[Store]:
    """A fresh database."""
    one = Store(f"sqlite:///{file}")
    yield one
    one.close()


def rows(file: Path, query: str) -> list[Any]:
    """Read the database beside the store."""
    with closing(sqlite3.connect(file)) as database:
        return database.execute(query).fetchall()


def event(seq: int, *, day: str = "2026-11-23") -> Row:
    """Return a queue event's row."""
    return {"seq": seq, "day": day, "at": seq, "body": f'{{"n":{seq}}}', "actor": "test", "key": None}


def device_event(event_id: str) -> Row:
    """Return a device event's row."""
    return {
        "id": event_id, "type": "t", "source": "/c/q01/rating", "stream": "s", "sequence": 1, "time": 1,
        "clock_synced": True, "occurred_at": 1, "received_at": 1, "body": "{}",
    }  # fmt: skip


def rating(rating_id: str, ticket: str | None, level: int) -> Row:
    """Return a rating's row."""
    return {
        "id": rating_id, "ticket": ticket, "counter": "q01", "source": "/c/q01/rating", "scale": "vn-3",
        "level": level, "given_at": 1, "received_at": 1,
    }  # fmt: skip


def broken(digest: str) -> Row:
    """Return a row of quarantine."""
    return {
        "digest": digest, "received_at": 1, "topic": "t", "event_id": None, "reason": "r", "size": 1, "body": b"x",
    }  # fmt: skip


@pytest.mark.usefixtures("migrations")
def test_a_fresh_database_has_exactly_the_tables_of_this_version(file: Path) -> None:
    """What the migrations make is what the program uses: tables, columns, types, indexes."""
    Store(f"sqlite:///{file}").close()
    engine = sa.create_engine(f"sqlite:///{file}", poolclass=sa.NullPool)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
    engine.dispose()


def test_every_migration_is_known_by_its_file() -> None:
    """The versions that the program knows are those of the migrations, one after the other."""
    config = Config()
    config.set_main_option("script_location", schema.MIGRATIONS)
    steps = list(ScriptDirectory.from_config(config).walk_revisions())[::-1]
    assert [step.revision for step in steps] == schema.versions()
    assert [step.down_revision for step in steps] == [None, *schema.versions()[:-1]]


def test_a_copied_schema_is_what_the_migrations_make(tmp_path: Path, copied_schema: Copied) -> None:
    """What tests work on is to the letter what a center makes at its first start."""
    made = []
    for name, way in {"whole": copied_schema.upgrade, "first": copied_schema, "copied": copied_schema}.items():
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(schema, "upgrade", way)
            Store(f"sqlite:///{tmp_path / name}").close()
        with closing(sqlite3.connect(tmp_path / name)) as database:
            made.append(content(database))
    assert made[0] == made[1] == made[2] != []


@pytest.mark.usefixtures("migrations")
def test_an_older_database_is_brought_up_to_date(
    file: Path, copied_schema: Copied, caplog: pytest.LogCaptureFixture
) -> None:
    """A store of the first version gets every migration since, once: the next start finds nothing to do."""
    newest = schema.versions()[-1]
    caplog.set_level("INFO", "center.storage.store")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(schema, "upgrade", lambda connection: copied_schema.upgrade(connection, "0001"))
        Store(f"sqlite:///{file}").close()
    assert rows(file, "SELECT version_num FROM alembic_version") == [("0001",)]
    Store(f"sqlite:///{file}").close()
    assert rows(file, "SELECT version_num FROM alembic_version") == [(newest,)]
    assert [line for line in caplog.messages if "->" in line][-1].endswith(f"schema 0001 -> {newest}")
    caplog.clear()
    Store(f"sqlite:///{file}").close()
    assert caplog.messages == []


def test_a_backup_that_is_copied_over_the_file_is_noticed(store: Store, file: Path) -> None:
    """A copy written into the database while it is open, which SQLite cannot see, stops the storing with what to do."""
    store.write(Batch(queue_events=[event(1)]))
    copy = file.with_name("copy.db")
    with closing(sqlite3.connect(file)) as database:
        database.execute(f"VACUUM INTO '{copy}'")
    store.write(Batch(queue_events=[event(2)]))
    file.write_bytes(copy.read_bytes())
    for _ in range(2):
        with pytest.raises(StoreError, match="another database was copied over it"):
            store.write(Batch(queue_events=[event(3)]))


def test_the_tables_are_portable_to_postgresql() -> None:
    """Every table can be made by PostgreSQL too: nothing of SQLite's is in it."""
    for table in metadata.tables.values():
        assert "CREATE TABLE" in str(CreateTable(table).compile(dialect=postgresql.dialect()))
    dialect = postgresql.psycopg.dialect()  # type: ignore[no-untyped-call]
    texts = [text for text, _ in store_module._Statements(dialect).of(Batch())]
    assert all(text.startswith("INSERT INTO") and "RETURNING" not in text for text in texts)


def test_a_commit_survives_a_power_cut(store: Store) -> None:
    """The database writes ahead and syncs each commit: what `write` returned from is on the disk."""
    store.write(Batch(queue_events=[event(1)]))
    pragmas = [store._connect().exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("journal_mode", "synchronous")]
    assert pragmas == ["wal", 2]


def test_a_newer_database_is_left_alone(store: Store, file: Path) -> None:
    """A database that a newer program wrote is refused with what to do, and not touched."""
    store.close()
    with closing(sqlite3.connect(file)) as database, database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StoreError, match=r"was written by a newer motcua \(schema 9999, this program knows up to 0"):
        Store(f"sqlite:///{file}")
    assert rows(file, "SELECT version_num FROM alembic_version") == [("9999",)]


def test_what_is_no_database_is_left_alone(file: Path) -> None:
    """A file that is no database is refused in one line, and stays as it is."""
    file.parent.mkdir()
    file.write_bytes(b"this is a letter, not a database" * 100)
    with pytest.raises(StoreError, match=f"{file}: file is not a database") as error:
        Store(f"sqlite:///{file}")
    assert "\n" not in str(error.value)
    assert file.read_bytes().startswith(b"this is a letter")


@pytest.mark.parametrize(("url", "line"), [("center.db", "is not an SQLAlchemy URL"), ("nosuch://x/y", "store.url")])
def test_a_wrong_url_says_so(url: str, line: str) -> None:
    """A URL that cannot work is one line."""
    with pytest.raises(StoreError, match=line):
        Store(url)


def test_it_opens_where_it_stopped(store: Store, file: Path) -> None:
    """After a restart the last day's events, the first answers and the last number of the log are there."""
    began = '{"event":"day_started"}'
    days = [event(1, day="2026-11-22"), event(2) | {"body": began}, event(3), event(4, day="2036-01-01")]
    store.write(Batch(queue_events=[days[0] | {"body": began}, *days[1:]]))
    answer = {"key": "k", "ask": "Issue", "at": 1, "actor": "kiosk", "answer": "{}"}
    store.write(Batch(commands=[answer], devices=[{"station": "q01", "device": "rating", "seen_at": 5, "status": None,
                                                   "health": None, "reported": None}]))  # fmt: skip
    store.close()
    again = Store(f"sqlite:///{file}")
    kept = again.load()
    assert (kept.events, kept.last_seq) == ([began, '{"n":3}', '{"n":4}'], 4)
    assert [row["seen_at"] for row in kept.devices] == [5]
    assert again.answered(["k", "other"], since=1) == {"k": ("Issue", "{}")}
    assert again.answered(["k"], since=2) == {}
    again.close()


def test_a_batch_is_kept_whole_or_not_at_all(store: Store, file: Path) -> None:
    """If one row is refused, nothing of its batch is there, and the fault tells that trying again is useless."""
    store.write(Batch(queue_events=[event(1)]))
    with pytest.raises(StoreError, match="UNIQUE") as error:
        store.write(Batch(device_events=[device_event("e1")], queue_events=[event(2), event(1)]))
    assert error.value.poison
    assert rows(file, "SELECT seq FROM queue_event") == [(1,)]
    assert rows(file, "SELECT id FROM device_event") == []
    store.write(Batch(queue_events=[event(2)]))
    assert rows(file, "SELECT max(seq) FROM queue_event") == [(2,)]


def test_an_event_is_stored_once(store: Store, file: Path) -> None:
    """The same event in two batches, or twice in one, is one row."""
    store.write(Batch(device_events=[device_event("e1"), device_event("e1")]))
    store.write(Batch(device_events=[device_event("e1"), device_event("e2")]))
    assert rows(file, "SELECT id FROM device_event") == [("e1",), ("e2",)]
    assert store.known_events(["e1", "e3"]) == {"e1"}


def test_thousands_of_ids_can_be_looked_up_at_once(store: Store) -> None:
    """The number of ids in one question is not bounded by the database."""
    assert store.known_events([f"e{each}" for each in range(40_000)]) == set()


def test_a_ticket_has_one_counted_rating(store: Store, file: Path) -> None:
    """A second rating of a ticket, or of an id, is refused and not dropped in silence; those without a ticket stand."""
    store.write(Batch(ratings=[rating("r1", "t1", 3)]))
    for second in (rating("r2", "t1", 1), rating("r1", "t2", 1)):
        with pytest.raises(StoreError, match="UNIQUE") as error:
            store.write(Batch(ratings=[second]))
        assert error.value.poison
    store.write(Batch(ratings=[rating("r4", None, 1), rating("r5", None, 2)]))
    assert rows(file, "SELECT id, level FROM rating ORDER BY id") == [("r1", 3), ("r4", 1), ("r5", 2)]
    assert store.rated(["t1", "t2"]) == {"t1"}


def test_a_full_disk_is_told_from_other_faults(store: Store, file: Path) -> None:
    """When there is no space left the fault says so; with space again the store goes on."""
    store.write(Batch(queue_events=[event(1)]))
    pages = store._connect().exec_driver_sql("PRAGMA page_count").scalar()
    store._connect().rollback()
    store._connect().exec_driver_sql(f"PRAGMA max_page_count = {pages}")
    store._connect().rollback()
    with pytest.raises(StoreError, match="the disk is full; free some space") as error:
        store.write(Batch(queue_events=[event(seq) for seq in range(2, 2000)]))
    assert (error.value.full, error.value.poison) == (True, False)
    assert rows(file, "SELECT count(*) FROM queue_event") == [(1,)]
    store.write(Batch(queue_events=[event(2)]))  # on a new connection, which has no such bound
    assert rows(file, "SELECT count(*) FROM queue_event") == [(2,)]


def test_a_file_that_was_replaced_is_not_written(store: Store, file: Path) -> None:
    """Another database in the place of the one that was opened is left alone, and the fault says what to do."""
    store.write(Batch(queue_events=[event(1)]))
    for suffix in ("", "-wal", "-shm"):
        file.with_name(f"center.db{suffix}").unlink()
    with pytest.raises(StoreError, match=f"{file}: was removed or replaced while the center ran; put that very file"):
        store.write(Batch(queue_events=[event(2)]))
    assert not file.exists()
    with closing(sqlite3.connect(file)) as other:
        other.execute("CREATE TABLE other (x)")
    for _ in range(2):
        with pytest.raises(StoreError, match="was removed or replaced") as error:
            store.write(Batch(queue_events=[event(2)]))
        assert not error.value.poison
    with pytest.raises(StoreError, match="was removed or replaced"):
        store.answered(["k"], since=0)
    assert rows(file, "SELECT name FROM sqlite_master") == [("other",)]


def test_two_centers_never_share_a_database(store: Store, file: Path) -> None:
    """A second center on one file is refused in a line, whatever its data folder; the first goes on."""
    with pytest.raises(BusyError, match=f"{file}: another center writes this store; stop it, or set another data_dir"):
        Store(f"sqlite:///{file}")
    store.write(Batch(queue_events=[event(1)]))
    store.close()
    Store(f"sqlite:///{file}").close()


def test_a_lock_of_another_program_is_named(store: Store, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database that somebody else holds is no broken disk: the fault says what kind of program to look for."""
    monkeypatch.setattr(store_module, "_BUSY_S", 0)
    store.close()
    store = Store(f"sqlite:///{file}")
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(
            StoreError, match=r"database is locked: another program .* a backup not made by VACUUM INTO"
        ) as error:
            store.write(Batch(queue_events=[event(1)]))
    assert not error.value.poison
    store.write(Batch(queue_events=[event(1)]))
    store.close()


def test_a_damaged_file_is_named(store: Store, file: Path) -> None:
    """A damaged database is no full disk: the fault says to set it aside and restore the backup."""
    store.write(Batch(queue_events=[event(seq) for seq in range(1, 500)]))
    store.close()
    damaged = bytearray(file.read_bytes())
    damaged[4096:] = b"\xa5" * (len(damaged) - 4096)
    file.write_bytes(damaged)
    with pytest.raises(StoreError, match=r"malformed: the file is damaged; stop the center, .* the last backup"):
        Store(f"sqlite:///{file}")
    assert file.read_bytes() == damaged


def test_quarantine_does_not_fill_the_disk(file: Path) -> None:
    """Only the newest broken messages are kept, each once."""
    store = Store(f"sqlite:///{file}", quarantine_rows=10)
    for start in (0, 20):
        store.write(Batch(quarantine=[broken(f"{each:02}") for each in range(start, start + 20)]))
        store.write(Batch(quarantine=[broken(f"{start + 19:02}")]))
    assert rows(file, "SELECT digest FROM quarantine ORDER BY seq") == [(f"{each}",) for each in range(30, 40)]
    store.close()


def test_old_answers_are_forgotten(store: Store, file: Path) -> None:
    """First answers are not kept for ever."""
    answers = [{"key": f"k{at}", "ask": "a", "at": at, "actor": "x", "answer": "{}"} for at in (10, 20)]
    store.write(Batch(commands=answers))
    store.write(Batch(forget_commands_before=15))
    assert rows(file, "SELECT key FROM command") == [("k20",)]
