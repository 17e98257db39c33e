from hypothesis import given
from hypothesis import strategies as st

from firmware.devices.debounce import Debounce, Edge, Outcome, Pressed, Reading, Released, Stuck, Together, ToRead

A, B, C = 17, 27, 22


class Contacts:
    """Real levels, of which a Debounce hears edges and readings, millisecond by millisecond."""

    def __init__(self, *pins: int, closed: tuple[int, ...] = ()) -> None:
        self.debounce = Debounce(pins, debounce_ms=15, stuck_after_ms=10_000)
        self.closed = set(closed)
        self.now_ms = 0
        self.outcomes: list[Outcome] = []
        self.readable = True
        self._take(self.debounce.start())

    def move(self, pin: int, *, closed: bool, heard: bool = True) -> None:
        """Change a level; unheard if its edge gets lost."""
        (self.closed.add if closed else self.closed.discard)(pin)
        if heard:
            self._take(self.debounce.edge(Edge(pin, closed, self.now_ms), self.now_ms))

    def hear(self, pin: int, *, closed: bool, at_ms: int) -> None:
        """Hear of an edge later than it happened, whatever the level is by now."""
        self._take(self.debounce.edge(Edge(pin, closed, at_ms), self.now_ms))

    def at(self, ms: int) -> "Contacts":
        """Let the time go on, with every deadline met."""
        while (due := self.debounce.deadline_ms()) is not None and due <= ms:
            self.now_ms = max(self.now_ms, due)
            self._take(self.debounce.on_time(self.now_ms))
        self.now_ms = ms
        return self

    def _take(self, outcomes: object) -> None:
        assert isinstance(outcomes, list | tuple)
        for outcome in outcomes:
            if not isinstance(outcome, ToRead):
                self.outcomes.append(outcome)
            elif self.readable:
                reading = Reading(outcome.pin, outcome.pin in self.closed, self.now_ms)
                self._take(self.debounce.reading(reading, self.now_ms))


def test_a_press_counts_when_its_contact_has_been_still() -> None:
    """A contact that closes and stays closed is pressed after 15 ms, not sooner and not on release."""
    contacts = Contacts(A)
    contacts.at(100).move(A, closed=True)
    assert contacts.at(114).outcomes == []
    assert contacts.at(115).outcomes == [Pressed(A, 100)]
    contacts.at(300).move(A, closed=False)
    assert contacts.at(315).outcomes == [Pressed(A, 100), Released(A)]


def test_a_bouncing_contact_is_pressed_once() -> None:
    """Five bounces on closing and three on opening are one press and one release."""
    contacts = Contacts(A)
    for ms, closed in ((0, 1), (1, 0), (2, 1), (4, 0), (5, 1), (9, 0), (10, 1)):
        contacts.at(ms).move(A, closed=bool(closed))
    assert contacts.at(25).outcomes == [Pressed(A, 10)]
    for ms, closed in ((200, 0), (203, 1), (206, 0)):
        contacts.at(ms).move(A, closed=bool(closed))
    assert contacts.at(400).outcomes == [Pressed(A, 10), Released(A)]
    assert contacts.debounce.interference == 0


def test_a_pulse_shorter_than_the_debounce_is_interference() -> None:
    """A 14 ms pulse is counted as interference and is no press."""
    contacts = Contacts(A)
    contacts.move(A, closed=True)
    contacts.at(14).move(A, closed=False)
    assert contacts.at(1000).outcomes == []
    assert contacts.debounce.interference == 1


def test_a_short_opening_of_a_held_contact_is_interference() -> None:
    """A worn contact that opens for 5 ms while it is held makes no second press."""
    contacts = Contacts(A)
    contacts.move(A, closed=True)
    contacts.at(500).move(A, closed=False)
    contacts.at(505).move(A, closed=True)
    assert contacts.at(900).outcomes == [Pressed(A, 0)]
    assert contacts.debounce.interference == 1


def test_a_contact_closed_at_the_start_is_not_a_press() -> None:
    """A button that is held while the program starts is no press; when it opens and closes again it is one."""
    contacts = Contacts(A, closed=(A,))
    assert contacts.at(500).outcomes == []
    contacts.move(A, closed=False)
    contacts.at(600).move(A, closed=True)
    assert contacts.at(700).outcomes == [Released(A), Pressed(A, 600)]


