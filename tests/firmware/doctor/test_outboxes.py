"""Outboxes, looked at beside the daemon that has them."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from contract.events import RatingGiven
from contract.ids import uuid7
from firmware.clock import SystemClock
from firmware.doctor import outboxes
from firmware.mqtt.outbox import Outbox
from host.doctor.holders import Processes

GIVEN = RatingGiven(level=3, scale="vn-3", ticket=None, armed_for_ms=0, pressed_ms=100)


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    """An open outbox with one fact in it."""
    one = Outbox(tmp_path, clock=SystemClock(), new_id=uuid7)
    one.append(GIVEN)
    yield one
    one.close()


def codes(folder: Path) -> list[str]:
    """Return what is found of an outbox."""
    return [each.code for each in outboxes.judge(outboxes.probe("rating", folder, Processes(Path("/proc"))))]


def test_an_outbox_in_use_is_whole_and_stays_in_use(outbox: Outbox, tmp_path: Path) -> None:
    """What waits is counted and who holds it is named; the daemon goes on storing, and keeps its lock."""
    facts = outboxes.probe("rating", tmp_path, Processes(Path("/proc")))
    (finding,) = outboxes.judge(facts)
    assert finding.code == "outbox"
    assert "1 waiting, held by" in finding.says
    assert facts.holder is not None
    assert facts.holder.pid == os.getpid()
    assert outbox.append(GIVEN) == 2
    assert facts.database.answers == {"schema": 1, "waiting": 1}


def test_an_outbox_at_rest_is_read_too(outbox: Outbox, tmp_path: Path) -> None:
    """After the daemon has ended nobody holds it, and the look leaves no file behind."""
    outbox.close()
    before = sorted(each.name for each in tmp_path.iterdir())
    (finding,) = outboxes.judge(outboxes.probe("rating", tmp_path, Processes(Path("/proc"))))
    assert "1 waiting, held by nobody" in finding.says
    assert sorted(each.name for each in tmp_path.iterdir()) == before


def test_much_that_waits_is_a_warning(outbox: Outbox, tmp_path: Path) -> None:
    """From a hundred on it is said, as on the devices' page."""
    for _ in range(99):
        outbox.append(GIVEN)
    assert codes(tmp_path) == ["outbox"]
    outbox.append(GIVEN)
    assert codes(tmp_path) == ["outbox", "outbox-waits"]


def test_damage_is_told(outbox: Outbox, tmp_path: Path) -> None:
    """A damaged outbox, one that was set aside, and one of another version are told apart."""
    outbox.close()
    good = (tmp_path / "outbox.db").read_bytes()
    (tmp_path / "outbox.db").write_bytes(b"x" * 5000)
    assert codes(tmp_path) == ["outbox-damaged"]
    (tmp_path / "outbox.db").write_bytes(good[:60] + (99).to_bytes(4, "big") + good[64:])  # user_version
    assert codes(tmp_path) == ["outbox-schema"]
    (tmp_path / "outbox.db").rename(tmp_path / "outbox.db.corrupt-20261123T010203-00ff")
    assert codes(tmp_path) == ["outbox-none", "outbox-set-aside"]


def test_a_folder_that_the_asker_may_not_enter_is_said(outbox: Outbox, tmp_path: Path) -> None:
    """Who is not root hears that it takes sudo, and the check-up goes on."""
    if os.geteuid() != 0:
        pytest.skip("to be somebody else needs root: sudo make test")
    assert outbox.depth() == 1
    tmp_path.chmod(0o700)
    os.seteuid(65534)
    try:
        (finding,) = outboxes.judge(outboxes.probe("rating", tmp_path, Processes(Path("/proc"))))
    finally:
        os.seteuid(0)
    assert (finding.code, finding.says) == ("outbox-unread", f"{tmp_path}/outbox.db cannot be read: permission denied")
