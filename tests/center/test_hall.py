"""The hall: what was answered is stored, and nothing happens twice."""

import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import alembic.autogenerate
import pytest
import sqlalchemy as sa
from alembic.migration import MigrationContext

from center.answers import Arrival, Delivery, RatingStored, Sighting
from center.config import Config, CounterConfig, ServiceConfig
from center.errors import StoreError
from center.hall import Answer, Change, Done, Hall, Refusal
from center.queue.model import CallNext, Finish, Issue, OpenCounter
from center.storage.store import Store, metadata

CONFIG = Config(
    id="test",
    name="Test",
    data_dir="unused",
    service=(ServiceConfig(id="land", letter="A", vi="Đất đai", en="Land"),),
    counter=tuple(CounterConfig(id=f"q0{each}", label=str(each), services=("land",)) for each in (1, 2, 3)),
)
MORNING_MS = 1_795_395_600_000  # 2026-11-23, 08:00 at the center


class Noon:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.ms = MORNING_MS
        self.set_by_ms = 0  # how far somebody has set the wall clock

    def now_ms(self) -> int:
        """What the test says it is."""
        return self.ms + self.set_by_ms

    def monotonic_s(self) -> float:
        """Seconds that nobody can set."""
        return self.ms / 1000


class BrokenStore(Store):
    """A store whose disk can be full."""

    full = False

    def write(self, batch: object) -> None:
        """Fail as a full disk does, while it is."""
        if self.full:
            raise StoreError("disk full", full=True)
        super().write(batch)  # type: ignore[arg-type]


@pytest.fixture
def clock() -> Noon:
    """Eight in the morning."""
    return Noon()


@pytest.fixture
def store_url(tmp_path: Path) -> str:
    """Where the center's database is."""
    return f"sqlite:///{tmp_path / 'center.db'}"


@pytest.fixture
def make(store_url: str, clock: Noon) -> Iterator[Callable[[], Hall]]:
    """Start a hall on the same database, as often as wanted."""
    halls: list[Hall] = []

    def start() -> Hall:
        halls.append(Hall(CONFIG, BrokenStore(store_url), clock))
        halls[-1].start()
        return halls[-1]

    yield start
    for hall in halls:
        hall.stop()


def issue(hall: Hall, key: str) -> Answer:
    """Take a number with an idempotency key."""
    command = Issue(at=hall.now_ms(), ticket_id=f"ticket-{key}", service="land")
    return hall.submit(command, key=key, actor="test").result(30)


def number(answer: Answer) -> str:
    """The number of an answer that was no refusal."""
    assert isinstance(answer, Done), answer
    assert answer.ticket is not None
    return answer.ticket.number


def served(hall: Hall, key: str) -> str:
    """Take a number and be served at the first counter; returns the ticket."""
    issue(hall, key)
    for index, command in enumerate((OpenCounter, CallNext, Finish)):
        hall.submit(command(at=hall.now_ms(), counter="q01"), key=f"{key}-{index}", actor="test").result(30)
    return f"ticket-{key}"


def rate(hall: Hall, ticket: str, key: str, level: int = 3) -> str:
    """Press on a tablet; returns `counted`, or why it was not."""
    answer = hall.rate(counter="q01", ticket=ticket, level=level, key=key, actor="tablet").result(30)
    return answer.code if isinstance(answer, Refusal) else "counted"


def query(store_url: str, text: str) -> list[tuple[object, ...]]:
    """Read the database beside the hall."""
    with closing(sqlite3.connect(store_url.removeprefix("sqlite:///"))) as database:
        return database.execute(text).fetchall()


def test_many_at_once_get_different_numbers(make: Callable[[], Hall]) -> None:
    """Forty kiosks that ask at once are given forty different numbers."""
    hall = make()
    with ThreadPoolExecutor(40) as kiosks:
        numbers = list(kiosks.map(lambda each: number(issue(hall, f"key-{each}")), range(200)))
    assert sorted(numbers) == [f"A{each:03d}" for each in range(1, 201)]


def test_a_repeat_gets_the_first_answer_also_after_a_restart(make: Callable[[], Hall]) -> None:
    """A kiosk that never heard the answer asks again with its key and gets the same number."""
    hall = make()
    first = number(issue(hall, "touch-1"))
    assert number(issue(hall, "touch-1")) == first
    hall.stop()
    again = make()
    assert number(issue(again, "touch-1")) == first
    assert number(issue(again, "touch-2")) == "A002"


def test_a_key_cannot_be_used_for_something_else(make: Callable[[], Hall]) -> None:
    """A key that issued a ticket does not open a counter."""
    hall = make()
    issue(hall, "key")
    answer = hall.submit(OpenCounter(at=hall.now_ms(), counter="q01"), key="key", actor="test").result(30)
    assert isinstance(answer, Refusal)
    assert answer.code == "key_reused"


