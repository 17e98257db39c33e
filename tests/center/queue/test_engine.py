"""The queue engine against a list: random days, and the rules one by one."""

from collections import Counter as Tally

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from center.queue.engine import State, decide
from center.queue.model import (
    AnyCommand,
    AnyEvent,
    Call,
    CallNext,
    Cancel,
    CloseCounter,
    CorrectDay,
    Counter,
    DayStarted,
    Finish,
    Issue,
    NoShow,
    OpenCounter,
    Park,
    PauseCounter,
    Priority,
    Recall,
    Refusal,
    Requeue,
    Rules,
    Service,
    Start,
    StartDay,
    TicketCalled,
    TicketIssued,
    Transfer,
)

SERVICES = (
    Service(id="land", letter="A", vi="Đất đai", en="Land"),
    Service(id="civil", letter="B", vi="Hộ tịch", en="Civil"),
)
COUNTERS = (
    Counter(id="q01", label="1", services=("land",)),
    Counter(id="q02", label="2", services=("land", "civil")),
    Counter(id="q03", label="3", services=("civil",)),
)
COUNTER = st.sampled_from([counter.id for counter in COUNTERS])
SERVICE = st.sampled_from([service.id for service in SERVICES])


class Day:
    """A state with its log: does what is asked and keeps what happened."""

    def __init__(self, rules: Rules | None = None) -> None:
        self.rules = rules or Rules()
        self.state = State(SERVICES, COUNTERS, self.rules)
        self.log: list[AnyEvent] = []
        self.now_ms = 0
        self.issued = 0
        self.do(StartDay(at=0, day="2026-11-23"))

    def do(self, command: AnyCommand) -> list[AnyEvent] | Refusal:
        """Decide and apply."""
        decided = decide(self.state, command)
        if isinstance(decided, list):
            for event in decided:
                self.state.apply(event)
            self.log += decided
        return decided

    def done(self, command: AnyCommand) -> list[AnyEvent]:
        """Decide and apply what may not be refused."""
        decided = self.do(command)
        assert isinstance(decided, list), decided
        return decided

    def issue(self, service: str = "land", priority: Priority = "normal") -> str:
        """Give out a number and return it."""
        self.issued += 1
        event = self.done(Issue(at=self.now_ms, ticket_id=f"t{self.issued}", service=service, priority=priority))[0]
        assert isinstance(event, TicketIssued)
        return event.number

    def open(self, *counters: str) -> None:
        """Open counters."""
        for counter in counters:
            self.done(OpenCounter(at=self.now_ms, counter=counter))

    def call(self, counter: str = "q01") -> str:
        """Call the next one and return the number."""
        event = self.done(CallNext(at=self.now_ms, counter=counter))[-1]
        assert isinstance(event, TicketCalled)
        return self.state.tickets[event.ticket].number


