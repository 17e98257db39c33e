"""A compressed day, played through the real path: kiosk and desk by HTTP, pads by their pins, panels by their bytes.

Every person is a task of its own and knows only what a person knows. A citizen goes to the counter whose panel shows
the number, and holds a rating for given when the pad's light says so. An officer looks at the panel and at the desk's
page before pressing anything a second time. When something does not answer, people do what people do: they wait a
moment and try again. What they saw and did goes into the journal, for `report.judge`.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from contract.ids import uuid7
from simulator.desk import Desk, DeskView
from simulator.eyes import PadEyes, PanelEyes
from simulator.hands import Board, NoPowerError
from simulator.people import Manner, Pace, Visit
from simulator.premises import CALLPAD_BUTTONS, CALLPAD_LEDS, RATING_BUTTONS, CounterPlace
from simulator.report import Handling, Journal, Press, Slip
from simulator.web_client import Browser, NoAnswerError

log = logging.getLogger(__name__)

# Real seconds: how long people wait for machines, whatever the speed of the day.
KIOSK_PATIENCE_S = 40.0
PANEL_PATIENCE_S = 25.0
LIGHT_PATIENCE_S = 0.8
INVITATION_PATIENCE_S = 2.5
PRESSES_AT_MOST = 6
CALL_AGAIN_AFTER_S = 1.7
"""The call pad gives an answer up after 1.5 s; nobody presses again while its light is on."""
STEP_S = 0.01
PAGE_LOOK_S = 0.15
IDLE_LOOK_S = 0.25
ARRIVAL_PATIENCE_S = 0.25
"""An officer waits for a citizen at least so long before calling again: a machine has to show the number first."""
ATTEMPTS = 60
PAD_HOLD_S = 0.08


class DayError(Exception):
    """The day cannot go on as a day; the message says who waited for what in vain."""


@dataclass
class Citizen:
    """A visit while it goes on."""

    visit: Visit
    ticket: str
    number: str
    here: dict[str, asyncio.Event] = field(default_factory=dict)
    sent_away: asyncio.Event = field(default_factory=asyncio.Event)
    finished: asyncio.Event = field(default_factory=asyncio.Event)
    calls_missed: int = 0

    def at(self, counter: str) -> asyncio.Event:
        """The event of standing before a counter."""
        return self.here.setdefault(counter, asyncio.Event())


class Hall:
    """What everybody shares: the day's journal, who is who by number, and what can be seen."""

    def __init__(
        self,
        *,
        browser: Browser,
        officers: Mapping[str, Browser],
        boards: Mapping[tuple[str, str], Board],
        eyes: PanelEyes,
        pads: Mapping[str, PadEyes],
        counters: Sequence[CounterPlace],
        pace: Pace,
        debounce_ms: int,
    ) -> None:
        self.browser = browser
        self.officers = officers
        self.boards = boards
        self.eyes = eyes
        self.pads = pads
        self.counters = {counter.id: counter for counter in counters}
        self.pace = pace
        self.debounce_ns = debounce_ms * 1_000_000
        self.journal = Journal()
        self.by_number: dict[str, Citizen] = {}
        self.open_visits = 0

    async def rest(self, simulated_s: float) -> None:
        """Let time of the day pass."""
        await asyncio.sleep(self.pace.real_s(simulated_s))


# --- citizens --------------------------------------------------------------------------------------------------------


async def visit(hall: Hall, plan: Visit) -> None:
    """A citizen's day: number, wait, counter; until an officer has ended the visit."""
    await hall.rest(plan.arrives_s)
    citizen = await _take_number(hall, plan)
    watching = asyncio.create_task(_follow_panels(hall, citizen))
    try:
        await citizen.finished.wait()
    finally:
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching
    hall.open_visits -= 1


