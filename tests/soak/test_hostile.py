"""Hostile payloads in numbers, to the real programs behind a real broker. `make soak` sends a million."""

import os

import pytest

from benchmarks import hostile

PAYLOADS = 48_000
SEED = int(os.environ.get("MOTCUA_SEED", "20261123"))

pytestmark = [
    pytest.mark.long,
    pytest.mark.mosquitto,
    pytest.mark.timeout(280),
    pytest.mark.usefixtures("make_mosquitto"),
]


def stands(seen: hostile.Seen) -> None:
    """Check that it went on as before."""
    print(f"seed {SEED}: {seen.per_s:.0f}/s, good within {max(seen.good_ms):.0f} ms, {seen.growth_mb:.1f} MB more")
    assert seen.faults == 0
    assert seen.lost == 0
    assert seen.growth_mb <= hostile.GROWTH_GOAL_MB
    # Most, not all: this machine may be busy with other tests.
    assert sorted(seen.good_ms)[len(seen.good_ms) // 2] <= hostile.GOOD_WITHIN_MS


def test_a_center_goes_on_under_hostile_payloads() -> None:
    """Whatever is published on any topic, the center goes on, stores good events among it, and needs no more memory."""
    stands(hostile.to_the_center(PAYLOADS, SEED))


def test_a_pad_goes_on_under_hostile_payloads() -> None:
    """Whatever a pad is told on any of its topics, it goes on, takes good states among it, and needs no more memory."""
    stands(hostile.to_the_pad(PAYLOADS, SEED))
