"""What the center says of itself, and what it takes for a contradiction."""

from importlib.metadata import version
from pathlib import Path
from typing import Literal

import pytest

from center.ingest.presence import CenterPresence
from contract.codec import decode
from contract.states import Status
from tests.center.conftest import MORNING_MS, TestClock

HERE = CenterPresence("bentre", root="test", clock=TestClock())


def said(state: Literal["online", "offline", "lost"]) -> bytes:
    """Return what the center says."""
    return HERE.status(state, since_ms=MORNING_MS)


@pytest.mark.parametrize("state", ["online", "offline", "lost"])
def test_the_center_says_how_it_is_as_a_device_does(state: Literal["online", "offline", "lost"]) -> None:
    """Its status is the ordinary one, at the center's own place; while it is there its clock goes with it."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert HERE.topic == "test/v1/bentre/center/hall/status"
    assert decode(said(state), Status) == Status(
        state=state,
        version=version("motcua"),
        bootid=boot,
        since="2026-11-23T01:00:00.000Z",
        clock_ms=1_000_000 if state == "online" else None,
    )


def test_online_is_no_contradiction() -> None:
    """Its own word that comes back is not answered: that would never end."""
    assert not HERE.is_denied_by(said("online"))


@pytest.mark.parametrize(
    "payload", [said("lost"), said("offline"), b"", b"{", b"\xff", b"[" * 9_000, b'{"state":"online"}']
)
def test_anything_else_is(payload: bytes) -> None:
    """Whatever a device could not read as online is a contradiction, a cleared state and rubbish too."""
    assert HERE.is_denied_by(payload)
