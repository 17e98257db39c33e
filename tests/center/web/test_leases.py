"""Which desk has a counter."""

import pytest

from center.web.leases import GRACE_S, Leases


class Time:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.s = 1000.0

    def ms(self) -> int:
        """The wall clock."""
        return int(self.s * 1000)

    def monotonic(self) -> float:
        """The steady clock."""
        return self.s


@pytest.fixture
def time() -> Time:
    """The time."""
    return Time()


@pytest.fixture
def leases(time: Time) -> Leases:
    """No desk in use."""
    return Leases(time.ms, time.monotonic)


def test_the_first_desk_has_the_counter(leases: Leases) -> None:
    """The first desk that claims a counter has it, a second one does not."""
    assert leases.claim("q01", "session-one")
    assert not leases.claim("q01", "session-two")
    assert leases.allows("q01", "session-one")
    assert not leases.allows("q01", "session-two")


def test_a_lease_tells_its_mark_only(leases: Leases) -> None:
    """Others see the beginning of a session's id, which lets nobody act in its name."""
    leases.claim("q01", "session-one")
    holder = leases.holder("q01")
    assert holder is not None
    assert holder.mark == "session-"
    assert not leases.allows("q01", holder.mark)


def test_a_program_needs_no_desk(leases: Leases) -> None:
    """A command without a session, as of a call pad, is always allowed."""
    leases.claim("q01", "session-one")
    assert leases.allows("q01", None)


def test_a_desk_is_taken_over_on_purpose(leases: Leases) -> None:
    """Taking over moves the counter to the other desk, and back."""
    leases.claim("q01", "session-one")
    leases.take("q01", "session-two")
    assert not leases.claim("q01", "session-one")
    leases.take("q01", "session-one")
    assert leases.allows("q01", "session-one")


def test_a_reload_keeps_the_counter(leases: Leases, time: Time) -> None:
    """A page that is back within ten seconds still has its counter; afterwards it is free."""
    leases.claim("q01", "session-one")
    leases.joined("q01", "session-one")
    time.s += 3600
    assert not leases.claim("q01", "session-two")
    leases.left("q01", "session-one")
    time.s += GRACE_S - 1
    assert not leases.claim("q01", "session-two")
    time.s += 2
    assert leases.holder("q01") is None
    assert leases.claim("q01", "session-two")


def test_a_desk_with_two_pages_is_left_with_the_last(leases: Leases, time: Time) -> None:
    """A session that has two pages open keeps its counter until both are gone."""
    leases.claim("q01", "session-one")
    leases.joined("q01", "session-one")
    leases.joined("q01", "session-one")
    leases.left("q01", "session-one")
    time.s += 3600
    assert leases.holder("q01") is not None