@pytest.mark.parametrize("restarts", [False, True])
def test_a_key_is_answered_as_before_or_is_new(make: Callable[[], Hall], clock: Noon, restarts: bool) -> None:
    """A key that comes again days later never gets one answer now and another, older one at the next try."""
    hall = make()
    issue(hall, "till-7")
    for day in range(1, 8):
        clock.ms += 86_400_000
        if restarts:
            hall.stop()
            hall = make()
        command = Issue(at=hall.now_ms(), ticket_id=f"ticket-{day}", service="land")
        answers = [hall.submit(command, key="till-7", actor="test").result(30) for _ in range(3)]
        tickets = [answer.ticket.id for answer in answers if isinstance(answer, Done) and answer.ticket is not None]
        assert len(tickets) == 3
        assert len(set(tickets)) == 1
    assert tickets[0] != "ticket-till-7"


def test_long_asks_are_told_apart(make: Callable[[], Hall]) -> None:
    """Two asks that differ after hundreds of characters are two asks: the second use of the key is refused."""
    hall = make()
    services = [f"a-service-with-a-long-name-{each:03}" for each in range(40)]

    def opened(services: list[str]) -> Answer:
        command = OpenCounter(at=hall.now_ms(), counter="q01", services=tuple(services))
        return hall.submit(command, key="once", actor="test").result(30)

    first, again, other = opened(services), opened(services), opened([*services[:-1], "another"])
    assert isinstance(first, Refusal)
    assert first == again
    assert isinstance(other, Refusal)
    assert (first.code, other.code) == ("unknown_service", "key_reused")


def test_no_two_officers_call_one_ticket(make: Callable[[], Hall]) -> None:
    """Three officers who call at once, again and again, never get the same ticket."""
    hall = make()
    for each in range(60):
        issue(hall, f"touch-{each}")
    for counter in ("q01", "q02", "q03"):
        hall.submit(OpenCounter(at=hall.now_ms(), counter=counter), key=f"open-{counter}", actor="test").result(30)

    def call(turn: int) -> str:
        command = CallNext(at=hall.now_ms(), counter=f"q0{turn % 3 + 1}")
        return number(hall.submit(command, key=f"call-{turn}", actor="test").result(30))

    with ThreadPoolExecutor(3) as officers:
        called = list(officers.map(call, range(60)))
    assert len(set(called)) == 60


def test_a_full_disk_refuses_and_changes_nothing(make: Callable[[], Hall]) -> None:
    """While nothing can be stored everybody is refused in words; afterwards the count goes on without a gap."""
    hall = make()
    issue(hall, "before")
    BrokenStore.full = True
    try:
        answer = issue(hall, "during")
    finally:
        BrokenStore.full = False
    assert isinstance(answer, Refusal)
    assert (answer.code, "đầy" in answer.message) == ("store_full", True)
    assert not hall.storing()
    assert number(issue(hall, "after")) == "A002"
    assert hall.storing()


def test_what_stands_beside_the_record_is_written_whole_or_not_at_all(make: Callable[[], Hall], store_url: str) -> None:
    """Other capabilities keep their rows through the hall's one writer: committed when answered, or not there."""
    hall = make()
    number(issue(hall, "a"))
    forget = sa.text("DELETE FROM command")

    def half(connection: sa.Connection) -> None:
        connection.execute(forget)
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        hall.transact(half).result(30)
    assert query(store_url, "SELECT count(*) FROM command") == [(1,)]
    assert hall.transact(lambda connection: connection.execute(forget).rowcount).result(30) == 1
    assert query(store_url, "SELECT count(*) FROM command") == [(0,)]
    number(issue(hall, "b"))
    hall.stop()
    with pytest.raises(StoreError):
        hall.transact(half).result(30)


def test_a_new_day_begins_by_the_center_s_clock(make: Callable[[], Hall], clock: Noon) -> None:
    """At midnight in Bến Tre, not in Greenwich, numbers begin at 001 again."""
    hall = make()
    issue(hall, "today")
    clock.ms = MORNING_MS + 15 * 3_600_000  # 23:00 there
    assert number(issue(hall, "late")) == "A002"
    clock.ms = MORNING_MS + 17 * 3_600_000  # 01:00 there, still yesterday in Greenwich
    assert number(issue(hall, "tomorrow")) == "A001"


