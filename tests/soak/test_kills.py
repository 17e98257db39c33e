"""Presses while everything is killed. `make soak` does ten thousand, and 220 kills."""

import os

import pytest

from benchmarks import kills

PRESSES = 480
KILLS = {"pad": 12, "center": 12, "broker": 4}
SEED = int(os.environ.get("MOTCUA_SEED", "20261123"))

pytestmark = [pytest.mark.long, pytest.mark.mosquitto, pytest.mark.timeout(280)]


@pytest.mark.usefixtures("make_mosquitto")
def test_no_confirmed_press_is_lost_or_doubled_by_kills() -> None:
    """While pads, center and broker are killed, each press that a light confirmed is stored, once."""
    seen = kills.press_and_kill(PRESSES, KILLS, SEED)
    print(f"seed {SEED}: {seen}")
    assert seen.kills == KILLS
    assert seen.presses == PRESSES
    assert seen.confirmed > PRESSES // 2
    assert (seen.lost, seen.double, seen.unpressed) == (0, 0, 0)
