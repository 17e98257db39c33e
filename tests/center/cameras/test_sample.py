"""The sample of services for quality review: even over officers, by lot, the same again with the same key."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from center.cameras import sample
from center.cameras.sample import Lot

KEY = "5b" * 32
keys = st.binary(min_size=32, max_size=32).map(bytes.hex)
tickets = st.lists(st.uuids().map(str), min_size=1, max_size=40, unique=True)


def one_by_one(lots: list[Lot], most: int) -> list[Lot]:
    """Return the sample as it is when its services have ended one after another."""
    standing: list[Lot] = []
    for lot in lots:
        standing = sample.lowest([*standing, lot], most)
    return standing


@given(keys, tickets, st.integers(0, 5), st.randoms(use_true_random=False))
def test_the_order_of_services_changes_nothing(key: str, served: list[str], most: int, shuffle: object) -> None:
    """Whatever order services end in, the same ones are in the sample, and as many as are wanted if there are any."""
    lots = [sample.draw(key, ticket) for ticket in served]
    first = one_by_one(lots, most)
    shuffle.shuffle(lots)  # type: ignore[attr-defined]
    assert one_by_one(lots, most) == first == sample.lowest(lots, most)
    assert len(first) == min(most, len(served))


@given(keys, keys, st.uuids().map(str))
def test_the_same_key_gives_the_same_lot_and_another_key_another(one: str, other: str, ticket: str) -> None:
    """Who has the key can draw again what was drawn; who has another one, or none, learns nothing."""
    assert sample.draw(one, ticket) == sample.draw(one, ticket)
    assert (sample.draw(one, ticket) == sample.draw(other, ticket)) is (one == other)
    assert one not in sample.sealed(one)


def test_every_service_has_the_same_chance() -> None:
    """Of twelve services each is drawn as often as any other, the first and the last of the week."""
    served = [f"A{number:03}" for number in range(1, 13)]
    drawn: Counter[str] = Counter()
    weeks = 3000
    for week in range(weeks):
        key = f"{week:064x}"
        drawn.update(lot.ticket for lot in sample.lowest([sample.draw(key, ticket) for ticket in served], 2))
    expected = 2 * weeks / len(served)
    off = sum((drawn[ticket] - expected) ** 2 / expected for ticket in served)
    assert off < 31.3, (
        drawn
    )  # chi-squared with 11 degrees of freedom: by chance beyond it once in a thousand; fixed keys


@pytest.mark.parametrize(
    ("day", "week"),
    [("2026-11-23", "2026-W48"), ("2026-11-29", "2026-W48"), ("2026-12-31", "2026-W53"), ("2027-01-01", "2026-W53")],
)
def test_a_week_is_one_of_iso_8601(day: str, week: str) -> None:
    """A week goes from Monday to Sunday, also over New Year."""
    assert sample.week_of(day) == week