def test_a_contact_held_too_long_is_stuck_once() -> None:
    """A contact held for more than 10 s is told once as stuck, and again only after it has opened."""
    contacts = Contacts(A)
    contacts.move(A, closed=True)
    assert contacts.at(9_999).outcomes == [Pressed(A, 0)]
    assert contacts.at(10_000).outcomes == [Pressed(A, 0), Stuck(A)]
    assert contacts.at(90_000).outcomes == [Pressed(A, 0), Stuck(A)]
    contacts.move(A, closed=False)
    contacts.at(90_100).move(A, closed=True)
    assert contacts.at(120_000).outcomes[2:] == [Released(A), Pressed(A, 90_100), Stuck(A)]


def test_a_contact_closed_at_the_start_may_be_stuck() -> None:
    """A button that was jammed before the program started is told as stuck after 10 s."""
    assert Contacts(A, closed=(A,)).at(10_000).outcomes == [Stuck(A)]


def test_two_contacts_within_each_others_debounce_are_together() -> None:
    """Two contacts that close 14 ms apart are no press of either; the second is free again after its release."""
    contacts = Contacts(A, B)
    contacts.move(A, closed=True)
    contacts.at(14).move(B, closed=True)
    assert contacts.at(500).outcomes == [Together((A, B))]
    contacts.move(A, closed=False)
    contacts.move(B, closed=False)
    contacts.at(600).move(B, closed=True)
    assert contacts.at(700).outcomes[1:] == [Released(A), Released(B), Pressed(B, 600)]


def test_two_contacts_further_apart_are_two_presses() -> None:
    """A contact that closes 15 ms after another, still held one is a press of its own."""
    contacts = Contacts(A, B)
    contacts.move(A, closed=True)
    contacts.at(15).move(B, closed=True)
    assert contacts.at(100).outcomes == [Pressed(A, 0), Pressed(B, 15)]


def test_three_contacts_at_once_are_told_once() -> None:
    """A hand on all buttons is one outcome that names them."""
    contacts = Contacts(A, B, C)
    for pin in (A, B, C):
        contacts.move(pin, closed=True)
    assert contacts.at(100).outcomes == [Together((A, B, C))]


def test_a_glitch_on_a_neighbour_does_not_bar_a_press() -> None:
    """A neighbour's pulse that is over when the press settles does not make it `together`."""
    contacts = Contacts(A, B)
    contacts.move(A, closed=True)
    contacts.at(3).move(B, closed=True)
    contacts.at(6).move(B, closed=False)
    assert contacts.at(100).outcomes == [Pressed(A, 0)]


def test_a_lost_release_edge_makes_no_phantom_press() -> None:
    """A 5 ms pulse whose second edge was lost is no press: the level is read before it counts."""
    contacts = Contacts(A)
    contacts.move(A, closed=True)
    contacts.at(5).move(A, closed=False, heard=False)
    assert contacts.at(1000).outcomes == []
    assert contacts.debounce.interference == 1
    contacts.move(A, closed=True)
    assert contacts.at(2000).outcomes == [Pressed(A, 1000)]


def test_a_lost_closing_edge_in_a_bounce_is_made_up_by_the_reading() -> None:
    """A press whose last closing edge was lost still counts: the reading finds the contact closed."""
    contacts = Contacts(A)
    contacts.move(A, closed=True)
    contacts.at(2).move(A, closed=False)
    contacts.at(4).move(A, closed=True, heard=False)
    assert contacts.at(100).outcomes == [Pressed(A, 17)]


def test_a_lost_release_of_a_held_contact_is_found_later() -> None:
    """A contact whose release got lost is read when it seems stuck: it is released, not stuck."""
    contacts = Contacts(A)
    contacts.move(A, closed=True)
    contacts.at(100).move(A, closed=False, heard=False)
    assert contacts.at(10_100).outcomes == [Pressed(A, 0), Released(A)]


def test_a_stuck_contact_whose_release_got_lost_comes_back() -> None:
    """A stuck contact is read again every 10 s, so a lost edge does not leave the button dead."""
    contacts = Contacts(A)
    contacts.move(A, closed=True)
    contacts.at(12_000).move(A, closed=False, heard=False)
    assert contacts.at(25_000).outcomes == [Pressed(A, 0), Stuck(A), Released(A)]


