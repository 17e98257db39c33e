"""The store: opens and migrates the database, reads today, writes one batch in one transaction.

One thread owns it. Nothing here decides anything: the hall hands over a batch, and after `write` has returned all of it
survives a power cut; if `write` raises, none of it happened.
"""

import logging
import shutil
import sqlite3
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import command as alembic
from alembic.config import Config as AlembicConfig
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.pool import NullPool

from center.errors import StoreError
from center.storage import tables
from center.storage.tables import metadata

log = logging.getLogger(__name__)

Row = dict[str, Any]

QUARANTINE_ROWS = 10_000
"""So many broken messages are kept, the newest: a flood of them must not fill the disk."""

_BUSY_S = 5
_ROOM = 1 << 20  # bytes: less than this, and a disk counts as full
_DAY_STARTED = '{"event":"day_started"%'  # how msgspec writes the event's tag, always first
_CHUNK = 500  # bound variables in one IN (…)


@dataclass(slots=True)
class Batch:
    """What one transaction writes, as rows of the tables."""

    queue_events: list[Row] = field(default_factory=list)
    commands: list[Row] = field(default_factory=list)
    tickets: list[Row] = field(default_factory=list)
    device_events: list[Row] = field(default_factory=list)
    quarantine: list[Row] = field(default_factory=list)
    ratings: list[Row] = field(default_factory=list)
    devices: list[Row] = field(default_factory=list)
    streams: list[Row] = field(default_factory=list)
    forget_commands_before: int | None = None

    def __bool__(self) -> bool:
        return self.forget_commands_before is not None or any(
            (
                self.queue_events,
                self.commands,
                self.tickets,
                self.device_events,
                self.quarantine,
                self.ratings,
                self.devices,
                self.streams,
            )
        )


@dataclass(frozen=True, slots=True)
class Kept:
    """What a center needs to go on where it stopped."""

    events: list[str]  # the day's queue events, as JSON, in order
    last_seq: int
    keys: dict[str, int]  # of commands that were answered, and when they were asked
    devices: list[Row]
    streams: list[Row]


