"""Who stands before the demo's camera: people come and go by what happens at the counter. Pure.

While a number is called or served the officer is there, and with the service the citizen. While the counter is open and
nobody is called, a citizen comes who has no number yet, when the officer is out: after a minute or so the camera tells.
"""

from collections.abc import Sequence

from simulator.plot import Doing
from simulator.scene import Person

WALK_S = 2.5
"""From outside the picture to the desk."""
BUSY_S = 30.0
"""After a service the officer works on at the desk for so long."""
ALONE_S = 85.0
"""So long a citizen waits alone, unless somebody is called before. A camera without a network needs 60 s to take a
place where nothing moves for an empty one; the rest is for `waiting_s`, and for its recording to show how it ends."""
HELPED_S = 20.0
FIRST_S = 8.0
"""The room is empty for so long at first: a camera has to see it before it can tell what moves."""
_STEP_BACK = 0.2
_STEP_BACK_S = 2.0
_EVERY_S = {"citizen": 11.0, "officer": 17.0}  # nobody stands like a post


class Stage:
    """The room before the lens, from instant to instant."""

    def __init__(self) -> None:
        self._officer = 0.0
        self._citizen = 0.0
        self._look = 0
        self._s = 0.0
        self._open_s = BUSY_S  # of the story while nobody is called; it begins with an empty desk

    def step(self, seconds: float, doing: Doing) -> Sequence[Person]:
        """Let time pass; return who is in the picture then."""
        self._s += seconds
        if self._s < FIRST_S:
            return []
        officer, citizen = self._wanted(seconds, doing)
        if self._citizen == 0.0 and citizen:
            self._look += 1  # somebody else than before
        self._officer = _towards(self._officer, officer * self._restless("officer"), seconds / WALK_S)
        self._citizen = _towards(self._citizen, citizen * self._restless("citizen"), seconds / WALK_S)
        people = [Person("officer", self._officer), Person("citizen", self._citizen, look=self._look)]
        return [person for person in people if person.at > 0.0]

    def _restless(self, who: str) -> float:
        """Return where at the desk somebody stands now: a step back every now and then."""
        return 1.0 - _STEP_BACK * (self._s % _EVERY_S[who] < _STEP_BACK_S)

    def _wanted(self, seconds: float, doing: Doing) -> tuple[bool, bool]:
        """Return whether the officer and a citizen should be at the desk."""
        match doing:
            case "closed" | "paused":
                self._open_s = BUSY_S
                return False, False
            case "called" | "serving":
                self._open_s = 0.0
                return True, doing == "serving"
            case _:
                self._open_s = (self._open_s + seconds) % (BUSY_S + ALONE_S + HELPED_S)
                alone = self._open_s >= BUSY_S
                helped = self._open_s >= BUSY_S + ALONE_S
                return not alone or helped, alone


def _towards(at: float, wanted: float, step: float) -> float:
    """Go a step of the way, and no further."""
    return min(at + step, wanted) if at < wanted else max(at - step, wanted)
