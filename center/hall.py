"""The hall: the one writer. One thread owns the queue's state and the store; whoever wants something asks it.

It takes all that is pending, decides each ask in turn, commits once, and only then answers: what was answered survives
a power cut, and two askers can never be given the same number. Nothing that happened is told to anybody before it is
committed; if the commit fails, nothing happened.
"""

import heapq
import itertools
import logging
import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import Connection

from center.answers import Answer, Change, Delivery, Device, Done, RatingStored, Snapshot, Verdict
from center.clock import Clock, next_midnight_ms
from center.config import Config
from center.errors import StoreError
from center.ledger import Ledger, Round
from center.queue.messages import refuse
from center.queue.model import AnyCommand, Refusal
from center.queue.state import State
from center.storage.store import Row, Store
from contract.ids import uuid7

__all__ = ["Answer", "Change", "Delivery", "Device", "Done", "Hall", "Listener", "RatingStored", "Refusal", "Snapshot"]

log = logging.getLogger(__name__)

T = TypeVar("T")
Listener = Callable[[Change], None]

BATCH = 512
"""At most so many asks share one commit."""

PENDING = 20_000
"""More asks than these are refused at once: an answer that comes too late helps nobody."""

KEY = 160
"""A longer key is cut: nobody needs one."""

_LOOK_S = 20.0  # the wall clock may step, so look at it at least this often
_SYNC_TIMEOUT_S = 30.0


@dataclass(slots=True)
class _Asked:
    command: AnyCommand
    key: str
    actor: str
    until_s: float | None
    future: "Future[Answer]"


@dataclass(slots=True)
class _Rated:
    rating: RatingStored
    key: str
    actor: str
    future: "Future[Answer]"


@dataclass(slots=True)
class _Delivered:
    delivery: Delivery
    future: "Future[Verdict]"


@dataclass(slots=True)
class _Called:
    run: Callable[[], Any]
    future: "Future[Any]"


_Work = _Asked | _Rated | _Delivered | _Called


