"""What is to be reviewed, and who has reviewed, held and looked at it: rows that are only ever added to."""

from collections.abc import Callable
from typing import Any, TypeVar

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from center import audit
from center.cameras import book, reviews
from center.cameras.book import Wish
from center.cameras.incidents import rebuild
from center.cameras.reviews import KEPT, KINDS, LOOK_MS, ReviewError, Wanted
from center.cameras.uploads import make_vault
from center.cameras.vault import Vault
from center.config import Config
from center.hall import Hall
from center.storage import sweep as sweeping
from center.storage.store import Store
from center.storage.tables import clip, incident, look, review, ticket
from center.storage.tables import hold as holds
from tests.center.cameras.test_incidents import ENDED, STARTED, arrival, deliver
from tests.center.cameras.test_wiping import DAY_MS, put, sweep, wiped
from tests.center.cameras.test_wiping import config as config_that_wipes
from tests.center.conftest import MORNING_MS

T = TypeVar("T")
NOW = MORNING_MS
WHO = "person:dung"
config = config_that_wipes
"""A center that keeps recordings for thirty days."""


@pytest.fixture
def vault(config: Config) -> Vault:
    """Its vault."""
    return make_vault(config)


def did(hall: Hall, job: Callable[[sa.Connection], T]) -> T:
    """Do something with rows."""
    return hall.transact(job).result(30)


def incident_row(number: int, **changes: Any) -> dict[str, Any]:
    """Return the row of an incident."""
    row = {
        "id": f"{number:032x}", "station": "q01", "device": "camera", "name": f"i-{number}", "kind": "crowding",
        "zone": "citizen", "confidence": 0.9, "began_at": NOW, "heard_at": NOW, "ended_at": NOW, "sequence": 1,
    }  # fmt: skip
    return {**row, **changes}


def clip_row(number: int, **changes: Any) -> dict[str, Any]:
    """Return the row of a recording that has come."""
    row = {
        "id": f"{number:032x}", "station": "q01", "device": "camera", "name": f"c-{number}", "start": NOW,
        "seconds": 30.0, "why": "low_rating", "made_at": NOW, "arrived_at": NOW, "held": False, "bytes": 1,
        "sha256": "ab" * 32,
    }  # fmt: skip
    return {**row, **changes}


def entries(hall: Hall) -> list[tuple[str, str, str, str]]:
    """Return the audit log, the oldest first."""
    found = did(hall, lambda rows: audit.newest(rows, None, 100))
    return [(one.actor, one.action, one.object, one.detail) for one in reversed(found)]


ITEMS = st.lists(
    st.tuples(
        st.sampled_from(["incident", "clip"]),
        st.integers(0, 2),  # when: many at the same time
        st.sampled_from(["q01", "q02"]),
        st.integers(0, 5),
        st.booleans(),
    ),
    max_size=25,
)
FILTERS = st.builds(
    Wanted,
    station=st.sampled_from([None, None, "q01"]),
    kind=st.sampled_from([None, None, "crowding", "low_rating"]),
    unseen=st.booleans(),
    from_ms=st.sampled_from([None, None, NOW + 1]),
    until_ms=st.sampled_from([None, None, NOW + 2]),
)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(ITEMS, FILTERS, st.integers(1, 4))
def test_pages_show_everything_once_and_in_order(
    store: Store, items: list[tuple[str, int, str, int, bool]], wanted: Wanted, size: int
) -> None:
    """Whatever there is and is asked for: page by page comes each once, the newest first; backwards, the same."""

    def play(rows: sa.Connection) -> None:
        rows.execute(sa.delete(incident))
        rows.execute(sa.delete(clip))
        expected = []
        for number, (what, when, station, kind, seen) in enumerate(items):
            reviewed = {"station": station, "reviewed_at": NOW if seen else None}
            if what == "incident":
                row = incident_row(number, began_at=NOW + when, kind=KINDS[kind], **reviewed)
                rows.execute(sa.insert(incident).values(row))
            else:
                row = clip_row(number, start=NOW + when, why=(*KEPT, *KINDS)[kind], **reviewed)
                rows.execute(sa.insert(clip).values(row))
            shown = row["kind"] if what == "incident" else row["why"]
            if (
                (what == "incident" or shown in KEPT)  # a recording of an incident is no item of its own
                and wanted.station in (None, station)
                and wanted.kind in (None, shown)
                and not (wanted.unseen and seen)
                and (wanted.from_ms is None or NOW + when >= wanted.from_ms)
                and (wanted.until_ms is None or NOW + when < wanted.until_ms)
            ):
                expected.append((NOW + when, f"{what[0]}{row['id']}"))
        expected.sort(reverse=True)
        for newer in (False, True):
            found: list[tuple[int, str]] = []
            while page := reviews.listed(rows, wanted, beyond=found[-1] if found else None, newer=newer, count=size):
                found += [item.place for item in page]
            assert found == (expected[::-1] if newer else expected)
        unseen = reviews.listed(rows, Wanted(unseen=True), count=99)
        assert reviews.unseen(rows, most=3) == min(3, len(unseen))

    store.transact(play)