def test_a_ticket_is_rated_once(make: Callable[[], Hall], store_url: str) -> None:
    """The first rating of a ticket counts; a later one, by whatever way, does not."""
    hall = make()
    issue(hall, "touch")
    for index, command in enumerate((OpenCounter, CallNext, Finish)):
        hall.submit(command(at=hall.now_ms(), counter="q01"), key=f"step-{index}", actor="test").result(30)
    first = hall.rate(counter="q01", ticket="ticket-touch", level=3, key="tap-1", actor="tablet").result(30)
    second = hall.rate(counter="q01", ticket="ticket-touch", level=1, key="tap-2", actor="tablet").result(30)
    assert isinstance(first, Done)
    assert isinstance(second, Refusal)
    with sqlite3.connect(store_url.removeprefix("sqlite:///")) as database:
        assert database.execute("SELECT ticket, level FROM rating").fetchall() == [("ticket-touch", 3)]
    database.close()


def test_a_rating_that_was_counted_is_stored_also_when_its_key_came_before(
    make: Callable[[], Hall], clock: Noon, store_url: str
) -> None:
    """A tablet that begins its keys anew loses no rating: each that was answered as counted is in the record."""
    hall = make()
    tickets = []
    for day in range(10):
        tickets.append(served(hall, f"visit-{day}"))
        assert rate(hall, tickets[-1], key="tap-1") in {"counted", "key_reused"}
        assert rate(hall, tickets[-1], key=f"tap-of-{day}") in {"counted", "already_rated"}
        clock.ms += 86_400_000
    assert query(store_url, "SELECT ticket FROM rating ORDER BY given_at") == [(ticket,) for ticket in tickets]


def test_a_press_of_another_level_is_another_press(make: Callable[[], Hall]) -> None:
    """A key that rated cannot change the level: only the very same press gets the first answer again."""
    hall = make()
    ticket = served(hall, "visit")
    assert [rate(hall, ticket, key="tap", level=level) for level in (1, 1, 3)] == ["counted", "counted", "key_reused"]


def test_an_event_id_that_comes_with_another_ticket_rates_nothing(make: Callable[[], Hall], store_url: str) -> None:
    """An event that is known is dropped, whatever it says now; the ticket that it names can still be rated."""
    hall = make()
    tickets = [served(hall, "one"), served(hall, "two")]
    for sequence, (event_id, ticket) in enumerate([("e1", tickets[0]), ("e1", tickets[1]), ("e2", tickets[1])], 1):
        row = {
            "id": event_id, "type": "t", "source": "/test/q01/rating", "stream": "s", "sequence": sequence, "time": 1,
            "clock_synced": True, "occurred_at": 1, "received_at": 1, "body": "{}",
        }  # fmt: skip
        rating = RatingStored(
            id=event_id, ticket=ticket, counter="q01", source="/test/q01/rating", scale="vn-3", level=3, given_at=1
        )
        arrival = Arrival(row=row, rating=rating, fresh=True)
        assert hall.ingest(Delivery(arrivals=[arrival])).result(30) == "stored"
    assert query(store_url, "SELECT id, ticket FROM rating") == [("e1", tickets[0]), ("e2", tickets[1])]
    assert hall.snapshot().rated == set(tickets)


