"""Who comes and goes before the demo's camera, and that the camera's own eyes see what is meant."""

from collections.abc import Sequence

import cv2
import numpy as np
import pytest

from firmware.devices.camera.config import KINDS
from firmware.devices.camera.incidents import Counter, Ended, Incidents, Started
from firmware.devices.camera.motion import Motion
from firmware.devices.camera.signals import Seen
from firmware.devices.camera.sources.pictures import shrink
from simulator.plot import Doing
from simulator.premises import Timing
from simulator.scene import ZONES, Person, Scene
from simulator.stage import BUSY_S, FIRST_S, WALK_S, Stage

STEP_S = 0.2


def later(stage: Stage, seconds: float, doing: Doing) -> Sequence[Person]:
    """Let time pass; return who is there at its end."""
    people: Sequence[Person] = ()
    for _ in range(round(seconds / STEP_S)):
        people = stage.step(STEP_S, doing)
    return people


def who(people: Sequence[Person]) -> set[str]:
    """Return who is in the picture."""
    return {person.who for person in people}


@pytest.mark.parametrize(
    ("doing", "there"),
    [("called", {"officer"}), ("serving", {"officer", "citizen"}), ("paused", set()), ("closed", set())],
)
def test_people_are_where_the_queue_has_them(doing: Doing, there: set[str]) -> None:
    """The officer is at the desk for a call, the citizen for the service, nobody during a pause."""
    stage = Stage()
    later(stage, 60, "open")
    assert who(later(stage, WALK_S + 1, doing)) == there


def test_the_next_citizen_is_somebody_else() -> None:
    """Who comes for the next service wears other clothes."""
    stage = Stage()
    later(stage, FIRST_S, "closed")
    looks = []
    for _ in range(2):
        looks += [person.look for person in later(stage, 5, "serving") if person.who == "citizen"]
        later(stage, 5, "called")
    assert looks[0] != looks[1]


def test_after_a_service_the_officer_stays_for_a_while() -> None:
    """Nobody is called absent for having finished a service."""
    stage = Stage()
    later(stage, FIRST_S + 5, "serving")
    assert who(later(stage, BUSY_S - 1, "open")) == {"officer"}
    assert who(later(stage, WALK_S + 3, "open")) == {"citizen"}


def test_a_demo_that_is_left_alone_has_its_incident_within_two_minutes() -> None:
    """The camera's own analysis of the drawn room finds the citizen who waits alone, and nothing else."""
    scene, stage, motion = Scene(), Stage(), Motion(ZONES)
    names = iter(map(str, range(100)))
    incidents = Incidents(waiting_s=Timing().waiting_s, absent_s=120, crowd=5, new_id=lambda: next(names))
    incidents.allow(KINDS, 0)
    counter = Counter(open=True, zones=frozenset(zone.name for zone in ZONES))
    begun, ended = {}, {}
    for tick in range(round(120 / STEP_S)):
        picture = scene.draw(tick * STEP_S, stage.step(STEP_S, "open"))
        y = np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2YUV_I420), np.uint8)[:480]
        at_ms = round(tick * STEP_S * 1000)
        seen = Seen(at_ms=at_ms, motion=motion.look(shrink(y)), people=None, faults=frozenset(), now=None)
        changes = incidents.look(seen, counter)
        begun |= {one.incident.kind: at_ms for one in changes if isinstance(one, Started)}
        ended |= {one.incident.kind: at_ms for one in changes if isinstance(one, Ended)}
    assert begun.keys() == {"waiting_alone"}
    assert 60_000 < begun["waiting_alone"] < 90_000
    assert ended["waiting_alone"] < 110_000  # so that its recording is there soon, too
