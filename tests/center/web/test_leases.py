"""Which officer works at which counter."""

import pytest

from center.people.model import Person
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


def person(name: str, session: str = "one") -> Person:
    """Return an officer at a computer."""
    return Person(
        name=name,
        full_name=f"Cán bộ {name}",
        role="officer",
        session=f"{name}-{session}-of-their-sessions",
        must_change=False,
    )


AN, BINH = person("an"), person("binh")


@pytest.fixture
def time() -> Time:
    """The time."""
    return Time()


@pytest.fixture
def leases(time: Time) -> Leases:
    """No desk in use."""
    return Leases(time.ms, time.monotonic)


def test_the_first_officer_has_the_counter(leases: Leases) -> None:
    """The first officer who claims a counter has it, a second one does not and may not command there."""
    assert leases.claim("q01", AN)
    assert not leases.claim("q01", BINH)
    assert leases.allows("q01", AN)
    assert not leases.allows("q01", BINH)


def test_a_lease_names_the_officer_and_gives_nothing_to_act_with(leases: Leases) -> None:
    """Others read who works there; of the session they learn its beginning only."""
    leases.claim("q01", AN)
    holder = leases.holder("q01")
    assert holder is not None
    assert (holder.who, holder.account) == ("Cán bộ an", "an")
    assert AN.session.startswith(holder.mark)
    assert holder.mark != AN.session


def test_a_desk_is_taken_over_on_purpose(leases: Leases) -> None:
    """Taking over moves the counter to another officer, tells who had it, and works back again."""
    leases.claim("q01", AN)
    before = leases.take("q01", BINH)
    assert before is not None
    assert before.account == "an"
    assert not leases.claim("q01", AN)
    leases.take("q01", AN)
    assert leases.allows("q01", AN)


def test_another_computer_of_the_same_officer_watches(leases: Leases) -> None:
    """One computer has the desk; the same officer moves it to another one without taking it from anybody."""
    elsewhere = person("an", "two")
    leases.claim("q01", AN)
    assert not leases.claim("q01", elsewhere)
    assert leases.take("q01", elsewhere) is None
    assert not leases.claim("q01", AN)


def test_an_officer_has_one_counter(leases: Leases) -> None:
    """Whoever works at a counter does not get a second one by looking at it; taking it over leaves the first."""
    leases.claim("q01", AN)
    leases.joined("q01", AN.session)
    assert not leases.claim("q02", AN)
    assert leases.places() == {"an": "q01"}
    leases.take("q02", AN)
    assert leases.places() == {"an": "q02"}
    assert leases.holder("q01") is None


def test_an_officer_with_a_page_open_is_elsewhere_for_every_other_counter(leases: Leases) -> None:
    """Whose page is open at a counter works there and nowhere else, at any computer; a closed one counts not."""
    leases.claim("q01", AN)
    assert leases.elsewhere("q02", AN) is None
    leases.joined("q01", AN.session)
    assert leases.elsewhere("q02", person("an", "two")) == "q01"
    assert leases.elsewhere("q01", AN) is None
    assert leases.elsewhere("q02", BINH) is None
    leases.left("q01", AN.session)
    assert leases.elsewhere("q02", AN) is None


def test_an_officer_moves_on_from_a_page_that_was_closed(leases: Leases) -> None:
    """A counter whose page is gone holds nobody back from the next one, not even for the ten seconds of a reload."""
    leases.claim("q01", AN)
    leases.joined("q01", AN.session)
    leases.left("q01", AN.session)
    assert leases.claim("q02", AN)
    assert leases.holder("q01") is None


def test_a_reload_keeps_the_counter(leases: Leases, time: Time) -> None:
    """A page that is back within ten seconds still has its counter; afterwards it is free."""
    leases.claim("q01", AN)
    leases.joined("q01", AN.session)
    time.s += 3600
    assert not leases.claim("q01", BINH)
    leases.left("q01", AN.session)
    time.s += GRACE_S - 1
    assert not leases.claim("q01", BINH)
    time.s += 2
    assert leases.holder("q01") is None
    assert leases.claim("q01", BINH)


def test_a_desk_with_two_pages_is_left_with_the_last(leases: Leases, time: Time) -> None:
    """A session that has two pages open keeps its counter until both are gone."""
    leases.claim("q01", AN)
    leases.joined("q01", AN.session)
    leases.joined("q01", AN.session)
    leases.left("q01", AN.session)
    time.s += 3600
    assert leases.holder("q01") is not None


def test_a_session_that_ends_frees_its_desk(leases: Leases) -> None:
    """Whoever logs out, or is logged out, leaves the counter at once."""
    leases.claim("q01", AN)
    leases.joined("q01", AN.session)
    leases.ended(AN.session)
    assert leases.claim("q01", BINH)
