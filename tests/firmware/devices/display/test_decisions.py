"""What a display shows and when."""

from collections.abc import Mapping, Sequence
from typing import Literal

import pytest

from contract.events import DisplayShown
from contract.states import DisplayDesired, DisplayReported
from firmware.devices.display.decisions import GRACE_MS, DisplayDecisions
from firmware.devices.display.signs import PortBack, PortLost, Show, Shown, Sign
from firmware.ports import Drive, Effect, Record, Report

STALE_MS = 120_000


def _decisions(memory: Mapping[str, str] | None = None) -> DisplayDecisions:
    return DisplayDecisions(stale_after_ms=STALE_MS, memory=memory or {})


def _linked(now_ms: int = 0) -> DisplayDecisions:
    decisions = _decisions()
    decisions.on_start(now_ms)
    decisions.on_link(up=True, now_ms=now_ms)
    return decisions


def _calling(revision: int, number: str = "A007") -> DisplayDesired:
    return DisplayDesired(revision=revision, state="calling", number=number, counter="3", blink=True)


def _show(effects: Sequence[Effect]) -> Show:
    (effect,) = effects
    assert isinstance(effect, Drive)
    assert isinstance(effect.command, Show)
    return effect.command


def _up(show: Show, *, at_ms: int, proof: Literal["echoed", "written", "none"] = "echoed") -> Shown:
    return Shown(show=show, text=show.sign.number or "-", proof=proof, at_ms=at_ms)


def test_a_call_is_shown_at_once_and_recorded_when_the_panel_has_it() -> None:
    """The number goes out with the desired state; the fact says how it is known and how long it took."""
    decisions = _linked()
    show = _show(decisions.on_desired(_calling(17), 1_000))
    assert show == Show(revision=17, sign=Sign("calling", "3", "A007", blink=True), asked_ms=1_000)

    record, report = decisions.on_signal(_up(show, at_ms=1_012), 1_013)
    assert isinstance(record, Record)
    assert record.fact == DisplayShown(revision=17, proof="echoed", latency_ms=12)
    assert report == Report(DisplayReported(revision=17, text="A007", proof="echoed"))


def test_a_display_reports_before_it_knows_anything() -> None:
    """A started display says that it shows nothing that is known; a port that is back clears the trouble."""
    decisions = _decisions()
    unknown = Report(DisplayReported(revision=0, text="", proof="none"))
    assert decisions.on_start(0) == (unknown,)
    decisions.on_signal(PortLost("port_busy"), 1)
    assert decisions.on_signal(PortBack(), 2) == (unknown,)


def test_a_refresh_is_not_a_second_fact() -> None:
    """A panel that comes back shows the same revision again; that is reported, not recorded."""
    decisions = _linked()
    show = _show(decisions.on_desired(_calling(17), 0))
    decisions.on_signal(_up(show, at_ms=5), 5)
    assert decisions.on_signal(PortLost("port_missing"), 100) == (
        Report(DisplayReported(revision=17, text="", proof="none", trouble="port_missing")),
    )
    assert decisions.on_signal(_up(show, at_ms=900), 900) == (
        Report(DisplayReported(revision=17, text="A007", proof="echoed")),
    )


def test_a_restart_does_not_record_the_same_revision_again() -> None:
    """What was recorded is remembered with the fact itself, so a killed daemon adds nothing."""
    decisions = _linked()
    show = _show(decisions.on_desired(_calling(17), 0))
    record = decisions.on_signal(_up(show, at_ms=5), 5)[0]
    assert isinstance(record, Record)

    again = _decisions(record.remember)
    again.on_start(0)
    again.on_link(up=True, now_ms=0)
    show = _show(again.on_desired(_calling(17), 10))
    assert [type(effect) for effect in again.on_signal(_up(show, at_ms=20), 20)] == [Report]
    show = _show(again.on_desired(_calling(18), 30))
    assert [type(effect) for effect in again.on_signal(_up(show, at_ms=40), 40)] == [Record, Report]


def test_a_recall_with_the_same_number_is_a_call_of_its_own() -> None:
    """The same number with a later revision is shown and recorded again."""
    decisions = _linked()
    decisions.on_signal(_up(_show(decisions.on_desired(_calling(17), 0)), at_ms=5), 5)
    show = _show(decisions.on_desired(_calling(18), 100))
    assert isinstance(decisions.on_signal(_up(show, at_ms=105), 105)[0], Record)


def test_a_repeated_message_changes_nothing() -> None:
    """The broker's repetition of the retained state drives nothing."""
    decisions = _linked()
    decisions.on_desired(_calling(17), 0)
    assert decisions.on_desired(_calling(17), 50) == ()


def test_a_number_without_contact_is_taken_down() -> None:
    """A number outlives contact by stale_after_s and no longer; then the idle sign stands with the offline mark."""
    decisions = _linked()
    decisions.on_desired(_calling(17), 0)
    assert decisions.deadline_ms() is None
    decisions.on_link(up=False, now_ms=10_000)
    assert decisions.deadline_ms() == 10_000 + STALE_MS
    assert decisions.on_time(10_000 + STALE_MS - 1) == ()
    show = _show(decisions.on_time(10_000 + STALE_MS))
    assert show == Show(revision=None, sign=Sign("offline", "3"), asked_ms=10_000 + STALE_MS)
    assert decisions.deadline_ms() is None
    assert decisions.on_signal(Shown(show, "QUẦY 3", "written", 131_000), 131_000) == (
        Report(DisplayReported(revision=0, text="QUẦY 3", proof="written", trouble="no_contact")),
    )