@pytest.mark.parametrize(
    "wanted",
    [
        Wanted(),
        Wanted(unseen=True),
        Wanted(station="q01"),
        Wanted(kind="crowding"),
        Wanted(station="q01", unseen=True),
        Wanted(kind="crowding", unseen=True),
        Wanted(kind="tamper", unseen=True),
        Wanted(kind="sample", unseen=True),
        Wanted(from_ms=1, until_ms=2),
    ],
    ids=str,
)
def test_a_page_reads_along_an_index(store: Store, wanted: Wanted) -> None:
    """However long the center has run, a page costs its own rows: no query reads or sorts a whole table."""

    def plans(rows: sa.Connection) -> list[str]:
        found = []
        for query in reviews._queries(wanted, (NOW, "i" + "0" * 32), False, 61):
            text = str(query.compile(rows, compile_kwargs={"literal_binds": True}))
            found += [row.detail for row in rows.execute(sa.text(f"EXPLAIN QUERY PLAN {text}"))]
        return found

    found = store.transact(plans)
    assert any("USING INDEX" in each for each in found)
    # Only what began in the same millisecond is sorted.
    assert [each for each in found if "TEMP B-TREE" in each and "RIGHT PART" not in each] == []
    assert [each for each in found if each.startswith("SCAN") and "USING INDEX" not in each] == []


def test_a_review_is_added_and_never_changed(hall: Hall) -> None:
    """Two people review one incident: both stay, the newest stands in the list, the audit log names both."""
    deliver(hall, arrival(STARTED, 1), arrival(ENDED, 2))
    (item,) = did(hall, lambda rows: reviews.listed(rows, Wanted(unseen=True), count=9))
    did(hall, lambda rows: reviews.add_review(rows, item.key, actor=WHO, at=NOW, note="Đi lấy hồ sơ"))
    did(hall, lambda rows: reviews.add_review(rows, item.key, actor="person:chi", at=NOW + 5, note=""))
    assert did(hall, lambda rows: reviews.listed(rows, Wanted(unseen=True), count=9)) == []
    case = did(hall, lambda rows: reviews.case(rows, item.key))
    assert case is not None
    assert [(one.actor, one.words) for one in case.reviews] == [("person:chi", ""), (WHO, "Đi lấy hồ sơ")]
    assert (case.item.reviewed_by, case.item.reviewed_at) == ("person:chi", NOW + 5)
    assert entries(hall) == [
        (WHO, "incident_reviewed", "q01/camera i-1", ""),
        ("person:chi", "incident_reviewed", "q01/camera i-1", ""),
    ]


def test_reviews_survive_rows_that_are_made_anew(hall: Hall) -> None:
    """After incidents were made anew from the events every review is there, in the list and behind it."""
    deliver(hall, arrival(STARTED, 1), arrival(ENDED, 2))
    (item,) = did(hall, lambda rows: reviews.listed(rows, Wanted(), count=9))
    did(hall, lambda rows: reviews.add_review(rows, item.key, actor=WHO, at=NOW, note="n"))
    before = did(hall, lambda rows: reviews.case(rows, item.key))
    assert did(hall, rebuild) == 1
    assert did(hall, lambda rows: reviews.case(rows, item.key)) == before


