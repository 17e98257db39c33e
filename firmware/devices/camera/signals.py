"""What a camera's driver says to its decisions, and what they tell it. No pictures: literal values test them."""

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

import msgspec

from contract.events import Clip
from contract.requests import Upload
from contract.states import Look, Zone

ALL = ""
"""What stands for the whole picture where zones are named."""

ANSWERED_WITHIN_MS = 20_000
"""So long an ask is waited for: the center carries it out no later."""


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What was seen at an instant, some seven times a second."""

    at_ms: int
    """When, on the clock that never steps."""
    motion: Mapping[str, float]
    """Zone → the share of it that moved since the last time, 0 to 1; `ALL` is the whole picture."""
    stirs: Mapping[str, float] = msgspec.field(default_factory=dict)
    """Zone → the share of it that changed from picture to picture; also of who moves where somebody always does."""
    people: Mapping[str, int] | None
    """Zone → how many people are in it; None where it is not known: no network, or nobody looked since things moved."""
    looked_ms: int | None = None
    """When the picture was taken in which they were found; None for just now."""
    faults: frozenset[str] = frozenset()
    """What is wrong with the picture: of covered, defocused, moved, frozen."""
    dark: bool = False
    """Whether there is next to no light: a night, or something black before the lens."""
    now: datetime | None = None
    """The wall clock in UTC; None while it is not set."""


class Lost(msgspec.Struct, frozen=True):
    """No picture comes any more."""

    why: str


class Back(msgspec.Struct, frozen=True):
    """Pictures come again."""


class Thumbnail(msgspec.Struct, frozen=True):
    """A picture for an incident: JPEG, at most 24 KB."""

    incident: str
    jpeg: bytes


class Begun(msgspec.Struct, frozen=True):
    """The first of a clip is on the disk: the power may be cut from here on, and the next start finds it."""

    clip: str


class Kept(msgspec.Struct, frozen=True):
    """A clip was written and synced."""

    clip: str
    start: datetime
    seconds: float
    bytes: int
    sha256: str


class Presence(msgspec.Struct, frozen=True):
    """Whether the network that finds people is there. One that is configured is, until this says otherwise."""

    there: bool


class Unkept(msgspec.Struct, frozen=True):
    """A clip could not be recorded, or only its beginning, which is kept; the text is for an operator."""

    clip: str
    why: str


class Held(msgspec.Struct, frozen=True):
    """These clips stay until the center has them, by a `Hold` of this name; none where there was none of its ticket."""

    clip: str
    clips: tuple[str, ...]


class Read(msgspec.Struct, frozen=True):
    """Every clip that lay there at the start has been told of."""


class Wants(msgspec.Struct, frozen=True, kw_only=True):
    """A recording wants to go to the center; the answer is waited for by this number."""

    ask: int
    clip: Clip
    """As the center shall know it, with size and hash of the file."""
    file: Literal["shown", "sealed"]
    why: str
    ticket: str | None
    thumbnail: str | None = None
    """A picture of it, JPEG of at most 24 KB in base64, where no incident has told one."""


class Unsent(msgspec.Struct, frozen=True):
    """Whether recordings have waited long for a center that does not take them."""

    since_long: bool


class Room(msgspec.Struct, frozen=True):
    """How many clips there are, how many of them are held, and whether a person must soon make room."""

    clips: int
    held: int
    tight: bool


# --- commands ------------------------------------------------------------------------------------------------------


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What the center says to a recording that wants to go there: leave, or why not."""

    ask: int
    upload: Upload | None
    code: str | None = None
    message: str | None = None


class Contact(msgspec.Struct, frozen=True):
    """Whether the center can be asked."""

    up: bool


class Picture(msgspec.Struct, frozen=True):
    """Make a thumbnail of what is seen now."""

    incident: str


class Begin(msgspec.Struct, frozen=True):
    """Begin a clip, so much before `at_ms`. Nothing, where a clip of that name lies on the disk already."""

    clip: str
    at_ms: int
    before_ms: int
    why: str
    held: bool
    ticket: str | None = None
    asked: str | None = None
    """The name by which the center asks for it, where that is not the clip's own."""


class End(msgspec.Struct, frozen=True):
    """End a clip, so much after `at_ms`, which may be an hour ahead. Nothing, where there is none of that name."""

    clip: str
    at_ms: int
    after_ms: int


class Hold(msgspec.Struct, frozen=True):
    """Keep the clips of a ticket until the center has them; `clip` is the name by which it asks for them."""

    clip: str
    ticket: str
    why: str


class Forget(msgspec.Struct, frozen=True):
    """Delete a clip that nobody asked to keep."""

    clip: str


class Settings(msgspec.Struct, frozen=True):
    """Look at these parts of the picture from now on, and make these black."""

    zones: tuple[Zone, ...]
    masks: tuple[Zone, ...]


class Watched(msgspec.Struct, frozen=True):
    """Send pictures there while somebody looks; nowhere when nobody does."""

    look: Look | None
