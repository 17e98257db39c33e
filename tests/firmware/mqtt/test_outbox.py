"""The outbox on a real disk: what it confirmed is there, whatever happens to process, disk and clock."""

import resource
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import pytest

from contract.envelope import open_envelope
from contract.events import RatingGiven, RatingIgnored
from firmware.errors import StoreError
from firmware.mqtt.outbox import Outbox, OutboxInUseError
from tests.support.clock import ManualClock
from tests.support.disk import small_disk

IGNORED = RatingIgnored(why="late", level=2)
SOURCE = "/bentre/q03/rating"


def make(folder: Path, clock: ManualClock | None = None) -> Outbox:
    """Return an outbox that numbers its ids."""
    numbers = count(1)
    return Outbox(folder, clock=clock or ManualClock(), new_id=lambda: f"id-{next(numbers)}")


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    """An open outbox in a folder that did not exist."""
    with closing(make(tmp_path / "rating")) as outbox:
        outbox.open()
        yield outbox


def sequences(outbox: Outbox) -> list[int]:
    """Return the numbers of all rows that wait."""
    return [row.sequence for row in outbox.peek(after=0, limit=1_000_000)]


# --- adding, reading, deleting ----------------------------------------------------------------------------------------


def test_facts_come_back_in_order(outbox: Outbox) -> None:
    """Facts are numbered from one and read in that order, from any point on."""
    assert [outbox.append(IGNORED) for _ in range(5)] == [1, 2, 3, 4, 5]
    assert sequences(outbox) == [1, 2, 3, 4, 5]
    assert [row.sequence for row in outbox.peek(after=2, limit=2)] == [3, 4]
    assert (outbox.depth(), outbox.last_sequence) == (5, 5)


def test_a_row_becomes_the_event_that_the_contract_names(tmp_path: Path) -> None:
    """A row is sealed with its own id, number, stream, boot, times and data."""
    clock = ManualClock(monotonic_ms=1_234_567, now=datetime(2026, 11, 23, 1, 2, 3, 456_000, tzinfo=UTC))
    fact = RatingGiven(level=3, scale="vn-3", ticket="t-1", armed_for_ms=4000, pressed_ms=180)
    with closing(make(tmp_path, clock)) as outbox:
        outbox.append(fact)
        (row,) = outbox.peek(after=0, limit=1)
        event = open_envelope(row.seal(source=SOURCE, stream=outbox.stream))
    assert event.fact() == fact
    assert (event.id, event.source, event.sequence_number, event.stream) == ("id-1", SOURCE, 1, outbox.stream)
    assert (event.bootid, event.monotonicms, event.clocksynced) == (clock.boot_id, "1234567", True)
    assert event.time == clock.now()


def test_acknowledged_rows_go(outbox: Outbox) -> None:
    """An ack up to a number takes all rows up to it, an ack of single ones takes those; nothing else goes."""
    for _ in range(6):
        outbox.append(IGNORED)
    assert outbox.acknowledge(upto=2) == 2
    assert outbox.acknowledge(sequences=[4, 99]) == 1
    assert outbox.acknowledge(upto=2) == 0
    assert sequences(outbox) == [3, 5, 6]


def test_a_number_is_never_used_twice(tmp_path: Path) -> None:
    """After everything was acknowledged and the program restarted, counting goes on in the same stream."""
    with closing(make(tmp_path)) as outbox:
        outbox.append(IGNORED)
        outbox.append(IGNORED)
        outbox.acknowledge(upto=2)
        stream = outbox.stream
    with closing(make(tmp_path)) as outbox:
        assert outbox.append(IGNORED) == 3
        assert outbox.stream == stream


def test_a_new_card_is_a_new_stream(tmp_path: Path) -> None:
    """Two databases never share a stream, so that a replaced card starts a count of its own."""
    with closing(make(tmp_path / "a")) as one, closing(make(tmp_path / "b")) as other:
        one.open()
        other.open()
        assert one.stream
        assert one.stream != other.stream


def test_memory_is_committed_with_its_fact(tmp_path: Path) -> None:
    """What a fact asks to remember is there after a restart, the newest value of each key."""
    with closing(make(tmp_path)) as outbox:
        outbox.append(IGNORED, {"rated_ticket": "t-1", "presses.1": "4"})
        outbox.append(IGNORED, {"rated_ticket": "t-2"})
        outbox.acknowledge(upto=2)
    with closing(make(tmp_path)) as outbox:
        assert outbox.memory() == {"rated_ticket": "t-2", "presses.1": "4"}


