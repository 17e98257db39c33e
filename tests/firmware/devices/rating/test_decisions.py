from typing import Any

import pytest

from contract.events import RatingGiven, RatingIgnored
from contract.states import Armed, RatingDesired
from firmware.devices.rating.config import Button, RatingConfig
from firmware.devices.rating.decisions import RatingDecisions

BAD, GOOD, BEST = 17, 27, 22
BAD_LED, GOOD_LED, BEST_LED, BUZZER = 5, 6, 13, 18
LEDS = {BAD_LED, GOOD_LED, BEST_LED}


def configured(**changes: Any) -> RatingConfig:
    """Return a pad's configuration."""
    settings: dict[str, Any] = {
        "scale": "vn-3",
        "buttons": (
            Button(level=1, pin=BAD, led=BAD_LED),
            Button(level=2, pin=GOOD, led=GOOD_LED),
            Button(level=3, pin=BEST, led=BEST_LED),
        ),
        "buzzer": BUZZER,
    }
    return RatingConfig(**settings | changes)


def armed(ticket: str, *, revision: int = 1, seconds: int = 30) -> RatingDesired:
    """Return the desired state of a pad that is open for a ticket."""
    return RatingDesired(revision=revision, armed=Armed(ticket=ticket, number="A007", seconds=seconds))


def disarmed(*, revision: int = 2) -> RatingDesired:
    """Return the desired state of a pad that is open for nobody."""
    return RatingDesired(revision=revision, armed=None)


@pytest.fixture
def pad(bench: type) -> Any:
    """A pad on the bench, armed for the ticket t1 at 1000 ms."""
    made = bench(RatingDecisions(configured(), {}))
    made.at(1000)
    made.desired(armed("t1"))
    return made


def given(level: int, ticket: str | None = "t1", *, armed_for_ms: int | None, pressed_ms: int = 15) -> RatingGiven:
    """Return the fact of a rating that counts."""
    return RatingGiven(level=level, scale="vn-3", ticket=ticket, armed_for_ms=armed_for_ms, pressed_ms=pressed_ms)


def ignored(why: Any, level: int | None) -> RatingIgnored:
    """Return the fact of a press that does not count."""
    return RatingIgnored(why=why, level=level)


# --- the window ------------------------------------------------------------------------------------------------------


def test_a_pad_that_was_never_armed_is_dark_and_counts_nothing(bench: type) -> None:
    """A press on a pad that nobody armed is recorded as not_armed and gives no light."""
    pad = bench(RatingDecisions(configured(), {}))
    pad.press(BEST)
    assert pad.facts == [ignored("not_armed", 3)]
    assert not [on for _, _, on in pad.switched if on]


def test_the_lights_pulse_slowly_while_the_pad_is_armed(pad: Any) -> None:
    """All lights go on for 600 ms and off for 600 ms until the window ends, then stay dark."""
    assert pad.lit == LEDS
    pad.at(1599)
    assert pad.lit == LEDS
    pad.at(1600)
    assert pad.lit == set()
    pad.at(2200)
    assert pad.lit == LEDS
    pad.at(60_000)
    assert pad.lit == set()
    assert max(ms for ms, _, _ in pad.switched) <= 31_000


def test_the_first_press_counts(pad: Any) -> None:
    """The first press in the window is recorded with its ticket, the time since arming and how long it was held."""
    pad.at(5000)
    pad.press(BEST)
    assert pad.facts == [given(3, armed_for_ms=4000)]


def test_a_press_counts_before_the_release(pad: Any) -> None:
    """The rating is recorded 15 ms after the contact closes, while the finger is still on the button."""
    pad.at(5000)
    pad.close(GOOD)
    pad.at(5014)
    assert pad.facts == []
    pad.at(5015)
    assert pad.facts == [given(2, armed_for_ms=4000)]


def test_thanks_are_the_pressed_light_and_a_short_tone(pad: Any) -> None:
    """After the commit the pressed button's light is on alone for 2 s, with a tone of 120 ms; then the pad is dark."""
    pad.at(5000)
    pad.close(GOOD)
    pad.at(5015)
    assert pad.lit == {GOOD_LED, BUZZER}
    assert pad.seen_from(BUZZER, 5015) == [(0, True)]
    pad.at(5135)
    assert pad.lit == {GOOD_LED}
    pad.at(7014)
    assert pad.lit == {GOOD_LED}
    pad.at(7015)
    assert pad.lit == set()
    pad.at(40_000)
    assert pad.lit == set()


