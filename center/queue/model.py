"""The words of the queue: what can be asked (commands), what happened (events), what is (ticket, counter, service).

Events are the truth: the store appends them, and every state is what `State.apply` makes of them in order.
Instants are UTC milliseconds since 1970 (`…_at`), given by whoever asks; the engine has no clock.
"""

from typing import Annotated, Literal

import msgspec

TicketState = Literal["waiting", "called", "serving", "served", "no_show", "parked", "cancelled"]
CounterState = Literal["closed", "open", "paused"]
Priority = Literal["normal", "priority"]
Outcome = Literal["accepted", "incomplete", "returned", "referred", "other"]
"""How a visit ended: dossier accepted, papers missing, result handed over, sent elsewhere, anything else."""


class Model(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What all of these have in common: frozen, named fields, nothing unknown."""


# --- what is -------------------------------------------------------------------------------------------------------


class Service(Model, frozen=True, kw_only=True):
    """What a ticket is taken for; `letter` starts its numbers."""

    id: str
    letter: str
    vi: str
    en: str


class Ticket(Model, frozen=True, kw_only=True):
    """One visit. `version` grows with every change; a command that names an older one is refused."""

    id: str
    number: str
    service: str
    day: str  # business day, YYYY-MM-DD at the center
    priority: Priority
    state: TicketState
    issued_at: int
    version: int = 1
    counter: str | None = None  # where it was called last; also: for which counter alone it waits after a transfer
    called_at: int | None = None
    started_at: int | None = None
    ended_at: int | None = None
    recalls: int = 0
    outcome: Outcome | None = None
    behind: int = 0  # how many others go first when it was put back


class Counter(Model, frozen=True, kw_only=True):
    """One service position. `revision` grows with every change of what its devices should show."""

    id: str
    label: str
    services: tuple[str, ...]
    state: CounterState = "closed"
    officer: str | None = None
    ticket: str | None = None  # called or being served
    revision: int = 0


# --- what can be asked ---------------------------------------------------------------------------------------------


class Command(Model, frozen=True, kw_only=True, tag_field="command"):
    """An ask. `at` is when it reached the center."""

    at: int


class Issue(Command, frozen=True, kw_only=True, tag="issue"):
    """Give out the next number of a service. `ticket_id` is made by the asker of the engine."""

    ticket_id: str
    service: str
    priority: Priority = "normal"


class CounterCommand(Command, frozen=True, kw_only=True):
    """An ask of one counter. `seen` is the counter's revision the asker acted on; None skips the check."""

    counter: str
    seen: int | None = None


class CallNext(CounterCommand, frozen=True, kw_only=True, tag="call_next"):
    """Call whoever is next for this counter. A ticket still there counts as served: a no-show has its own button."""


class Call(CounterCommand, frozen=True, kw_only=True, tag="call"):
    """Call one number (parked, no-show or waiting)."""

    number: str


class Recall(CounterCommand, frozen=True, kw_only=True, tag="recall"):
    """Call the current ticket again, at most three times."""


class Start(CounterCommand, frozen=True, kw_only=True, tag="start"):
    """The citizen has come: serving begins."""


class Finish(CounterCommand, frozen=True, kw_only=True, tag="finish"):
    """Serving is over; the rating pad opens. The outcome is None where the officer did not state it."""

    outcome: Outcome | None = None


class NoShow(CounterCommand, frozen=True, kw_only=True, tag="no_show"):
    """Nobody came."""


class Park(CounterCommand, frozen=True, kw_only=True, tag="park"):
    """Put the current ticket aside (papers to copy, a form to fill in)."""


class Transfer(CounterCommand, frozen=True, kw_only=True, tag="transfer"):
    """Send the current ticket to another service, or to one counter alone; it keeps its number."""

    to_service: str | None = None
    to_counter: str | None = None


class OpenCounter(CounterCommand, frozen=True, kw_only=True, tag="open"):
    """Open a counter, or go on after a pause."""

    officer: str | None = None
    services: tuple[str, ...] | None = None


class PauseCounter(CounterCommand, frozen=True, kw_only=True, tag="pause"):
    """Stop calling for a while."""


class CloseCounter(CounterCommand, frozen=True, kw_only=True, tag="close"):
    """Close a counter; refused while a ticket is there."""


class Requeue(Command, frozen=True, kw_only=True, tag="requeue"):
    """Put a no-show or parked ticket back, behind the next two."""

    ticket: str
    version: int | None = None


class Cancel(Command, frozen=True, kw_only=True, tag="cancel"):
    """Take a waiting or parked ticket out."""

    ticket: str
    version: int | None = None


class CorrectDay(Command, frozen=True, kw_only=True, tag="correct_day"):
    """Give the day that goes on another date: the clock had been wrong. `taken`: numbers given out at that date."""

    day: str
    taken: dict[str, int] = {}


class StartDay(Command, frozen=True, kw_only=True, tag="start_day"):
    """Begin a business day: what still waits is cancelled, numbers start from 001, counters are closed.

    `taken`: the last number of each letter that was given out at this date before, when the clock was wrong.
    """

    day: str
    taken: dict[str, int] = {}


AnyCommand = (
    Issue | CallNext | Call | Recall | Start | Finish | NoShow | Park | Transfer
    | OpenCounter | PauseCounter | CloseCounter | Requeue | Cancel | StartDay | CorrectDay
)  # fmt: skip


# --- what happened -------------------------------------------------------------------------------------------------


class Event(Model, frozen=True, kw_only=True, tag_field="event"):
    """A fact of the queue. `at` is the command's."""

    at: int


class DayCorrected(Event, frozen=True, kw_only=True, tag="day_corrected"):
    """The clock had been wrong: the day that goes on is another one. Nobody who waits is touched."""

    day: str
    taken: dict[str, int] = {}


class DayStarted(Event, frozen=True, kw_only=True, tag="day_started"):
    """A business day began. Every counter goes on from `revision`, so that no device ever hears a lower one."""

    day: str
    revision: int = 0
    taken: dict[str, int] = {}


class TicketIssued(Event, frozen=True, kw_only=True, tag="ticket_issued"):
    """A number was given out."""

    ticket: str
    number: str
    service: str
    priority: Priority


class TicketEvent(Event, frozen=True, kw_only=True):
    """Something happened to a ticket; `counter` is where, None for the hall."""

    ticket: str
    counter: str | None


class TicketCalled(TicketEvent, frozen=True, kw_only=True, tag="ticket_called"):
    """A ticket was called to a counter."""


class TicketRecalled(TicketEvent, frozen=True, kw_only=True, tag="ticket_recalled"):
    """A ticket was called again to the same counter."""


class ServingStarted(TicketEvent, frozen=True, kw_only=True, tag="serving_started"):
    """The citizen sat down."""


class TicketServed(TicketEvent, frozen=True, kw_only=True, tag="ticket_served"):
    """Serving ended. The outcome is None where nobody stated it."""

    outcome: Outcome | None = None


class TicketNoShow(TicketEvent, frozen=True, kw_only=True, tag="ticket_no_show"):
    """Nobody came."""


class TicketParked(TicketEvent, frozen=True, kw_only=True, tag="ticket_parked"):
    """A ticket was put aside."""


class TicketTransferred(TicketEvent, frozen=True, kw_only=True, tag="ticket_transferred"):
    """A ticket waits for another service, or for one counter, after `behind` others."""

    to_service: str
    to_counter: str | None
    behind: int


class TicketRequeued(TicketEvent, frozen=True, kw_only=True, tag="ticket_requeued"):
    """A ticket waits again, after `behind` others; `counter` is the one it waits for, None for its service's."""

    behind: int


class TicketCancelled(TicketEvent, frozen=True, kw_only=True, tag="ticket_cancelled"):
    """A ticket was taken out."""


class CounterOpened(Event, frozen=True, kw_only=True, tag="counter_opened"):
    """A counter opened or went on."""

    counter: str
    officer: str | None
    services: tuple[str, ...]


class CounterPaused(Event, frozen=True, kw_only=True, tag="counter_paused"):
    """A counter paused."""

    counter: str


class CounterClosed(Event, frozen=True, kw_only=True, tag="counter_closed"):
    """A counter closed."""

    counter: str


AnyEvent = (
    DayStarted | DayCorrected
    | TicketIssued | TicketCalled | TicketRecalled | ServingStarted | TicketServed | TicketNoShow
    | TicketParked | TicketTransferred | TicketRequeued | TicketCancelled
    | CounterOpened | CounterPaused | CounterClosed
)  # fmt: skip


class Refusal(Model, frozen=True, kw_only=True):
    """Why a command was not carried out: `code` for programs (as `queue_empty`, `stale`), `message` for people.

    The message is Vietnamese; `facts` are what it was filled with, so that `messages.text` can say it in English.
    """

    code: str
    message: str
    facts: dict[str, str] = {}


class Rules(Model, frozen=True, kw_only=True):
    """What a center may choose."""

    max_recalls: Annotated[int, msgspec.Meta(ge=0, le=20)] = 3
    requeue_behind: Annotated[int, msgspec.Meta(ge=0, le=50)] = 2
    return_within_s: Annotated[int, msgspec.Meta(ge=0, le=86_400)] = 1800
    priority_in_a_row: Annotated[int, msgspec.Meta(ge=1, le=50)] = 2
    """After so many priority calls in a row for a counter, one normal ticket goes first."""