def test_memory_is_committed_without_a_fact_too(tmp_path: Path) -> None:
    """What is remembered by itself is there after a restart, and nothing is sent for it."""
    with closing(make(tmp_path)) as outbox:
        outbox.append(IGNORED, {"rated_ticket": "t-1"})
        outbox.remember({"rated_ticket": "t-2", "camera.panic": "p-1"})
        assert outbox.depth() == 1
    with closing(make(tmp_path)) as outbox:
        assert outbox.memory() == {"rated_ticket": "t-2", "camera.panic": "p-1"}


def test_facts_are_durable_and_deletions_need_not_be(outbox: Outbox) -> None:
    """A fact is committed with synchronous=FULL in WAL mode; an ack lowers that for itself only."""
    db = outbox._db
    assert db is not None
    outbox.append(IGNORED)
    seen: list[int] = []
    db.set_trace_callback(
        lambda sql: seen.append(sql) if "DELETE" in sql or "synchronous" in sql else None  # type: ignore[arg-type]
    )
    outbox.acknowledge(upto=1)
    db.set_trace_callback(None)
    assert [*seen] == [
        "PRAGMA synchronous = NORMAL",
        "DELETE FROM event WHERE sequence <= 1",
        "PRAGMA synchronous = FULL",
    ]
    assert db.execute("PRAGMA synchronous").fetchone() == (2,)
    assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_tidying_keeps_everything(outbox: Outbox) -> None:
    """Moving the log into the database loses no row and leaves the log to be written from its start."""
    for _ in range(100):
        outbox.append(IGNORED, {"k": "v"})
    outbox.tidy()
    assert outbox.depth() == 100
    assert outbox.append(IGNORED) == 101


# --- time -------------------------------------------------------------------------------------------------------------


def test_times_of_this_boot_are_corrected_once_the_clock_is_set(tmp_path: Path) -> None:
    """A row written by a wrong clock gets the right time, by the monotonic clock, once the wall clock is set."""
    clock = ManualClock(now=datetime(2000, 1, 1, tzinfo=UTC), synchronised=False)
    with closing(make(tmp_path, clock)) as outbox:
        outbox.append(IGNORED)
        clock.advance(60_000)
        assert outbox.correct_times() == 0
        clock.set_wall(datetime(2026, 11, 23, 8, 0, 0, tzinfo=UTC))
        assert outbox.correct_times() == 1
        assert outbox.correct_times() == 0
        (row,) = outbox.peek(after=0, limit=1)
        event = open_envelope(row.seal(source=SOURCE, stream=outbox.stream))
    assert event.time == datetime(2026, 11, 23, 7, 59, 0, tzinfo=UTC)
    assert event.clocksynced


def test_times_of_another_boot_stay_flagged(tmp_path: Path) -> None:
    """A row of a boot that never got the time cannot be corrected by a later boot; it says so to the center."""
    clock = ManualClock(now=datetime(2000, 1, 1, tzinfo=UTC), synchronised=False, boot_id="boot-1")
    with closing(make(tmp_path, clock)) as outbox:
        outbox.append(IGNORED)
    clock.reboot("boot-2")
    clock.set_wall(datetime(2026, 11, 23, tzinfo=UTC))
    with closing(make(tmp_path, clock)) as outbox:
        outbox.append(IGNORED)
        assert outbox.correct_times() == 0
        flagged = [bool(row.clock_synced) for row in outbox.peek(after=0, limit=9)]
    assert flagged == [False, True]


def test_times_are_corrected_across_a_restart_in_one_boot(tmp_path: Path) -> None:
    """A daemon that restarts within a boot corrects what the one before it wrote."""
    clock = ManualClock(now=datetime(2000, 1, 1, tzinfo=UTC), synchronised=False)
    with closing(make(tmp_path, clock)) as outbox:
        outbox.append(IGNORED)
    clock.advance(1000)
    clock.set_wall(datetime(2026, 11, 23, tzinfo=UTC))
    with closing(make(tmp_path, clock)) as outbox:
        assert outbox.correct_times() == 1
        (row,) = outbox.peek(after=0, limit=1)
    assert row.time_ms == (datetime(2026, 11, 23, tzinfo=UTC) - timedelta(seconds=1)).timestamp() * 1000


# --- what can go wrong ------------------------------------------------------------------------------------------------


def test_a_second_daemon_is_refused(tmp_path: Path) -> None:
    """While one process has the outbox another one gets a line that says so, and gets it once the first let go."""
    with closing(make(tmp_path)) as first, closing(make(tmp_path)) as second:
        first.open()
        with pytest.raises(OutboxInUseError, match="already runs here"):
            second.open()
        first.close()
        second.open()