def test_without_a_reading_the_edges_decide() -> None:
    """When no reading comes, the press is judged by its edges 50 ms later."""
    contacts = Contacts(A)
    contacts.readable = False
    contacts.move(A, closed=True)
    assert contacts.at(64).outcomes == []
    assert contacts.at(65).outcomes == [Pressed(A, 0)]


def test_a_press_in_a_stalled_program_still_counts() -> None:
    """Edges that were stamped in time and are heard 300 ms late are the press that they were."""
    debounce = Debounce([A], debounce_ms=15, stuck_after_ms=10_000)
    assert debounce.edge(Edge(A, closed=True, at_ms=100), 400) == ()
    assert debounce.edge(Edge(A, closed=False, at_ms=250), 400) == [Pressed(A, 100)]
    debounce.on_time(400)
    assert debounce.reading(Reading(A, closed=False, at_ms=400), 400) == [Released(A)]


def test_an_edge_out_of_order_changes_nothing() -> None:
    """An edge that is older than the last one heard is ignored."""
    contacts = Contacts(A)
    contacts.at(100).move(A, closed=True)
    contacts.readable = False
    contacts.debounce.edge(Edge(A, closed=False, at_ms=60), 101)
    assert contacts.at(200).outcomes == [Pressed(A, 100)]


def test_a_press_whose_edges_come_after_the_finger_has_left_counts() -> None:
    """On a busy machine both edges of a 46 ms press come when the line is open again; their stamps make it a press."""
    contacts = Contacts(A)
    contacts.at(168).hear(A, closed=True, at_ms=100)
    contacts.at(200).hear(A, closed=False, at_ms=146)
    assert contacts.at(500).outcomes == [Pressed(A, 100), Released(A)]


def test_late_edges_of_a_bounce_make_no_second_press() -> None:
    """Edges that are older than the reading by which a press was counted do not count it again."""
    contacts = Contacts(A)
    contacts.closed.add(A)
    contacts.at(319).hear(A, closed=True, at_ms=300)
    contacts.at(337).closed.discard(A)
    contacts.at(339).hear(A, closed=False, at_ms=303)
    contacts.at(353).hear(A, closed=True, at_ms=305)
    contacts.at(376).hear(A, closed=False, at_ms=337)
    assert contacts.at(500).outcomes == [Pressed(A, 300), Released(A)]


def test_a_reading_out_of_order_changes_nothing() -> None:
    """A reading that is older than the last edge is ignored."""
    contacts = Contacts(A)
    contacts.at(100).move(A, closed=True)
    contacts.readable = False
    contacts.debounce.reading(Reading(A, closed=False, at_ms=99), 101)
    assert contacts.at(200).outcomes == [Pressed(A, 100)]


def test_an_edge_to_where_the_contact_is_was_no_stillness() -> None:
    """Two closings without an opening between: one was lost, so the time between them proves no press."""
    debounce = Debounce([A], debounce_ms=15, stuck_after_ms=10_000)
    debounce.edge(Edge(A, closed=True, at_ms=100), 400)
    assert debounce.edge(Edge(A, closed=True, at_ms=130), 400) == ()
    assert debounce.edge(Edge(A, closed=False, at_ms=140), 400) == ()


def test_an_edge_told_twice_is_one() -> None:
    """The same edge heard twice does not delay or double the press."""
    contacts = Contacts(A)
    contacts.move(A, closed=True)
    contacts.debounce.edge(Edge(A, closed=True, at_ms=0), 1)
    assert contacts.at(15).outcomes == [Pressed(A, 0)]


def test_an_unknown_contact_is_ignored() -> None:
    """An edge or a reading of a line that is no contact of the device has no outcome."""
    debounce = Debounce([A], debounce_ms=15, stuck_after_ms=10_000)
    assert debounce.edge(Edge(B, closed=True, at_ms=0), 0) == ()
    assert debounce.reading(Reading(B, closed=True, at_ms=0), 0) == ()
    assert debounce.deadline_ms() is None


def true_presses(durations: list[int]) -> int:
    """Count the closures that a patient observer sees: levels held for 15 ms that differ from the last such level."""
    settled = False
    presses = 0
    for index, duration in enumerate(durations):
        closed = index % 2 == 1
        if duration >= 15 and closed is not settled:
            settled = closed
            presses += closed
    return presses


