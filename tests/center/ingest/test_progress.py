"""How far an outbox has been stored: a number is covered only when nothing before it is missing."""

from hypothesis import given
from hypothesis import strategies as st

from center.ingest.progress import STREAMS, Progress


def test_a_gap_is_not_covered() -> None:
    """After 1, 2 and 4, number 2 is covered and 4 is not; when 3 and 4 come, all are."""
    progress = Progress()
    for sequence in (1, 2, 4):
        progress.add("/c/q01/rating", "s", sequence)
    assert [progress.covered("/c/q01/rating", "s", each) for each in (0, 1, 2, 3, 4)] == [
        False,
        True,
        True,
        False,
        False,
    ]
    for sequence in (3, 4):
        progress.add("/c/q01/rating", "s", sequence)
    assert progress.covered("/c/q01/rating", "s", 4)


def test_a_stream_that_does_not_begin_at_one_is_never_covered() -> None:
    """A center that lost its store knows nothing of what came before, so it covers nothing by number."""
    progress = Progress()
    progress.add("/c/q01/rating", "s", 5000)
    assert not progress.covered("/c/q01/rating", "s", 5000)


def test_what_was_not_committed_does_not_count() -> None:
    """After a failed commit progress stands where it stood."""
    progress = Progress([{"source": "x", "stream": "s", "upto": 2, "highest": 2}])
    progress.add("x", "s", 3)
    progress.failed()
    assert not progress.covered("x", "s", 3)
    assert progress.rows() == []


def test_a_flood_of_outboxes_is_not_followed() -> None:
    """Only so many outboxes are kept in memory, whoever invents more."""
    progress = Progress()
    for each in range(STREAMS + 100):
        progress.add("x", f"s{each}", 1)
    assert len(progress.rows()) == STREAMS


@given(st.lists(st.integers(min_value=1, max_value=12), max_size=60))
def test_covered_means_all_before_have_come(sequences: list[int]) -> None:
    """Whatever the order and the repeats: if a number is covered, every number up to it has come."""
    progress = Progress()
    for sequence in sequences:
        progress.add("x", "s", sequence)
    for each in range(1, 13):
        if progress.covered("x", "s", each):
            assert set(range(1, each + 1)) <= set(sequences)
