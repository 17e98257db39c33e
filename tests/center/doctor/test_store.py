"""The store, looked at beside the center that writes it."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from center.doctor import store
from center.doctor.store import StoreFacts
from center.storage.store import Store
from host.doctor.database import DatabaseFacts
from host.doctor.holders import Holder, Processes

HERE = Processes(Path("/proc"))


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Where a store is."""
    return f"sqlite:///{tmp_path / 'center.db'}"


@pytest.fixture
def open_store(url: str) -> Iterator[Store]:
    """A store that is open in this process."""
    one = Store(url)
    yield one
    one.close()


def codes(facts: StoreFacts) -> list[str]:
    """Return what is found."""
    return [each.code for each in store.judge(facts)]


def test_a_store_in_use_is_looked_at_and_stays_in_use(open_store: Store, url: str) -> None:
    """Schema and wholeness are read, and who writes it is named; the writer goes on."""
    facts = store.probe(url, HERE)
    assert facts.schema == facts.schemas[-1]
    assert facts.holder is not None
    assert facts.holder.pid == os.getpid()
    # The tests' own process is no center, and so it is named.
    assert codes(facts) == ["store-schema", "store", "store-held"]
    assert open_store.load().last_seq == 0


def test_a_store_at_rest_is_well(open_store: Store, url: str, tmp_path: Path) -> None:
    """Nobody writes it, nothing is wrong, and the look leaves no file behind."""
    open_store.close()
    before = sorted(each.name for each in tmp_path.iterdir())
    assert codes(store.probe(url, HERE)) == ["store-schema", "store"]
    assert sorted(each.name for each in tmp_path.iterdir()) == before


def test_a_store_of_another_version_is_told(open_store: Store, url: str, tmp_path: Path) -> None:
    """An older schema is a matter of the next start, an unknown one of a newer program."""
    open_store.close()
    for schema, code in (("0001", "store-older"), ("9999", "store-newer")):
        with closing(sqlite3.connect(tmp_path / "center.db")) as db, db:
            db.execute("UPDATE alembic_version SET version_num = ?", (schema,))
        assert codes(store.probe(url, HERE))[0] == code


def test_what_is_no_store_is_told(url: str, tmp_path: Path) -> None:
    """None yet, a damaged one, a foreign database and an address that is none each have their line."""
    assert codes(store.probe(url, HERE)) == ["store-none"]
    (tmp_path / "center.db").write_bytes(b"x" * 5000)
    assert codes(store.probe(url, HERE)) == ["store-damaged"]
    (tmp_path / "center.db").unlink()
    with closing(sqlite3.connect(tmp_path / "center.db")) as db:
        db.execute("CREATE TABLE other (id)")
    assert codes(store.probe(url, HERE)) == ["store-unread"]
    assert codes(store.probe("nonsense", HERE)) == ["store-unread"]


def test_a_large_store_is_not_looked_through() -> None:
    """It says so, and where to look instead; the center as its writer is named."""
    look = DatabaseFacts(Path("/c.db"), exists=True, size_mb=5000, quick_check=None)
    holder = Holder(9, "motcua center serve", "motcua-center.service")
    assert codes(StoreFacts("/c.db", "0002", ("0001", "0002"), look, holder)) == [
        "store-schema", "store-large", "store-writer",
    ]  # fmt: skip