class Store:
    """The database of one center."""

    def __init__(self, url: str, *, quarantine_rows: int = QUARANTINE_ROWS) -> None:
        self._quarantine_rows = quarantine_rows
        try:
            self._url = sa.make_url(url)
        except sa.exc.ArgumentError as error:
            raise StoreError(f"store.url: {url!r} is not an SQLAlchemy URL such as sqlite:////var/lib/x.db") from error
        self._connection: sa.Connection | None = None
        self._sqlite = self._url.get_backend_name() == "sqlite"
        if self._sqlite and self._url.database:
            folder = Path(self._url.database).parent
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise StoreError(f"{folder}: cannot be made: {error.strerror}; check data_dir") from error
        try:
            self._engine = _engine(self._url)
        except (sa.exc.SQLAlchemyError, ImportError) as error:
            raise StoreError(f"store.url: {error}") from error
        self._statements = _Statements(self._url.get_backend_name())
        self._migrate()

    def close(self) -> None:
        """Let the database go."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        self._engine.dispose()

    # --- opening ---------------------------------------------------------------------------------------------------

    def _migrate(self) -> None:
        scripts = ScriptDirectory.from_config(alembic_config())
        with self._translated(), self._connect().begin():
            connection = self._connect()
            found = MigrationContext.configure(connection).get_current_revision()
            newest = scripts.get_current_head()
            if found is not None and found not in {script.revision for script in scripts.walk_revisions()}:
                raise StoreError(
                    f"{self._name}: was written by a newer motcua (schema {found}, this program knows up to {newest});"
                    " install that version again"
                )
            if found != newest:
                config = alembic_config()
                config.attributes["connection"] = connection
                alembic.upgrade(config, "head")
                log.info("store %s: schema %s -> %s", self._name, found or "none", newest)

    @property
    def _name(self) -> str:
        return self._url.database or "" if self._sqlite else self._url.render_as_string(hide_password=True)

    def _connect(self) -> sa.Connection:
        if self._connection is None:
            self._connection = self._engine.connect()
        return self._connection

    # --- reading ---------------------------------------------------------------------------------------------------

    def load(self) -> Kept:
        """Return what the last run left."""
        queue = tables.queue_event
        with self._translated(), self._connect().begin():
            run = self._connect().execute
            newest = queue.c.seq.desc()
            last = run(sa.select(queue.c.seq).order_by(newest).limit(1)).scalar()
            # Backwards from the end, so no older day is read. A corrected date stands within the day it belongs to.
            started = queue.c.body.like(_DAY_STARTED)
            begin = run(sa.select(queue.c.seq).where(started).order_by(newest).limit(1)).scalar()
            bodies = run(sa.select(queue.c.body).where(queue.c.seq >= (begin or 0)).order_by(queue.c.seq)).scalars()
            return Kept(
                events=list(bodies),
                last_seq=last or 0,
                keys={row.key: row.at for row in run(sa.select(tables.command.c.key, tables.command.c.at))},
                devices=[dict(row) for row in run(sa.select(tables.device)).mappings()],
                streams=[dict(row) for row in run(sa.select(tables.stream)).mappings()],
            )

    def last_numbers(self, day: str) -> dict[str, int]:
        """Return the last number of each letter that was given out at a date: none, unless the clock was wrong."""
        table = tables.ticket
        last: dict[str, int] = {}
        with self._translated(), self._connect().begin():
            for number in self._connect().execute(sa.select(table.c.number).where(table.c.day == day)).scalars():
                last[number[:1]] = max(last.get(number[:1], 0), int(number[1:]))
        return last

    def answered(self, key: str) -> tuple[str, str] | None:
        """Return what was asked with a key and its first answer, as JSON."""
        table = tables.command
        with self._translated(), self._connect().begin():
            row = self._connect().execute(sa.select(table.c.ask, table.c.answer).where(table.c.key == key)).first()
        return (row.ask, row.answer) if row else None

    def served_at(self, ticket: str) -> str | None:
        """Return the counter at which a ticket of any day was served; None if it was not."""
        table = tables.ticket
        with self._translated(), self._connect().begin():
            query = sa.select(table.c.counter).where(table.c.id == ticket, table.c.state == "served")
            counter: str | None = self._connect().execute(query).scalar()
        return counter

    def known_events(self, ids: Collection[str]) -> set[str]:
        """Return which of these event ids are stored already."""
        return self._among(tables.device_event.c.id, ids)

    def rated(self, tickets: Collection[str]) -> set[str]:
        """Return which of these tickets have a counted rating."""
        return self._among(tables.rating.c.ticket, tickets)

    def _among(self, column: sa.Column[str], values: Collection[str]) -> set[str]:
        found: set[str] = set()
        if not values:
            return found
        every = list(values)
        with self._translated(), self._connect().begin():
            for at in range(0, len(every), _CHUNK):
                query = sa.select(column).where(column.in_(every[at : at + _CHUNK]))
                found.update(self._connect().execute(query).scalars())
        return found

    # --- writing ---------------------------------------------------------------------------------------------------

    def write(self, batch: Batch) -> None:
        """Commit a batch, whole or not at all; raise StoreError if it could not be."""
        with self._translated(), self._connect().begin():
            run = self._connect().execute
            if batch.forget_commands_before is not None:  # first: a forgotten key may come again with these
                run(sa.delete(tables.command).where(tables.command.c.at < batch.forget_commands_before))
            for statement, rows in self._statements.of(batch):
                if rows:
                    run(statement, rows)
            if batch.quarantine:
                table = tables.quarantine
                oldest = sa.select(sa.func.max(table.c.seq) - self._quarantine_rows).scalar_subquery()
                run(sa.delete(table).where(table.c.seq <= oldest))

    def _translated(self) -> "_Translated":
        return _Translated(self._name, self._drop)

    def _drop(self) -> None:
        """Forget the connection after a fault: the next use makes a new one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                connection.close()
            except sa.exc.SQLAlchemyError:
                log.debug("closing a failed connection", exc_info=True)


