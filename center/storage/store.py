"""The store: opens and migrates the database, reads today, writes one batch in one transaction.

One thread owns it. Nothing here decides anything: the hall hands over a batch, and after `write` has returned all of it
survives a power cut; if `write` raises, none of it happened.
"""

import contextlib
import fcntl
import logging
import os
import shutil
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.pool import NullPool

from center.errors import BusyError, StoreError
from center.storage import schema, tables
from center.storage.projection import upsert_incident
from center.storage.tables import metadata

log = logging.getLogger(__name__)

Row = dict[str, Any]
T = TypeVar("T")

QUARANTINE_ROWS = 10_000
"""So many broken messages are kept, the newest: a flood of them must not fill the disk."""

_BUSY_S = 5
_ROOM = 1 << 20  # bytes: less than this, and a disk counts as full
_DAY_STARTED = '{"event":"day_started"%'  # how msgspec writes the event's tag, always first
_MODE_AT, _WAL = 18, b"\x02\x02"  # in the header of a database in WAL mode (sqlite.org/fileformat2.html, 1.3)
_CHUNK = 500  # bound variables in one IN (…)
_ADVISORY_LOCK = 0x4D6F74637561  # "Motcua"


@dataclass(slots=True)
class Batch:
    """What one transaction writes, as rows of the tables."""

    queue_events: list[Row] = field(default_factory=list)
    commands: list[Row] = field(default_factory=list)
    tickets: list[Row] = field(default_factory=list)
    device_events: list[Row] = field(default_factory=list)
    quarantine: list[Row] = field(default_factory=list)
    ratings: list[Row] = field(default_factory=list)
    incidents: list[Row] = field(default_factory=list)  # what each event says of one, in the order of arrival
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
                self.incidents,
                self.devices,
                self.streams,
            )
        )


@dataclass(frozen=True, slots=True)
class Kept:
    """What a center needs to go on where it stopped."""

    events: list[str]  # the day's queue events, as JSON, in order
    last_seq: int
    devices: list[Row]
    streams: list[Row]