def test_a_kept_service_is_reviewed_like_an_incident(hall: Hall) -> None:
    """A recording without an incident is an item of its own, with its ticket and a review of its own."""
    row = {"id": "t-1", "day": "2026-11-23", "number": "A007", "service": "dat-dai", "priority": "normal",
           "state": "done", "issued_at": NOW - 600_000, "version": 1, "counter": "q01", "called_at": NOW - 60_000,
           "started_at": NOW, "ended_at": NOW + 90_000, "recalls": 0, "outcome": "accepted", "behind": 0}  # fmt: skip
    did(hall, lambda rows: rows.execute(sa.insert(ticket).values(row)))
    did(hall, lambda rows: rows.execute(sa.insert(clip).values(clip_row(1, ticket="t-1"))))
    (item,) = did(hall, lambda rows: reviews.listed(rows, Wanted(kind="low_rating"), count=9))
    did(hall, lambda rows: reviews.add_review(rows, item.key, actor=WHO, at=NOW, note="n"))
    case = did(hall, lambda rows: reviews.case(rows, item.key))
    assert case is not None
    assert case.visit is not None
    assert (case.item.reviewed_by, case.visit.number, case.visit.level) == (WHO, "A007", None)
    assert did(hall, lambda rows: reviews.numbers(rows, ["t-1", "gone"])) == {"t-1": "A007"}


def test_an_incident_without_a_ticket_finds_who_was_at_the_counter(hall: Hall) -> None:
    """The camera need not know the ticket: the one that was called and not yet finished then is shown."""
    common = {"day": "2026-11-23", "service": "dat-dai", "priority": "normal", "state": "done", "issued_at": NOW,
              "version": 1, "recalls": 0, "behind": 0}  # fmt: skip
    visits = [("A001", "q01", 0, 10), ("A002", "q01", 20, 40), ("A003", "q02", 20, 40), ("A004", "q01", 50, None)]
    for number, counter, called, ended in visits:
        times = {"called_at": NOW + called, "ended_at": None if ended is None else NOW + ended}
        row = {**common, "id": number, "number": number, "counter": counter, **times}
        did(hall, lambda rows, row=row: rows.execute(sa.insert(ticket).values(row)))  # type: ignore[misc]
    found = []
    for number, at in enumerate((5, 15, 30, 60)):
        row = incident_row(number, began_at=NOW + at)
        did(hall, lambda rows, row=row: rows.execute(sa.insert(incident).values(row)))  # type: ignore[misc]
        case = did(hall, lambda rows, key=f"i{row['id']}": reviews.case(rows, key, days=["2026-11-23"]))  # type: ignore[misc]
        found.append(case.visit.number if case is not None and case.visit is not None else None)
    assert found == ["A001", None, "A002", "A004"]


def test_who_had_a_recording_kept_is_known_of_that_one_alone(hall: Hall) -> None:
    """Who asked and the reason are of the recording with that name, at that counter; others are nobody's wish."""
    wish = Wish(id="asked-1", station="q01", why="asked", note="Khiếu nại số 12", asked_at=NOW, asked_by=WHO)
    lot = Wish(id="sample-1", station="q01", why="sample", asked_at=NOW)
    for each in (wish, lot):
        did(hall, lambda rows, each=each: book.add(rows, each))  # type: ignore[misc]
    found = []
    for number, (name, station) in enumerate((("asked-1", "q01"), ("asked-1", "q02"), ("sample-1", "q01"))):
        row = clip_row(number, name=name, station=station, why="asked")
        did(hall, lambda rows, row=row: rows.execute(sa.insert(clip).values(row)))  # type: ignore[misc]
        case = did(hall, lambda rows, key=f"c{row['id']}": reviews.case(rows, key))  # type: ignore[misc]
        assert case is not None
        found.append(case.asked and (case.asked.actor, case.asked.at, case.asked.words))
    assert found == [(WHO, NOW, "Khiếu nại số 12"), None, None]


