"""The drawn counter: who is said to be there can be seen there."""

import cv2
import numpy as np
import pytest

from contract.states import Zone
from simulator.scene import ZONES, Person, Scene

SIZE = (640, 480)


def share_changed(zone: Zone, before: np.ndarray, after: np.ndarray) -> float:
    """Return how much of a zone looks other than before, noise left out."""
    inside = np.zeros(SIZE[::-1], np.uint8)
    cv2.fillPoly(inside, [np.array([(x * SIZE[0], y * SIZE[1]) for x, y in zone.points], np.int32)], 1)
    changed = cv2.absdiff(before, after).max(axis=2) > 40
    return float(changed[inside == 1].mean())


@pytest.mark.parametrize("zone", ZONES, ids=lambda zone: zone.name)
def test_somebody_stands_in_the_zone_of_the_same_name_and_in_no_other(zone: Zone) -> None:
    """A citizen changes the citizen's zone only, an officer the officer's."""
    scene = Scene(*SIZE)
    empty = scene.draw(0.0, [])
    for who in ZONES:
        with_one = scene.draw(0.0, [Person("officer" if who.name == "officer" else "citizen", at=1.0)])
        share = share_changed(zone, empty, with_one)
        assert share > 0.1 if who is zone else share < 0.01


def test_who_is_out_of_the_picture_is_not_seen() -> None:
    """At 0 of the way nobody is there yet."""
    scene = Scene(*SIZE)
    empty, outside = scene.draw(0.0, []), scene.draw(0.0, [Person("citizen", at=0.0), Person("officer", at=0.0)])
    assert sum(share_changed(zone, empty, outside) for zone in ZONES) < 0.02


def test_no_two_pictures_are_the_same() -> None:
    """The sensor's noise tells a picture of an empty room from a frozen one."""
    scene = Scene(*SIZE)
    assert not np.array_equal(scene.draw(0.0, []), scene.draw(0.0, []))
