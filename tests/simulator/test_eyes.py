"""What people can see of panels and lights, and what they must not take for something else."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from simulator.eyes import PadEyes, PanelEyes
from simulator.hands import Board, PinChange

MS = 1_000_000
LEDS = {1: 5, 2: 6, 3: 13}


@dataclass
class Text:
    """A change of a panel's glass."""

    text: str
    at_ns: int


@dataclass
class Glass:
    """A panel with a history."""

    history: list[Text] = field(default_factory=list)


class Now:
    """A clock that is set by hand."""

    ns = 0

    def __call__(self) -> int:
        """Return the time that was set."""
        return self.ns


@pytest.fixture
def now() -> Now:
    """The time."""
    return Now()


def read(glass: Glass, now: Now, *texts: tuple[str, int]) -> PanelEyes:
    """Let one panel show these texts at these milliseconds, looked at all the time."""
    eyes = PanelEyes({"q01": glass}, clock_ns=now)
    for text, at_ms in texts:
        now.ns = at_ms * MS
        eyes.look()
        glass.history.append(Text(text, at_ms * MS))
        eyes.look()
    now.ns += 1000 * MS
    eyes.look()
    return eyes


def test_a_number_is_seen_when_it_came_up(now: Now) -> None:
    """A number that stands on a panel is seen, with the time of its coming up and not of the look."""
    eyes = read(Glass(), now, ("-----", 0), ("MỜI SỐ A007\nĐẾN QUẦY 1", 100))
    assert [(seen.number, seen.at_ns) for seen in eyes.sightings] == [("A007", 100 * MS)]
    assert eyes.number_at("q01") == "A007"


def test_a_panel_between_two_texts_is_not_read(now: Now) -> None:
    """What stands for a few milliseconds while a panel is being written is nobody's number."""
    eyes = read(Glass(), now, ("A005", 0), ("B005", 100), ("B007", 104))
    assert [seen.number for seen in eyes.sightings] == ["A005", "B007"]


def test_a_number_that_comes_up_again_is_seen_again(now: Now) -> None:
    """A number that went away and came back is seen anew: it may be another call."""
    eyes = read(Glass(), now, ("A005", 0), ("-----", 100), ("A005", 300))
    assert [seen.at_ns for seen in eyes.sightings] == [0, 300 * MS]
    first = eyes.first_since("q01", "A005", 1 * MS)
    assert first is not None
    assert first.at_ns == 300 * MS


def test_a_resting_panel_shows_no_number(now: Now) -> None:
    """Dashes and words are no number."""
    eyes = read(Glass(), now, ("A005", 0), ("QUẦY 1\nXIN CHỜ GỌI SỐ", 100))
    assert eyes.number_at("q01") is None


async def _wait_for_anew(now: Now) -> str:
    glass = Glass([Text("A005", 0)])
    eyes = PanelEyes({"q01": glass, "q02": Glass()}, clock_ns=now)
    now.ns = 50 * MS
    looking = asyncio.create_task(eyes.run())
    waiting = asyncio.create_task(eyes.next_sighting("A005", after_ns=10 * MS))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    glass.history += [Text("-----", 60 * MS), Text("A005", 90 * MS)]
    now.ns = 200 * MS
    seen = await asyncio.wait_for(waiting, 5)
    looking.cancel()
    return f"{seen.counter} {seen.at_ns // MS}"


def test_who_waits_for_a_number_does_not_take_an_old_call_for_a_new_one(now: Now) -> None:
    """A citizen waits until the number comes up after the moment from which it matters."""
    assert asyncio.run(_wait_for_anew(now)) == "q01 90"


# --- the lights of a rating pad --------------------------------------------------------------------------------------


