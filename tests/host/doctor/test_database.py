"""An SQLite file that others use, and one that nobody does."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from host.doctor import database

COUNT = {"waiting": "SELECT count(*) FROM event"}


def made(path: Path, *, rows: int = 3) -> sqlite3.Connection:
    """Return a connection to a new database, as an outbox has it."""
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("CREATE TABLE event (id INTEGER PRIMARY KEY, data TEXT)")
    db.executemany("INSERT INTO event (data) VALUES (?)", [("x" * 1000,)] * rows)
    return db


def test_a_file_in_use_is_read_and_its_writer_goes_on(tmp_path: Path) -> None:
    """The look sees what was committed last, while a transaction of the writer is open, and is not in its way."""
    path = tmp_path / "outbox.db"
    with closing(made(path)) as db:
        db.execute("BEGIN IMMEDIATE")
        db.execute("INSERT INTO event (data) VALUES ('not yet')")
        found = database.probe(path, COUNT)
        db.execute("COMMIT")
        assert (found.quick_check, found.answers, found.fault) == ("ok", {"waiting": 3}, "")
        assert database.probe(path, COUNT).answers == {"waiting": 4}


def test_a_file_at_rest_gets_no_file_beside_it(tmp_path: Path) -> None:
    """A look leaves the folder as it was: a file that root made there could keep the daemon out."""
    path = tmp_path / "outbox.db"
    made(path).close()
    before = sorted(each.name for each in tmp_path.iterdir())
    assert database.probe(path, COUNT).quick_check == "ok"
    assert sorted(each.name for each in tmp_path.iterdir()) == before == ["outbox.db"]


def test_a_damaged_file_is_said_to_be(tmp_path: Path) -> None:
    """Pages that were overwritten are found; a file that is no database is told in SQLite's words."""
    path = tmp_path / "outbox.db"
    made(path, rows=100).close()
    with path.open("r+b") as file:
        file.seek(4096 * 5)
        file.write(os.urandom(4096 * 10))
    found = database.probe(path, {})
    assert (found.quick_check or found.fault) != "ok"
    path.write_text("this is no database at all, whatever its name may be")
    assert database.probe(path, {}).fault == "file is not a database"


def test_a_large_file_is_not_looked_through_whole(tmp_path: Path) -> None:
    """When it is large, or the time is over, there is no word on the whole, and the answers are there."""
    path = tmp_path / "center.db"
    made(path, rows=2000).close()
    for found in (database.probe(path, COUNT, check_s=0), database.probe(path, COUNT, large_mb=1)):
        assert (found.quick_check, found.answers, found.fault) == (None, {"waiting": 2000}, "")


def test_a_missing_file_is_not_made(tmp_path: Path) -> None:
    """Looking for a file that is not there leaves it so."""
    assert not database.probe(tmp_path / "none.db", COUNT).exists
    assert not (tmp_path / "none.db").exists()
