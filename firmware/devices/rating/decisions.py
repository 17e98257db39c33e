"""What a rating pad decides: when a press counts, what is recorded, what the lights and the tone say. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from contract.events import RatingGiven, RatingIgnored
from contract.requests import Reply
from contract.states import RatingDesired, RatingReported
from firmware.devices.debounce import Debounce, Edge, Outcome, Pressed, Reading, Released, Stuck, Together, ToRead
from firmware.devices.gpio import Echo, Read, Switch
from firmware.devices.lamps import STEADY, Lamps, Pattern, once
from firmware.devices.rating.config import RatingConfig
from firmware.devices.throttle import Throttle
from firmware.ports import Drive, Effect, Record, Report

INVITING = Pattern(600, 600)
"""All lights, slowly: please rate."""
FAILING = Pattern(170, 170)
"""All lights, fast and without a tone: this press was not stored, please press again. Slower than three
flashes a second: faster ones can hurt people with epilepsy."""
FAILING_MS = 2000
TONE_MS = 120
LATE_MS = 5000
"""A press this long after the window is told apart from one out of the blue: the window may be too short."""
REPORT_EVERY_MS = 2000
"""Counts alone are reported no oftener than this."""

Why = Literal["not_armed", "repeated", "late", "stuck", "together"]


@dataclass(frozen=True, slots=True)
class Kept:
    """The record of a rating is committed. Comes back through the driver."""

    ticket: str | None
    level: int


@dataclass(frozen=True, slots=True)
class NotKept:
    """The record of a rating could not be committed."""


Signal = Edge | Reading | Kept | NotKept


@dataclass(slots=True)
class _Window:
    ticket: str
    opened_ms: int
    until_ms: int


class RatingDecisions:
    """One pad: a ticket opens a window, the first press in it counts, the light comes after the commit."""

    def __init__(self, config: RatingConfig, memory: Mapping[str, str]) -> None:
        self._config = config
        self._level_of = {button.pin: button.level for button in config.buttons}
        self._led_of = {button.level: button.led for button in config.buttons if button.led is not None}
        self._debounce = Debounce(self._level_of, debounce_ms=config.debounce_ms, stuck_after_ms=config.stuck_after_ms)
        outputs = [*self._led_of.values(), *([] if config.buzzer is None else [config.buzzer])]
        self._lamps = Lamps(outputs)
        self._throttles: dict[Why, Throttle] = {}
        self._presses = {level: _count(memory.get(f"presses.{level}")) for level in sorted(self._level_of.values())}
        self._rated_ticket = memory.get("rated_ticket")
        self._rated_level = _count(memory.get("rated_level"))
        self._desired: RatingDesired | None = None
        self._window: _Window | None = None
        self._storing: RatingGiven | None = None
        self._thanks: tuple[int, int] | None = None  # level, until
        self._tone_until_ms: int | None = None
        self._failing_until_ms: int | None = None
        self._locked_until_ms: int | None = None
        self._stuck: set[int] = set()
        self._store_failed = False
        self._reported: RatingReported | None = None
        self._reported_ms = 0
        self._now_ms = 0

    # --- what happens --------------------------------------------------------------------------------------------

    def on_start(self, now_ms: int) -> Sequence[Effect]:
        """Ask for every contact's level and report."""
        self._lamps.forget()
        self._stuck.clear()
        if self._storing is not None:
            # The lines were lost before the echo of a record came: it may be kept, so its ticket takes no other one.
            self._rated_level = self._storing.level
            self._rated_ticket = self._storing.ticket or self._rated_ticket
            self._storing = None
        return self._decide(self._debounce.start(), now_ms)

    def on_signal(self, signal: Signal, now_ms: int) -> Sequence[Effect]:
        """Take an edge, a reading, or the echo of a record."""
        outcomes: Sequence[Outcome] = ()
        match signal:
            case Edge():
                outcomes = self._debounce.edge(signal, now_ms)
            case Reading():
                outcomes = self._debounce.reading(signal, now_ms)
            case Kept(ticket, level):
                self._on_kept(ticket, level, now_ms)
            case NotKept():
                self._storing = None
                self._store_failed = True
                self._failing_until_ms = now_ms + FAILING_MS
        return self._decide(outcomes, now_ms)

    def on_desired(self, desired: RatingDesired, now_ms: int) -> Sequence[Effect]:
        """Open or close the window. A ticket opens it once: to hear of it again neither reopens nor extends it."""
        before = self._desired.armed if self._desired else None
        self._desired = desired
        if desired.armed is None:
            if self._window is not None:
                self._window.until_ms = min(self._window.until_ms, now_ms)
        elif before is None or before.ticket != desired.armed.ticket:
            self._window = _Window(desired.armed.ticket, now_ms, now_ms + desired.armed.seconds * 1000)
        return self._decide((), now_ms)

    def on_reply(self, reply: Reply, now_ms: int) -> Sequence[Effect]:
        """Do nothing: a pad asks for nothing."""
        return ()

    def on_link(self, *, up: bool, now_ms: int) -> Sequence[Effect]:
        """Do nothing: a pad works alone, the outbox keeps what it hears."""
        return ()

    def on_time(self, now_ms: int) -> Sequence[Effect]:
        """Settle contacts, switch lights, end windows."""
        return self._decide(self._debounce.on_time(now_ms), now_ms)

    def deadline_ms(self) -> int | None:
        """When something ends, switches or settles."""
        if self._storing is not None:
            return self._debounce.deadline_ms()
        dues = [
            self._debounce.deadline_ms(),
            self._lamps.deadline_ms(),
            self._window.until_ms if self._window is not None and self._inviting else None,
            self._thanks[1] if self._thanks else None,
            self._tone_until_ms,
            self._failing_until_ms,
            self._locked_until_ms,
            self._reported_ms + REPORT_EVERY_MS if self._reported != self._state() else None,
        ]
        return min((due for due in dues if due is not None), default=None)

    # --- a press -------------------------------------------------------------------------------------------------

    def _decide(self, outcomes: Sequence[Outcome], now_ms: int) -> Sequence[Effect]:
        effects: list[Effect] = []
        for outcome in outcomes:
            match outcome:
                case ToRead(pin):
                    effects.append(Drive(Read(pin)))
                case Pressed(pin, closed_ms):
                    effects.extend(self._on_press(self._level_of[pin], closed_ms, now_ms))
                case Together(pins):
                    for pin in pins:
                        self._presses[self._level_of[pin]] += 1
                    effects.extend(self._ignore("together", None, now_ms))
                case Stuck(pin):
                    self._stuck.add(self._level_of[pin])
                    effects.extend(self._ignore("stuck", self._level_of[pin], now_ms))
                case Released(pin):
                    self._stuck.discard(self._level_of[pin])
        self._end_what_is_over(now_ms)
        if self._storing is not None:
            return effects  # the record's own effects switch the lights; its echo comes next
        effects.extend(self._lamps.show(self._patterns(), now_ms))
        effects.extend(self._report(now_ms))
        return effects

    def _on_press(self, level: int, closed_ms: int, now_ms: int) -> Sequence[Effect]:
        self._presses[level] += 1
        why = self._why_not(closed_ms)
        if why is None:
            return [self._give(level, closed_ms, now_ms)]
        if why == "repeated" and self._storing is None and self._rated_level:
            self._thanks = (self._rated_level, now_ms + self._config.thanks_ms)
        return self._ignore(why, level, now_ms)

    def _why_not(self, closed_ms: int) -> Why | None:
        """Return why a press that began at `closed_ms` does not count, or None if it does."""
        if self._storing is not None:
            return "repeated"
        if self._config.mode == "open":
            return "repeated" if self._locked_until_ms is not None and closed_ms < self._locked_until_ms else None
        window = self._window
        if window is None or not window.opened_ms <= closed_ms < window.until_ms + LATE_MS:
            return "not_armed"
        if window.ticket == self._rated_ticket:
            return "repeated"
        return None if closed_ms < window.until_ms else "late"

    def _give(self, level: int, closed_ms: int, now_ms: int) -> Record:
        window = self._window
        for_ticket = (
            window is not None
            and window.opened_ms <= closed_ms < window.until_ms
            and window.ticket != self._rated_ticket
        )
        ticket = window.ticket if window is not None and for_ticket else None
        given = RatingGiven(
            level=level,
            scale=self._config.scale,
            ticket=ticket,
            armed_for_ms=closed_ms - window.opened_ms if window is not None and for_ticket else None,
            pressed_ms=max(0, now_ms - closed_ms),
        )
        self._storing = given
        remember = self._counts()
        if ticket is not None:
            remember |= {"rated_ticket": ticket, "rated_level": str(level)}
        thanks = [Drive(Switch(led, on=other == level)) for other, led in self._led_of.items()]
        if self._config.buzzer is not None:
            thanks.append(Drive(Switch(self._config.buzzer, on=True)))
        return Record(
            given,
            remember=remember,
            then=(Drive(Echo(Kept(ticket, level))), *thanks),
            otherwise=(Drive(Echo(NotKept())),),
        )

    def _on_kept(self, ticket: str | None, level: int, now_ms: int) -> None:
        self._storing = None
        self._store_failed = False
        self._failing_until_ms = None
        self._rated_level = level
        if ticket is not None:
            self._rated_ticket = ticket
        self._thanks = (level, now_ms + self._config.thanks_ms)
        self._tone_until_ms = now_ms + TONE_MS
        if self._config.mode == "open":
            self._locked_until_ms = now_ms + self._config.lockout_ms

    def _ignore(self, why: Why, level: int | None, now_ms: int) -> Sequence[Effect]:
        if why != "stuck":  # a stuck contact says so once by itself
            throttle = self._throttles.setdefault(why, Throttle(first_ms=2000, longest_ms=60_000))
            if not throttle.passes(now_ms):
                return ()
        return [Record(RatingIgnored(why=why, level=level), remember=self._counts())]

    # --- what it looks like --------------------------------------------------------------------------------------

    @property
    def _inviting(self) -> bool:
        """Whether the window is open for a first press; exact once `_end_what_is_over` has run."""
        window = self._window
        return window is not None and window.ticket != self._rated_ticket and self._now_ms < window.until_ms

    def _end_what_is_over(self, now_ms: int) -> None:
        self._now_ms = now_ms
        if self._thanks is not None and now_ms >= self._thanks[1]:
            self._thanks = None
        if self._tone_until_ms is not None and now_ms >= self._tone_until_ms:
            self._tone_until_ms = None
        if self._failing_until_ms is not None and now_ms >= self._failing_until_ms:
            self._failing_until_ms = None
        if self._locked_until_ms is not None and now_ms >= self._locked_until_ms:
            self._locked_until_ms = None

    def _patterns(self) -> dict[int, Pattern]:
        leds = self._led_of.values()
        patterns: dict[int, Pattern] = {}
        if self._failing_until_ms is not None:
            patterns = dict.fromkeys(leds, FAILING)
        elif self._thanks is not None:
            led = self._led_of.get(self._thanks[0])
            patterns = {} if led is None else {led: STEADY}
        elif self._inviting:
            patterns = dict.fromkeys(leds, INVITING)
        elif self._config.mode == "open" and self._locked_until_ms is None:
            patterns = dict.fromkeys(leds, STEADY)
        if self._tone_until_ms is not None and self._config.buzzer is not None:
            patterns[self._config.buzzer] = once(TONE_MS)
        return patterns

    def _state(self) -> RatingReported:
        trouble = "not_stored" if self._store_failed else None
        if self._stuck:
            trouble = f"stuck:{min(self._stuck)}"
        return RatingReported(
            revision=self._desired.revision if self._desired else 0,
            armed=self._window.ticket if self._window is not None and self._inviting else None,
            presses={str(level): count for level, count in self._presses.items()},
            trouble=trouble,
        )

    def _report(self, now_ms: int) -> Sequence[Effect]:
        state, before = self._state(), self._reported
        if state == before:
            return ()
        counts_only = before is not None and (state.revision, state.armed, state.trouble) == (
            before.revision,
            before.armed,
            before.trouble,
        )
        if counts_only and now_ms < self._reported_ms + REPORT_EVERY_MS:
            return ()
        self._reported, self._reported_ms = state, now_ms
        return [Report(state)]

    def _counts(self) -> dict[str, str]:
        return {f"presses.{level}": str(count) for level, count in self._presses.items()}


def _count(text: str | None) -> int:
    return int(text) if text is not None and text.isdecimal() else 0
