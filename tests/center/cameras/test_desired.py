"""What a camera should do, in every state of its counter, and which settings cannot be meant."""

from typing import Any

import msgspec
import pytest

from center.answers import RatingStored
from center.cameras import desired
from center.cameras.desired import Setting, SettingError
from center.queue.engine import decide
from center.queue.model import (
    AnyCommand,
    CallNext,
    CloseCounter,
    Counter,
    Finish,
    Issue,
    OpenCounter,
    PauseCounter,
    Rules,
    Service,
    Start,
    StartDay,
)
from center.queue.state import State
from contract.states import CameraDesired

SQUARE = [[0.1, 0.1], [0.9, 0.1], [0.9, 0.9], [0.1, 0.9]]
BOW = [[0.1, 0.1], [0.9, 0.9], [0.9, 0.1], [0.1, 0.9]]
SPECK = [[0.1, 0.1], [0.11, 0.1], [0.11, 0.11]]


def do(state: State, *commands: AnyCommand) -> None:
    """Carry out commands."""
    for command in commands:
        events = decide(state, command)
        assert isinstance(events, list)
        for event in events:
            state.apply(event)


def test_a_camera_follows_its_counter() -> None:
    """A camera hears what happens at the counter and whose service it is, and nothing about who rated how."""
    state = State(
        [Service(id="land", letter="A", vi="Đất đai", en="Land")],
        [Counter(id="q01", label="1", services=("land",))],
        Rules(),
    )
    do(state, StartDay(at=0, day="2026-11-23"), Issue(at=0, ticket_id="t1", service="land"))
    do(state, OpenCounter(at=0, counter="q01"))

    def heard() -> tuple[str, str | None]:
        camera = desired.camera(state, state.counters["q01"], setting=Setting())
        assert camera == CameraDesired(revision=0, state=camera.state, ticket=camera.ticket)
        return camera.state, camera.ticket

    assert heard() == ("open", None)
    do(state, CallNext(at=1, counter="q01"))
    assert heard() == ("calling", "t1")
    do(state, Start(at=2, counter="q01"))
    assert heard() == ("serving", "t1")
    do(state, PauseCounter(at=3, counter="q01"))
    assert heard() == ("paused", "t1")
    do(state, OpenCounter(at=4, counter="q01"), Finish(at=5, counter="q01"), CloseCounter(at=6, counter="q01"))
    assert heard() == ("closed", None)


def test_a_camera_where_no_counter_is_has_settings_and_no_service() -> None:
    """A camera in the entrance is told what it looks for; nothing there is ever open."""
    state = State([], [], Rules())
    told = desired.camera(state, None, setting=Setting(kinds=("after_hours",)))
    assert (told.state, told.ticket, told.kinds) == ("closed", None, ("after_hours",))


@pytest.mark.parametrize(
    ("level", "ticket", "low"), [(1, "t1", True), (2, "t1", False), (3, "t1", False), (1, None, False)]
)
def test_only_the_lowest_level_of_a_known_service_is_low(level: int, ticket: str | None, low: bool) -> None:
    """A rating of the lowest level keeps the service it is about; no other one does, nor one without a ticket."""
    assert desired.is_low(RatingStored("r1", ticket, "q01", "/bentre/q01/rating", "vn-3", level, 0)) is low


@pytest.mark.parametrize(
    ("given", "field", "reason"),
    [
        ({"zones": [{"name": "citizen", "points": BOW}]}, "zones.citizen", "its sides 1 and 3 cross"),
        ({"zones": [{"name": "door", "points": SPECK}]}, "zones.door", "next to nothing"),
        ({"masks": [{"name": "screen", "points": BOW}]}, "masks.screen", "cross"),
        ({"zones": [{"name": "a", "points": SQUARE}] * 2}, "zones", "must have a name each, got a twice"),
        ({"kinds": ["loitering"]}, "kinds", "must be of waiting_alone, "),
        ({"hours": [{"days": [1], "begin": "17:00", "end": "07:30"}]}, "hours", "must end later on the day"),
    ],
)  # fmt: skip
def test_what_a_camera_would_refuse_is_refused_here(given: dict[str, Any], field: str, reason: str) -> None:
    """What cannot be meant is named by its zone or key, in the words that the camera's own file would get."""
    with pytest.raises(SettingError) as refused:
        desired.check(msgspec.convert(given, Setting))
    assert refused.value.field == field
    assert reason in refused.value.reason


def test_settings_that_can_be_meant_pass() -> None:
    """Nothing, or something good of each, is taken."""
    hours = [{"days": [1, 5], "begin": "07:30", "end": "11:30"}]
    zone = {"name": "citizen", "points": SQUARE}
    given = {"zones": [zone], "masks": [zone, zone], "kinds": ["tamper"], "hours": hours}
    for setting in (Setting(), msgspec.convert(given, Setting)):
        desired.check(setting)
