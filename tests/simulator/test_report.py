"""The day's account must notice each kind of loss and each kind of duplication: an account that cannot fail is none."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from simulator.report import (
    Handling,
    Journal,
    Press,
    Sighting,
    Slip,
    Stored,
    StoredEvent,
    StoredRating,
    StoredTicket,
    judge,
    spread,
)

MS = 1_000_000


def good_day() -> tuple[Journal, Stored]:
    """Two visits: A001 is served at q01 and rates by the pad, B001 does not come to q02."""
    journal = Journal(
        slips=[Slip(touch="k1", ticket="t1", number="A001"), Slip(touch="k2", ticket="t2", number="B001")],
        sightings=[
            Sighting(counter="q01", number="A001", at_ns=50 * MS),
            Sighting(counter="q02", number="B001", at_ns=60 * MS),
        ],
        handlings=[
            Handling(counter="q01", number="A001", step="got", asked_ns=20 * MS, shown_ns=50 * MS),
            Handling(counter="q02", number="B001", step="got", asked_ns=40 * MS, shown_ns=60 * MS),
            Handling(counter="q01", number="A001", step="ended"),
            Handling(counter="q02", number="B001", step="ended"),
        ],
        presses=[Press(ticket="t1", level=3, way="pad", counts_ns=100 * MS, light_ns=104 * MS)],
        endings={"t1": "served", "t2": "no_show"},
    )
    stored = Stored(
        tickets=[
            StoredTicket(id="t1", number="A001", state="served"),
            StoredTicket(id="t2", number="B001", state="no_show"),
        ],
        events=[
            StoredEvent(kind="ticket_issued", ticket="t1", counter=None),
            StoredEvent(kind="ticket_issued", ticket="t2", counter=None),
            StoredEvent(kind="ticket_called", ticket="t1", counter="q01"),
            StoredEvent(kind="ticket_called", ticket="t2", counter="q02"),
            StoredEvent(kind="serving_started", ticket="t1", counter="q01"),
            StoredEvent(kind="ticket_served", ticket="t1", counter="q01"),
            StoredEvent(kind="ticket_no_show", ticket="t2", counter="q02"),
        ],
        ratings=[StoredRating(ticket="t1", level=3, acknowledged_ns=112 * MS)],
    )
    return journal, stored


def test_a_good_day_is_good() -> None:
    """A day on which everything is as people saw it has no reason against it, and its figures are what happened."""
    journal, stored = good_day()
    verdict = judge(journal, stored, visits=2)
    assert verdict.reasons == []
    assert verdict.good
    assert verdict.figures == {
        "issued": 2,
        "called": 2,
        "served": 1,
        "no_show": 1,
        "calls_duplicated": 0,
        "numbers_duplicated": 0,
        "ratings_pressed": 1,
        "ratings_stored": 1,
        "ratings_lost": 0,
        "ratings_duplicated": 0,
        "ratings_unconfirmed": 0,
        "call_to_panel_ms": {"p50": 20.0, "p99": 30.0},
        "press_to_stored_ms": {"p50": 12.0, "p99": 12.0},
        "press_to_light_ms": {"p50": 4.0, "p99": 4.0},
    }


def _lose_rating(_journal: Journal, stored: Stored) -> Stored:
    return replace(stored, ratings=[])


def _store_other_level(_journal: Journal, stored: Stored) -> Stored:
    return replace(stored, ratings=[StoredRating(ticket="t1", level=1, acknowledged_ns=None)])


def _lose_tablet_rating(journal: Journal, stored: Stored) -> Stored:
    journal.presses.append(Press(ticket="t2", level=2, way="tablet", counts_ns=0, light_ns=5 * MS))
    return stored


@pytest.mark.parametrize("spoil", [_lose_rating, _store_other_level, _lose_tablet_rating])
def test_a_confirmed_rating_that_is_not_stored_is_lost(spoil: Callable[[Journal, Stored], Stored]) -> None:
    """What a light or a page confirmed must be in the database as it was pressed, or it counts as lost."""
    journal, stored = good_day()
    verdict = judge(journal, spoil(journal, stored), visits=2)
    assert verdict.figures["ratings_lost"] == 1
    assert not verdict.good


def test_a_press_without_a_light_promises_nothing() -> None:
    """A press that no light confirmed is neither pressed nor lost, whether it is stored or not."""
    journal, stored = good_day()
    journal.presses.append(Press(ticket="t2", level=1, way="pad", counts_ns=0, light_ns=None))
    assert judge(journal, stored, visits=2).good
    kept = replace(stored, ratings=[*stored.ratings, StoredRating(ticket="t2", level=1, acknowledged_ns=None)])
    verdict = judge(journal, kept, visits=2)
    assert verdict.good
    assert (verdict.figures["ratings_unconfirmed"], verdict.figures["ratings_stored"]) == (1, 2)


@pytest.mark.parametrize(
    "extra",
    [
        StoredRating(ticket="t1", level=3, acknowledged_ns=None),
        StoredRating(ticket="t2", level=3, acknowledged_ns=None),
        StoredRating(ticket=None, level=3, acknowledged_ns=None),
    ],
    ids=["counted twice for one ticket", "counted for one who did not press", "counted for nobody"],
)
def test_a_rating_too_many_is_a_duplicate(extra: StoredRating) -> None:
    """A rating that is counted twice, or that no hand pressed, counts as duplicated."""
    journal, stored = good_day()
    verdict = judge(journal, replace(stored, ratings=[*stored.ratings, extra]), visits=2)
    assert verdict.figures["ratings_duplicated"] == 1
    assert not verdict.good


def _same_number_twice(journal: Journal, stored: Stored) -> Stored:
    journal.slips[1] = Slip(touch="k2", ticket="t2", number="A001")
    return replace(stored, tickets=[stored.tickets[0], StoredTicket(id="t2", number="A001", state="no_show")])


def _two_tickets_for_a_touch(journal: Journal, stored: Stored) -> Stored:
    journal.slips[1] = Slip(touch="k1", ticket="t2", number="B001")
    return stored


def _ticket_for_nobody(journal: Journal, stored: Stored) -> Stored:
    journal.endings["t3"] = "served"
    return replace(stored, tickets=[*stored.tickets, StoredTicket(id="t3", number="B002", state="served")])


@pytest.mark.parametrize("spoil", [_same_number_twice, _two_tickets_for_a_touch, _ticket_for_nobody])
def test_a_number_too_many_is_a_duplicate(spoil: Callable[[Journal, Stored], Stored]) -> None:
    """One number on two tickets, two tickets for one touch and a ticket that nobody was given are duplicates."""
    journal, stored = good_day()
    verdict = judge(journal, spoil(journal, stored), visits=2)
    assert verdict.figures["numbers_duplicated"] == 1
    assert not verdict.good


def _two_officers_have_it(journal: Journal, stored: Stored) -> Stored:
    journal.handlings.insert(1, Handling(counter="q02", number="A001", step="got"))
    journal.sightings.append(Sighting(counter="q02", number="A001", at_ns=0))
    return stored


def _database_calls_twice(_journal: Journal, stored: Stored) -> Stored:
    again = StoredEvent(kind="ticket_called", ticket="t1", counter="q01")
    return replace(stored, events=[*stored.events[:4], again, *stored.events[4:]])


def _call_nobody_asked_for(_journal: Journal, stored: Stored) -> Stored:
    events = [
        *stored.events,
        StoredEvent(kind="ticket_requeued", ticket="t2", counter=None),
        StoredEvent(kind="ticket_called", ticket="t2", counter="q02"),
        StoredEvent(kind="ticket_no_show", ticket="t2", counter="q02"),
    ]
    return replace(stored, events=events)


def _panel_of_another_counter(journal: Journal, stored: Stored) -> Stored:
    journal.sightings.append(Sighting(counter="q02", number="A001", at_ns=70 * MS))
    return stored


@pytest.mark.parametrize(
    "spoil", [_two_officers_have_it, _database_calls_twice, _call_nobody_asked_for, _panel_of_another_counter]
)
def test_a_call_too_many_is_a_duplicate(spoil: Callable[[Journal, Stored], Stored]) -> None:
    """A number that two officers have, called while it is called, or shown by a wrong panel is a duplicate."""
    journal, stored = good_day()
    verdict = judge(journal, spoil(journal, stored), visits=2)
    assert verdict.figures["calls_duplicated"] == 1
    assert not verdict.good


def test_a_number_that_came_back_to_the_queue_may_be_called_again() -> None:
    """After a no-show came back, its number is called again by whoever is free, and that is no duplicate."""
    journal, stored = good_day()
    journal.handlings[3] = Handling(counter="q02", number="B001", step="returned")
    journal.handlings += [
        Handling(counter="q01", number="B001", step="got"),
        Handling(counter="q01", number="B001", step="ended"),
    ]
    journal.sightings.append(Sighting(counter="q01", number="B001", at_ns=0))
    journal.endings["t2"] = "served"
    events = [
        *stored.events,
        StoredEvent(kind="ticket_requeued", ticket="t2", counter=None),
        StoredEvent(kind="ticket_called", ticket="t2", counter="q01"),
        StoredEvent(kind="ticket_served", ticket="t2", counter="q01"),
    ]
    tickets = [stored.tickets[0], StoredTicket(id="t2", number="B001", state="served")]
    assert judge(journal, replace(stored, events=events, tickets=tickets), visits=2).reasons == []


def _fewer_issued(journal: Journal, stored: Stored) -> Stored:
    del journal.slips[1], journal.handlings[3], journal.handlings[1], journal.sightings[1], journal.endings["t2"]
    return replace(
        stored,
        tickets=stored.tickets[:1],
        events=[event for event in stored.events if event.ticket == "t1"],
    )


def _still_waiting(_journal: Journal, stored: Stored) -> Stored:
    return replace(stored, tickets=[stored.tickets[0], replace(stored.tickets[1], state="waiting")])


def _ended_otherwise(_journal: Journal, stored: Stored) -> Stored:
    return replace(stored, tickets=[stored.tickets[0], replace(stored.tickets[1], state="served")])


def _ticket_lost(_journal: Journal, stored: Stored) -> Stored:
    return replace(stored, tickets=stored.tickets[:1])


def _call_lost(_journal: Journal, stored: Stored) -> Stored:
    return replace(stored, events=[event for event in stored.events if event.kind != "ticket_called"])


def _panel_dark(journal: Journal, stored: Stored) -> Stored:
    del journal.sightings[0]
    return stored


def _quarantine(_journal: Journal, stored: Stored) -> Stored:
    return replace(stored, quarantined=1)


@pytest.mark.parametrize(
    "spoil", [_fewer_issued, _still_waiting, _ended_otherwise, _ticket_lost, _call_lost, _panel_dark, _quarantine]
)
def test_a_day_that_is_not_whole_is_not_good(spoil: Callable[[Journal, Stored], Stored]) -> None:
    """Visits that did not happen, did not end or ended otherwise, lost rows and dark panels spoil a day."""
    journal, stored = good_day()
    assert not judge(journal, spoil(journal, stored), visits=2).good


def test_a_second_press_counts_its_time_from_the_press_that_was_stored() -> None:
    """Where a hand pressed twice, the time to the store counts from the last press before it."""
    journal, stored = good_day()
    journal.presses.insert(0, Press(ticket="t1", level=3, way="pad", counts_ns=10 * MS, light_ns=None))
    journal.presses.append(Press(ticket="t1", level=3, way="pad", counts_ns=500 * MS, light_ns=None))
    assert judge(journal, stored, visits=2).figures["press_to_stored_ms"] == {"p50": 12.0, "p99": 12.0}


def test_percentiles_are_of_the_nearest_rank() -> None:
    """Percentiles are values that were measured; of nothing there is none."""
    assert spread([]) == {"p50": None, "p99": None}
    assert spread(index * MS for index in range(1, 201)) == {"p50": 100.0, "p99": 198.0}
    assert spread([7 * MS]) == {"p50": 7.0, "p99": 7.0}