class RandomDay(RuleBasedStateMachine):
    """Anybody does anything in any order."""

    @initialize()
    def begin(self) -> None:
        """A day begins with every counter closed."""
        self.day = Day()
        self.nights = self.issued_before = 0

    @rule(service=SERVICE, priority=st.sampled_from(["normal", "priority"]))
    def issue(self, service: str, priority: Priority) -> None:
        """Somebody takes a number."""
        self.day.issue(service, priority)

    @rule(
        counter=COUNTER,
        command=st.sampled_from([OpenCounter, CallNext, CallNext, CallNext, Start, Finish, NoShow, Park]),
    )
    def at_counter(self, counter: str, command: type) -> None:
        """An officer presses something."""
        self.day.do(command(at=self.day.now_ms, counter=counter))

    @rule(counter=COUNTER, command=st.sampled_from([Recall, PauseCounter, CloseCounter]))
    def seldom_at_counter(self, counter: str, command: type) -> None:
        """An officer presses something that is pressed less often."""
        self.day.do(command(at=self.day.now_ms, counter=counter))

    @rule(counter=COUNTER, service=st.none() | SERVICE, to=st.none() | COUNTER)
    def transfer(self, counter: str, service: str | None, to: str | None) -> None:
        """A citizen is sent on."""
        self.day.do(Transfer(at=self.day.now_ms, counter=counter, to_service=service, to_counter=to))

    @rule(which=st.integers(min_value=1, max_value=30), command=st.sampled_from([Requeue, Cancel]))
    def about_ticket(self, which: int, command: type) -> None:
        """Somebody comes back, or gives up."""
        self.day.do(command(at=self.day.now_ms, ticket=f"t{which}"))

    @rule(counter=COUNTER, which=st.integers(min_value=1, max_value=30))
    def call_number(self, counter: str, which: int) -> None:
        """An officer calls one number."""
        ticket = self.day.state.tickets.get(f"t{which}")
        if ticket is not None:
            self.day.do(Call(at=self.day.now_ms, counter=counter, number=ticket.number))

    @rule(counter=COUNTER, command=st.sampled_from([OpenCounter, CallNext, Start, Finish, NoShow, Park, CloseCounter]))
    def act_on_what_was(self, counter: str, command: type) -> None:
        """An officer presses something while looking at what is no longer so: it is refused and changes nothing."""
        seen = self.day.state.counters[counter].revision - 1
        before = self.day.state.copy()
        if seen >= 0:
            assert isinstance(self.day.do(command(at=self.day.now_ms, counter=counter, seen=seen)), Refusal)
            assert self.day.state == before

    @precondition(lambda self: self.day.issued - self.issued_before >= 4)  # days in which something happens
    @rule()
    def sleep(self) -> None:
        """A night passes: every counter is closed, nobody waits, and no device hears a lower revision than before."""
        revisions = [counter.revision for counter in self.day.state.counters.values()]
        self.day.now_ms += 86_400_000
        self.nights += 1
        self.day.done(StartDay(at=self.day.now_ms, day=f"2026-12-{self.nights:02d}"))
        self.issued_before = self.day.issued
        assert not self.day.state.waiting()
        for counter in self.day.state.counters.values():
            assert (counter.state, counter.ticket) == ("closed", None)
            assert counter.revision >= max(revisions)

    @rule(seconds=st.integers(min_value=1, max_value=2000))
    def time_passes(self, seconds: int) -> None:
        """The clock goes on."""
        self.day.now_ms += seconds * 1000

    @invariant()
    def every_number_is_given_once(self) -> None:
        """No two tickets of a day have one number."""
        numbers: list[str] = []
        for event in self.day.log:
            if isinstance(event, DayStarted):
                numbers = []
            elif isinstance(event, TicketIssued):
                numbers.append(event.number)
        assert len(numbers) == len(set(numbers)) == self.day.issued - self.issued_before

    @invariant()
    def a_ticket_is_at_one_counter(self) -> None:
        """No two counters have one ticket, and what is called or served is where it says."""
        held = [counter for counter in self.day.state.counters.values() if counter.ticket]
        assert len(held) == len({counter.ticket for counter in held})
        for counter in held:
            ticket = self.day.state.tickets[counter.ticket or ""]
            assert (ticket.counter, ticket.state in ("called", "serving")) == (counter.id, True)

    @invariant()
    def nobody_is_lost(self) -> None:
        """Who was given a number waits, is at a counter, is put aside, or is done; the lines hold just who waits."""
        states = Tally(ticket.state for ticket in self.day.state.tickets.values())
        assert sum(states.values()) == self.day.issued - self.issued_before
        assert states["waiting"] == self.day.state.waiting()
        assert states["called"] + states["serving"] == sum(
            1 for each in self.day.state.counters.values() if each.ticket
        )

    @invariant()
    def a_number_is_not_called_again_while_it_is_done(self) -> None:
        """A ticket is called only after it was issued, put back, put aside or sent on: never twice in a row."""
        last: dict[str, str] = {}
        for event in self.day.log:
            if (ticket := getattr(event, "ticket", None)) is not None:
                kind = type(event).__name__
                assert (last.get(ticket), kind) not in {
                    ("TicketCalled", "TicketCalled"),
                    ("TicketServed", "TicketCalled"),
                }
                last[ticket] = kind

    @invariant()
    def the_events_are_the_state(self) -> None:
        """Replaying the events gives the same state."""
        replayed = State(SERVICES, COUNTERS, self.day.rules)
        for event in self.day.log:
            replayed.apply(event)
        assert replayed == self.day.state == self.day.state.copy()

    @invariant()
    def the_next_one_heads_the_line(self) -> None:
        """Whom a counter would call now is the first of its line as the officer sees it."""
        for counter in self.day.state.counters:
            line = list(self.day.state.waiting_for(counter))
            assert self.day.state.next_for(counter) == (line[0].id if line else None)


