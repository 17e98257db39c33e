"""Retained states: what a device should be (`desired`), what it is (`reported`), whether it is there (`status`)."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from contract.events import END, Count, Id, Text, TicketId, TicketNumber

_Revision = Annotated[Count, Meta(description="Grows with every change of what the device should be")]
_InEffect = Annotated[Count, Meta(description="The revision of `desired` that is in effect; 0 before the first")]
_Word = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,31}(:[!-~]{1,32})?" + END)]
_Trouble = Annotated[
    _Word | None,
    Meta(description="A word for what keeps it from that, as `no_contact` or `stuck:2`; null when all is well"),
]


class State(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What every retained state has in common: frozen, and no field that the contract does not know."""


class Status(State, frozen=True, kw_only=True, omit_defaults=True):
    """Whether a device, or the center itself, is there. The broker itself says `lost`: it is the last will."""

    state: Annotated[
        Literal["online", "offline", "lost"],
        Meta(
            description="`online`: connected; `offline`: stopped in good order, or (not retained) asking whether"
            " another machine has the name: who has it says `online` again; `lost`: gone (the last will)"
        ),
    ]
    version: Annotated[Text, Meta(description="The program's version")]
    bootid: Annotated[Id, Meta(description="The kernel's id of this boot")]
    since: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=40,
            pattern=r"^[^\u0000-\u001f\u007f]*" + END,
            description="When it connected: RFC 3339 in UTC, by its own clock",
        ),
    ]
    clock_ms: Annotated[
        Count | None,
        Meta(
            description="The center, every few seconds: milliseconds of its clock that never steps, at this word; a"
            " request's `asked_at_ms` is reckoned from it"
        ),
    ] = None


class Armed(State, frozen=True, kw_only=True):
    """For whom a rating pad is open, and for how long from the moment it hears this."""

    ticket: Annotated[TicketId, Meta(description="The ticket's id")]
    number: Annotated[TicketNumber, Meta(description="Letter and digits, as `A007`")]
    seconds: Annotated[int, Meta(ge=1, le=600, description="How long the pad stays open")]


class RatingDesired(State, frozen=True, kw_only=True):
    """What a rating pad should be: armed for one ticket, or not."""

    revision: _Revision
    armed: Annotated[Armed | None, Meta(description="For whom it is open; null closes it")]


class RatingReported(State, frozen=True, kw_only=True):
    """What a rating pad is. `presses` counts every press by level since the card was made: a gap is visible."""

    revision: _InEffect
    armed: Annotated[TicketId | None, Meta(description="The ticket it is open for; null when it is closed")]
    presses: Annotated[
        dict[Annotated[str, Meta(pattern="^[1-5]" + END)], Count],
        Meta(description="Every press by level, counted or not, since the outbox was made"),
    ] = {}
    trouble: _Trouble = None


class DisplayDesired(State, frozen=True, kw_only=True):
    """What a display should show."""

    revision: _Revision
    state: Annotated[
        Literal["calling", "serving", "idle", "closed", "paused"], Meta(description="What happens at the counter")
    ]
    counter: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=8,
            pattern=r"^[^\u0000-\u001f\u007f]*" + END,
            description="The counter's label, as people read it",
        ),
    ]
    number: Annotated[TicketNumber | None, Meta(description="The number to show; null shows the state's own sign")] = (
        None
    )
    blink: Annotated[bool, Meta(description="Whether the number blinks, where the panel can")] = False


class DisplayReported(State, frozen=True, kw_only=True):
    """What a display really shows, and how that is known."""

    revision: _InEffect
    text: Annotated[
        str, Meta(max_length=64, pattern=r"^[^\u0000-\u001f\u007f]*" + END, description="The characters on the panel")
    ]
    proof: Annotated[
        Literal["echoed", "written", "none"],
        Meta(description="`echoed`: the panel answered; `written`: the bytes left the port; `none`: not known"),
    ]
    trouble: _Trouble = None


class CallpadDesired(State, frozen=True, kw_only=True):
    """What an officer's call pad should show; `revision` is the counter's, and goes back as a request's `seen`."""

    revision: Annotated[Count, Meta(description="The counter's revision: send it back as a request's `seen`")]
    state: Annotated[
        Literal["closed", "open", "calling", "serving", "paused"], Meta(description="What happens at the counter")
    ]
    waiting: Annotated[Count, Meta(description="How many tickets this counter could call")] = 0
    number: Annotated[TicketNumber | None, Meta(description="The ticket at the counter")] = None


class CallpadReported(State, frozen=True, kw_only=True):
    """What a call pad is."""

    revision: _InEffect
    trouble: _Trouble = None


Fraction = Annotated[float, Meta(ge=0, le=1, description="0 to 1, of the width or height, from the upper left")]


