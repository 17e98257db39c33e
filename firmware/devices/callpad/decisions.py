"""What an officer's call pad decides: which request a key sends, and what its lights say meanwhile. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from contract.events import CallpadPanic
from contract.requests import Action, Args, Reply
from contract.states import CallpadDesired, CallpadReported
from firmware.devices.callpad.config import CallpadConfig
from firmware.devices.debounce import Debounce, Edge, Outcome, Pressed, Reading, Released, Stuck, Together, ToRead
from firmware.devices.gpio import Read
from firmware.devices.lamps import STEADY, Lamps, Pattern
from firmware.ports import Ask, Drive, Effect, Record, Report

REFUSED = Pattern(150, 150, times=2)
"""The key's own light, two short blinks: the center said no."""
NOBODY_WAITS = Pattern(800, 800)
"""The light of next, slowly: the line is empty, until somebody takes a number."""
NO_CONTACT = Pattern(170, 170, times=5)
"""All lights together, fast: nobody answered, nothing is known to have happened. No faster than the rating pad's."""
OFFLINE = Pattern(50, 2950)
"""The last key's light, a short flash every three seconds: there is no contact to the center."""

QUEUE_EMPTY = "queue_empty"

ALONE_MS = 150
"""So long a panic key waits for another one before it asks for its own action: a call for help must call nobody up."""
TOGETHER_MS = 1000
"""Keys that went down further apart were not pressed together: one of them may be stuck."""


@dataclass(frozen=True, slots=True)
class _Pending:
    request_id: str
    key: str
    until_ms: int