def test_a_short_break_leaves_the_number() -> None:
    """Contact that comes back in time keeps the sign as it is."""
    decisions = _linked()
    decisions.on_desired(_calling(17), 0)
    decisions.on_link(up=False, now_ms=10_000)
    assert decisions.on_link(up=True, now_ms=20_000) == ()
    assert decisions.deadline_ms() is None


def test_contact_alone_does_not_revive_an_old_number() -> None:
    """After a long break the center's word brings the number back, even when it is the same word; contact does not."""
    decisions = _linked()
    decisions.on_desired(_calling(17), 0)
    decisions.on_link(up=False, now_ms=0)
    decisions.on_time(STALE_MS)
    assert decisions.on_link(up=True, now_ms=STALE_MS + 5_000) == ()
    assert decisions.on_time(STALE_MS + 5_000 + GRACE_MS) == ()
    assert _show(decisions.on_desired(_calling(17), STALE_MS + 9_000)).revision == 17


def test_a_starting_display_gives_the_center_a_moment() -> None:
    """A restarted daemon leaves the panel for 3 s, then takes down what nobody vouches for."""
    decisions = _decisions({"display.counter": "3"})
    decisions.on_start(1_000)
    assert decisions.deadline_ms() == 1_000 + GRACE_MS
    assert _show(decisions.on_time(1_000 + GRACE_MS)).sign == Sign("offline", "3")


def test_contact_to_a_silent_center_ends_in_the_offline_sign() -> None:
    """A broker without the center's word is no contact for the people at the counter."""
    decisions = _decisions()
    decisions.on_start(0)
    decisions.on_link(up=True, now_ms=2_000)
    assert decisions.on_time(GRACE_MS) == ()
    assert _show(decisions.on_time(2_000 + GRACE_MS)).sign.kind == "offline"


def test_a_short_restart_of_the_center_changes_nothing_on_the_glass() -> None:
    """Contact that is lost and back, and the same word again, drive nothing: the number neither goes nor flickers."""
    decisions = _linked()
    decisions.on_desired(_calling(17), 0)
    assert decisions.on_link(up=False, now_ms=10_000) == ()
    assert decisions.on_time(11_000) == ()
    assert decisions.on_link(up=True, now_ms=12_000) == ()
    assert decisions.on_desired(_calling(17), 12_005) == ()
    assert decisions.deadline_ms() is None


def test_what_the_broker_kept_of_a_center_that_is_gone_is_not_shown() -> None:
    """A desired state that is heard without contact revives no number and prolongs none."""
    decisions = _linked()
    decisions.on_desired(_calling(17), 0)
    decisions.on_link(up=False, now_ms=0)
    assert decisions.on_desired(_calling(17), 60_000) == ()
    assert decisions.deadline_ms() == STALE_MS
    assert _show(decisions.on_time(STALE_MS)).sign.kind == "offline"
    assert decisions.on_desired(_calling(17), STALE_MS + 1_000) == ()
    assert decisions.on_link(up=True, now_ms=STALE_MS + 2_000) == ()
    assert _show(decisions.on_desired(_calling(18), STALE_MS + 2_005)).revision == 18


def test_what_the_broker_kept_is_shown_when_the_center_is_there_in_time() -> None:
    """A change that was heard during a short loss of contact is shown as soon as there is contact."""
    decisions = _linked()
    decisions.on_desired(_calling(17), 0)
    decisions.on_link(up=False, now_ms=10_000)
    decisions.on_desired(_calling(18, "A008"), 10_500)
    assert _show(decisions.on_link(up=True, now_ms=11_000)).sign.number == "A008"
    assert decisions.deadline_ms() is None


def test_a_screen_records_nothing() -> None:
    """Nothing proves what a browser shows, so it is reported and no fact is made of it."""
    decisions = _linked()
    show = _show(decisions.on_desired(_calling(17), 0))
    assert decisions.on_signal(_up(show, at_ms=1, proof="none"), 1) == (
        Report(DisplayReported(revision=17, text="A007", proof="none")),
    )


@pytest.mark.parametrize("state", ["idle", "closed", "paused"])
def test_a_number_is_shown_only_with_its_call(state: Literal["idle", "closed", "paused"]) -> None:
    """An idle, closed or paused counter shows no number, even when one is in the message."""
    desired = DisplayDesired(revision=1, state=state, number="A007", counter="3", blink=True)
    assert _show(_linked().on_desired(desired, 0)).sign == Sign(state, "3")


def test_a_call_without_a_number_is_the_idle_sign() -> None:
    """A calling state without a number shows nothing that could be taken for one."""
    desired = DisplayDesired(revision=1, state="calling", counter="3")
    assert _show(_linked().on_desired(desired, 0)).sign == Sign("idle", "3")


def test_a_long_text_is_reported_as_far_as_the_contract_allows() -> None:
    """A report stays within the contract's 64 characters."""
    decisions = _linked()
    show = _show(decisions.on_desired(_calling(17), 0))
    report = decisions.on_signal(Shown(show, "X" * 90, "written", 5), 5)[-1]
    assert isinstance(report, Report)
    assert isinstance(report.state, DisplayReported)
    assert len(report.state.text) == 64
