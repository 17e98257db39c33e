"""The audit log: it takes entries, and whatever is done to it afterwards shows."""

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from center import audit
from center.audit import Broken, Entry, Head
from center.cli import main
from center.config import Config
from center.errors import StoreError
from center.hall import Hall
from center.storage.reading import read_only
from center.storage.store import Store

TEN = [Entry(at=1_000 + each, actor="person:an", action="login", detail="á") for each in range(10)]
CHANGED = "UPDATE audit SET detail = 'x' WHERE seq = 7"
CUT = "DELETE FROM audit WHERE seq > 8"
REMOVED = "DROP TRIGGER audit_no_update; DROP TRIGGER audit_no_delete; "


def database(config: Config) -> Path:
    """Return where the fixture's store is."""
    return Path(config.data_dir) / "center.db"


@pytest.fixture
def log(store: Store, config: Config) -> Callable[[str], Head | Broken]:
    """A log of ten entries; call it with SQL of somebody who may write the file, to get what `verify` says then."""
    store.transact(lambda connection: audit.append(connection, *TEN[:4]))
    store.transact(lambda connection: audit.append(connection, *TEN[4:]))

    def verified(sql: str) -> Head | Broken:
        with closing(sqlite3.connect(database(config))) as connection:
            connection.executescript(sql)
            connection.commit()
        with read_only(config.store_url) as reading:
            return audit.verify(reading)

    return verified


def test_a_chain_that_nobody_touched_is_whole(log: Callable[[str], Head | Broken], store: Store) -> None:
    """Verifying reads all entries and returns the head that the next entry will hang on."""
    assert log("") == store.transact(audit.head)
    assert store.transact(audit.head).seq == 10


def test_the_hash_is_made_as_documented(store: Store) -> None:
    """Anybody can compute the first entry's hash with sha256sum from the documented array."""
    store.transact(lambda connection: audit.append(connection, TEN[0]))
    # printf '[1,1000,"person:an","login","","á","000…0"]' | sha256sum
    assert store.transact(audit.head).hash == "fc97b3201446bbf0d5bc5232a5e5bd24717b6966d4a6db4f44ab898a07c31352"


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE audit SET detail = 'x' WHERE seq = 3",
        "DELETE FROM audit WHERE seq = 3",
        "REPLACE INTO audit SELECT seq, at, actor, action, object, 'x', previous, hash FROM audit WHERE seq = 3",
    ],
)
def test_an_entry_cannot_be_changed_or_deleted(log: Callable[[str], Head | Broken], sql: str) -> None:
    """The database itself refuses to change the past."""
    with pytest.raises(sqlite3.IntegrityError, match="takes new entries only"):
        log(sql)
    assert isinstance(log(""), Head)


@pytest.mark.parametrize(
    ("sql", "seq", "why"),
    [
        ("UPDATE audit SET actor = 'person:binh' WHERE seq = 3", 3, "was changed"),
        ("UPDATE audit SET at = 1 WHERE seq = 10", 10, "was changed"),
        ("DELETE FROM audit WHERE seq = 5", 5, "is missing"),
        ("DELETE FROM audit WHERE seq = 1", 1, "is missing"),
        ("DELETE FROM audit WHERE seq = 5; UPDATE audit SET seq = seq - 1 WHERE seq > 5", 5, "does not follow"),
    ],
)
def test_what_is_done_without_the_triggers_is_named(
    log: Callable[[str], Head | Broken], sql: str, seq: int, why: str
) -> None:
    """Whoever removes the triggers and changes an entry is found at the first entry that is not as it was."""
    found = log(REMOVED + sql)
    assert isinstance(found, Broken)
    assert (found.seq, why in found.why) == (seq, True)


def test_a_tail_that_was_cut_shows_by_the_journal(
    log: Callable[[str], Head | Broken], store: Store, config: Config
) -> None:
    """The head that the journal has tells that entries are missing at the end; without it a shorter chain is whole."""
    known = store.transact(audit.head)
    assert isinstance(log(REMOVED + CUT), Head)
    with read_only(config.store_url) as reading:
        assert audit.verify(reading, [known]) == Broken(
            9, "is missing: the journal knew 10 entries, the log ends before"
        )


def test_a_chain_that_was_made_anew_shows_by_the_journal(store: Store, config: Config) -> None:
    """A chain that fits together but is another one than the journal knew is named at that entry."""
    store.transact(lambda connection: audit.append(connection, *TEN))
    other = Head(4, "a" * 64)
    with read_only(config.store_url) as reading:
        found = audit.verify(reading, [other])
    assert isinstance(found, Broken)
    assert (found.seq, "made anew" in found.why) == (4, True)


def test_a_head_is_read_as_it_was_written() -> None:
    """What stands in the journal can be given back to the command."""
    assert audit.parse_head(f" {Head(12, 'ab' * 32)}\n") == Head(12, "ab" * 32)
    assert audit.parse_head("12:xyz") is None


def test_an_entry_and_what_it_tells_of_happen_together(hall: Hall) -> None:
    """A job that fails leaves no entry behind."""

    def job(connection: sa.Connection) -> None:
        audit.append(connection, TEN[0])
        raise RuntimeError

    with pytest.raises(RuntimeError):
        hall.transact(job).result(30)
    assert hall.transact(audit.head).result(30) == Head(0, audit.FIRST)


def test_a_long_entry_is_cut_and_still_whole(hall: Hall, config: Config) -> None:
    """What is longer than its place is cut before it is hashed."""
    entry = Entry(at=1, actor="a" * 200, action="b" * 200, object="c" * 1000, detail="đ" * 1000)
    hall.transact(lambda connection: audit.append(connection, entry)).result(30)
    with read_only(config.store_url) as reading:
        assert isinstance(audit.verify(reading), Head)


def test_the_log_of_a_stopped_center_is_read(config: Config) -> None:
    """It is read after the center has ended, too, and a store that is not there is told in a line."""
    store = Store(config.store_url)
    store.transact(lambda connection: audit.append(connection, *TEN))
    store.close()
    with read_only(config.store_url) as reading:
        assert isinstance(audit.verify(reading), Head)
    with pytest.raises(StoreError, match=r"^/nowhere/x\.db: is not there"), read_only("sqlite:////nowhere/x.db"):
        pass


def test_the_command_says_whole_or_names_the_first_broken_entry(
    log: Callable[[str], Head | Broken], tmp_path: Path, config: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    """`motcua center audit` says the head, or names the broken entry; lists raw ones; also while the store is open."""
    file = tmp_path / "center.toml"
    file.write_text(
        f"""
id = "bentre"
name = "Trung tâm"
data_dir = "{config.data_dir}"
service = [{{id = "dat-dai", letter = "A", vi = "Đất đai", en = "Land"}}]
counter = [{{id = "q01", label = "1", services = ["dat-dai"]}}]
""",
        encoding="utf-8",
    )
    command = ["audit", "verify", "--config", str(file)]
    assert main(command) == 0
    said = capsys.readouterr().out
    assert said.startswith("whole: 10 entries, head 10:")
    assert main([*command, "--head", said.split()[-1]]) == 0
    assert main([*command, "--head", "12"]) == 2
    capsys.readouterr()
    assert main(["audit", "list", "--config", str(file), "--last", "2"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(row["seq"], sorted(row)) for row in rows] == [
        (seq, ["action", "actor", "at", "detail", "object", "seq"]) for seq in (9, 10)
    ]
    log(REMOVED + CHANGED)
    assert main(command) == 1
    assert "broken: entry 7 was changed" in capsys.readouterr().out
