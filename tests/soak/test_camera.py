"""A camera for days, and episodes of which the truth is known. `make soak` plays a week, `make bench` forty of each."""

import pytest

from benchmarks import camera_incidents, camera_week
from benchmarks.camera_people import heads
from firmware.devices.camera import model

EPISODES = 3

pytestmark = [pytest.mark.long, pytest.mark.timeout(280)]


def right(scores: dict[str, camera_incidents.Score]) -> None:
    """Check that everything that was there was said, and nothing else."""
    for kind, score in scores.items():
        assert (score.there, score.said, score.right) == (score.there, score.there, score.there), kind
        assert score.there >= EPISODES, kind


def test_days_leave_nothing_behind_but_what_is_held() -> None:
    """Day after day a camera needs no more memory, keeps its quota, and has every clip that is held as it was."""
    seen = camera_week.week(2)
    print(f"MB at each day's end: {seen.resident_mb}; clips, MB: {seen.folder_mb}; files: {seen.files}")
    assert seen.growth_mb <= camera_week.GROWTH_GOAL_MB
    assert seen.largest_mb * 1e6 <= camera_week.MOST_BYTES
    assert max(seen.files) <= camera_week.MOST_FILES
    assert seen.held
    assert seen.lost == 0
    assert {"waiting_alone", "after_hours", "covered", "panic"} <= set(seen.incidents)


@pytest.mark.skipif(not (model.FOLDER / model.MODEL).exists(), reason="no network: .venv/bin/motcua camera model")
@pytest.mark.skipif(not heads(), reason="no real faces: sudo make system-packages (Debian's opencv-doc)")
def test_who_waits_and_who_is_absent_is_told_from_who_is_busy() -> None:
    """Waiting, absence and crowds are told, each once; short ones, passers-by and an officer at papers are not."""
    right(camera_incidents.at_the_counter(EPISODES, fps=camera_incidents.FPS))


def test_who_comes_at_night_is_told_from_lamps_and_moths() -> None:
    """Somebody there after hours is told each time; lamps, flicker, noise and a moth are nobody."""
    right(camera_incidents.at_night(EPISODES))


def test_whoever_is_at_the_camera_is_told_of() -> None:
    """Covered, out of focus, turned and frozen are told within ten seconds, and no lamp and no crowd is any of them."""
    found = camera_incidents.tampering(EPISODES)
    right({what: score for what, score in found.items() if what not in camera_incidents.TAMPER})
    assert all(score.recall >= 2 / 3 for score in found.values())