class Zone(State, frozen=True, kw_only=True):
    """A part of a camera's picture."""

    name: Annotated[
        str,
        Meta(
            pattern=r"^[a-z][a-z0-9_]{0,31}" + END,
            description="1 to 32 of a-z, 0-9 and _, a letter first; `citizen` and `officer` have a meaning",
        ),
    ]
    points: Annotated[
        tuple[Annotated[tuple[Fraction, ...], Meta(min_length=2, max_length=2)], ...],
        Meta(min_length=3, max_length=16, description="A polygon's corners (x, y) in turn, at least 3 and at most 16"),
    ]


class Hours(State, frozen=True, kw_only=True):
    """One stretch of opening hours."""

    days: Annotated[
        tuple[Annotated[int, Meta(ge=1, le=7)], ...],
        Meta(min_length=1, max_length=7, description="1 is Monday, 7 Sunday (ISO 8601)"),
    ]
    begin: Annotated[str, Meta(pattern=r"^([01]\d|2[0-3]):[0-5]\d" + END, description="Local time, as `07:30`")]
    end: Annotated[
        str,
        Meta(
            pattern=r"^([01]\d|2[0-3]):[0-5]\d" + END,
            description="Local time, later the same day; `23:59` is the latest and stands for midnight",
        ),
    ]


class Keep(State, frozen=True, kw_only=True):
    """A recording that shall not be deleted. Carried out once for each id; no clock needs to be right for it."""

    id: Annotated[Id, Meta(description="The recording's id will be this")]
    why: Annotated[
        Literal["low_rating", "sample", "asked"],
        Meta(description="`low_rating`: of the lowest level; `sample`: for quality review; `asked`: by a supervisor"),
    ]
    ticket: Annotated[TicketId | None, Meta(description="The service of this ticket; null: by the seconds below")] = (
        None
    )
    before_s: Annotated[int, Meta(ge=0, le=60, description="So much of what was, counted from hearing this")] = 0
    after_s: Annotated[int, Meta(ge=0, le=3600, description="So much of what comes")] = 0


PICTURE_BYTES = 80 * 1024
"""A picture that is looked at is never larger."""


class Look(State, frozen=True, kw_only=True):
    """Somebody looks through the camera: a still, which is one picture, or live. No clock needs to be right for it."""

    path: Annotated[
        str, Meta(max_length=200, pattern=r"^/[!-~]*" + END, description="Where, at the center's own HTTP address")
    ]
    token: Annotated[Id, Meta(description="What lets it in (`Authorization: Bearer`); of this look alone")]
    every_ms: Annotated[
        int, Meta(ge=100, le=3_600_000, description="The first picture at once, others at most so often")
    ]
    seconds: Annotated[
        int, Meta(ge=1, le=3600, description="It ends so long after it was first heard, if nobody ended it before")
    ]


class CameraDesired(State, frozen=True, kw_only=True):
    """What a camera should do. A null setting leaves what the station's own file says."""

    revision: _Revision
    state: Annotated[
        Literal["closed", "open", "calling", "serving", "paused"], Meta(description="What happens at the counter")
    ]
    ticket: Annotated[TicketId | None, Meta(description="The ticket at the counter")] = None
    kinds: Annotated[
        Annotated[tuple[Text, ...], Meta(max_length=16)] | None, Meta(description="The incidents that are looked for")
    ] = None
    hours: Annotated[
        Annotated[tuple[Hours, ...], Meta(max_length=21)] | None, Meta(description="When the center is open")
    ] = None
    zones: Annotated[Annotated[tuple[Zone, ...], Meta(max_length=16)] | None, Meta(description="Where is what")] = None
    masks: Annotated[
        Annotated[tuple[Zone, ...], Meta(max_length=16)] | None,
        Meta(description="What is black before anybody sees it"),
    ] = None
    keep: Annotated[tuple[Keep, ...], Meta(max_length=32, description="What shall be kept, the latest last")] = ()
    panic: Annotated[Id | None, Meta(description="The event of the panic keys; null when there is none")] = None
    look: Annotated[Look | None, Meta(description="Where pictures go now; null when nobody looks")] = None


class CameraReported(State, frozen=True, kw_only=True):
    """What a camera is."""

    revision: _InEffect
    trouble: _Trouble = None
    presence: Annotated[bool, Meta(description="Whether the network that finds people is there")] = False
    clips: Annotated[Count, Meta(description="How many recordings lie on its disk")] = 0
    held: Annotated[Count, Meta(description="How many of them are never deleted there")] = 0


DESIRED: dict[str, type[State]] = {
    "rating": RatingDesired,
    "display": DisplayDesired,
    "callpad": CallpadDesired,
    "camera": CameraDesired,
}
REPORTED: dict[str, type[State]] = {
    "rating": RatingReported,
    "display": DisplayReported,
    "callpad": CallpadReported,
    "camera": CameraReported,
}
"""Kind of device → the type of its state."""