# Made once: putting such a query together anew takes twice as long as the query.
_AMONG: sa.BindParameter[Any] = sa.bindparam("values", expanding=True)
_ANSWERED = sa.select(tables.command.c.key, tables.command.c.ask, tables.command.c.answer).where(
    tables.command.c.at >= sa.bindparam("since"), tables.command.c.key.in_(_AMONG)
)
_KNOWN_EVENTS = sa.select(tables.device_event.c.id).where(tables.device_event.c.id.in_(_AMONG))
_RATED = sa.select(tables.rating.c.ticket).where(tables.rating.c.ticket.in_(_AMONG))


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
        self._in_wal = self._spoilt = False
        self._opened: int | None = None  # holds on to the file that was opened: another one in its place is not ours
        try:
            self._engine = _engine(self._url)
        except (sa.exc.SQLAlchemyError, ImportError) as error:
            raise StoreError(f"store.url: {error}") from error
        self._statements = _Statements(self._engine.dialect)
        with contextlib.ExitStack() as held:
            if self._sqlite and self._url.database:
                held.enter_context(_alone(Path(self._url.database)))
            held.callback(self._let_go)
            self._migrate()
            self._held = held.pop_all()

    def close(self) -> None:
        """Let the database go."""
        self._held.close()
        self._engine.dispose()

    # --- opening ---------------------------------------------------------------------------------------------------

    def _migrate(self) -> None:
        known = schema.versions()
        newest = known[-1]
        with self._transaction() as connection:
            found = schema.version(connection)
            if found is not None and found not in known:
                raise StoreError(
                    f"{self._name}: was written by a newer motcua (schema {found}, this program knows up to {newest});"
                    " install that version again"
                )
            if found != newest:
                schema.upgrade(connection)
                log.info("store %s: schema %s -> %s", self._name, found or "none", newest)

    @property
    def _name(self) -> str:
        return self._url.database or "" if self._sqlite else self._url.render_as_string(hide_password=True)

    def _connect(self) -> sa.Connection:
        if self._connection is None:
            self._check_file()  # or SQLite would make a new one in its place
            self._connection = self._engine.connect()
            if self._opened is None and self._sqlite and self._url.database:
                with contextlib.suppress(OSError):  # what is no plain file is not watched
                    self._opened = os.open(self._url.database, os.O_RDONLY | os.O_CLOEXEC)
            if not self._sqlite:
                if not self._connection.scalar(sa.select(sa.func.pg_try_advisory_lock(_ADVISORY_LOCK))):
                    raise StoreError(_in_use(self._name))
                self._connection.rollback()  # the lock stays as long as the connection
        return self._connection

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sa.Connection]:
        """Commit at the end, unless there was a fault, or the file is not the one that was opened."""
        with _Translated(self._name, self._drop):
            connection = self._connect()
            with connection.begin():
                yield connection
                self._check_file()

    def _check_file(self) -> None:
        """Refuse to go on with a file that was removed or replaced: what is written there, nobody finds again."""
        if self._opened is None:
            return
        try:
            same = os.path.samestat(os.stat(self._name), os.fstat(self._opened))  # noqa: PTH116 – at every commit
            in_wal = os.pread(self._opened, 2, _MODE_AT) == _WAL
        except OSError:
            same = in_wal = False
        # For good: SQLite merges its log into whatever file is there when the connection ends.
        self._spoilt |= same and self._in_wal and not in_wal
        if self._spoilt:
            raise StoreError(
                f"{self._name}: another database was copied over it while the center ran, so nothing can be trusted to"
                " it; stop the center and restore the backup as the operator's guide says, without -wal and -shm"
            )
        self._in_wal |= in_wal  # a new file is not before its first commit
        if not same:
            raise StoreError(
                f"{self._name}: was removed or replaced while the center ran; put that very file back, or restart the"
                " center to go on with what is there now"
            )

    # --- reading ---------------------------------------------------------------------------------------------------

    def load(self) -> Kept:
        """Return what the last run left."""
        queue = tables.queue_event
        with self._transaction() as connection:
            run = connection.execute
            newest = queue.c.seq.desc()
            last = run(sa.select(queue.c.seq).order_by(newest).limit(1)).scalar()
            # Backwards from the end, so no older day is read. A corrected date stands within the day it belongs to.
            started = queue.c.body.like(_DAY_STARTED)
            begin = run(sa.select(queue.c.seq).where(started).order_by(newest).limit(1)).scalar()
            bodies = run(sa.select(queue.c.body).where(queue.c.seq >= (begin or 0)).order_by(queue.c.seq)).scalars()
            return Kept(
                events=list(bodies),
                last_seq=last or 0,
                devices=[dict(row) for row in run(sa.select(tables.device)).mappings()],
                streams=[dict(row) for row in run(sa.select(tables.stream)).mappings()],
            )

    def last_numbers(self, day: str) -> dict[str, int]:
        """Return the last number of each letter that was given out at a date: none, unless the clock was wrong."""
        table = tables.ticket
        last: dict[str, int] = {}
        with self._transaction() as connection:
            for number in connection.execute(sa.select(table.c.number).where(table.c.day == day)).scalars():
                last[number[:1]] = max(last.get(number[:1], 0), int(number[1:]))
        return last

    def answered(self, keys: Collection[str], *, since: int) -> dict[str, tuple[str, str]]:
        """Return what was asked with these keys since an instant, and the first answer, as JSON."""
        return {row.key: (row.ask, row.answer) for row in self._among(_ANSWERED, keys, since=since)}

    def served_at(self, ticket: str) -> str | None:
        """Return the counter at which a ticket of any day was served; None if it was not."""
        table = tables.ticket
        with self._transaction() as connection:
            query = sa.select(table.c.counter).where(table.c.id == ticket, table.c.state == "served")
            counter: str | None = connection.execute(query).scalar()
        return counter

    def known_events(self, ids: Collection[str]) -> set[str]:
        """Return which of these event ids are stored already."""
        return {row.id for row in self._among(_KNOWN_EVENTS, ids)}

    def rated(self, tickets: Collection[str]) -> set[str]:
        """Return which of these tickets have a counted rating."""
        return {row.ticket for row in self._among(_RATED, tickets)}

    def _among(self, query: sa.Select[Any], values: Collection[str], **others: object) -> list[Any]:
        """Return the rows that a query finds for these values."""
        found: list[Any] = []
        if not values:
            return found
        every = list(values)
        with self._transaction() as connection:
            for at in range(0, len(every), _CHUNK):
                found += connection.execute(query, {"values": every[at : at + _CHUNK], **others})
        return found

    # --- writing ---------------------------------------------------------------------------------------------------

    def write(self, batch: Batch) -> None:
        """Commit a batch, whole or not at all; raise StoreError if it could not be."""
        with self._transaction() as connection:
            run = connection.execute
            if batch.forget_commands_before is not None:  # first: a forgotten key may come again with these
                run(sa.delete(tables.command).where(tables.command.c.at < batch.forget_commands_before))
            for statement, rows in self._statements.of(batch):
                if rows:
                    connection.exec_driver_sql(statement, rows)
            if batch.quarantine:
                table = tables.quarantine
                oldest = sa.select(sa.func.max(table.c.seq) - self._quarantine_rows).scalar_subquery()
                run(sa.delete(table).where(table.c.seq <= oldest))

    def transact(self, job: Callable[[sa.Connection], T]) -> T:
        """Run what others keep beside the record (people, alerts) in a transaction of its own; return its result.

        Raises StoreError if it could not be committed; what the job raises itself takes the transaction back.
        """
        with self._transaction() as connection:
            return job(connection)

    def _let_go(self) -> None:
        self._drop()
        if self._opened is not None:
            os.close(self._opened)  # last: it lets go of all locks of this process on the file
            self._opened = None

    def _drop(self) -> None:
        """Forget the connection after a fault: the next use makes a new one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                connection.close()
            except sa.exc.SQLAlchemyError:
                log.debug("closing a failed connection", exc_info=True)


def _in_use(name: str) -> str:
    return f"{name}: another center writes this store; stop it, or set another data_dir or store.url"


@contextlib.contextmanager
def _alone(database: Path) -> Iterator[None]:
    """Hold an SQLite file for this process alone: two centers on one store would give numbers twice."""
    folder = database.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Beside the file, not in it: whoever closes a file of SQLite's lets go of SQLite's own locks on it.
        lock = os.open(f"{database}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreError(f"{folder}: cannot be used: {error.strerror}; check data_dir and its rights") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise BusyError(_in_use(str(database))) from error
    finally:
        os.close(lock)


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
            message = str(cause).strip() if poison else f"{str(cause).strip()}: {_advice(cause, full=full)}"
            raise StoreError(f"{self._name}: {message}", full=full, poison=poison) from error
        if isinstance(error, sa.exc.SQLAlchemyError | OverflowError):
            raise StoreError(f"{self._name}: {error}", poison=True) from error


def _advice(cause: BaseException, *, full: bool) -> str:
    """Return what an operator can do about a fault of the database."""
    if full:
        return "the disk is full; free some space"
    if _is(cause, "SQLITE_BUSY", "SQLITE_LOCKED"):
        return (
            "another program holds the file, such as a backup not made by VACUUM INTO or an sqlite3 left in a"
            " transaction; end it (fuser -v names it)"
        )
    if _is(cause, "SQLITE_CORRUPT", "SQLITE_NOTADB"):
        return (
            "the file is damaged; stop the center, set the file aside with its -wal and -shm, and put the last backup"
            " in its place"
        )
    return "check the disk and the rights of the file"


def _is(cause: BaseException, *names: str) -> bool:
    """Whether SQLite calls a fault so; its finer names begin with the coarse one."""
    return isinstance(cause, sqlite3.Error) and getattr(cause, "sqlite_errorname", "").startswith(names)


def _is_full(cause: BaseException) -> bool:
    return _is(cause, "SQLITE_FULL") or getattr(cause, "sqlstate", None) == "53100"


def _is_io(cause: BaseException) -> bool:
    return _is(cause, "SQLITE_IOERR")


def _no_room(database: str) -> bool:
    """Whether there is no room beside a database: SQLite calls that a broken disk where it cannot even make its WAL."""
    try:
        return shutil.disk_usage(Path(database).parent).free < _ROOM
    except OSError:
        return False


class _Statements:
    """The statements of a batch, as text that the driver takes with rows as they are.

    Through SQLAlchemy each row would be taken apart and put together again, which costs more than to store it. That
    asks of these tables that their columns need no conversion, and of each row that it has every column.
    """

    def __init__(self, dialect: sa.Dialect) -> None:
        self._dialect = dialect
        self._insert: Callable[[sa.Table], Any] = postgresql.insert if dialect.name == "postgresql" else sqlite.insert
        self._queue_event = self._text(tables.queue_event, sa.insert)
        self._command = self._text(tables.command, sa.insert)
        self._ticket = self._text(tables.ticket, self._upsert)
        self._device_event = self._text(tables.device_event, self._once("id"))
        self._quarantine = self._text(tables.quarantine, self._once("digest"))
        self._rating = self._text(tables.rating, sa.insert)
        self._incident = self._text(tables.incident, lambda _: upsert_incident(self._insert))
        self._device = self._text(tables.device, self._upsert)
        self._stream = self._text(tables.stream, self._upsert)

    def of(self, batch: Batch) -> Iterable[tuple[str, list[Row]]]:
        """Return each statement with its rows."""
        yield self._queue_event, batch.queue_events
        yield self._command, batch.commands
        yield self._ticket, batch.tickets
        yield self._device_event, batch.device_events
        yield self._quarantine, batch.quarantine
        yield self._rating, batch.ratings
        yield self._incident, batch.incidents
        yield self._device, batch.devices
        yield self._stream, batch.streams

    def _text(self, table: sa.Table, make: Callable[[sa.Table], Any]) -> str:
        columns = [column.name for column in table.c if column is not table.autoincrement_column]
        return str(make(table).inline().compile(dialect=self._dialect, column_keys=columns))

    def _once(self, column: str) -> Callable[[sa.Table], Any]:
        return lambda table: self._insert(table).on_conflict_do_nothing(index_elements=[column])

    def _upsert(self, table: sa.Table) -> Any:
        statement = self._insert(table)
        keys = [column.name for column in table.primary_key]
        changes = {column.name: statement.excluded[column.name] for column in table.c if column.name not in keys}
        return statement.on_conflict_do_update(index_elements=keys, set_=changes)


def _engine(url: sa.URL) -> sa.Engine:
    if url.get_backend_name() != "sqlite":
        return sa.create_engine(url, poolclass=NullPool)
    engine = sa.create_engine(
        url,
        poolclass=NullPool,
        paramstyle="named",  # rows are dicts
        connect_args={"timeout": _BUSY_S, "check_same_thread": False, "isolation_level": None},
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


__all__ = ["QUARANTINE_ROWS", "Batch", "Kept", "Row", "Store", "metadata"]
