"""What a display shows and when: pure, so a stale number is a matter of reasoning and not of timing."""

from collections.abc import Mapping, Sequence
from typing import Any

from contract.events import DisplayShown
from contract.requests import Reply
from contract.states import DisplayDesired, DisplayReported
from firmware.devices.display.signs import PortBack, PortLost, Show, Shown, Sign
from firmware.ports import Drive, Effect, Record, Report

GRACE_MS = 3_000
"""How long a starting display waits for the center's word before it replaces whatever the panel still shows."""

SHOWN_KEY = "display.shown"
COUNTER_KEY = "display.counter"


class DisplayDecisions:
    """Desired state in, signs out; the latest wins, and no number outlives contact by more than `stale_after_ms`."""

    def __init__(self, *, stale_after_ms: int, memory: Mapping[str, str]):
        self._stale_after_ms = stale_after_ms
        self._counter = memory.get(COUNTER_KEY, "")
        self._recorded = memory.get(SHOWN_KEY, "")
        self._desired: DisplayDesired | None = None
        self._kept: DisplayDesired | None = None  # heard without contact
        self._in_effect = 0
        self._stale = False
        self._linked = False
        self._deadline_ms: int | None = None

    def on_start(self, now_ms: int) -> Sequence[Effect]:
        """Give the center a moment: after a restart the panel may still show what is right."""
        self._deadline_ms = now_ms + GRACE_MS
        return (self._nothing_known(None),)

    def on_desired(self, desired: DisplayDesired, now_ms: int) -> Sequence[Effect]:
        """Show it, unless it is only the broker's repetition of what is asked already.

        What the broker had kept of a center that is gone waits for contact: nobody vouches for it.
        """
        if not self._linked:
            self._kept = desired
            return ()
        self._deadline_ms = None
        if desired == self._desired and not self._stale:
            return ()
        self._desired = desired
        self._counter = desired.counter
        self._stale = False
        return (Drive(Show(revision=desired.revision, sign=Sign.of(desired), asked_ms=now_ms)),)

    def on_link(self, *, up: bool, now_ms: int) -> Sequence[Effect]:
        """Count the time without contact. After it the center says itself what holds: an old number is not revived."""
        if up == self._linked:
            return ()
        self._linked = up
        kept, self._kept = self._kept, None
        if up and kept is not None and not self._stale:
            return self.on_desired(kept, now_ms)
        if not up:
            self._deadline_ms = now_ms + self._stale_after_ms
        elif self._desired is None or self._stale:
            self._deadline_ms = now_ms + GRACE_MS
        else:
            self._deadline_ms = None
        return ()

    def on_time(self, now_ms: int) -> Sequence[Effect]:
        """Take a number down that nobody vouches for any more."""
        if self._deadline_ms is None or now_ms < self._deadline_ms:
            return ()
        self._deadline_ms = None
        if self._stale:
            return ()
        self._stale = True
        return (Drive(Show(revision=None, sign=Sign(kind="offline", counter=self._counter), asked_ms=now_ms)),)

    def deadline_ms(self) -> int | None:
        """Return when the shown state becomes stale."""
        return self._deadline_ms

    def on_signal(self, signal: Any, now_ms: int) -> Sequence[Effect]:
        """Record what a panel shows once for each desired state; report every change."""
        if isinstance(signal, PortLost):
            return (self._nothing_known(signal.trouble),)
        if isinstance(signal, PortBack):
            return (self._nothing_known(None),)
        if isinstance(signal, Shown):
            return self._shown(signal)
        return ()

    def on_reply(self, reply: Reply, now_ms: int) -> Sequence[Effect]:
        """Ignore it: a display asks nothing."""
        return ()

    def _nothing_known(self, trouble: str | None) -> Report:
        return Report(DisplayReported(revision=self._in_effect, text="", proof="none", trouble=trouble))

    def _shown(self, shown: Shown) -> Sequence[Effect]:
        revision, sign = shown.show.revision, shown.show.sign
        if revision is None:
            text = shown.text[:64]
            return (
                Report(DisplayReported(revision=self._in_effect, text=text, proof=shown.proof, trouble="no_contact")),
            )
        self._in_effect = revision
        report = Report(DisplayReported(revision=revision, text=shown.text[:64], proof=shown.proof))
        identity = f"{revision} {sign.kind} {sign.number or '-'} {sign.counter}"
        if shown.proof == "none" or identity == self._recorded:
            return (report,)
        self._recorded = identity
        fact = DisplayShown(revision=revision, proof=shown.proof, latency_ms=max(0, shown.at_ms - shown.show.asked_ms))
        return (Record(fact, remember={SHOWN_KEY: identity, COUNTER_KEY: sign.counter}), report)
