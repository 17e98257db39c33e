"""When rows go out: the window, the order, acks, silence, and the center's return."""

from hypothesis import given
from hypothesis import strategies as st

from firmware.mqtt.pump import WINDOW, Pump

NOW = 100_000


class Wire:
    """An outbox as a set of numbers, and what the pump sends from it."""

    def __init__(self, rows: int, **options: int) -> None:
        self.pump = Pump(**options)
        self.rows = set(range(1, rows + 1))
        self.sent: list[int] = []
        self.now_ms = NOW

    def turn(self, after_ms: int = 0) -> list[int]:
        """Let time pass, then send what the pump wants sent; return those numbers."""
        self.now_ms += after_ms
        due = [row for row in sorted(self.rows) if row > self.pump.after][: max(self.pump.room(), 0)]
        for row in due:
            self.pump.sent(row, f"id-{row}", self.now_ms)
        self.sent += due
        return due

    def ack(self, upto: int) -> None:
        """Let the center commit all up to a number."""
        self.pump.acknowledged(upto=upto, ids=(), now_ms=self.now_ms)
        self.rows = {row for row in self.rows if row > upto}

    def ack_ids(self, *numbers: int) -> None:
        """Let the center commit single rows."""
        ids = [f"id-{number}" for number in numbers]
        self.rows -= set(self.pump.acknowledged(upto=None, ids=ids, now_ms=self.now_ms))

    def late(self, *, pubacks_missing: bool = False) -> tuple[str | None, int]:
        """Wait for the pump's deadline; return what it asks for and after how many milliseconds."""
        deadline = self.pump.deadline_ms()
        assert deadline is not None
        waited, self.now_ms = deadline - self.now_ms, deadline
        assert self.pump.due(deadline - 1, pubacks_missing=pubacks_missing) is None
        return self.pump.due(deadline, pubacks_missing=pubacks_missing), waited


def test_nothing_goes_out_without_a_connection() -> None:
    """Before the first connection and after a loss there is room for nothing, and nothing is waited for."""
    wire = Wire(3)
    assert wire.turn() == []
    wire.pump.connected()
    assert wire.turn() == [1, 2, 3]
    wire.pump.disconnected()
    assert wire.turn() == []
    assert wire.pump.deadline_ms() is None


def test_at_most_twenty_are_on_their_way() -> None:
    """Of a long backlog twenty rows go out, and as many more as are acknowledged."""
    wire = Wire(50)
    wire.pump.connected()
    assert wire.turn() == list(range(1, WINDOW + 1))
    assert wire.turn() == []
    wire.ack(5)
    assert wire.turn() == [21, 22, 23, 24, 25]
    wire.ack_ids(6, 9)
    assert wire.turn() == [26, 27]


def test_a_new_connection_begins_at_the_first_row_that_waits() -> None:
    """What was on its way when the connection broke is sent again, oldest first."""
    wire = Wire(4)
    wire.pump.connected()
    wire.turn()
    wire.ack_ids(2)
    wire.pump.disconnected()
    wire.pump.connected()
    assert wire.turn() == [1, 3, 4]


def test_a_row_that_could_not_be_deleted_goes_out_again() -> None:
    """After a disk was full, rows that were acknowledged and are still there are sent and acknowledged once more."""
    wire = Wire(3)
    wire.pump.connected()
    wire.turn()
    wire.pump.acknowledged(upto=3, ids=(), now_ms=wire.now_ms)
    assert wire.turn() == []
    wire.pump.begin_again()
    assert wire.turn() == [1, 2, 3]
    wire.ack(3)
    assert wire.rows == set()


def test_without_acks_the_first_row_knocks_ever_more_seldom() -> None:
    """Time-outs double from 5 s to 60 s; while the center stores nothing one row goes out at a time, the first."""
    wire = Wire(30)
    wire.pump.connected()
    wire.turn()
    waits = []
    for _ in range(6):
        wire.pump.center_heard()
        what, waited = wire.late()
        assert what == "resend"
        waits.append(waited)
        assert wire.turn() == [1]
    assert waits == [5_000, 10_000, 20_000, 40_000, 60_000, 60_000]


