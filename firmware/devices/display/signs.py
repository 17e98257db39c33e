"""What a display is asked to say, in no panel's letters yet: the sign, its command, and the signals that come back."""

from dataclasses import dataclass
from typing import Literal

from contract.states import DisplayDesired

Kind = Literal["calling", "serving", "idle", "closed", "paused", "offline"]

Trouble = Literal[
    "port_missing", "port_denied", "port_busy", "port_failed", "panel_silent", "panel_garbled", "panel_refuses"
]
"""Why a panel shows nothing that is known, as the center reads it in `reported`."""


@dataclass(frozen=True, slots=True)
class Sign:
    """What people in front of the counter should read. `counter` is empty while it is not known."""

    kind: Kind
    counter: str = ""
    number: str | None = None
    blink: bool = False

    @classmethod
    def of(cls, desired: DisplayDesired) -> "Sign":
        """Return the sign for a desired state; a number is only ever shown with the call it belongs to."""
        number = desired.number if desired.state in ("calling", "serving") else None
        kind: Kind = desired.state
        if kind in ("calling", "serving") and number is None:
            kind = "idle"
        return cls(kind=kind, counter=desired.counter, number=number, blink=desired.blink and number is not None)


@dataclass(frozen=True, slots=True)
class Show:
    """Bring a sign up. `revision` is the desired state's, None for a sign of the display's own making."""

    revision: int | None
    sign: Sign
    asked_ms: int


@dataclass(frozen=True, slots=True)
class Shown:
    """A panel shows what was asked, for the first time since it was asked or since the panel came back."""

    show: Show
    text: str
    proof: Literal["echoed", "written", "none"]
    at_ms: int


@dataclass(frozen=True, slots=True)
class PortBack:
    """The port can be opened again, and there is nothing to show on it yet."""


@dataclass(frozen=True, slots=True)
class PortLost:
    """The port or the panel behind it no longer takes or confirms what is written."""

    trouble: Trouble
