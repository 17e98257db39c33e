"""The outbox: facts that the center has not acknowledged yet, kept so that no power cut takes back what was confirmed.

One SQLite database for each device, in WAL mode. Adding a fact is one transaction with `synchronous=FULL`: when
`append` returns, the fact is on the medium. Rows leave only on the center's own acknowledgement.
`docs/design/outbox.md` tells why, with figures.
"""

import fcntl
import logging
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from contract.envelope import seal_encoded
from contract.events import NAMES, Fact
from firmware.errors import StoreError
from firmware.ports import Clock

_log = logging.getLogger(__name__)

SCHEMA_VERSION = 1
# AUTOINCREMENT: a sequence number is never given twice, even after its row is gone. `time_ms` is UTC as the wall clock
# had it when the row was written.
_SCHEMA = (
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE memory (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE event (sequence INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, type TEXT NOT NULL,"
    " data BLOB NOT NULL, boot_id TEXT NOT NULL, monotonic_ms INTEGER NOT NULL, time_ms INTEGER NOT NULL,"
    " clock_synced INTEGER NOT NULL)",
)
_INSERT = (
    "INSERT INTO event (id, type, data, boot_id, monotonic_ms, time_ms, clock_synced) VALUES (?, ?, ?, ?, ?, ?, ?)"
)
_REMEMBER = "INSERT INTO memory (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
_PEEK = (
    "SELECT sequence, id, type, data, boot_id, monotonic_ms, time_ms, clock_synced FROM event"
    " WHERE sequence > ? ORDER BY sequence LIMIT ?"
)
_BUSY_TIMEOUT_MS = 1000
_TIDY_BYTES = 256 * 1024
_CORRUPT = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_encoder = msgspec.json.Encoder()


class OutboxInUseError(StoreError):
    """Another process has this outbox open."""


class Row(msgspec.Struct, frozen=True):
    """One fact as it waits. It is sealed when it is sent: until then its time may still be corrected."""

    sequence: int
    id: str
    type: str
    data: bytes
    boot_id: str
    monotonic_ms: int
    time_ms: int
    clock_synced: int
    """0 or 1, as SQLite has it."""

    def seal(self, *, source: str, stream: str) -> bytes:
        """Return the event's bytes for the wire."""
        return seal_encoded(
            msgspec.Raw(self.data),
            type_name=self.type,
            event_id=self.id,
            source=source,
            time=_EPOCH + timedelta(milliseconds=self.time_ms),
            sequence=self.sequence,
            stream=stream,
            boot_id=self.boot_id,
            monotonic_ms=self.monotonic_ms,
            clock_synced=bool(self.clock_synced),
        )


class Outbox:
    """The facts and the memory of one device. Owned by one thread; every method may raise StoreError.

    It opens itself at the first use and again after a failure, so that it recovers when the disk does.
    """

    def __init__(self, folder: Path, *, clock: Clock, new_id: Callable[[], str]) -> None:
        self._folder = folder
        self._path = folder / "outbox.db"
        self._clock = clock
        self._new_id = new_id
        self._db: sqlite3.Connection | None = None
        self._lock: int | None = None
        self._stream = ""
        self._last_sequence = 0
        self._times_are_right = False
        self._corrupt: Exception | None = None
        self._names = str(self._path), f"{self._path}-wal"  # as text: looking at them is on the way of each press
        self._files: object = None  # which ones are open

    @property
    def stream(self) -> str:
        """The identity of this database: made with it, so a new card begins a new count."""
        return self._stream

    @property
    def last_sequence(self) -> int:
        """The number that was given last; 0 before the first."""
        return self._last_sequence

    def open(self) -> None:
        """Take the outbox; raise OutboxInUseError or StoreError. A corrupt database is set aside, a new one begun."""
        if self._db is not None:
            return
        with self._translated():
            self._take_lock()
            try:
                self._connect()
            except sqlite3.DatabaseError as error:
                if not _is_corrupt(error):
                    raise
                self._set_aside(error)
                self._connect()

    def append(self, fact: Fact, remember: Mapping[str, str] | None = None) -> int:
        """Commit a fact, and `remember` with it; return its sequence number once both are durable."""
        self._look_for_files()
        data = _encoder.encode(fact)
        values = (
            self._new_id(),
            NAMES[type(fact)],
            data,
            self._clock.boot_id,
            self._clock.monotonic_ms(),
            _milliseconds(self._clock.now()),
            self._clock.synchronised(),
        )
        try:
            return self._append(values, remember or {})
        except _CorruptError:
            return self._append(values, remember or {})

    def _append(self, values: tuple[object, ...], remember: Mapping[str, str]) -> int:
        with self._transaction() as db:
            sequence = db.execute(_INSERT, values).lastrowid
            if remember:
                db.executemany(_REMEMBER, list(remember.items()))
        if sequence is None:
            raise StoreError(f"{self._path}: the database gave no sequence number")
        self._last_sequence = sequence
        return sequence

    def remember(self, memory: Mapping[str, str]) -> None:
        """Commit what must survive, without a fact; it is durable when this returns."""
        self._look_for_files()
        with self._transaction() as db:
            db.executemany(_REMEMBER, list(memory.items()))

    def peek(self, *, after: int, limit: int) -> list[Row]:
        """Return the oldest rows behind sequence number `after`, in order."""
        with self._translated():
            found = self._open_db().execute(_PEEK, (after, limit)).fetchall()
        return [Row(*columns) for columns in found]

    def acknowledge(self, *, upto: int | None = None, sequences: Sequence[int] = ()) -> int:
        """Delete what the center has committed; return how many rows that were.

        Not fsynced: a row that comes back after a power cut is sent again and dropped by its id.
        """
        with self._translated(), self._unsynced() as db:
            before = db.total_changes
            if upto is not None:
                db.execute("DELETE FROM event WHERE sequence <= ?", (upto,))
            if sequences:
                db.executemany("DELETE FROM event WHERE sequence = ?", [(each,) for each in sequences])
            return db.total_changes - before

    def memory(self) -> dict[str, str]:
        """Return what was remembered, by key."""
        with self._translated():
            return dict(self._open_db().execute("SELECT key, value FROM memory"))

    def depth(self) -> int:
        """Return how many facts wait."""
        with self._translated():
            count: int = self._open_db().execute("SELECT count(*) FROM event").fetchone()[0]
        return count

    def correct_times(self) -> int:
        """Once the wall clock is synchronised, set right what this boot wrote before; return how many rows changed.

        The monotonic clock says how long ago a row was written. Rows of a boot that never got the time stay flagged.
        """
        if self._times_are_right or not self._clock.synchronised():
            return 0
        offset_ms = _milliseconds(self._clock.now()) - self._clock.monotonic_ms()
        with self._transaction() as db:
            changed = db.execute(
                "UPDATE event SET time_ms = monotonic_ms + ?, clock_synced = 1 WHERE clock_synced = 0 AND boot_id = ?",
                (offset_ms, self._clock.boot_id),
            ).rowcount
        self._times_are_right = True
        return changed

    def tidy(self) -> None:
        """Move the write-ahead log into the database while nobody waits, so that no press has to."""
        with self._translated():
            db = self._open_db()
            log = self._path.with_name(self._path.name + "-wal")
            if log.exists() and log.stat().st_size >= _TIDY_BYTES:
                db.execute("PRAGMA wal_checkpoint(PASSIVE)")

    def close(self) -> None:
        """Let go of database and lock; safe to call twice."""
        if self._db is not None:
            self._db.close()
            self._db = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    # --- below the surface ---------------------------------------------------------------------------------------

    def _look_for_files(self) -> None:
        """Let go of files that were removed or replaced: a commit into them would be gone with this process.

        What is there now is used then; where nothing is, a new outbox begins, with a stream of its own.
        """
        if self._db is None or _identities(*self._names) == self._files:
            return
        _log.error(
            "%s was removed or replaced while it was in use: facts in it that the center had not got yet are gone,"
            " unless the file still exists elsewhere; going on with what is there now. Stop the device first next time",
            self._path,
        )
        with self._translated():
            # Into the file as it is elsewhere, if it is; and no page of it may be taken for one of another file.
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self.close()

    def _open_db(self) -> sqlite3.Connection:
        if self._corrupt is not None:
            self._set_aside(self._corrupt)
            self._corrupt = None
        if self._db is None:
            self.open()
        if self._db is None:
            raise StoreError(f"{self._path}: is not open")
        return self._db

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._translated():
            db = self._open_db()
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
                db.execute("COMMIT")
            except BaseException:
                # SQLite itself has rolled back after some errors (disk full); then there is nothing left to undo.
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise

    @contextmanager
    def _unsynced(self) -> Iterator[sqlite3.Connection]:
        db = self._open_db()
        db.execute("PRAGMA synchronous = NORMAL")
        try:
            with self._transaction():
                yield db
        finally:
            db.execute("PRAGMA synchronous = FULL")

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Turn what SQLite and the file system say into StoreError."""
        try:
            yield
        except sqlite3.DatabaseError as error:
            if _is_corrupt(error):
                self._corrupt = error
                raise _CorruptError(f"{self._path}: is corrupt (SQLite: {error})") from error
            raise StoreError(self._advice(error)) from error
        except sqlite3.Error as error:
            raise StoreError(self._advice(error)) from error
        except OSError as error:
            raise StoreError(
                f"{self._folder}: {error.strerror or error}: make it a writable folder of this user"
            ) from error

    def _advice(self, error: sqlite3.Error) -> str:
        match getattr(error, "sqlite_errorcode", 0) & 0xFF:
            case sqlite3.SQLITE_FULL:
                todo = "the disk is full: delete files or use a larger card"
            case sqlite3.SQLITE_READONLY:
                todo = "the file system is read-only: mount it writable; if it became so by itself, replace the card"
            case sqlite3.SQLITE_IOERR:
                todo = "the disk fails or is full: free space; if that does not help, replace the card"
            case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
                todo = "another program holds the database: close it"
            case sqlite3.SQLITE_CANTOPEN:
                todo = "cannot be opened: check that the folder exists, is writable and has free space"
            case _:
                todo = "cannot be used"
        return f"{self._path}: {todo} (SQLite: {error})"

    def _take_lock(self) -> None:
        if self._lock is not None:
            return
        self._make_folder()
        lock = os.open(self._folder / "outbox.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            raise OutboxInUseError(
                f"{self._path}: is in use by another process: this device already runs here; stop that one first"
            ) from None
        except BaseException:
            os.close(lock)
            raise
        self._lock = lock

    def _make_folder(self) -> None:
        if self._folder.is_dir():
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        _sync_folder(self._folder.parent)

    def _connect(self) -> None:
        is_new = not self._path.exists()
        db = sqlite3.connect(self._path, isolation_level=None, timeout=_BUSY_TIMEOUT_MS / 1000)
        try:
            # Half a megabyte of page cache is plenty for rows that leave within milliseconds.
            db.execute("PRAGMA cache_size = -512")
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = FULL")
            if db.execute("PRAGMA user_version").fetchone()[0] == 0:
                _create(db)
            self._check(db)
            self._stream = db.execute("SELECT value FROM meta WHERE key = 'stream'").fetchone()[0]
            last = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'event'").fetchone()
        except BaseException:
            db.close()
            raise
        if is_new:
            _sync_folder(self._folder)
        self._last_sequence = last[0] if last else 0
        self._times_are_right = False
        self._files = _identities(*self._names)
        self._db = db

    def _check(self, db: sqlite3.Connection) -> None:
        version: int = db.execute("PRAGMA user_version").fetchone()[0]
        if version != SCHEMA_VERSION:
            raise StoreError(
                f"{self._path}: has schema {version}, this program knows {SCHEMA_VERSION}: install the version of"
                " Motcua that wrote it"
            )
        said: str = db.execute("PRAGMA quick_check(1)").fetchone()[0]
        if said != "ok":
            raise _malformed(said)

    def _set_aside(self, error: Exception) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None
        stamp = self._clock.now().strftime("%Y%m%dT%H%M%S")
        aside = self._path.with_name(f"{self._path.name}.corrupt-{stamp}-{os.urandom(2).hex()}")
        with self._translated():
            for suffix in ("", "-wal", "-shm"):
                part = self._path.with_name(self._path.name + suffix)
                if part.exists():
                    part.rename(aside.with_name(aside.name + suffix))
            _sync_folder(self._folder)
        _log.error(
            "%s was corrupt (%s) and is set aside as %s; a new outbox begins. Check or replace the card, and keep that"
            " file: facts that the center has not got yet may be read from it",
            self._path,
            error,
            aside,
        )


def _create(db: sqlite3.Connection) -> None:
    db.execute("BEGIN IMMEDIATE")
    for statement in _SCHEMA:
        db.execute(statement)
    db.execute("INSERT INTO meta VALUES ('stream', ?)", (os.urandom(16).hex(),))
    db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    db.execute("COMMIT")


class _CorruptError(StoreError):
    """The database is damaged; the next call sets it aside and begins a new one."""


def _identities(database: str, log: str) -> object:
    """Return which files a database and its log are now; None if one is not there or not to be seen."""
    try:
        one, other = os.stat(database), os.stat(log)  # noqa: PTH116 - pathlib takes twice as long
    except OSError:
        return None
    return one.st_ino, one.st_dev, other.st_ino, other.st_dev


def _is_corrupt(error: sqlite3.Error) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _CORRUPT


def _malformed(said: str) -> sqlite3.DatabaseError:
    error = sqlite3.DatabaseError(said)
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return error


def _milliseconds(instant: datetime) -> int:
    return (instant - _EPOCH) // timedelta(milliseconds=1)


def _sync_folder(folder: Path) -> None:
    """Make a new name durable (open(2): syncing a file does not sync the folder that names it)."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
