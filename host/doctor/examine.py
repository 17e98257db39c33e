"""Runs checks beside one another, each within its time: one that hangs or breaks is a finding, never the end."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from host.doctor.finding import Finding, Section, problem

LIMIT_S = 10.0


@dataclass(frozen=True, slots=True)
class Check:
    """One look at one thing. `look` may block and may raise; it changes nothing and takes nothing from anybody."""

    name: str
    look: Callable[[], Sequence[Finding]]
    limit_s: float = LIMIT_S


def examine(checks: Sequence[Check]) -> list[Section]:
    """Return what each check found, in their order; takes no longer than the longest limit."""
    began = time.monotonic()
    running = [_Running(check) for check in checks]
    return [Section(each.check.name, tuple(each.findings(began))) for each in running]


class _Running:
    """A check in a thread of its own: the only kind of call in Python that can be left behind."""

    def __init__(self, check: Check) -> None:
        self.check = check
        self._found: Sequence[Finding] | None = None
        self._thread = threading.Thread(target=self._run, name=f"doctor-{check.name}", daemon=True)
        self._thread.start()

    def findings(self, began: float) -> Sequence[Finding]:
        """Wait for the rest of its time, and return what it found."""
        self._thread.join(max(0.0, began + self.check.limit_s - time.monotonic()))
        if self._found is not None:
            return self._found
        return [
            problem(
                "check-hung",
                f"looking at this did not end within {self.check.limit_s:g} s",
                "what it waits for hangs: a network drive, a name server, a failing disk or card (dmesg tells)",
            )
        ]

    def _run(self) -> None:
        try:
            self._found = self.check.look()
        except Exception as error:  # noqa: BLE001 - whatever it is, the other checks are worth more than a traceback
            self._found = [
                problem(
                    "check-broke",
                    f"looking at this failed: {type(error).__name__}: {error}",
                    "the other lines hold; if it says so again, report it with this line",
                )
            ]
