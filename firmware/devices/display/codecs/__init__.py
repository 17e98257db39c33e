"""Panel protocols: a sign as pictures of one kind of panel, and the bytes that bring it there. Pure: no port here."""

from dataclasses import dataclass
from typing import Generic, Literal, Protocol, TypeVar

from firmware.devices.display.signs import Sign

Proof = Literal["echoed", "written"]

KnownT = TypeVar("KnownT")
"""What a codec remembers of the panel: enough to write only what differs."""


@dataclass(frozen=True, slots=True)
class Page:
    """One picture of a sign and how long it stays before the next one; a sign of one page stays."""

    picture: tuple[str, ...]
    hold_ms: int = 0


@dataclass(frozen=True, slots=True)
class Painting(Generic[KnownT]):
    """Bytes in pieces, each leaving the panel in order, and what the panel then shows."""

    pieces: tuple[bytes, ...]
    known: KnownT


class Codec(Protocol[KnownT]):
    """One panel protocol."""

    @property
    def proof(self) -> Proof:
        """How it is known that the panel shows something."""
        ...

    @property
    def refresh_s(self) -> float:
        """How often the picture is written again, so that a panel that lost its power recovers."""
        ...

    def pages(self, sign: Sign) -> tuple[Page, ...]:
        """Return the sign as pictures, lines of text; several where it blinks or scrolls."""
        ...

    def paint(self, picture: tuple[str, ...], known: KnownT | None) -> Painting[KnownT]:
        """Return what brings the picture up on a panel that shows `known`; None when that is not known."""
        ...

    def affirm(self, known: KnownT) -> Painting[KnownT]:
        """Return what writes the same picture once more: a new call with the same words needs a proof of its own."""
        ...

    def repeat(self, known: KnownT) -> Painting[KnownT]:
        """Return what brings the same picture back, whatever happened to the panel meanwhile."""
        ...

    def answered(self, sent: bytes, received: bytes) -> bool:
        """Whether the panel's answer to a piece is complete; raise PanelError for a wrong one or a refusal."""
        ...
