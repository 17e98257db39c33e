"""The queue as a pure, event-sourced state machine: `decide` what happens, `State.apply` what happened.

`decide` reads the state and returns events or a refusal; it changes nothing and does not ask the time.
"""

from collections.abc import Callable
from typing import Any

from center.queue.messages import refuse
from center.queue.model import (
    AnyCommand,
    AnyEvent,
    Call,
    CallNext,
    Cancel,
    CloseCounter,
    CorrectDay,
    Counter,
    CounterClosed,
    CounterCommand,
    CounterOpened,
    CounterPaused,
    DayCorrected,
    DayStarted,
    Finish,
    Issue,
    NoShow,
    OpenCounter,
    Park,
    PauseCounter,
    Recall,
    Refusal,
    Requeue,
    ServingStarted,
    Start,
    StartDay,
    Ticket,
    TicketCalled,
    TicketCancelled,
    TicketIssued,
    TicketNoShow,
    TicketParked,
    TicketRecalled,
    TicketRequeued,
    TicketServed,
    TicketTransferred,
    Transfer,
)
from center.queue.state import State

__all__ = ["Decision", "State", "decide"]

LAST_NUMBER = 9999

Decision = list[AnyEvent] | Refusal


def decide(state: State, command: AnyCommand) -> Decision:
    """Return what happens on a command, as events to apply in order, or why nothing does. Changes nothing."""
    if isinstance(command, CounterCommand):
        counter = state.counters.get(command.counter)
        if counter is None:
            return refuse("unknown_counter", counter=command.counter)
        if command.seen is not None and command.seen != counter.revision:
            return refuse("stale")
        return _COUNTER[type(command)](state, command, counter)
    return _HALL[type(command)](state, command)


# --- commands of the hall ------------------------------------------------------------------------------------------


def _issue(state: State, command: Issue) -> Decision:
    service = state.services.get(command.service)
    if service is None:
        return refuse("unknown_service", service=command.service)
    if not state.day:
        return refuse("day_not_started")
    number = state.last_number(service.letter) + 1
    if number > LAST_NUMBER:
        return refuse("numbers_used_up", service=service.vi)
    return [
        TicketIssued(
            at=command.at,
            ticket=command.ticket_id,
            number=f"{service.letter}{number:03d}",
            service=service.id,
            priority=command.priority,
        )
    ]


