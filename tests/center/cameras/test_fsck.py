"""`motcua center fsck`: index and files, both ways, with what to do; mending does just that."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from msgspec.structs import replace

from center.cameras import fsck
from center.cameras.names import name_of
from center.cameras.uploads import make_vault
from center.cameras.vault import Vault
from center.cli import main
from center.config import Clips, Config
from center.errors import BusyError
from center.hall import Hall
from center.storage.store import Store
from center.storage.tables import clip, incident, upload
from tests.center.cameras.test_incidents import UPDATED, arrival, deliver
from tests.center.cameras.test_wiping import NOW, put
from tests.center.conftest import TestClock

NOW_S = NOW / 1000


@pytest.fixture
def config(config: Config) -> Config:
    """A center that takes recordings whatever room there is."""
    return replace(config, clips=Clips(spare_gb=0))


@pytest.fixture
def vault(config: Config) -> Vault:
    """Its vault."""
    return make_vault(config)


@pytest.fixture
def hall(config: Config, clock: TestClock) -> Iterator[Hall]:
    """A center that a test may stop before its end."""
    one = Hall(config, Store(config.store_url), clock)
    one.start()
    yield one
    one.stop()


def change(hall: Hall, table: sa.Table, name: str, **values: Any) -> None:
    """Change a row behind the program's back."""
    statement = sa.update(table).where(table.c.name == name).values(values)
    hall.transact(lambda connection: connection.execute(statement)).result(30)


def spoil(hall: Hall, vault: Vault) -> dict[str, str]:
    """Make one of each fault; returns what each is about."""
    hashes = {name: put(hall, vault, name, name.encode(), age_days=1) for name in (
        "good", "missing", "damaged", "unmarked", "wiped", "unknown")}  # fmt: skip
    vault.path(hashes["missing"]).unlink()
    vault.path(hashes["damaged"]).write_bytes(b"?")
    change(hall, clip, "unmarked", arrived_at=None)
    change(hall, clip, "wiped", wiped_at=1)
    hall.transact(lambda connection: connection.execute(sa.delete(clip).where(clip.c.name == "unknown"))).result(30)
    deliver(hall, arrival(UPDATED, 1))
    change(hall, incident, "i-1", kind="?")
    hashes["incident"] = name_of("q01", "camera", "i-1")
    strange = vault.path(hashes["good"]).with_name("letter.txt")
    strange.write_text("not ours")
    hashes["strange"] = str(strange.relative_to(vault.folder))
    for kind, folder in (("half", "uploads"), ("aside", "aside")):
        for age_days in (1, 9):
            file = vault.folder / folder / name_of(kind, str(age_days), "")
            file.write_bytes(b"half")
            os.utime(file, (NOW_S - age_days * 86_400,) * 2)
        hashes[kind] = f"{folder}/{file.name}"
    going_on = vault.folder / "uploads" / name_of("q01", "camera", "going on")
    going_on.write_bytes(b"half")
    os.utime(going_on, (0, 0))
    way = {"id": going_on.name, "clip": "x", "file": "shown", "bytes": 9, "sha256": "ab" * 32, "token": "x",
           "ends_at": NOW}  # fmt: skip
    hall.transact(lambda connection: connection.execute(sa.insert(upload).values(way))).result(30)
    del hashes["good"]
    return hashes


def test_every_fault_is_found_and_mended(hall: Hall, config: Config, vault: Vault) -> None:
    """Each kind of fault has its line; looking changes nothing, mending leaves only what is not the program's."""
    wanted = spoil(hall, vault)
    for _ in range(2):
        found = {one.kind: one.object for one in fsck.look(config, now_s=NOW_S)}
        assert found == wanted
    assert set(found) == set(fsck.ADVICE)
    with pytest.raises(BusyError, match="another center writes this store"):
        fsck.repair(config, now_s=NOW_S)
    hall.stop()
    assert {one.kind for one in fsck.repair(config, now_s=NOW_S) if not one.mended} == {"strange"}
    assert [one.kind for one in fsck.look(config, now_s=NOW_S)] == ["strange"]
    assert {vault.path(wanted[kind]).exists() for kind in ("missing", "damaged", "unknown", "wiped")} == {False}
    store = Store(config.store_url)
    rows = store.transact(lambda connection: connection.execute(sa.select(clip.c.name, clip.c.arrived_at)).all())
    store.close()
    here = {row.name: row.arrived_at is not None for row in rows}
    assert here == {"good": True, "missing": False, "damaged": False, "unmarked": True, "wiped": True}


def test_a_whole_vault_is_whole(hall: Hall, config: Config, vault: Vault) -> None:
    """Nothing is said of a center without recordings, nor of recordings that are as they should be."""
    assert fsck.look(config) == []
    put(hall, vault, "one", b"same", age_days=1)
    put(hall, vault, "two", b"same", age_days=1)
    assert fsck.look(config) == []


def test_the_command_has_a_line_for_each_and_an_exit_code(
    tmp_path: Path, config: Config, hall: Hall, vault: Vault, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command says what, whose and what to do; programs read JSON; it ends with 1 where something is left."""
    file = tmp_path / "center.toml"
    file.write_text(
        f"""
id = "bentre"
name = "Trung tâm"
data_dir = "{config.data_dir}"
service = [{{ id = "dat-dai", letter = "A", vi = "Đất đai", en = "Land" }}]
counter = [{{ id = "q01", label = "1", services = ["dat-dai"] }}]
""",
        encoding="utf-8",
    )
    assert main(["fsck", "--config", str(file)]) == 0
    assert capsys.readouterr().out == "whole\n"
    sha256 = put(hall, vault, "c-1", b"content", age_days=1)
    vault.path(sha256).unlink()
    assert main(["fsck", "--config", str(file)]) == 1
    assert capsys.readouterr().out == (
        f"missing   {sha256} of q01/camera c-1: put it back from a copy; --repair marks it as not here, so that its"
        " camera may send it again\n1 found\n"
    )
    assert main(["fsck", "--config", str(file), "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["whole"], told["found"][0]["kind"], told["found"][0]["of"]) == (False, "missing", "q01/camera c-1")
    assert main(["fsck", "--config", str(file), "--repair"]) == 1
    assert "stop it" in capsys.readouterr().err
    hall.stop()
    assert main(["fsck", "--config", str(file), "--repair"]) == 0
    assert "marked as not here" in capsys.readouterr().out
    assert main(["fsck", "--config", str(file)]) == 0