@pytest.mark.parametrize(("pressed_ms", "switched"), [(5000, [(2015, False)]), (5400, [(15, True), (2015, False)])])
def test_the_thanks_do_not_flicker(pad: Any, pressed_ms: int, switched: list[tuple[int, bool]]) -> None:
    """Whatever the pulse does at that moment, the pressed light is on from the commit to the end of the thanks."""
    pad.at(pressed_ms)
    pad.press(GOOD)
    pad.at(15_000)
    assert pad.seen_from(GOOD_LED, pressed_ms) == switched


def test_the_thanks_hang_on_the_commit_itself(pad: Any) -> None:
    """Light and tone are given with the commit, before anything else is looked at."""
    pad.listening = False
    pad.at(5000)
    pad.close(GOOD)
    pad.at(5015)
    assert pad.lit == {GOOD_LED, BUZZER}


def test_a_press_before_the_commit_is_known_is_repeated(pad: Any) -> None:
    """A second button whose press comes before the first one's commit is known does not rate as well."""
    pad.listening = False
    pad.at(5000)
    pad.press(GOOD)
    pad.press(BAD)
    assert pad.facts == [given(2, armed_for_ms=4000), ignored("repeated", 1)]


def test_lines_opened_anew_show_what_they_should(pad: Any) -> None:
    """After the lines were lost and taken again every output is switched as it should be."""
    pad.lit.clear()
    pad.lit.add(BUZZER)
    pad._do(pad.decisions.on_start(1100))
    assert pad.lit == LEDS


def test_a_second_press_is_repeated(pad: Any) -> None:
    """After the first press no other one counts for that ticket, and the light shows what was stored."""
    pad.at(5000)
    pad.press(BAD)
    pad.at(9000)
    pad.close(BEST)
    pad.at(9015)
    assert pad.facts == [given(1, armed_for_ms=4000), ignored("repeated", 3)]
    assert pad.lit == {BAD_LED}
    pad.at(12_000)
    assert pad.lit == set()


def test_a_press_after_the_window_is_late(pad: Any) -> None:
    """A press within 5 s after the window is recorded as late, a later one as not_armed."""
    pad.at(31_000)
    pad.press(BEST)
    pad.at(36_000)
    pad.press(BEST)
    assert pad.facts == [ignored("late", 3), ignored("not_armed", 3)]


def test_a_press_that_began_in_the_window_counts(pad: Any) -> None:
    """A contact that closes in the last millisecond of the window counts, though it settles after it."""
    pad.at(30_999)
    pad.press(BEST)
    assert pad.facts == [given(3, armed_for_ms=29_999)]


def test_a_finger_that_was_there_before_does_not_count(bench: type) -> None:
    """A button held down before the pad was armed does not rate."""
    pad = bench(RatingDecisions(configured(), {}))
    pad.at(1000)
    pad.close(BEST)
    pad.at(1005)
    pad.desired(armed("t1"))
    pad.at(1100)
    pad.open(BEST)
    pad.at(2000)
    assert pad.facts == [ignored("not_armed", 3)]


def test_hearing_the_same_again_does_not_extend_the_window(pad: Any) -> None:
    """The center repeats its states when it comes back: the window ends when it would have ended."""
    pad.at(20_000)
    pad.desired(armed("t1"))
    pad.at(31_000)
    pad.press(BEST)
    assert pad.facts == [ignored("late", 3)]


def test_hearing_the_same_again_does_not_reopen_the_window(pad: Any) -> None:
    """A window that is over stays over, also when the same ticket comes with a new revision."""
    pad.at(50_000)
    pad.desired(armed("t1"))
    pad.desired(armed("t1", revision=7))
    assert pad.lit == set()
    pad.press(BEST)
    assert pad.facts == [ignored("not_armed", 3)]
    assert pad.reports[-1].revision == 7


def test_disarming_closes_the_window(pad: Any) -> None:
    """When the next citizen's service begins, the pad goes dark at once and a press is late."""
    pad.at(5000)
    pad.desired(disarmed())
    assert pad.lit == set()
    pad.press(BEST)
    assert pad.facts == [ignored("late", 3)]