class CallpadDecisions:
    """One pad: one request at a time, and no light that is not the center's word."""

    def __init__(self, config: CallpadConfig, new_id: Callable[[], str]) -> None:
        self._config = config
        self._new_id = new_id
        keys = config.keys()
        self._key_of = {key.pin: name for name, key in keys.items()}
        self._led_of = {name: key.led for name, key in keys.items()}
        self._offline_led = list(self._led_of.values())[-1]
        self._debounce = Debounce(self._key_of, debounce_ms=config.debounce_ms, stuck_after_ms=config.stuck_after_ms)
        self._lamps = Lamps(self._led_of.values())
        self._desired: CallpadDesired | None = None
        self._up = False
        self._pending: _Pending | None = None
        self._refused: tuple[str, int] | None = None  # key, until
        self._no_contact_until_ms: int | None = None
        self._locked_until_ms: int | None = None
        self._nobody_waits = False
        self._unanswered = False
        self._stuck: set[str] = set()
        self._panic_pins = [keys[name].pin for name in config.panic_keys]
        self._may_panic = False  # since one of those keys was seen to be up: what is down from the start is a fault
        self._panic_due_ms: int | None = None
        self._waits_alone: tuple[str, int] | None = None  # a panic key, and until when another one may come
        self._reported: CallpadReported | None = None

    # --- what happens --------------------------------------------------------------------------------------------

    def on_start(self, now_ms: int) -> Sequence[Effect]:
        """Ask for every contact's level and report."""
        self._lamps.forget()
        self._stuck.clear()
        self._may_panic, self._panic_due_ms, self._waits_alone = False, None, None
        return self._decide(self._debounce.start(), now_ms)

    def on_signal(self, signal: Edge | Reading, now_ms: int) -> Sequence[Effect]:
        """Take an edge or a reading."""
        if isinstance(signal, Edge):
            return self._decide(self._debounce.edge(signal, now_ms), now_ms)
        return self._decide(self._debounce.reading(signal, now_ms), now_ms)

    def on_desired(self, desired: CallpadDesired, now_ms: int) -> Sequence[Effect]:
        """Show what the counter is now."""
        self._desired = desired
        if desired.waiting > 0 or desired.state in ("closed", "paused"):
            self._nobody_waits = False
        return self._decide((), now_ms)

    def on_reply(self, reply: Reply, now_ms: int) -> Sequence[Effect]:
        """Take the answer to the pending request; one that comes later says nothing that `desired` does not."""
        pending = self._pending
        if pending is None or reply.id != pending.request_id:
            return ()
        self._pending = None
        self._unanswered = False
        if reply.ok:
            if pending.key == "next":
                self._locked_until_ms = now_ms + self._config.lockout_ms
        elif reply.code == QUEUE_EMPTY and pending.key == "next":
            self._nobody_waits = True
        else:
            self._refused = (pending.key, now_ms + _length_ms(REFUSED))
        return self._decide((), now_ms)

    def on_link(self, *, up: bool, now_ms: int) -> Sequence[Effect]:
        """Put out the lights that would be stale without contact; an answer that is awaited will not come."""
        self._up = up
        if not up and self._pending is not None:
            self._give_up(now_ms)
        return self._decide((), now_ms)

    def on_time(self, now_ms: int) -> Sequence[Effect]:
        """Settle contacts, switch lights, give up on an answer."""
        return self._decide(self._debounce.on_time(now_ms), now_ms)

    def deadline_ms(self) -> int | None:
        """When something ends, switches or settles."""
        dues = [
            self._debounce.deadline_ms(),
            self._lamps.deadline_ms(),
            self._pending.until_ms if self._pending else None,
            self._refused[1] if self._refused else None,
            self._no_contact_until_ms,
            self._locked_until_ms,
            self._panic_due_ms,
            self._waits_alone[1] if self._waits_alone else None,
        ]
        return min((due for due in dues if due is not None), default=None)

    # --- a press -------------------------------------------------------------------------------------------------

    def _decide(self, outcomes: Sequence[Outcome], now_ms: int) -> Sequence[Effect]:
        self._end_what_is_over(now_ms)
        effects: list[Effect] = []
        for outcome in outcomes:
            match outcome:
                case ToRead(pin):
                    effects.append(Drive(Read(pin)))
                case Pressed(pin):
                    effects.extend(self._on_key(pin, now_ms))
                case Together(pins):
                    if set(pins) & set(self._panic_pins):
                        self._waits_alone = None
                case Stuck(pin):
                    self._stuck.add(self._key_of[pin])
                case Released(pin):
                    self._stuck.discard(self._key_of[pin])
                    if self._waits_alone is not None and self._waits_alone[0] == self._key_of[pin]:
                        effects.extend(self._act_alone(now_ms))
        if self._waits_alone is not None and now_ms >= self._waits_alone[1]:
            effects.extend(self._act_alone(now_ms))
        effects.extend(self._look_for_panic(now_ms))
        effects.extend(self._lamps.show(self._patterns(), now_ms))
        state = CallpadReported(revision=self._desired.revision if self._desired else 0, trouble=self._trouble())
        if state != self._reported:
            self._reported = state
            effects.append(Report(state))
        return effects

    def _on_key(self, pin: int, now_ms: int) -> Sequence[Effect]:
        """Take a press; one of a panic key waits a little, whether it is a call for help."""
        if pin not in self._panic_pins:
            return self._on_press(self._key_of[pin], now_ms)
        others = [other for other in self._panic_pins if other != pin]
        if any(self._debounce.closed_ms(other) is not None for other in others):
            self._waits_alone = None  # a hand on several keys asks for nothing
        else:
            self._waits_alone = (self._key_of[pin], now_ms + ALONE_MS)
        return ()

    def _act_alone(self, now_ms: int) -> Sequence[Effect]:
        key, self._waits_alone = self._waits_alone, None
        return self._on_press(key[0], now_ms) if key is not None else ()

    def _look_for_panic(self, now_ms: int) -> Sequence[Effect]:
        """Tell a panic once its keys have been down together for long enough. No light says so: it is silent."""
        self._panic_due_ms = None
        if any(self._debounce.is_open(pin) for pin in self._panic_pins):
            self._may_panic = True
            return ()
        down = [since for pin in self._panic_pins if (since := self._debounce.closed_ms(pin)) is not None]
        together = len(down) == len(self._panic_pins) > 0 and max(down) - min(down) <= TOGETHER_MS
        if not together or not self._may_panic or self._stuck & set(self._config.panic_keys):
            return ()
        due_ms = max(down) + self._config.panic_hold_ms
        if now_ms < due_ms:
            self._panic_due_ms = due_ms
            return ()
        self._may_panic = False  # until one of them is let go
        return (Record(CallpadPanic(held_ms=now_ms - max(down))),)

    def _on_press(self, key: str, now_ms: int) -> Sequence[Effect]:
        if self._pending is not None or (key == "next" and self._locked_until_ms is not None):
            return ()
        self._refused = None
        self._no_contact_until_ms = None
        if not self._up or self._desired is None:
            # Without the counter's revision the center could not tell a press that was held back from a new one.
            self._no_contact_until_ms = now_ms + _length_ms(NO_CONTACT)
            return ()
        self._nobody_waits = False
        within_ms = self._config.answer_within_ms
        self._pending = _Pending(self._new_id(), key, now_ms + within_ms)
        return [
            Ask(
                request_id=self._pending.request_id,
                action=self._action(key, self._desired),
                args=Args(),
                seen=self._desired.revision,
                expires_in_ms=within_ms,
            )
        ]

    def _action(self, key: str, desired: CallpadDesired) -> Action:
        match key:
            case "next":
                return "call_next"
            case "recall":
                return "recall"
            case "no_show":
                return "no_show"
            case _:
                return "open" if desired.state in ("paused", "closed") else "pause"

    def _end_what_is_over(self, now_ms: int) -> None:
        if self._pending is not None and now_ms >= self._pending.until_ms:
            self._give_up(now_ms)
        if self._refused is not None and now_ms >= self._refused[1]:
            self._refused = None
        if self._no_contact_until_ms is not None and now_ms >= self._no_contact_until_ms:
            self._no_contact_until_ms = None
        if self._locked_until_ms is not None and now_ms >= self._locked_until_ms:
            self._locked_until_ms = None

    def _give_up(self, now_ms: int) -> None:
        self._pending = None
        self._unanswered = True
        self._no_contact_until_ms = now_ms + _length_ms(NO_CONTACT)

    # --- what it looks like --------------------------------------------------------------------------------------

    def _patterns(self) -> dict[int, Pattern]:
        if self._pending is not None:
            return {self._led_of[self._pending.key]: STEADY}
        if self._no_contact_until_ms is not None:
            return dict.fromkeys(self._led_of.values(), NO_CONTACT)
        if not self._up or self._desired is None:
            return {self._offline_led: OFFLINE}
        patterns = {self._led_of[key]: STEADY for key in self._possible(self._desired) if key in self._led_of}
        if self._nobody_waits:
            patterns[self._led_of["next"]] = NOBODY_WAITS
        if self._refused is not None:
            patterns[self._led_of[self._refused[0]]] = REFUSED
        return patterns

    def _possible(self, desired: CallpadDesired) -> Sequence[str]:
        """Return the keys that make sense now: their lights are steady."""
        keys = []
        if desired.waiting > 0 and desired.state in ("open", "calling", "serving"):
            keys.append("next")
        if desired.state == "calling":
            keys += ["recall", "no_show"]
        if desired.state == "paused":
            keys.append("pause")
        return keys

    def _trouble(self) -> str | None:
        if self._stuck:
            return f"stuck:{min(self._stuck)}"
        return "no_answer" if self._unanswered else None


def _length_ms(pattern: Pattern) -> int:
    return (pattern.on_ms + pattern.off_ms) * (pattern.times or 1)