@pytest.mark.parametrize("damage", [b"this is not a database, whatever its name says" * 100, bytes(8192)])
def test_a_file_that_is_no_database_is_set_aside(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: bytes
) -> None:
    """A destroyed database is renamed, said in one line, and a new stream begins: no crash loop."""
    with closing(make(tmp_path)) as outbox:
        outbox.append(IGNORED)
        stream = outbox.stream
    (tmp_path / "outbox.db").write_bytes(damage)
    with closing(make(tmp_path)) as outbox:
        assert outbox.append(IGNORED) == 1
        assert outbox.stream != stream
    (aside,) = [path for path in tmp_path.iterdir() if ".corrupt-" in path.name and not path.name.endswith("-wal")]
    assert aside.read_bytes() == damage
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert str(aside) in caplog.text


def test_damage_found_while_running_is_set_aside_too(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A database that is destroyed under a running daemon costs no further fact: the next one begins a new outbox."""
    with closing(make(tmp_path)) as outbox:
        for _ in range(200):
            outbox.append(IGNORED, {"k": "v"})
        assert outbox._db is not None
        outbox._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        size = (tmp_path / "outbox.db").stat().st_size
        with (tmp_path / "outbox.db").open("r+b") as file:
            file.seek(4096)
            file.write(b"\xa5" * (size - 4096))
        outbox._db.execute("PRAGMA cache_size = 0")
        outbox._db.execute("PRAGMA shrink_memory")
        with pytest.raises(StoreError):
            outbox.peek(after=0, limit=1000)
        assert outbox.append(IGNORED) == 1
        assert outbox.depth() == 1
    assert caplog.text.count("set aside") == 1


def test_a_database_of_a_newer_program_is_refused_and_kept(tmp_path: Path) -> None:
    """An outbox with a schema from the future is not touched; the line says what to install."""
    with closing(make(tmp_path)) as outbox:
        outbox.append(IGNORED)
    with closing(sqlite3.connect(tmp_path / "outbox.db")) as db:
        db.execute("PRAGMA user_version = 99")
    with closing(make(tmp_path)) as outbox, pytest.raises(StoreError, match="schema 99"):
        outbox.open()
    assert not list(tmp_path.glob("*.corrupt*"))


def test_another_writer_is_waited_for_and_then_named(outbox: Outbox, tmp_path: Path) -> None:
    """A tool that holds the database longer than a second leads to a line that says so; afterwards facts are stored."""
    outbox.append(IGNORED)
    with closing(sqlite3.connect(tmp_path / "rating" / "outbox.db", isolation_level=None)) as tool:
        tool.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="another program holds the database"):
            outbox.append(IGNORED)
        tool.execute("ROLLBACK")
    outbox.append(IGNORED)
    assert outbox.depth() == 2


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Let the kernel refuse to grow any file of this process beyond `size`, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_a_write_that_the_disk_refuses_confirms_nothing_and_recovers(outbox: Outbox) -> None:
    """While the file system takes no more, each fact fails with a line on what to do; later ones are stored again."""
    stored = [outbox.append(IGNORED, {"last": "1"}) for _ in range(3)]
    log = outbox._path.with_name("outbox.db-wal")
    with largest_file(log.stat().st_size + 100):
        for _ in range(3):
            with pytest.raises(StoreError, match="disk"):
                outbox.append(IGNORED, {"last": "never"})
        assert sequences(outbox) == stored
        assert outbox.memory() == {"last": "1"}
    assert outbox.append(IGNORED, {"last": "2"}) > stored[-1]
    assert outbox.depth() == len(stored) + 1
    assert outbox.memory() == {"last": "2"}


def test_a_full_disk_loses_nothing_that_was_confirmed(tmp_path: Path) -> None:
    """On a real full file system facts fail with `the disk is full`, rows stay readable, and space heals it."""
    with small_disk(tmp_path / "small", kilobytes=256) as disk, closing(make(disk.folder)) as outbox:
        stored = [outbox.append(IGNORED) for _ in range(5)]
        disk.fill()
        failed = 0
        for _ in range(200):  # what the log had reserved already is used up first
            try:
                stored.append(outbox.append(IGNORED))
            except StoreError as error:
                assert "disk" in str(error)  # noqa: PT017 - whether one comes depends on the round
                failed += 1
        assert failed > 100
        assert sequences(outbox) == stored
        disk.free()
        stored.append(outbox.append(IGNORED))
        assert sequences(outbox) == stored


# --- files that somebody takes away -----------------------------------------------------------------------------------


@pytest.mark.parametrize("pattern", ["outbox.db*", "outbox.db", "outbox.*"])
def test_a_fact_is_not_written_into_files_that_were_removed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, pattern: str
) -> None:
    """After the files were removed under the daemon, what it confirms is in a new outbox that a restart finds."""
    with closing(make(tmp_path)) as outbox:
        outbox.append(IGNORED)
        old = outbox.stream
        for file in tmp_path.glob(pattern):
            file.unlink()
        assert outbox.append(IGNORED, {"last": "1"}) == 1
        assert outbox.stream != old
        assert outbox.append(IGNORED) == 2
    with closing(make(tmp_path)) as outbox:
        assert sequences(outbox) == [1, 2]
        assert outbox.memory() == {"last": "1"}
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert str(tmp_path) in caplog.text


def test_a_removed_log_takes_no_fact_with_it(tmp_path: Path) -> None:
    """When only the write-ahead log is removed, what was confirmed before and after is there, in the same stream."""
    with closing(make(tmp_path)) as outbox:
        outbox.append(IGNORED)
        stream = outbox.stream
        (tmp_path / "outbox.db-wal").unlink()
        outbox.append(IGNORED)
        assert outbox.stream == stream
        with closing(sqlite3.connect(tmp_path / "outbox.db")) as other:
            assert other.execute("SELECT count(*) FROM event").fetchone() == (2,)


def test_an_outbox_that_is_put_in_place_of_another_is_used(tmp_path: Path) -> None:
    """After the file was replaced, facts go where a restart reads them, and what was in the new one is still there."""
    with closing(make(tmp_path / "other")) as other:
        other.append(IGNORED)
        other.append(IGNORED)
        stream = other.stream
    with closing(make(tmp_path / "rating")) as outbox:
        outbox.append(IGNORED)
        (tmp_path / "other" / "outbox.db").rename(tmp_path / "rating" / "outbox.db")
        assert outbox.append(IGNORED) == 3
        assert outbox.stream == stream
    with closing(make(tmp_path / "rating")) as outbox:
        assert sequences(outbox) == [1, 2, 3]


def test_nothing_is_confirmed_while_there_is_no_place_for_a_new_outbox(tmp_path: Path) -> None:
    """When the folder itself is gone and cannot be made, facts fail; once it can, a new outbox begins."""
    folder = tmp_path / "rating"
    with closing(make(folder)) as outbox:
        outbox.append(IGNORED)
        folder.rename(tmp_path / "away")
        folder.write_text("in the way")
        for _ in range(2):
            with pytest.raises(StoreError):
                outbox.append(IGNORED)
        folder.unlink()
        assert outbox.append(IGNORED) == 1
        assert (folder / "outbox.db").exists()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """Where no folder can be made the line names it; once it can be made the outbox opens by itself."""
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    with closing(make(blocked / "rating")) as outbox:
        with pytest.raises(StoreError, match=str(blocked)):
            outbox.append(IGNORED)
        blocked.unlink()
        assert outbox.append(IGNORED) == 1


_APPEND_FOR_EVER = """
import sys
from pathlib import Path
from contract.events import RatingIgnored
from contract.ids import uuid7
from firmware.clock import SystemClock
from firmware.mqtt.outbox import Outbox
outbox = Outbox(Path(sys.argv[1]), clock=SystemClock(), new_id=uuid7)
fact = RatingIgnored(why="late", level=1)
while True:
    sequence = outbox.append(fact, {"last": str(outbox.last_sequence + 1)})
    sys.stdout.write(f"{sequence}\\n")
    sys.stdout.flush()
    if sequence % 7 == 0:
        outbox.acknowledge(upto=sequence - 5)
"""


def test_what_was_confirmed_survives_kill_9(tmp_path: Path) -> None:
    """Over several kill -9 in a loop of appends and acks, every confirmed and unacknowledged fact is there, once."""
    confirmed = 0
    for _ in range(5):
        with subprocess.Popen(
            [sys.executable, "-c", _APPEND_FOR_EVER, str(tmp_path)], stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            for _line in range(60):
                last = int(process.stdout.readline())
                assert last > confirmed
                confirmed = last
            process.kill()
            confirmed = max([confirmed, *(int(line) for line in process.stdout.read().splitlines())])
        with closing(make(tmp_path)) as outbox:
            rows = sequences(outbox)
            # One more may be there: committed, and killed before it could be said.
            assert rows[-1] in (confirmed, confirmed + 1)
            assert rows == list(range(rows[0], rows[-1] + 1))
            assert rows[0] <= confirmed - 4
            assert outbox.memory()["last"] == str(rows[-1])
            confirmed = rows[-1]