class Lights(Board):
    """A board whose pins are set by hand."""

    def __init__(self, now: Now) -> None:
        super().__init__(Path("nowhere"))
        self._now = now
        self.on = True

    @property
    def powered(self) -> bool:
        """Whether it has power."""
        return self.on

    def set(self, *levels: int, at_ms: int) -> None:
        """Light exactly these levels."""
        self._now.ns = at_ms * MS
        for level, pin in LEDS.items():
            if self.lit(pin) != (level in levels):
                self._notice(PinChange(pin, level in levels, self._now.ns))


@pytest.fixture
def pad(now: Now) -> tuple[Lights, PadEyes]:
    """A dark pad and who looks at it."""
    lights = Lights(now)
    return lights, PadEyes(lights, LEDS, clock_ns=now)


def _at(now: Now, ms: int, look: Callable[[], object]) -> object:
    now.ns = ms * MS
    return look()


def test_all_lights_together_invite(now: Now, pad: tuple[Lights, PadEyes]) -> None:
    """A pad invites from the moment on at which all its lights stand."""
    lights, eyes = pad
    lights.set(1, 2, 3, at_ms=100)
    assert _at(now, 101, eyes.inviting_since) is None
    assert _at(now, 200, eyes.inviting_since) == 100 * MS


def test_an_invitation_goes_on_over_its_blinking(now: Now, pad: tuple[Lights, PadEyes]) -> None:
    """The dark half of an invitation's blinking is not its end."""
    lights, eyes = pad
    lights.set(1, 2, 3, at_ms=0)
    lights.set(at_ms=600)
    lights.set(1, 2, 3, at_ms=1200)
    assert _at(now, 1300, eyes.inviting_since) == 0


def test_what_was_dark_for_long_invites_anew(now: Now, pad: tuple[Lights, PadEyes]) -> None:
    """Lights after a longer darkness are a new invitation."""
    lights, eyes = pad
    lights.set(1, 2, 3, at_ms=0)
    lights.set(at_ms=600)
    assert _at(now, 1500, eyes.inviting_since) is None
    lights.set(1, 2, 3, at_ms=1600)
    assert _at(now, 1700, eyes.inviting_since) == 1600 * MS


@pytest.mark.parametrize(("out_ms", "again_ms"), [(300, 500), (300, 900), (600, 800)])
def test_a_break_in_the_rhythm_is_a_new_invitation(
    now: Now, pad: tuple[Lights, PadEyes], out_ms: int, again_ms: int
) -> None:
    """Lights that go out before their time, or come back before it, were put out and invite somebody else."""
    lights, eyes = pad
    lights.set(1, 2, 3, at_ms=0)
    lights.set(at_ms=out_ms)
    lights.set(1, 2, 3, at_ms=again_ms)
    assert _at(now, again_ms + 100, eyes.inviting_since) == again_ms * MS


def test_one_light_alone_says_stored(now: Now, pad: tuple[Lights, PadEyes]) -> None:
    """The light of one level alone is the pad's word, from when it stood alone; it ends the invitation."""
    lights, eyes = pad
    lights.set(1, 2, 3, at_ms=0)
    _at(now, 100, eyes.inviting_since)
    lights.set(3, at_ms=200)
    assert _at(now, 210, eyes.stored) is None
    assert _at(now, 260, eyes.stored) == (3, 200 * MS)
    assert eyes.inviting_since() is None


def test_lights_that_come_on_one_after_the_other_say_nothing(now: Now, pad: tuple[Lights, PadEyes]) -> None:
    """While lights are being switched one by one, a single one means nothing."""
    lights, eyes = pad
    lights.set(1, at_ms=100)
    lights.set(1, 2, at_ms=101)
    lights.set(1, 2, 3, at_ms=102)
    assert _at(now, 300, eyes.stored) is None
    assert eyes.inviting_since() == 102 * MS


def test_without_power_there_is_neither(now: Now, pad: tuple[Lights, PadEyes]) -> None:
    """A pad without power neither invites nor confirms."""
    lights, eyes = pad
    lights.set(3, at_ms=0)
    lights.on = False
    assert _at(now, 500, eyes.stored) is None
    assert eyes.inviting_since() is None