TestRandomDay = RandomDay.TestCase
TestRandomDay.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


@pytest.fixture
def day() -> Day:
    """A day with counter 1 open."""
    one = Day()
    one.open("q01")
    return one


def test_numbers_begin_at_001_for_each_letter(day: Day) -> None:
    """A number is the service's letter and three digits, counted for each service."""
    assert [day.issue(), day.issue(), day.issue("civil")] == ["A001", "A002", "B001"]


def test_after_999_numbers_have_four_digits(day: Day) -> None:
    """The thousandth number of a service has four digits."""
    for _ in range(999):
        day.issue()
    assert day.issue() == "A1000"


def test_a_new_day_begins_at_001_and_ends_what_waits(day: Day) -> None:
    """Numbers begin anew each day; who still waited is cancelled, the counters are closed."""
    day.issue()
    day.done(StartDay(at=1, day="2026-11-24"))
    assert day.issue() == "A001"
    assert (day.state.waiting(), day.state.counters["q01"].state) == (1, "closed")


def test_a_corrected_date_touches_nobody(day: Day) -> None:
    """When the clock had been wrong the day gets its right date, forward or back, and the queue goes on."""
    day.open()
    first, second = day.issue(), day.issue()
    assert day.call() == first
    for date in ("2036-01-01", "2026-11-23", "2026-11-22"):
        day.done(CorrectDay(at=1, day=date))
        assert day.state.day == date
    assert day.issue() == "A003"
    assert day.call() == second


def test_who_waits_longest_is_called_first_over_all_services(day: Day) -> None:
    """A counter with two services calls in the order of arrival."""
    numbers = [day.issue("civil"), day.issue("land"), day.issue("civil")]
    day.open("q02")
    assert [day.call("q02") for _ in numbers] == numbers


def test_priority_goes_first_and_nobody_starves(day: Day) -> None:
    """After two priority tickets in a row one normal ticket is called, as long as any waits."""
    normal = [day.issue() for _ in range(2)]
    priority = [day.issue(priority="priority") for _ in range(5)]
    expected = [*priority[:2], normal[0], *priority[2:4], normal[1], priority[4]]
    assert [day.call() for _ in expected] == expected


def test_a_fourth_recall_is_refused(day: Day) -> None:
    """A number is called again at most three times."""
    day.issue()
    day.call()
    for _ in range(3):
        day.done(Recall(at=0, counter="q01"))
    refusal = day.do(Recall(at=0, counter="q01"))
    assert isinstance(refusal, Refusal)
    assert refusal.code == "recall_limit"


def test_who_comes_back_goes_behind_the_next_two(day: Day) -> None:
    """A no-show who returns in time is called after the next two."""
    absent, *others = [day.issue() for _ in range(4)]
    day.call()
    day.done(NoShow(at=0, counter="q01"))
    day.done(Requeue(at=60_000, ticket="t1"))
    assert [day.call() for _ in range(4)] == [others[0], others[1], absent, others[2]]


def test_who_comes_back_too_late_takes_a_new_number(day: Day) -> None:
    """After half an hour a no-show is not put back."""
    day.issue()
    day.call()
    day.done(NoShow(at=0, counter="q01"))
    refusal = day.do(Requeue(at=1_800_001, ticket="t1"))
    assert isinstance(refusal, Refusal)
    assert refusal.code == "return_too_late"


