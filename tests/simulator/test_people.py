"""A day's people and mishaps come from a seed, and there is enough of everything in them."""

from collections import Counter as Tally
from datetime import UTC, datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from simulator.chaos import BAG, MEAN_GAP_S, Fate
from simulator.daytime import morning_zone
from simulator.people import DETOURS, PRESENCES, RATING_WAYS, TOUCHES, Manner, Pace, invite
from simulator.premises import SERVICES, plan_counters

COUNTERS = plan_counters(3)


def test_the_same_seed_brings_the_same_people() -> None:
    """A day can be repeated, and another seed is another day."""
    day = invite(seed=7, visits=50, counters=COUNTERS)
    assert day == invite(seed=7, visits=50, counters=COUNTERS)
    assert day != invite(seed=8, visits=50, counters=COUNTERS)


def test_people_come_in_order_and_for_what_is_served() -> None:
    """Visitors are in the order of their coming, and each wants something that a counter serves."""
    day = invite(seed=1, visits=240, counters=COUNTERS)
    assert all(before.arrives_s <= after.arrives_s for before, after in pairwise(day))
    served = {service for counter in COUNTERS for service in counter.services}
    assert {visit.service for visit in day} == served == {service.id for service in SERVICES}


def test_a_day_has_people_of_every_kind() -> None:
    """A day of 240 visits has every presence, detour, way of rating and touch."""
    day = invite(seed=1, visits=240, counters=COUNTERS)
    assert {visit.presence for visit in day} == set(PRESENCES)
    assert {visit.detour for visit in day} == set(DETOURS)
    assert {visit.rating for visit in day} == set(RATING_WAYS)
    assert {visit.touch for visit in day} == set(TOUCHES)
    assert {visit.level for visit in day} == {1, 2, 3}
    assert any(visit.touches_kiosk_twice for visit in day)
    assert any(visit.priority for visit in day)


def test_an_officer_works_by_pad_and_by_page() -> None:
    """An officer uses both the call pad and the page, the same way again with the same seed."""
    calls = [Manner(seed=1, counter="q01").calls_by() for _ in range(2)]
    assert calls[0] == calls[1]
    manner = Manner(seed=1, counter="q01")
    assert {manner.calls_by() for _ in range(50)} == {"pad", "page"}


def test_pace_compresses_people() -> None:
    """At a speed of 600, ten minutes of the day are a second."""
    assert Pace(speed=600).real_s(600) == 1.0


@pytest.mark.parametrize("count", [1, 2, 3, 5, 6, 7, 16])
def test_every_service_has_a_counter(count: int) -> None:
    """However many counters there are, each service is served, and each counter serves something once."""
    counters = plan_counters(count)
    assert {service for counter in counters for service in counter.services} == {service.id for service in SERVICES}
    assert all(len(set(counter.services)) == len(counter.services) > 0 for counter in counters)
    assert len({counter.id for counter in counters}) == count


def test_neighbours_share_a_service() -> None:
    """Two officers draw from one queue, so that a number called twice could be seen."""
    for one, other in pairwise(plan_counters(3)):
        assert set(one.services) & set(other.services)


def test_fate_is_repeatable_and_hits_everything() -> None:
    """The same seed is the same bad day, and each kind of mishap comes again and again."""
    one, other = (Fate(seed=3, counters=["q01", "q02"]) for _ in range(2))
    mishaps = [one.next() for _ in range(4 * len(BAG))]
    assert mishaps == [other.next() for _ in mishaps]
    assert Tally(mishap.kind for mishap in mishaps) == {kind: 4 * times for kind, times in Tally(BAG).items()}


def test_fate_kills_at_least_every_two_seconds() -> None:
    """On average there is a kill every 2 s at least, cables left aside."""
    fate = Fate(seed=1, counters=["q01"])
    mishaps = [fate.next() for _ in range(500)]
    kills = sum(mishap.kind != "cable" for mishap in mishaps)
    assert sum(mishap.after_s for mishap in mishaps) / kills < 2
    assert MEAN_GAP_S < 2


@pytest.mark.parametrize("hour", range(24))
def test_a_day_begins_in_the_morning(hour: int) -> None:
    """Whenever a day is played, at its center it is between eight and nine: no midnight comes in between."""
    now = datetime(2026, 11, 23, hour, 59, tzinfo=UTC)
    assert now.astimezone(ZoneInfo(morning_zone(now))).hour == 8