waveforms = st.lists(st.one_of(st.integers(1, 14), st.integers(15, 400)), max_size=30)


@given(waveforms)
def test_every_true_press_is_heard_once(durations: list[int]) -> None:
    """Whatever the bouncing, as many presses are heard as a patient observer counts."""
    contacts = Contacts(A)
    now_ms = 0
    for index, duration in enumerate(durations):
        if index:
            contacts.at(now_ms).move(A, closed=index % 2 == 1)
        now_ms += duration
    contacts.at(now_ms)
    assert sum(isinstance(outcome, Pressed) for outcome in contacts.outcomes) == true_presses(durations)


bounces = st.lists(st.integers(1, 3), max_size=8).filter(lambda pauses: len(pauses) % 2 == 0)
finger = st.tuples(st.integers(150, 400), bounces, st.integers(30, 150), bounces)
"""How long the contact is open, how it bounces when it closes, how long it is closed, how it bounces when it opens."""


@given(st.lists(finger, max_size=4), st.lists(st.integers(0, 60), min_size=80, max_size=80))
def test_late_edges_lose_no_press_and_add_none(
    presses: list[tuple[int, list[int], int, list[int]]], late: list[int]
) -> None:
    """Edges that come up to 60 ms late, as on a busy Pi, make the presses that they made in truth."""
    contacts = Contacts(A)
    moves: list[tuple[int, bool, int | None]] = []  # when, to what level, and if it is an edge that is heard: its stamp
    now_ms = heard_ms = 0
    closed = False
    for pause in (pause for still, closing, held, opening in presses for pause in (still, *closing, held, *opening)):
        now_ms += pause
        closed = not closed
        heard_ms = max(heard_ms, now_ms + late[len(moves) // 2])
        moves += [(now_ms, closed, None), (heard_ms, closed, now_ms)]
    for at_ms, level, stamp_ms in sorted(moves, key=lambda move: (move[0], move[2] is not None)):
        contacts.at(at_ms)
        if stamp_ms is None:
            contacts.move(A, closed=level, heard=False)
        else:
            contacts.hear(A, closed=level, at_ms=stamp_ms)
    contacts.at(now_ms + 1000)
    assert sum(isinstance(outcome, Pressed) for outcome in contacts.outcomes) == len(presses)


def closures(durations: list[int]) -> int:
    """Count the times that a contact was closed for 15 ms, openings shorter than that forgiven: nobody may see them."""
    closed_ms = 0
    count = 0
    for index, duration in enumerate(durations):
        if index % 2 == 0 and duration >= 15:
            count += closed_ms >= 15
            closed_ms = 0
        elif index % 2 == 1 or closed_ms:
            closed_ms += duration
    return count + (closed_ms >= 15)


@given(waveforms, st.lists(st.booleans(), min_size=30, max_size=30))
def test_lost_edges_never_make_a_press(durations: list[int], heard: list[bool]) -> None:
    """When edges get lost, no press is heard where the contact was not closed for the debounce time."""
    contacts = Contacts(A)
    now_ms = 0
    for index, duration in enumerate(durations):
        if index:
            contacts.at(now_ms).move(A, closed=index % 2 == 1, heard=heard[index])
        now_ms += duration
    contacts.at(now_ms)
    assert sum(isinstance(outcome, Pressed) for outcome in contacts.outcomes) <= closures(durations)


@given(
    st.lists(
        st.tuples(st.sampled_from("erts"), st.sampled_from([A, B]), st.booleans(), st.integers(-50, 50)), max_size=60
    )
)
def test_any_order_of_calls_leaves_a_deadline_ahead(calls: list[tuple[str, int, bool, int]]) -> None:
    """Edges and readings with any stamps, in any order, raise nothing, and a met deadline does not stay due."""
    debounce = Debounce([A, B], debounce_ms=15, stuck_after_ms=100)
    now_ms = 1000
    for call, pin, closed, offset in calls:
        match call:
            case "e":
                debounce.edge(Edge(pin, closed, now_ms + offset), now_ms)
            case "r":
                debounce.reading(Reading(pin, closed, now_ms + offset), now_ms)
            case "s":
                debounce.start()
            case _:
                now_ms += abs(offset)
                debounce.on_time(now_ms)
                deadline = debounce.deadline_ms()
                assert deadline is None or deadline > now_ms