def test_two_officers_who_saw_the_same_cannot_both_call(day: Day) -> None:
    """A command that names an older revision of its counter is refused as stale, in words an officer understands."""
    day.issue()
    day.issue()
    seen = day.state.counters["q01"].revision
    day.done(CallNext(at=0, counter="q01", seen=seen))
    refusal = day.do(CallNext(at=0, counter="q01", seen=seen))
    assert isinstance(refusal, Refusal)
    assert (refusal.code, refusal.message) == ("stale", "Quầy đã thay đổi. Hãy xem lại rồi bấm lần nữa.")


def test_a_counter_with_a_ticket_cannot_close(day: Day) -> None:
    """An officer finishes the ticket before closing the counter."""
    day.issue()
    day.call()
    refusal = day.do(CloseCounter(at=0, counter="q01"))
    assert isinstance(refusal, Refusal)
    assert refusal.code == "ticket_open"


def test_a_transferred_ticket_keeps_its_number(day: Day) -> None:
    """Who is sent to another service is called there with the same number."""
    number = day.issue()
    day.call()
    day.done(Transfer(at=0, counter="q01", to_service="civil"))
    day.open("q03")
    assert day.call("q03") == number


def test_deciding_changes_nothing(day: Day) -> None:
    """A decision leaves the state as it was: only events change it."""
    day.issue()
    before = day.state.copy()
    decide(day.state, CallNext(at=0, counter="q01"))
    assert day.state == before


def calls_before(state: State, first: int) -> dict[str, int]:
    """Let the open counters call in turn until nobody waits; returns how many its own counters called before each."""
    day = state.copy()
    turns = [one.id for one in day.counters.values() if one.state == "open"]
    turns = turns[first:] + turns[:first]
    before = {ticket.id: 0 for ticket in day.tickets.values() if ticket.state == "waiting"}
    done: dict[str, int] = {}
    while any(day.next_for(counter) for counter in turns):
        for counter in turns:
            called = day.next_for(counter)
            if called is None:
                continue
            day.apply(TicketCalled(at=0, ticket=called, counter=counter))
            done[called] = before.pop(called)
            for ticket in before:
                if day.tickets[ticket].service in day.counters[counter].services:
                    before[ticket] += 1
    return done


@settings(max_examples=400, deadline=None)
@given(
    arrivals=st.lists(st.tuples(SERVICE, st.sampled_from(["normal", "normal", "priority"])), max_size=14),
    opened=st.sampled_from([("q01",), ("q02",), ("q01", "q02"), ("q02", "q03"), ("q01", "q02", "q03")]),
    called=st.lists(COUNTER, max_size=6),
    first=st.integers(min_value=0, max_value=2),
)
def test_nobody_is_told_a_shorter_line_than_there_is(
    arrivals: list[tuple[str, Priority]], opened: tuple[str, ...], called: list[str], first: int
) -> None:
    """While counters call in turn, no more people go before a ticket than were told; just as many if it is sure."""
    day = Day()
    day.open(*opened)
    for service, priority in arrivals:
        day.issue(service, priority)
    for counter in called:
        day.do(CallNext(at=0, counter=counter))
    for ticket, before in calls_before(day.state, first % len(opened)).items():
        told = day.state.people_ahead(ticket)
        assert before <= told.people
        assert before == told.people or not told.exact


def test_a_line_counts_everybody_whom_its_counter_calls_first(day: Day) -> None:
    """Who waits for another service of the only open counter is before a newcomer too."""
    day = Day()
    day.open("q02")
    for _ in range(3):
        day.issue("civil")
    assert day.state.people_ahead_of_newcomer("land", "normal") == (3, True)
    day.issue("land")
    assert day.state.people_ahead("t4") == (3, True)
    assert day.state.people_ahead_of_newcomer("land", "priority") == (0, True)