class _Translated:
    """Turns the database's errors into ours and drops the connection they happened on."""

    def __init__(self, name: str, drop: Callable[[], None]) -> None:
        self._name, self._drop = name, drop

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _trace: object) -> None:
        if error is None:
            return
        self._drop()
        if isinstance(error, sa.exc.DBAPIError):
            cause = error.orig or error
            full = _is_full(cause) or (_is_io(cause) and _no_room(self._name))
            poison = isinstance(error, sa.exc.IntegrityError | sa.exc.DataError | sa.exc.ProgrammingError)
            advice = "the disk is full; free some space" if full else "check the disk and the rights of the file"
            message = str(cause).strip() if poison else f"{str(cause).strip()}: {advice}"
            raise StoreError(f"{self._name}: {message}", full=full, poison=poison) from error
        if isinstance(error, sa.exc.SQLAlchemyError | OverflowError):
            raise StoreError(f"{self._name}: {error}", poison=True) from error


def _is_full(cause: BaseException) -> bool:
    if isinstance(cause, sqlite3.Error):
        return getattr(cause, "sqlite_errorname", "") == "SQLITE_FULL"
    return getattr(cause, "sqlstate", None) == "53100"


def _is_io(cause: BaseException) -> bool:
    return isinstance(cause, sqlite3.Error) and getattr(cause, "sqlite_errorname", "").startswith("SQLITE_IOERR")


def _no_room(database: str) -> bool:
    """Whether there is no room beside a database: SQLite calls that a broken disk where it cannot even make its WAL."""
    try:
        return shutil.disk_usage(Path(database).parent).free < _ROOM
    except OSError:
        return False


class _Statements:
    """The statements of a batch, made once for the kind of database in use."""

    def __init__(self, backend: str) -> None:
        self._insert: Callable[[sa.Table], Any] = postgresql.insert if backend == "postgresql" else sqlite.insert
        self._queue_event = sa.insert(tables.queue_event)
        self._command = sa.insert(tables.command)
        self._ticket = self._upsert(tables.ticket)
        self._device_event = self._once(tables.device_event, "id")
        self._quarantine = self._once(tables.quarantine, "digest")
        self._rating = sa.insert(tables.rating)
        self._device = self._upsert(tables.device)
        self._stream = self._upsert(tables.stream)

    def of(self, batch: Batch) -> Iterable[tuple[Any, list[Row]]]:
        """Return each statement with its rows."""
        yield self._queue_event, batch.queue_events
        yield self._command, batch.commands
        yield self._ticket, batch.tickets
        yield self._device_event, batch.device_events
        yield self._quarantine, batch.quarantine
        yield self._rating, batch.ratings
        yield self._device, batch.devices
        yield self._stream, batch.streams

    def _once(self, table: sa.Table, column: str) -> Any:
        return self._insert(table).on_conflict_do_nothing(index_elements=[column])

    def _upsert(self, table: sa.Table) -> Any:
        statement = self._insert(table)
        keys = [column.name for column in table.primary_key]
        changes = {column.name: statement.excluded[column.name] for column in table.c if column.name not in keys}
        return statement.on_conflict_do_update(index_elements=keys, set_=changes)


def alembic_config() -> AlembicConfig:
    """Return where the migrations are, for Alembic: inside this package."""
    config = AlembicConfig()
    config.set_main_option("script_location", "center.storage:migrations")
    return config


def _engine(url: sa.URL) -> sa.Engine:
    if url.get_backend_name() != "sqlite":
        return sa.create_engine(url, poolclass=NullPool)
    engine = sa.create_engine(
        url, poolclass=NullPool, connect_args={"timeout": _BUSY_S, "check_same_thread": False, "isolation_level": None}
    )

    @sa.event.listens_for(engine, "connect")
    def _prepare(connection: sqlite3.Connection, _record: object) -> None:
        # WAL with FULL: a commit that has returned survives a power cut, and a reader never waits for the writer.
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", "temp_store = MEMORY"):
            connection.execute(f"PRAGMA {pragma}")

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        # Python's own driver would begin late and never for DDL, so that a migration could stop half way.
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


__all__ = ["QUARANTINE_ROWS", "Batch", "Kept", "Row", "Store", "alembic_config", "metadata"]