async def _take_number(hall: Hall, plan: Visit) -> Citizen:
    touch = uuid7()
    body = {"service": plan.service, "priority": "priority" if plan.priority else "normal"}

    async def ask() -> tuple[str, str]:
        try:
            answer = await hall.browser.ask("/api/tickets", body, key=touch, patience_s=KIOSK_PATIENCE_S)
        except NoAnswerError as error:
            raise DayError(f"visitor {plan.index} got no number: {error}") from error
        if not answer.ok:
            raise DayError(f"visitor {plan.index} was refused a number: {answer.status} {answer.body}")
        ticket = answer.body["ticket"]
        hall.journal.slips.append(Slip(touch=touch, ticket=ticket["id"], number=ticket["number"]))
        return ticket["id"], ticket["number"]

    # A double tap is one touch to the kiosk: both asks carry its key.
    slips = await asyncio.gather(*(ask() for _ in range(2 if plan.touches_kiosk_twice else 1)))
    ticket, number = slips[0]
    citizen = Citizen(visit=plan, ticket=ticket, number=number)
    hall.by_number[number] = citizen
    return citizen


async def _follow_panels(hall: Hall, citizen: Citizen) -> None:
    """Go wherever a panel shows the number; who was sent away for not coming returns to the help desk, or does not."""
    plan = citizen.visit
    seen_ns = 0
    while True:
        sighting = asyncio.ensure_future(hall.eyes.next_sighting(citizen.number, after_ns=seen_ns))
        sent_away = asyncio.ensure_future(citizen.sent_away.wait())
        try:
            await asyncio.wait({sighting, sent_away}, return_when=asyncio.FIRST_COMPLETED)
            if sent_away.done():
                citizen.sent_away.clear()
                await hall.rest(plan.away_s)
                await _return_to_queue(hall, citizen)
                seen_ns = time.monotonic_ns()
                continue
            seen = sighting.result()
        finally:
            sighting.cancel()
            sent_away.cancel()
        seen_ns = seen.at_ns
        if plan.presence == "never" or (plan.presence == "late" and citizen.calls_missed == 0):
            continue
        await hall.rest(plan.walk_s)
        if plan.presence == "slow" and citizen.calls_missed == 0:
            await asyncio.sleep(1.5 * ARRIVAL_PATIENCE_S)  # hears only the second call
        for event in citizen.here.values():
            event.clear()
        citizen.at(seen.counter).set()


async def _return_to_queue(hall: Hall, citizen: Citizen) -> None:
    at_any_desk = next(iter(hall.officers.values()))
    answer = await at_any_desk.ask(
        f"/api/tickets/{citizen.ticket}/requeue", {}, key=uuid7(), patience_s=KIOSK_PATIENCE_S
    )
    if not answer.ok:
        raise DayError(f"{citizen.number} came back and was refused: {answer.status} {answer.body}")


async def rate(hall: Hall, citizen: Citizen, counter: str, *, served_ns: int, leave: asyncio.Event) -> None:
    """Rate the visit as this citizen would; ends when the next one sits down."""
    if citizen.visit.rating == "tablet":
        await _rate_by_tablet(hall, citizen, counter)
    elif citizen.visit.rating == "pad":
        await Rater(hall, citizen, counter, leave).rate(served_ns)


async def _rate_by_tablet(hall: Hall, citizen: Citizen, counter: str) -> None:
    await hall.rest(citizen.visit.thinks_s)
    level = citizen.visit.level
    pressed_ns = time.monotonic_ns()
    thanked_ns: int | None = None
    try:
        answer = await hall.browser.ask(
            f"/api/counters/{counter}/rating",
            {"ticket": citizen.ticket, "level": level},
            key=uuid7(),
            patience_s=KIOSK_PATIENCE_S,
        )
        thanked_ns = time.monotonic_ns() if answer.ok else None
    except NoAnswerError as error:
        log.warning("the tablet of %s never confirmed the rating of %s: %s", counter, citizen.number, error)
    finally:
        hall.journal.presses.append(
            Press(ticket=citizen.ticket, level=level, way="tablet", counts_ns=pressed_ns, light_ns=thanked_ns)
        )