def test_the_least_busy_of_several_counters_makes_a_line_short(day: Day) -> None:
    """Where one counter is free of others' lines and one is not, the figure is near the shorter, and an estimate."""
    day.open("q02")
    for _ in range(9):
        day.issue("civil")
    assert day.state.people_ahead_of_newcomer("land", "normal") == (1, False)
    day.issue("land")
    assert day.state.people_ahead_of_newcomer("land", "normal") == (3, False)


def test_help_by_another_counter_makes_the_figure_an_estimate(day: Day) -> None:
    """Where a counter that cannot call the ticket may call those before it, it is said to be an estimate."""
    day = Day()
    day.open("q02", "q03")
    day.issue("civil")
    day.issue("civil")
    assert day.state.people_ahead_of_newcomer("land", "normal") == (2, False)
    assert day.state.people_ahead_of_newcomer("civil", "normal") == (2, True)


def test_nothing_is_sure_while_no_counter_is_open() -> None:
    """Before a counter opens, how many go first is an estimate, even if nobody waits; who is done waits for nobody."""
    day = Day()
    assert day.state.people_ahead_of_newcomer("land", "normal") == (0, False)
    day.issue("land")
    assert day.state.people_ahead_of_newcomer("land", "normal") == (1, False)
    assert day.state.people_ahead("nobody") == (0, True)


def test_a_newcomer_does_not_wait_where_a_counter_is_free(day: Day) -> None:
    """A newcomer is called at once only while an open counter serves nobody and has nobody to call before."""
    assert day.state.calls_at_once("land", "normal")
    assert not day.state.calls_at_once("civil", "normal")
    day.issue("land")
    assert not day.state.calls_at_once("land", "normal")
    assert day.state.calls_at_once("land", "priority")
    day.call()
    assert not day.state.calls_at_once("land", "normal")
    assert day.state.people_ahead_of_newcomer("land", "normal") == (0, True)
    day.done(PauseCounter(at=0, counter="q01"))
    assert not day.state.calls_at_once("land", "normal")


def test_a_ticket_is_not_sent_to_a_closed_counter(day: Day) -> None:
    """A transfer to a counter where nobody sits is refused: the ticket would wait there without end."""
    day.issue()
    day.open("q01")
    day.call("q01")
    refused = day.do(Transfer(at=0, counter="q01", to_counter="q02"))
    assert isinstance(refused, Refusal)
    assert (refused.code, refused.facts) == ("transfer_closed", {"counter": "2"})


def test_who_waits_for_a_counter_alone_is_not_lost_when_it_closes(day: Day) -> None:
    """Those who were sent to a counter wait for their service again when it closes: in front, taking turns."""
    numbers = [day.issue() for _ in range(4)]
    day.open("q01")
    day.open("q02")
    for number in numbers[:2]:
        assert day.call("q01") == number
        day.done(Transfer(at=0, counter="q01", to_counter="q02"))
    day.done(CloseCounter(at=0, counter="q02"))
    assert [day.call("q01") for _ in numbers] == ["A001", "A003", "A002", "A004"]


def test_a_service_named_twice_is_served_once(day: Day) -> None:
    """A counter that opens with a service named twice does not count its citizens twice."""
    day.issue()
    day.done(OpenCounter(at=0, counter="q02", services=("land", "land", "civil")))
    assert day.state.counters["q02"].services == ("land", "civil")
    assert day.state.waiting_count("q02") == 1


def test_a_ticket_whose_counter_is_gone_can_be_called(day: Day) -> None:
    """A number that was at a counter which the configuration has no more can be called by another one."""
    day.issue()
    day.open("q02")
    number = day.call("q02")
    left = State(SERVICES, [one for one in COUNTERS if one.id != "q02"], day.rules)
    for event in day.log:
        left.apply(event)
    called = None
    for command in (OpenCounter(at=0, counter="q01"), Call(at=0, counter="q01", number=number)):
        called = decide(left, command)
        assert isinstance(called, list), called
        for event in called:
            left.apply(event)
    assert left.counters["q01"].ticket is not None