def test_the_next_ticket_opens_a_new_window(pad: Any) -> None:
    """Each ticket has its own rating."""
    pad.at(5000)
    pad.press(BEST)
    pad.at(6000)
    pad.desired(disarmed())
    pad.at(8000)
    pad.desired(armed("t2", revision=3))
    assert pad.lit == LEDS
    pad.press(BAD)
    assert pad.facts == [given(3, armed_for_ms=4000), given(1, "t2", armed_for_ms=0)]


# --- what must not be lost --------------------------------------------------------------------------------------------


def test_a_press_that_cannot_be_stored_is_not_thanked(pad: Any) -> None:
    """When the outbox fails, all lights blink fast without a tone, and the pad stays open for another press."""
    pad.store_works = False
    pad.at(5000)
    pad.close(BEST)
    pad.at(5015)
    pad.open(BEST)
    assert pad.facts == []
    assert pad.lit == LEDS
    pad.at(5185)
    assert pad.lit == set()
    pad.at(5355)
    assert pad.lit == LEDS
    assert not pad.seen_from(BUZZER, 1000)
    assert pad.reports[-1].trouble == "not_stored"
    assert pad.reports[-1].armed == "t1"
    pad.store_works = True
    pad.at(8000)
    pad.press(GOOD)
    assert pad.facts == [given(2, armed_for_ms=7000)]
    assert pad.reports[-1].trouble is None


def test_after_a_failure_the_lights_pulse_again(pad: Any) -> None:
    """The fast blinking ends after 2 s and the invitation goes on."""
    pad.store_works = False
    pad.at(5000)
    pad.press(BEST)
    pad.at(7015)
    assert pad.seen_from(BEST_LED, 7015) == [(0, True)]
    pad.at(7615)
    assert pad.seen_from(BEST_LED, 7015) == [(0, True), (600, False)]


def test_a_restart_in_the_window_arms_again(pad: Any, bench: type) -> None:
    """A pad that lost its power in the window hears the retained state and is open for its full time."""
    again = bench(RatingDecisions(configured(), pad.memory))
    again.at(100)
    again.desired(armed("t1"))
    again.at(29_000)
    again.press(BEST)
    assert again.facts == [given(3, armed_for_ms=28_900)]


def test_a_restart_after_the_press_does_not_rate_twice(pad: Any, bench: type) -> None:
    """A pad that lost its power after the press knows the ticket: no invitation, and a press shows what was stored."""
    pad.at(5000)
    pad.press(GOOD)
    again = bench(RatingDecisions(configured(), pad.memory))
    again.desired(armed("t1"))
    assert again.lit == set()
    assert again.reports[-1].armed is None
    again.at(1000)
    again.close(BAD)
    again.at(1015)
    assert again.facts == [ignored("repeated", 1)]
    assert again.lit == {GOOD_LED}


def test_lines_lost_between_commit_and_light_do_not_rate_twice(pad: Any) -> None:
    """When the echo of a commit is lost with the lines, its ticket takes no second rating."""
    pad.listening = False
    pad.at(5000)
    pad.press(GOOD)
    pad.listening = True
    pad._do(pad.decisions.on_start(pad.now_ms))
    pad._drain()
    pad.at(6000)
    pad.press(BAD)
    assert pad.facts == [given(2, armed_for_ms=4000), ignored("repeated", 1)]


# --- presses that do not count ----------------------------------------------------------------------------------------


def test_two_buttons_at_once_count_for_none(pad: Any) -> None:
    """Two buttons pressed together are recorded as such without a level; the pad stays open."""
    pad.at(5000)
    pad.close(BAD)
    pad.at(5010)
    pad.close(BEST)
    pad.at(5100)
    pad.open(BAD, BEST)
    pad.at(6000)
    assert pad.facts == [ignored("together", None)]
    pad.press(BEST)
    assert pad.facts[1:] == [given(3, armed_for_ms=5000)]


def test_a_stuck_button_is_reported_once(pad: Any) -> None:
    """A button held for more than 10 s is recorded once and reported as trouble until it is released."""
    pad.at(40_000)
    pad.close(GOOD)
    pad.at(100_000)
    assert pad.facts == [ignored("not_armed", 2), ignored("stuck", 2)]
    assert pad.reports[-1].trouble == "stuck:2"
    pad.open(GOOD)
    pad.at(101_000)
    assert pad.reports[-1].trouble is None