def test_a_database_that_is_taken_away_confirms_nothing(
    make: Callable[[], Hall], store_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """While its file is gone the center refuses; when it is back, it goes on where it was."""
    hall = make()
    issue(hall, "before")
    file = Path(store_url.removeprefix("sqlite:///"))
    file.rename(file.with_name("elsewhere.db"))
    for key in ("during", "again"):
        answer = issue(hall, key)
        assert isinstance(answer, Refusal)
        assert answer.code == "store_failed"
    assert not file.exists()
    assert caplog.text.count("was removed or replaced while the center ran") == 1
    file.with_name("elsewhere.db").rename(file)
    assert number(issue(hall, "after")) == "A002"
    hall.stop()
    assert number(issue(make(), "restarted")) == "A003"


@pytest.mark.parametrize(("days", "tomorrow"), [(-1, "A001"), (1, "A005"), (3650, "A001")])
def test_a_clock_that_is_set_takes_nobody_s_number(
    make: Callable[[], Hall], clock: Noon, days: int, tomorrow: str
) -> None:
    """Whoever waits keeps waiting when the wall clock is set to another day and back, also over a restart.

    Tomorrow begins behind the numbers that were given out under its date.
    """
    hall = make()
    issue(hall, "one")
    for set_by in (days, 0, days, 0):
        clock.ms += 1000
        clock.set_by_ms = set_by * 86_400_000
        issue(hall, f"then-{clock.ms}")
    hall.stop()
    hall = make()
    assert number(issue(hall, "last")) == "A006"
    assert hall.run(lambda state: (state.day, state.waiting())).result(30) == ("2026-11-23", 6)
    clock.ms += 86_400_000
    assert number(issue(hall, "tomorrow")) == tomorrow


def test_a_restart_under_a_wrong_clock_gives_no_number_twice(make: Callable[[], Hall], clock: Noon) -> None:
    """A center that was restarted while the clock was ahead goes on behind the numbers that the true day had given."""
    hall = make()
    given = {number(issue(hall, f"morning-{each}")) for each in range(3)}
    hall.stop()
    clock.set_by_ms = 3650 * 86_400_000
    hall = make()
    issue(hall, "ahead")
    clock.set_by_ms = 0
    assert number(issue(hall, "put-right")) not in given
    clock.ms += 86_400_000
    assert number(issue(hall, "tomorrow")) == "A001"


def test_a_day_that_begins_long_after_the_last_one_is_asked_about(
    make: Callable[[], Hall], clock: Noon, caplog: pytest.LogCaptureFixture
) -> None:
    """A center that starts years after its last day asks once about the clock; after a holiday it does not."""
    hall = make()
    issue(hall, "first")
    hall.stop()
    clock.ms += 31 * 86_400_000
    hall = make()
    issue(hall, "after-the-holiday")
    hall.stop()
    assert "set the clock" not in caplog.text
    clock.ms += 3650 * 86_400_000
    hall = make()
    issue(hall, "years-after")
    issue(hall, "again")
    assert caplog.text.count("the last day of the record is 2026-12-24 and the clock says 2036-12-21") == 1


def test_a_clock_that_is_set_in_the_morning_keeps_who_has_come(make: Callable[[], Hall], clock: Noon) -> None:
    """A machine that wakes with yesterday's time and is put right later goes on with those who took numbers."""
    hall = make()
    issue(hall, "yesterday")
    hall.stop()
    clock.ms += 86_400_000
    clock.set_by_ms = -16 * 3_600_000
    hall = make()
    early = number(issue(hall, "early"))
    clock.set_by_ms = 0
    issue(hall, "put-right")
    assert hall.run(lambda state: state.day).result(30) == "2026-11-24"
    hall.submit(OpenCounter(at=hall.now_ms(), counter="q01"), key="open", actor="test").result(30)
    called = [
        hall.submit(CallNext(at=hall.now_ms(), counter="q01"), key=f"c{n}", actor="test").result(30) for n in "12"
    ]
    assert early in [number(answer) for answer in called]


def test_a_device_seen_in_the_future_is_missed_in_time(make: Callable[[], Hall], clock: Noon) -> None:
    """What was seen while the clock was years ahead does not keep a device from counting as silent."""
    hall = make()

    def seen_at(at: int) -> int:
        hall.ingest(Delivery(sightings=[Sighting(station="q01", device="rating", at=at)])).result(30)
        return hall.snapshot().devices[0].seen_at

    clock.set_by_ms = 10 * 365 * 86_400_000
    seen_at(hall.now_ms())
    clock.set_by_ms = 0
    assert seen_at(0) == clock.ms


def test_a_rating_may_come_after_midnight(make: Callable[[], Hall], clock: Noon) -> None:
    """A press that a tablet gave thanks for and could not send counts the next morning, once, and only where it was."""
    hall = make()
    issue(hall, "touch")
    issue(hall, "gone")
    for index, command in enumerate((OpenCounter, CallNext, Finish)):
        hall.submit(command(at=hall.now_ms(), counter="q01"), key=f"step-{index}", actor="test").result(30)
    clock.ms += 24 * 3_600_000
    issue(hall, "next-day")

    def rated(ticket: str, counter: str = "q01") -> str:
        key = f"tap-{ticket}-{counter}-{clock.ms}"
        clock.ms += 1
        answer = hall.rate(counter=counter, ticket=ticket, level=3, key=key, actor="tablet").result(30)
        return answer.code if isinstance(answer, Refusal) else "counted"

    assert rated("ticket-touch", counter="q02") == "not_rateable"
    assert rated("ticket-gone") == "not_rateable"
    assert rated("nobody") == "not_rateable"
    assert rated("ticket-touch") == "counted"
    assert rated("ticket-touch") == "already_rated"


def test_a_reader_s_own_state_follows(make: Callable[[], Hall]) -> None:
    """Who subscribes and applies the events has the state that the hall has."""
    hall = make()
    changes: list[Change] = []
    own = hall.subscribe(changes.append).state
    for each in range(5):
        issue(hall, f"touch-{each}")
    now = hall.snapshot().state
    for change in changes:
        for event in change.events:
            own.apply(event)
    assert own == now


@pytest.mark.usefixtures("migrations")
def test_the_migrations_make_the_tables_that_the_program_uses(store_url: str) -> None:
    """A database that was migrated from nothing has exactly the tables of this version."""
    Store(store_url).close()
    engine = sa.create_engine(store_url, poolclass=sa.NullPool)
    with engine.connect() as connection:
        found = alembic.autogenerate.compare_metadata(MigrationContext.configure(connection), metadata)
    engine.dispose()
    assert found == []