def test_looks_of_a_quarter_of_an_hour_are_one(hall: Hall) -> None:
    """One line for one person and one recording in fifteen minutes; another person, or later, is another line."""
    did(hall, lambda rows: rows.execute(sa.insert(clip).values(clip_row(1))))
    found = did(hall, lambda rows: reviews.recording(rows, f"{1:032x}"))
    assert found is not None
    for actor, at in ((WHO, 0), (WHO, 60_000), ("person:chi", 60_000), (WHO, LOOK_MS - 1), (WHO, LOOK_MS), (WHO, -5)):
        did(hall, lambda rows, actor=actor, at=at: reviews.note_look(rows, found, actor=actor, at=NOW + at))  # type: ignore[misc]
    case = did(hall, lambda rows: reviews.case(rows, f"c{1:032x}"))
    assert case is not None
    assert sorted((one.at - NOW, one.actor) for one in case.looks) == [
        (-5, WHO), (0, WHO), (60_000, "person:chi"), (LOOK_MS, WHO),
    ]  # fmt: skip
    assert entries(hall).count((WHO, "clip_seen", "q01/camera c-1", "")) == 3


def held(hall: Hall, name: str, on: bool, reason: str = "khiếu nại") -> None:
    """Hold a recording, or let it go."""
    did(hall, lambda rows: reviews.set_held(rows, name, on, actor=WHO, at=NOW, reason=reason))


def test_what_is_held_outlives_its_time_and_goes_when_it_is_released(hall: Hall, config: Config, vault: Vault) -> None:
    """Held, a recording of a year ago stays; released, the next sweep wipes it. Both are in the audit log."""
    put(hall, vault, "old", b"old", age_days=400)
    (name,) = did(hall, lambda rows: rows.execute(sa.select(clip.c.id)).scalars().all())
    held(hall, name, True)
    assert "recordings" not in sweep(hall, config)
    with pytest.raises(ReviewError, match="review_held"):
        held(hall, name, True)
    held(hall, name, False, "xong")
    assert sweep(hall, config)["recordings"] == 1
    assert (wiped(hall), list(vault.list())) == ({"old": True}, [])
    with pytest.raises(ReviewError, match="review_wiped"):
        held(hall, name, True)
    assert entries(hall) == [
        (WHO, "clip_held", "q01/camera old", "khiếu nại"),
        (WHO, "clip_released", "q01/camera old", "xong"),
    ]


def test_a_hold_that_comes_while_others_are_wiped_is_heeded(
    hall: Hall, config: Config, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody holds a recording that the sweep has picked already: what it has not yet taken stays."""
    for name in ("one", "two"):
        put(hall, vault, name, name.encode(), age_days=31)
    names = did(hall, lambda rows: rows.execute(sa.select(clip.c.id).order_by(clip.c.id)).scalars().all())
    delete = vault.delete

    def press(_vault: Vault, sha256: str) -> None:
        left = did(hall, lambda rows: rows.execute(sa.select(clip.c.id).where(clip.c.sha256 != sha256)).scalars().all())
        held(hall, left[0], True)
        delete(sha256)

    monkeypatch.setattr(Vault, "delete", press)
    assert len(names) == 2
    sweep(hall, config)
    assert sorted(wiped(hall).values()) == [False, True]
    assert len(list(vault.list())) == 1


def test_reviews_holds_and_looks_go_with_the_record(hall: Hall) -> None:
    """After years they go like tickets do; incident, holds and looks of a recording that is held stay until then."""
    did(hall, lambda rows: rows.execute(sa.insert(clip).values(clip_row(1))))
    did(hall, lambda rows: rows.execute(sa.insert(incident).values(incident_row(1, clip=f"{1:032x}"))))
    did(hall, lambda rows: rows.execute(sa.insert(incident).values(incident_row(2))))
    did(hall, lambda rows: reviews.add_review(rows, f"i{2:032x}", actor=WHO, at=NOW, note=""))
    held(hall, f"{1:032x}", True)
    found = did(hall, lambda rows: reviews.recording(rows, f"{1:032x}"))
    assert found is not None
    did(hall, lambda rows: reviews.note_look(rows, found, actor=WHO, at=NOW))
    none: dict[str, Any] = dict.fromkeys(sweeping.Bounds.__dataclass_fields__)
    bounds = sweeping.Bounds(**none | {"events_before": NOW + DAY_MS, "quarters_before": 0})
    for left in (1, 0):
        for _, step in sweeping.steps(bounds):
            did(hall, step)
        for table, count in ((review, 0), (holds, left), (look, left), (incident, left)):
            assert len(did(hall, lambda rows, table=table: rows.execute(sa.select(table)).all())) == count  # type: ignore[misc]
        did(hall, lambda rows: rows.execute(sa.update(clip).values(held=False)))