class Rater:
    """A citizen before a rating pad."""

    def __init__(self, hall: Hall, citizen: Citizen, counter: str, leave: asyncio.Event) -> None:
        self._hall = hall
        self._citizen = citizen
        self._board = hall.boards[counter, "rating"]
        self._eyes = hall.pads[counter]
        self._leave = leave

    async def rate(self, served_ns: int) -> None:
        """Wait for the invitation, press, look for the light; press again when there is none."""
        plan = self._citizen.visit
        if not await self._until(lambda: self._invited_since(served_ns), INVITATION_PATIENCE_S):
            return
        await self._hall.rest(plan.thinks_s)
        if plan.touch == "brush":
            await self._brush(plan.level % len(RATING_BUTTONS) + 1)
        for _ in range(PRESSES_AT_MOST):
            if self._leave.is_set():
                return
            if await self._press(plan.level):
                break
            await self._until(lambda: self._board.powered, INVITATION_PATIENCE_S)
        else:
            return
        if plan.touch == "twice" and not self._leave.is_set():
            await asyncio.sleep(0.1)
            with contextlib.suppress(NoPowerError):
                await self._finger(plan.level % len(RATING_BUTTONS) + 1)

    def _invited_since(self, served_ns: int) -> bool:
        since_ns = self._eyes.inviting_since()
        # In a day this short an invitation to the one before may still stand while the broker is away: a visit takes
        # less than the window, which it never does in life. Nobody answers a question that was put to another.
        return since_ns is not None and since_ns > served_ns

    async def _press(self, level: int) -> bool:
        """Press once and look; return whether the light said that it is stored."""
        if self._says_stored(level, 0):
            return True
        counts_ns = time.monotonic_ns() + self._hall.debounce_ns
        light_ns: int | None = None
        try:
            counts_ns = await self._finger(level, bounce=self._citizen.visit.touch == "bouncing")
            pressed_ns = counts_ns - self._hall.debounce_ns
            if await self._until(lambda: self._says_stored(level, pressed_ns), LIGHT_PATIENCE_S):
                stored = self._eyes.stored()
                light_ns = stored[1] if stored else None
        except NoPowerError:
            await asyncio.sleep(10 * STEP_S)  # nothing was lit, and nobody can know what became of it
        finally:
            self._note(level, counts_ns, light_ns)
        return light_ns is not None

    def _note(self, level: int, counts_ns: int, light_ns: int | None) -> None:
        ticket = self._citizen.ticket
        self._hall.journal.presses.append(
            Press(ticket=ticket, level=level, way="pad", counts_ns=counts_ns, light_ns=light_ns)
        )

    def _says_stored(self, level: int, since_ns: int) -> bool:
        stored = self._eyes.stored()
        return stored is not None and stored[0] == level and stored[1] >= since_ns

    async def _finger(self, level: int, *, bounce: bool = False) -> int:
        """Press and release; return the end of the debounce time. A board that dies under the finger was pressed."""
        pin = RATING_BUTTONS[str(level)]
        closed_ns = await self._board.press(pin)
        with contextlib.suppress(NoPowerError):
            if bounce:
                for _ in range(3):
                    await self._board.release(pin)
                    closed_ns = await self._board.press(pin)
            await asyncio.sleep(self._citizen.visit.hold_s)
            await self._board.release(pin)
        return closed_ns + self._hall.debounce_ns

    async def _brush(self, level: int) -> None:
        """Touch a wrong button so lightly that it must not count; if the machine was slow, it was a press after all."""
        pin = RATING_BUTTONS[str(level)]
        lasted_ns = self._hall.debounce_ns
        closed_ns = time.monotonic_ns()
        with contextlib.suppress(NoPowerError):
            closed_ns = await self._board.press(pin)
            lasted_ns = await self._board.release(pin) - closed_ns
        if lasted_ns >= self._hall.debounce_ns - 1_000_000:
            self._note(level, closed_ns + self._hall.debounce_ns, None)
        await asyncio.sleep(5 * STEP_S)

    async def _until(self, true: Callable[[], bool], within_s: float) -> bool:
        deadline = asyncio.get_running_loop().time() + within_s
        while not true():
            if self._leave.is_set() or asyncio.get_running_loop().time() >= deadline:
                return False
            await asyncio.sleep(STEP_S)
        return True


