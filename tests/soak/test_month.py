"""Days on end: what a center, its broker and a pad keep of them. `make soak` plays a whole month."""

import pytest

from benchmarks import month

DAYS, VISITS = 8, 40

pytestmark = [pytest.mark.long, pytest.mark.mosquitto, pytest.mark.timeout(280)]


@pytest.mark.usefixtures("make_mosquitto")
def test_days_leave_nothing_behind_in_memory() -> None:
    """After many days programs need no more memory than after a few, and the database what its design says."""
    seen = month.month(DAYS, VISITS)
    print(f"MB at each day's end: {seen.resident_mb}; database {seen.file_mb}")
    assert seen.faults == 0
    assert seen.stored_ratings == seen.ratings
    assert seen.file_mb[-1] <= month.allowed_mb(DAYS, VISITS)
    assert seen.visits == DAYS * VISITS
    for program in seen.resident_mb:
        assert seen.growth_mb(program) <= month.GROWTH_GOAL_MB, program