def test_a_stuck_button_leaves_the_others_in_use(pad: Any) -> None:
    """With one button jammed, the others still rate."""
    pad.desired(disarmed())
    pad.close(BAD)
    pad.at(40_000)
    pad.desired(armed("t2", revision=3))
    pad.press(BEST)
    assert pad.facts[-1] == given(3, "t2", armed_for_ms=0)


def test_hammering_does_not_wear_the_card(pad: Any) -> None:
    """A child that hammers for a minute leaves a handful of records; the counts hold every press."""
    pad.at(50_000)
    for _ in range(600):
        pad.press(BEST, for_ms=60)
    assert len(pad.facts) < 8
    pad.at(pad.now_ms + 3000)
    assert pad.reports[-1].presses == {"1": 0, "2": 0, "3": 600}
    assert len(pad.reports) < 40


def test_presses_are_counted_across_restarts(pad: Any, bench: type) -> None:
    """The counts go on after a restart from what was committed with the last record."""
    pad.at(5000)
    pad.press(BEST)
    again = bench(RatingDecisions(configured(), pad.memory))
    again.at(1000)
    again.press(BEST)
    again.at(9000)
    assert again.reports[-1].presses == {"1": 0, "2": 0, "3": 2}


@pytest.mark.parametrize("broken", ["-3", "many", "", "1.5", "²"])
def test_a_broken_memory_counts_from_zero(bench: type, broken: str) -> None:
    """A memory that cannot be read does not keep the pad from working."""
    pad = bench(RatingDecisions(configured(), {"presses.3": broken, "rated_level": broken}))
    assert pad.reports[0].presses == {"1": 0, "2": 0, "3": 0}


# --- what is reported -------------------------------------------------------------------------------------------------


def test_a_pad_reports_what_it_is(pad: Any) -> None:
    """The report says the revision heard, for whom the pad is open, and the counts."""
    assert (pad.reports[0].revision, pad.reports[0].armed) == (0, None)
    assert (pad.reports[1].revision, pad.reports[1].armed) == (1, "t1")
    pad.at(5000)
    pad.press(BEST)
    assert (pad.reports[2].armed, pad.reports[2].presses) == (None, {"1": 0, "2": 0, "3": 1})
    pad.at(60_000)
    assert len(pad.reports) == 3


def test_the_end_of_the_window_is_reported(pad: Any) -> None:
    """A window that ends without a press is reported at its end."""
    pad.at(30_999)
    assert pad.reports[-1].armed == "t1"
    pad.at(31_000)
    assert pad.reports[-1].armed is None


# --- always open ------------------------------------------------------------------------------------------------------


@pytest.fixture
def open_pad(bench: type) -> Any:
    """A pad that is always open, with a lock-out of 5 s."""
    return bench(RatingDecisions(configured(mode="open"), {}))


def test_an_open_pad_is_lit_and_counts_without_a_ticket(open_pad: Any) -> None:
    """An always open pad shows steady lights and counts a press for no ticket."""
    assert open_pad.lit == LEDS
    open_pad.at(1000)
    open_pad.press(BEST)
    assert open_pad.facts == [given(3, None, armed_for_ms=None)]


def test_an_open_pad_is_locked_after_a_press(open_pad: Any) -> None:
    """After a press an open pad is dark and counts nothing until the lock-out is over."""
    open_pad.at(1000)
    open_pad.press(BEST)
    open_pad.at(4000)
    assert open_pad.lit == set()
    open_pad.press(BAD)
    open_pad.at(7000)
    assert open_pad.lit == LEDS
    open_pad.press(GOOD)
    assert open_pad.facts == [
        given(3, None, armed_for_ms=None),
        ignored("repeated", 1),
        given(2, None, armed_for_ms=None),
    ]


def test_an_open_pad_takes_the_armed_ticket_once(open_pad: Any) -> None:
    """A press while a ticket is armed is that ticket's rating; the next one counts for no ticket."""
    open_pad.at(1000)
    open_pad.desired(armed("t1"))
    open_pad.press(BEST)
    open_pad.at(10_000)
    open_pad.press(BEST)
    assert open_pad.facts == [given(3, "t1", armed_for_ms=0), given(3, None, armed_for_ms=None)]
