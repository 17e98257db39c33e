"""A finger that presses as fast as the pad confirms, and notes each confirmation. Runs inside the virtual machine.

    presses.py COUNT BUTTON:LAMP BUTTON:LAMP ...      lines of the board, level 1 first

It holds a button until its lamp is the only one that is lit, which a pad shows for a stored press alone.
"""

import itertools
import sys
import time

from hand import CHIP, EYE_EVERY_S, Lamps
from witness import Witness

UNHEARD_S = 60
RELEASED_S = 0.03
"""The contact rests open before the next one closes: two at once are nobody's rating."""


def pull(button: int, towards: str) -> None:
    """Open or close a contact."""
    (CHIP / f"sim_gpio{button}" / "pull").write_text(towards)


def main() -> None:
    """Press one button after the other, so many times."""
    count = int(sys.argv[1])
    pairs = [tuple(map(int, pair.split(":"))) for pair in sys.argv[2:]]
    lamps = [lamp for _, lamp in pairs]
    witness, eye = Witness(), Lamps(lamps)
    for level, (button, own) in itertools.islice(itertools.cycle(enumerate(pairs, start=1)), count):
        unheard_s = time.monotonic() + UNHEARD_S
        pull(button, "pull-down")
        while not all(eye.lit(lamp) is (lamp == own) for lamp in lamps):
            if time.monotonic() > unheard_s:
                raise SystemExit(f"a press of level {level} was not confirmed in {UNHEARD_S} s")
            time.sleep(EYE_EVERY_S)
        witness.note(level=level)
        pull(button, "pull-up")
        time.sleep(RELEASED_S)


if __name__ == "__main__":
    main()