def test_an_ack_after_silence_opens_the_window_again() -> None:
    """Once the center acknowledges the knocking row, the rest follows in order and time-outs are short again."""
    wire = Wire(5)
    wire.pump.connected()
    wire.turn()
    wire.late()
    assert wire.turn() == [1]
    wire.ack(1)
    assert wire.turn() == [2, 3, 4, 5]
    assert wire.late() == ("resend", 5_000)


def test_missing_pubacks_ask_for_another_connection() -> None:
    """If not even the broker confirms, the connection is dead and must be replaced."""
    wire = Wire(1)
    wire.pump.connected()
    wire.turn()
    assert wire.late(pubacks_missing=True) == ("reconnect", 5_000)


def test_a_connection_over_which_nothing_comes_is_replaced() -> None:
    """Two time-outs in a row without a word of the center ask for another connection, as if this one were deaf."""
    wire = Wire(3)
    wire.pump.connected()
    wire.turn()
    assert wire.late() == ("resend", 5_000)
    wire.turn()
    assert wire.late() == ("reconnect", 10_000)
    wire.pump.disconnected()
    wire.pump.connected()
    assert wire.turn() == [1, 2, 3]


def test_a_silent_center_does_not_cost_a_connection_every_few_seconds() -> None:
    """If another connection brings no word either, the next one is asked for after twice as many time-outs."""
    wire = Wire(3)
    until_next = []
    for _ in range(6):
        wire.pump.connected()
        wire.turn()
        late = 1
        while wire.late()[0] == "resend":
            wire.turn()
            late += 1
        until_next.append(late)
        wire.pump.disconnected()
    assert until_next == [2, 4, 8, 16, 32, 32]
    wire.pump.connected()
    wire.turn()
    wire.ack(1)
    wire.turn()
    assert [wire.late()[0], wire.turn(), wire.late()[0]] == ["resend", [2], "reconnect"]


def test_a_center_that_is_known_to_be_gone_costs_no_connection() -> None:
    """While the broker says that the center is gone the silence has its reason, and the connection is kept."""
    wire = Wire(3)
    wire.pump.connected()
    wire.pump.center_left()
    wire.turn()
    for _ in range(10):
        assert wire.late()[0] == "resend"
        wire.turn()


def test_progress_puts_the_time_out_off() -> None:
    """As long as acks come, nothing is sent twice, however slow the center is."""
    wire = Wire(40)
    wire.pump.connected()
    wire.turn()
    for upto in range(1, 20):
        wire.now_ms += 4_900
        assert wire.pump.due(wire.now_ms, pubacks_missing=False) is None
        wire.ack(upto)
        wire.turn()
    assert wire.sent == sorted(set(wire.sent))


def test_the_center_that_speaks_again_gets_everything_at_once() -> None:
    """When the center says anything after silence, the rows are sent again from the first without waiting."""
    wire = Wire(3)
    wire.pump.connected()
    wire.turn()
    wire.late()
    wire.turn()
    wire.late()
    wire.pump.center_spoke(wire.now_ms)
    assert wire.turn() == [1, 2, 3]
    assert wire.late() == ("resend", 5_000)


def test_the_center_that_returns_within_the_first_time_out_is_heard_too() -> None:
    """A center that restarts in two seconds has lost our rows; its first word makes them go out again."""
    wire = Wire(3)
    wire.pump.connected()
    wire.turn()
    wire.pump.center_spoke(wire.now_ms + 2_000)
    assert wire.turn() == [1, 2, 3]


def test_a_word_of_the_center_right_after_sending_changes_nothing() -> None:
    """A desired state that crosses a row on its way does not make the row go out twice."""
    wire = Wire(3)
    wire.pump.connected()
    wire.turn()
    wire.pump.center_spoke(wire.now_ms + 20)
    assert wire.turn() == []