# --- officers --------------------------------------------------------------------------------------------------------


class Officer:
    """An officer at one counter, from opening until nobody is left in the house."""

    def __init__(self, hall: Hall, counter: str, manner: Manner) -> None:
        self._hall = hall
        self._counter = counter
        self._manner = manner
        self._desk = Desk(hall.officers[counter], counter)
        self._pad = hall.boards[counter, "callpad"]
        self._back: list[Citizen] = []
        self._errands: set[asyncio.Task[None]] = set()
        self._rating: asyncio.Task[None] | None = None
        self._leave = asyncio.Event()
        self._asking = False  # a call was asked for, and its number has not been seen yet
        self._last_number: str | None = None

    async def work(self) -> None:
        """Open, serve everybody, and end the day."""
        await self._until_done("open", lambda view: view.state == "open")
        while self._hall.open_visits:
            if self._back:
                await self._serve(await self._call_back(self._back.pop(0)))
                continue
            view = await self._desk.look()
            if view.number is not None:
                # An ask that seemed to come to nothing, and was carried out after all.
                if not self._asking:
                    raise DayError(f"{view.number} is at {self._counter}, and its officer has not called it")
                await self._serve(await self._got(view.number, None))
            elif view.waiting:
                await self._serve(await self._call_next(view))
            else:
                await self._wait_for_work()
        await self._rated()

    async def _wait_for_work(self) -> None:
        """Sit until the call pad's light says that somebody waits, or look at the page now and then."""
        deadline = asyncio.get_running_loop().time() + IDLE_LOOK_S
        while asyncio.get_running_loop().time() < deadline and not self._back:
            if self._pad.lit(CALLPAD_LEDS["next"]):
                return
            await asyncio.sleep(STEP_S)

    # --- calling ---------------------------------------------------------------------------------------------------

    async def _call_next(self, view: DeskView) -> Citizen | None:
        """Call whoever is next; None when nothing is known to have come of it, or somebody else was quicker."""
        self._asking = True
        if self._manner.calls_by() == "page":
            asked_ns = time.monotonic_ns()
            answer = await self._desk.do("call_next", view)
            called = answer.body["ticket"] if answer.ok else None
            return await self._got(called["number"], asked_ns) if called else None
        pressed_ns = await self._press_pad("next")
        number = await self._what_came_up() if pressed_ns is not None else None
        return await self._got(number, pressed_ns) if number is not None else None

    async def _what_came_up(self) -> str | None:
        """Find out what a press led to: the panel tells, and where it does not, the page.

        A panel that was out of contact may still show the number before; but officers know whom they dealt with.
        """
        clock = asyncio.get_running_loop().time
        give_up_at = clock() + CALL_AGAIN_AFTER_S
        while clock() < give_up_at:
            look_at = clock() + PAGE_LOOK_S
            while clock() < look_at:
                now = self._hall.eyes.number_at(self._counter)
                if now is not None and now != self._last_number:
                    return now
                await asyncio.sleep(STEP_S)
            view = await self._desk.look()
            if view.ticket is not None:
                return view.number
            if not view.waiting:
                return None
        return None

    async def _got(self, number: str, asked_ns: int | None) -> Citizen:
        """Take note of a number that was called here, once its panel shows it."""
        if not await self._hall.eyes.shows(self._counter, number, within_s=PANEL_PATIENCE_S):
            raise DayError(f"the panel of {self._counter} never showed {number}")
        citizen = self._hall.by_number.get(number)
        if citizen is None:
            raise DayError(f"{number} was called to {self._counter}, and nobody has this number")
        shown = self._hall.eyes.first_since(self._counter, number, asked_ns) if asked_ns is not None else None
        self._asking = False
        self._last_number = number
        self._hall.journal.handlings.append(
            Handling(
                counter=self._counter,
                number=number,
                step="got",
                asked_ns=asked_ns if shown else None,
                shown_ns=shown.at_ns if shown else None,
            )
        )
        return citizen

    async def _call_back(self, citizen: Citizen) -> Citizen:
        """Call the number of somebody who stands here again, papers copied."""
        asked_ns = time.monotonic_ns()
        await self._until_done("call", lambda view: view.ticket == citizen.ticket, number=citizen.number)
        return await self._got(citizen.number, asked_ns)

    # --- serving ---------------------------------------------------------------------------------------------------

    async def _serve(self, citizen: Citizen | None) -> None:
        """Serve a called citizen, and whoever a call that ends a visit brings next."""
        while citizen is not None:
            if not await self._comes(citizen):
                await self._send_away(citizen)
                return
            citizen = await self._attend(citizen)

    async def _comes(self, citizen: Citizen) -> bool:
        patience_s = max(self._hall.pace.real_s(40), ARRIVAL_PATIENCE_S)
        here = citizen.at(self._counter)
        for last in (False, True):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(here.wait(), patience_s)
                return True
            if not last:
                await self._recall(citizen)
        return False

    async def _recall(self, citizen: Citizen) -> None:
        citizen.calls_missed += citizen.visit.presence == "slow"
        if self._manner.sends_away_by() == "pad":
            await self._press_pad("recall")
        else:
            await self._desk.do("recall", await self._desk.look())

    async def _send_away(self, citizen: Citizen) -> None:
        """Mark somebody who did not come."""
        comes_back = citizen.visit.presence != "never"
        self._note(citizen, "returned" if comes_back else "ended")

        def gone(view: DeskView) -> bool:
            return view.ticket != citizen.ticket

        if self._manner.sends_away_by() == "pad":
            await self._until_pressed("no_show", gone)
        else:
            await self._until_done("no_show", gone)
        citizen.calls_missed += 1
        citizen.at(self._counter).clear()
        if comes_back:
            citizen.sent_away.set()
        else:
            self._hall.journal.endings[citizen.ticket] = "no_show"
            citizen.finished.set()

    async def _attend(self, citizen: Citizen) -> Citizen | None:
        """Serve who has come; return who is called next when the call ended this visit, else None."""
        plan = citizen.visit
        self._leave.set()  # the one before gets up

        def sits(view: DeskView) -> bool:
            if view.ticket != citizen.ticket:
                raise DayError(f"{self._counter} called {citizen.number}, and its page has {view.number}")
            return view.ticket_state == "serving"

        await self._until_done("start", sits)
        await self._rated()
        other = self._other_service(plan) if plan.detour == "transfer" else None
        if plan.detour == "park" or other is not None:
            await self._hall.rest(plan.service_s / 2)
            citizen.visit = _after_detour(plan)
            await self._detour(citizen, other)
            return None
        await self._hall.rest(plan.service_s)
        self._hall.journal.endings[citizen.ticket] = "served"
        self._note(citizen, "ended")
        called: Citizen | None = None
        served_ns = time.monotonic_ns()
        if self._manner.ends_by() == "pad":
            asked_ns = await self._until_pressed("next", lambda view: view.ticket != citizen.ticket)
            called = await self._called_with_end(citizen, asked_ns)
        else:
            await self._until_done("finish", lambda view: view.ticket != citizen.ticket, outcome="accepted")
        citizen.finished.set()
        self._leave = asyncio.Event()
        self._rating = asyncio.create_task(
            rate(self._hall, citizen, self._counter, served_ns=served_ns, leave=self._leave)
        )
        if self._manner.waits_for_rating():
            await asyncio.wait({self._rating}, timeout=INVITATION_PATIENCE_S + LIGHT_PATIENCE_S)
        return called

    async def _called_with_end(self, ended: Citizen, asked_ns: int | None) -> Citizen | None:
        view = await self._desk.look()
        if view.number is None:
            return None
        if view.ticket == ended.ticket:
            raise DayError(f"{ended.number} was ended at {self._counter} and is there again")
        return await self._got(view.number, asked_ns)

    async def _detour(self, citizen: Citizen, to_service: str | None) -> None:
        """Put the citizen aside for papers, or send the citizen on to another service."""
        self._note(citizen, "returned")
        citizen.at(self._counter).clear()

        def gone(view: DeskView) -> bool:
            return view.ticket != citizen.ticket

        if to_service is not None:
            await self._until_done("transfer", gone, to_service=to_service)
            return
        await self._until_done("park", gone)
        errand = asyncio.create_task(self._copy_papers(citizen))
        self._errands.add(errand)
        errand.add_done_callback(self._errands.discard)

    async def _copy_papers(self, citizen: Citizen) -> None:
        await self._hall.rest(citizen.visit.away_s)
        citizen.at(self._counter).set()
        self._back.append(citizen)

    def _other_service(self, plan: Visit) -> str | None:
        """A service that only others serve: then the number comes up at another counter."""
        mine = self._hall.counters[self._counter].services
        others = sorted({one for counter in self._hall.counters.values() for one in counter.services} - set(mine))
        return others[plan.index % len(others)] if others else None

    async def _rated(self) -> None:
        """Wait until the citizen before has left the pad."""
        if self._rating is not None:
            await self._rating
            self._rating = None

    # --- pressing --------------------------------------------------------------------------------------------------

    async def _until_done(self, action: str, done: Callable[[DeskView], bool], **args: str) -> None:
        """Press a button of the page until the page shows what was wanted."""
        refusal: object = None
        for _ in range(ATTEMPTS):
            view = await self._desk.look()
            if done(view):
                return
            answer = await self._desk.do(action, view, **args)
            if answer.ok:
                return
            refusal = answer.body
            await asyncio.sleep(STEP_S)
        raise DayError(f"{action} at {self._counter} was refused {ATTEMPTS} times: {refusal}")

    async def _until_pressed(self, button: str, done: Callable[[DeskView], bool]) -> int | None:
        """Press a button of the pad until the page shows what was wanted; return when the last press counted."""
        asked_ns: int | None = None
        for _ in range(ATTEMPTS):
            if done(await self._desk.look()):
                return asked_ns
            asked_ns = await self._press_pad(button)
            deadline = asyncio.get_running_loop().time() + CALL_AGAIN_AFTER_S
            while asyncio.get_running_loop().time() < deadline:
                if done(await self._desk.look()):
                    return asked_ns
                await asyncio.sleep(3 * STEP_S)
        raise DayError(f"the button {button} of {self._counter} did nothing {ATTEMPTS} times")

    async def _press_pad(self, button: str) -> int | None:
        """Press a button of the call pad once; return the end of its debounce time, None when it had no power."""
        pin = CALLPAD_BUTTONS[button]
        try:
            closed_ns = await self._pad.press(pin)
        except NoPowerError:
            await asyncio.sleep(10 * STEP_S)
            return None
        with contextlib.suppress(NoPowerError):
            await asyncio.sleep(PAD_HOLD_S)
            await self._pad.release(pin)
        return closed_ns + self._hall.debounce_ns

    def _note(self, citizen: Citizen, step: str) -> None:
        # Before the deed: what another officer does with the number can only come after it.
        handling = Handling(
            counter=self._counter, number=citizen.number, step="returned" if step == "returned" else "ended"
        )
        self._hall.journal.handlings.append(handling)


def _after_detour(plan: Visit) -> Visit:
    """The second half of a visit."""
    return replace(plan, detour="none", service_s=plan.service_s / 2)


async def play(hall: Hall, visits: Sequence[Visit], *, seed: int, within_s: float) -> list[str]:
    """Play the whole day; return who waited for what in vain, nothing when it ended as a day should."""
    hall.open_visits = len(visits)
    people: list[Coroutine[Any, Any, None]] = [visit(hall, plan) for plan in visits]
    people += [Officer(hall, counter, Manner(seed=seed, counter=counter)).work() for counter in hall.counters]
    trouble: list[str] = []
    try:
        async with asyncio.timeout(within_s):
            try:
                async with asyncio.TaskGroup() as group:
                    for person in people:
                        group.create_task(person)
            except* (DayError, NoAnswerError) as errors:
                trouble += [str(error) for error in errors.exceptions]
    except TimeoutError:
        trouble.append(f"the day did not end within {within_s:.0f} s: {hall.open_visits} visits were still open")
    return trouble