class Hall:
    """The one writer of a center. All methods may be called from any thread unless they say otherwise."""

    def __init__(self, config: Config, store: Store, clock: Clock) -> None:
        self.clock = clock
        self._zone = config.zone
        self._scale = config.rating.scale
        self._center = config.id
        self._ledger = Ledger(config, store, clock)
        self._work: queue.SimpleQueue[_Work | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="hall", daemon=True)
        self._accepting = False
        self._listeners: list[Listener] = []
        self._timers: list[tuple[float, int, Callable[[State], None]]] = []
        self._timer_count = itertools.count()
        self._failing = False

    # --- for everybody ---------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to answer."""
        self._accepting = True
        self._thread.start()

    def stop(self, timeout_s: float = 5.0) -> None:
        """Answer what is pending, then stop and let the store go. Later asks are refused."""
        self._accepting = False
        if not self._thread.is_alive():
            self._ledger.close()
            return
        self._work.put(None)
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            log.error(
                "the hall did not stop within %.0f s; what is pending is lost, nothing that was answered", timeout_s
            )

    def alive(self) -> bool:
        """Whether the hall's thread runs."""
        return self._thread.is_alive()

    def storing(self) -> bool:
        """Whether the store took what was last given to it."""
        return not self._failing

    def now_ms(self) -> int:
        """The time, for a command's `at`."""
        return self.clock.now_ms()

    def submit(self, command: AnyCommand, *, key: str, actor: str, within_s: float | None = None) -> "Future[Answer]":
        """Ask for something. A key that was used gets its first answer again, also after a restart.

        What has not been decided `within_s` is refused: nobody waits for it any more.
        """
        until_s = None if within_s is None else self.clock.monotonic_s() + within_s
        return self._put(_Asked(command, key[:KEY], actor[:64], until_s, Future()))

    def rate(self, *, counter: str, ticket: str, level: int, key: str, actor: str) -> "Future[Answer]":
        """Count a press on a rating page; the first rating of a ticket wins, wherever it comes from."""
        rating = RatingStored(
            id=uuid7(),
            ticket=ticket,
            counter=counter,
            source=f"/{self._center}/{counter}/page",
            scale=self._scale,
            level=level,
            given_at=self.clock.now_ms(),
        )
        return self._put(_Rated(rating, key[:KEY], actor[:64], Future()))

    def ingest(self, delivery: Delivery) -> "Future[Verdict]":
        """Store what arrived from the broker, in one transaction."""
        future: Future[Verdict] = Future()
        if self._accepting:
            self._work.put(_Delivered(delivery, future))
        else:
            future.set_result("failed")
        return future

    def subscribe(self, listener: Listener) -> Snapshot:
        """Call `listener` in the hall's thread after each commit from now on; returns where that begins.

        A listener only passes on (`call_soon_threadsafe`, a queue); it must not block. It is called before the askers
        get their answers, so a reader that keeps order has seen what it is answered about.
        """

        def subscribe() -> Snapshot:
            self._listeners.append(listener)
            return self._ledger.snapshot()

        return self._in_thread(subscribe)

    def unsubscribe(self, listener: Listener) -> None:
        """Stop calling a listener; nothing to do if it is not called."""

        def unsubscribe() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        self._in_thread(unsubscribe)

    def snapshot(self) -> Snapshot:
        """Return a copy of what is."""
        return self._in_thread(self._ledger.snapshot)

    def streams(self) -> tuple[Row, ...]:
        """Return how far each outbox had been stored when this run began."""
        return self._ledger.streams

    def run(self, read: Callable[[State], T]) -> "Future[T]":
        """Run something short in the hall's thread that reads the state, after what is pending now."""
        future: Future[T] = Future()
        self._work.put(_Called(lambda: read(self._ledger.state), future))
        return future

    def transact(self, job: Callable[[Connection], T]) -> "Future[T]":
        """Read or write what is kept beside the record, in a transaction of its own in the hall's thread.

        For rows of other capabilities (people, alerts, keys): the hall is the only writer of the database. The future
        has the job's result once it is committed, or StoreError; the job must be short and may not keep the connection.
        """
        future: Future[T] = Future()
        if self._accepting:
            self._work.put(_Called(lambda: self._ledger.transact(job), future))
        else:
            future.set_exception(StoreError("the center stops"))
        return future

    def forget(self, station: str, device: str) -> "Future[bool]":
        """Take a device off the list that was taken away; false if it is not on it. Its next word brings it back."""
        future: Future[bool] = Future()
        if self._accepting:
            self._work.put(_Called(lambda: self._forget(station, device), future))
        else:
            future.set_exception(StoreError("the center stops"))
        return future

    def later(self, delay_s: float, run: Callable[[State], None]) -> None:
        """Run something short in the hall's thread after a while. Only for the hall's own thread: a listener, `run`."""
        heapq.heappush(self._timers, (self.clock.monotonic_s() + delay_s, next(self._timer_count), run))

    # --- the thread ------------------------------------------------------------------------------------------------

    def _put(self, work: _Asked | _Rated) -> "Future[Answer]":
        if not self._accepting:
            work.future.set_result(refuse("stopping"))
        elif self._work.qsize() > PENDING:
            work.future.set_result(refuse("overloaded"))
        else:
            self._work.put(work)
        return work.future

    def _in_thread(self, run: Callable[[], T]) -> T:
        if not self._thread.is_alive() or threading.current_thread() is self._thread:
            return run()
        future: Future[T] = Future()
        self._work.put(_Called(run, future))
        return future.result(timeout=_SYNC_TIMEOUT_S)

    def _run(self) -> None:
        self._round([])  # begins the day
        while (works := self._take()) is not None:
            self._tick()
            self._round(works)
        self._ledger.close()
        while not self._work.empty():  # came between the stop and now
            left = self._work.get_nowait()
            if left is not None:
                left.future.cancel()

    def _take(self) -> list[_Work] | None:
        """Wait for work and return all there is, nothing when a timer is due, or None to stop."""
        works: list[_Work] = []
        try:
            work = self._work.get(timeout=self._wait_s())
            while work is not None:
                works.append(work)
                if len(works) >= BATCH:
                    return works
                work = self._work.get_nowait()
        except queue.Empty:
            return works
        if not works:
            return None
        self._work.put(None)  # stop after these
        return works

    def _wait_s(self) -> float:
        now_ms = self.clock.now_ms()
        wait_s = min(_LOOK_S, (next_midnight_ms(now_ms, self._zone) - now_ms) / 1000 + 0.01)
        if self._timers:
            wait_s = min(wait_s, self._timers[0][0] - self.clock.monotonic_s())
        return max(0.0, wait_s)

    def _tick(self) -> None:
        while self._timers and self._timers[0][0] <= self.clock.monotonic_s():
            _, _, run = heapq.heappop(self._timers)
            self._guard(run, self._ledger.state)

    def _round(self, works: Sequence[_Work]) -> None:
        asks = [work for work in works if not isinstance(work, _Called)]
        fault = self._try(asks)
        if fault is not None and fault.poison and len(asks) > 1:
            # One of them holds what the database will never take: the others must not suffer for it.
            for ask in asks:
                if (fault := self._try([ask])) is not None:
                    self._refuse([ask], fault)
        elif fault is not None:
            self._refuse(asks, fault)
        # Reads come last: they must not see what a failed commit takes back.
        for work in works:
            if isinstance(work, _Called):
                _call(work)

    def _try(self, asks: Sequence[_Asked | _Rated | _Delivered]) -> StoreError | None:
        """Decide and commit, then tell and answer; returns the fault if nothing of it happened."""
        this = Round()
        try:
            self._ledger.begin(this, [ask.key for ask in asks if not isinstance(ask, _Delivered)])
            answers = [self._decide(this, ask) for ask in asks]
            change = self._ledger.commit(this)
        except StoreError as error:
            fault = error
        except Exception as error:
            log.exception("a fault of this program: what was asked is refused; please report these lines")
            fault = StoreError(str(error), poison=True)
        else:
            if self._failing and change is not None:
                log.info("storing works again")
                self._failing = False
            if change is not None:
                self._tell(change)
            for ask, answer in zip(asks, answers, strict=True):
                _settle(ask.future, answer)
            return None
        self._ledger.undo(this)
        return fault

    def _forget(self, station: str, device: str) -> bool:
        change = self._ledger.forget(station, device)
        if change is not None:
            self._tell(change)
        return change is not None

    def _tell(self, change: Change) -> None:
        for listener in tuple(self._listeners):
            self._guard(listener, change)

    def _decide(self, this: Round, ask: _Asked | _Rated | _Delivered) -> Answer | Verdict:
        match ask:
            case _Asked():
                late = ask.until_s is not None and self.clock.monotonic_s() > ask.until_s
                return self._ledger.ask(this, ask.command, key=ask.key, actor=ask.actor, late=late)
            case _Rated():
                return self._ledger.rate(this, ask.rating, key=ask.key, actor=ask.actor)
            case _Delivered():
                self._ledger.deliver(this, ask.delivery)
                return "stored"

    def _refuse(self, asks: Sequence[_Asked | _Rated | _Delivered], fault: StoreError) -> None:
        if not self._failing and not fault.poison:
            log.warning(
                "nothing can be stored: %s; until then commands are refused and devices keep their events", fault
            )
            self._failing = True
        elif fault.poison:
            log.error("cannot be stored and is refused: %s", fault)
        refusal = refuse("store_full" if fault.full else "store_failed")
        for ask in asks:
            if isinstance(ask, _Delivered):
                _settle(ask.future, "unstorable" if fault.poison else "failed")
            else:
                _settle(ask.future, refusal)

    def _guard(self, run: Callable[[T], object], value: T) -> None:
        """Run what others gave us: its fault must not stop the hall."""
        try:
            run(value)
        except Exception:
            log.exception("a listener failed; the queue goes on; please report these lines")


def _settle(future: "Future[Any]", answer: object) -> None:
    """Answer, unless the asker has gone."""
    if future.set_running_or_notify_cancel():
        future.set_result(answer)


def _call(work: _Called) -> None:
    if not work.future.set_running_or_notify_cancel():
        return
    try:
        result = work.run()
    except Exception as error:  # noqa: BLE001 – whoever asked gets it
        work.future.set_exception(error)
    else:
        work.future.set_result(result)