def _requeue(state: State, command: Requeue) -> Decision:
    ticket = _named(state, command)
    if isinstance(ticket, Refusal):
        return ticket
    if ticket.state not in ("no_show", "parked"):
        return refuse("not_waiting", number=ticket.number) if ticket.state != "waiting" else []
    late_ms = command.at - (command.at if ticket.ended_at is None else ticket.ended_at)
    if ticket.state == "no_show" and late_ms > state.rules.return_within_s * 1000:
        return refuse("return_too_late", number=ticket.number, minutes=str(state.rules.return_within_s // 60))
    # A ticket that was sent to a counter which does not serve its service can wait nowhere else.
    called_at = state.counters.get(ticket.counter or "")
    elsewhere = called_at is None or called_at.state == "closed" or ticket.service in called_at.services
    alone = None if called_at is None or elsewhere else called_at.id
    return [TicketRequeued(at=command.at, ticket=ticket.id, counter=alone, behind=state.rules.requeue_behind)]


def _cancel(state: State, command: Cancel) -> Decision:
    ticket = _named(state, command)
    if isinstance(ticket, Refusal):
        return ticket
    if ticket.state == "cancelled":
        return []
    if ticket.state not in ("waiting", "parked"):
        return refuse("not_waiting", number=ticket.number)
    return [TicketCancelled(at=command.at, ticket=ticket.id, counter=None)]


def _named(state: State, command: Requeue | Cancel) -> Ticket | Refusal:
    ticket = state.tickets.get(command.ticket)
    if ticket is None:
        return refuse("unknown_ticket")
    if command.version is not None and command.version != ticket.version:
        return refuse("stale")
    return ticket


def _correct_day(state: State, command: CorrectDay) -> Decision:
    if not state.day:
        return refuse("day_not_started")
    return [] if command.day == state.day else [DayCorrected(at=command.at, day=command.day, taken=command.taken)]


def _start_day(state: State, command: StartDay) -> Decision:
    if command.day <= state.day:
        return refuse("day_started", day=state.day)
    at = command.at
    events: list[AnyEvent] = []
    for ticket in state.tickets.values():
        if ticket.state in ("waiting", "parked"):
            events.append(TicketCancelled(at=at, ticket=ticket.id, counter=None))
        elif ticket.state == "called":
            events.append(TicketNoShow(at=at, ticket=ticket.id, counter=ticket.counter))
        elif ticket.state == "serving":
            events.append(TicketServed(at=at, ticket=ticket.id, counter=ticket.counter, outcome=None))
    events += [CounterClosed(at=at, counter=one.id) for one in state.counters.values() if one.state != "closed"]
    revision = max((one.revision for one in state.counters.values()), default=0) + len(events) + 1
    events.append(DayStarted(at=at, day=command.day, revision=revision, taken=command.taken))
    return events


# --- commands of a counter -----------------------------------------------------------------------------------------


def _call_next(state: State, command: CallNext, counter: Counter) -> Decision:
    if counter.state != "open":
        return refuse(f"counter_{counter.state}")
    found = state.next_for(counter.id)
    events = _free(command.at, counter)
    if found is not None:
        events.append(TicketCalled(at=command.at, ticket=found, counter=counter.id))
    return events or refuse("queue_empty")


def _call(state: State, command: Call, counter: Counter) -> Decision:
    if counter.state != "open":
        return refuse(f"counter_{counter.state}")
    ticket = state.by_number(command.number)
    if ticket is None:
        return refuse("unknown_number", number=command.number)
    if ticket.id == counter.ticket:
        return refuse("already_here", number=ticket.number)
    at = state.counters.get(ticket.counter or "")  # none: the configuration has lost it, and with it a ticket's place
    if ticket.state in ("called", "serving") and at is not None:
        return refuse("at_other_counter", number=ticket.number, counter=at.label)
    if ticket.state in ("served", "cancelled"):
        return refuse("not_waiting", number=ticket.number)
    if ticket.service not in counter.services and ticket.counter != counter.id:
        service = state.services.get(ticket.service)
        return refuse("other_service", number=ticket.number, service=service.vi if service else ticket.service)
    return [*_free(command.at, counter), TicketCalled(at=command.at, ticket=ticket.id, counter=counter.id)]


def _free(at: int, counter: Counter) -> list[AnyEvent]:
    """Whoever is still at the counter when the next one is called has been served."""
    if counter.ticket is None:
        return []
    return [TicketServed(at=at, ticket=counter.ticket, counter=counter.id, outcome=None)]


def _recall(state: State, command: Recall, counter: Counter) -> Decision:
    ticket = _called(state, counter)
    if isinstance(ticket, Refusal):
        return ticket
    if ticket.recalls >= state.rules.max_recalls:
        return refuse("recall_limit", number=ticket.number, times=str(ticket.recalls))
    return [TicketRecalled(at=command.at, ticket=ticket.id, counter=counter.id)]


def _start(state: State, command: Start, counter: Counter) -> Decision:
    ticket = _called(state, counter)
    if isinstance(ticket, Refusal):
        return ticket
    return [ServingStarted(at=command.at, ticket=ticket.id, counter=counter.id)]


def _no_show(state: State, command: NoShow, counter: Counter) -> Decision:
    ticket = _called(state, counter)
    if isinstance(ticket, Refusal):
        return ticket
    return [TicketNoShow(at=command.at, ticket=ticket.id, counter=counter.id)]


def _called(state: State, counter: Counter) -> Ticket | Refusal:
    """Return the ticket that was called here and has not come yet."""
    if counter.ticket is None:
        return refuse("no_ticket")
    ticket = state.tickets[counter.ticket]
    return ticket if ticket.state == "called" else refuse("already_serving", number=ticket.number)


def _finish(_state: State, command: Finish, counter: Counter) -> Decision:
    if counter.ticket is None:
        return refuse("no_ticket")
    return [TicketServed(at=command.at, ticket=counter.ticket, counter=counter.id, outcome=command.outcome)]


def _park(_state: State, command: Park, counter: Counter) -> Decision:
    if counter.ticket is None:
        return refuse("no_ticket")
    return [TicketParked(at=command.at, ticket=counter.ticket, counter=counter.id)]


def _transfer(state: State, command: Transfer, counter: Counter) -> Decision:
    if counter.ticket is None:
        return refuse("no_ticket")
    ticket = state.tickets[counter.ticket]
    to_service = command.to_service or ticket.service
    if to_service not in state.services:
        return refuse("unknown_service", service=to_service)
    if command.to_counter is not None:
        to_counter = state.counters.get(command.to_counter)
        if to_counter is None:
            return refuse("unknown_counter", counter=command.to_counter)
        if to_counter.state == "closed":
            return refuse("transfer_closed", counter=to_counter.label)
    if to_service == ticket.service and command.to_counter in (None, counter.id):
        return refuse("transfer_nowhere")
    return [
        TicketTransferred(
            at=command.at,
            ticket=ticket.id,
            counter=counter.id,
            to_service=to_service,
            to_counter=command.to_counter,
            behind=state.rules.requeue_behind,
        )
    ]


def _open(state: State, command: OpenCounter, counter: Counter) -> Decision:
    if not state.day:
        return refuse("day_not_started")
    services = counter.services if command.services is None else tuple(dict.fromkeys(command.services))
    for service in services:
        if service not in state.services:
            return refuse("unknown_service", service=service)
    officer = command.officer or (counter.officer if counter.state != "closed" else None)
    if (counter.state, counter.officer, counter.services) == ("open", officer, services):
        return []
    return [CounterOpened(at=command.at, counter=counter.id, officer=officer, services=services)]


def _pause(_state: State, command: PauseCounter, counter: Counter) -> Decision:
    if counter.state == "closed":
        return refuse("counter_closed")
    return [] if counter.state == "paused" else [CounterPaused(at=command.at, counter=counter.id)]


def _close(state: State, command: CloseCounter, counter: Counter) -> Decision:
    if counter.ticket is not None:
        return refuse("ticket_open", number=state.tickets[counter.ticket].number)
    if counter.state == "closed":
        return []
    # Who was sent to this counter alone waits for the service again, as far in front as those put back may be.
    back = [
        TicketRequeued(at=command.at, ticket=ticket, counter=None, behind=0) for ticket in state.sent_to(counter.id)
    ]
    return [CounterClosed(at=command.at, counter=counter.id), *back]


_HALL: dict[type, Callable[[State, Any], Decision]] = {
    Issue: _issue,
    Requeue: _requeue,
    Cancel: _cancel,
    StartDay: _start_day,
    CorrectDay: _correct_day,
}
_COUNTER: dict[type, Callable[[State, Any, Counter], Decision]] = {
    CallNext: _call_next,
    Call: _call,
    Recall: _recall,
    Start: _start,
    Finish: _finish,
    NoShow: _no_show,
    Park: _park,
    Transfer: _transfer,
    OpenCounter: _open,
    PauseCounter: _pause,
    CloseCounter: _close,
}