def test_a_center_that_left_gets_one_row_at_a_time_and_never_none() -> None:
    """To a center that is gone only the first row goes, ever more seldom, but it does: the word may be wrong."""
    wire = Wire(30)
    wire.pump.connected()
    wire.turn()
    wire.pump.center_left()
    sent = len(wire.sent)
    waits = []
    for _ in range(5):
        assert wire.turn() == [1]
        waits.append(wire.late()[1])
    assert waits == [10_000, 20_000, 40_000, 60_000, 60_000]
    assert len(wire.sent) == sent + 5
    wire.turn()
    wire.ack(1)
    assert len(wire.turn()) == WINDOW


def test_a_center_that_comes_back_at_once_gets_everything_again() -> None:
    """What was sent to a center that had just left is sent again at its first word, however soon."""
    wire = Wire(3)
    wire.pump.connected()
    wire.turn()
    wire.pump.center_left()
    wire.turn()
    wire.pump.center_spoke(wire.now_ms + 1)
    assert wire.turn() == [1, 2, 3]


def test_an_ack_that_crosses_a_resend_counts() -> None:
    """An ack that arrives after its rows were taken for lost is not wasted: they are not sent again."""
    wire = Wire(3)
    wire.pump.connected()
    wire.turn()
    wire.late()
    wire.ack(2)
    assert wire.turn() == [3]


def test_ids_that_did_not_go_out_lately_are_passed_over() -> None:
    """An ack for unknown ids neither deletes nor counts as progress: the row goes out again in its turn."""
    wire = Wire(3)
    wire.pump.connected()
    wire.turn()
    deadline = wire.pump.deadline_ms()
    assert wire.pump.acknowledged(upto=None, ids=["id-of-yesterday"], now_ms=wire.now_ms + 100) == []
    assert wire.pump.deadline_ms() == deadline


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("turn"), st.integers(0, 3_000)),
        st.tuples(st.just("ack"), st.integers(1, 60)),
        st.tuples(st.just("ids"), st.integers(1, 60)),
        st.tuples(st.just("spoke"), st.integers(0, 3_000)),
        st.tuples(st.just("heard"), st.just(0)),
        st.tuples(st.just("left"), st.just(0)),
        st.tuples(st.just("late"), st.just(0)),
        st.tuples(st.just("drop"), st.just(0)),
        st.tuples(st.just("new"), st.integers(1, 20)),
    ),
    max_size=60,
)


@given(STEPS)
def test_whatever_happens_nothing_is_forgotten(steps: list[tuple[str, int]]) -> None:
    """After any course of events the window holds, and a working center ends with every row acknowledged, in order."""
    wire = Wire(30)
    wire.pump.connected()
    for what, number in steps:
        match what:
            case "turn":
                wire.turn(number)
            case "ack" if number <= wire.pump.highest_sent:
                wire.ack(number)
            case "ids" if number in wire.sent:
                wire.ack_ids(number)
            case "spoke":
                wire.now_ms += number
                wire.pump.center_spoke(wire.now_ms)
            case "heard":
                wire.pump.center_heard()
            case "left":
                wire.pump.center_left()
            case "late" if wire.pump.deadline_ms() is not None:
                if wire.late()[0] == "reconnect":
                    wire.pump.disconnected()
                    wire.pump.connected()
            case "drop":
                wire.pump.disconnected()
                wire.pump.connected()
            case "new":
                top = max([*wire.rows, wire.pump.highest_sent, 30])
                wire.rows |= set(range(top + 1, top + 1 + number))
            case _:
                pass
        assert wire.pump.room() <= WINDOW
    for _ in range(200):
        if not wire.rows:
            break
        # A row that waits is either on its way, and a deadline watches it, or it goes out now.
        sent = wire.turn()
        assert sent or wire.pump.deadline_ms() is not None
        assert sent == sorted(sent)
        if sent:
            wire.ack(sent[-1])
        else:
            wire.late()
    assert not wire.rows
