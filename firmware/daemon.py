"""The inbox loop: one thread owns a device's decisions, its outbox and its pump; all else posts to the inbox.

It waits for the next thing to happen or to fall due, and for nothing else: an idle daemon does not poll.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import msgspec

from contract.codec import encode
from contract.events import DeviceHealth, Fact
from contract.requests import Ack, Reply, Request
from contract.states import State, Status
from contract.topics import Channel
from firmware.errors import HardwareError, StoreError
from firmware.inbox import Inbox, Message, revision_of
from firmware.mqtt.outbox import Outbox, OutboxInUseError
from firmware.mqtt.pump import Pump
from firmware.mqtt.transport import Arrived, LinkDown, LinkUp, NameTaken
from firmware.ports import Ask, Clock, Decisions, Drive, Driver, Effect, Record, Remember, Report
from host.notify import Notifier

_log = logging.getLogger(__name__)

HEALTH_EVERY_MS = 30_000
RETRY_FIRST_MS = 1_000
RETRY_MAX_MS = 30_000
NEWS_AT_ONCE = 50
SAY_GONE_EVERY_MS = 60_000
"""A center that comes and goes, or somebody who says so, must not fill the log."""

Build = Callable[[dict[str, str]], tuple[Decisions, Driver]]
"""Makes a device's two halves from what it remembered."""


class Timer(Clock, Protocol):
    """A clock that also says how long to wait: finer than its milliseconds, which would cost a press half of one."""

    def seconds_until(self, deadline_ms: int) -> float:
        """Return how long it is until `monotonic_ms()` will say `deadline_ms`; negative if it has."""
        ...


class Link(Protocol):
    """What the daemon needs of the transport."""

    def start(self) -> None:
        """Begin to connect, in a thread of its own."""
        ...

    def alive(self) -> bool:
        """Whether that thread runs and moves."""
        ...

    def publish(self, channel: Channel, payload: bytes, *, retain: bool = False) -> bool:
        """Send, or return False and keep nothing."""
        ...

    def unconfirmed(self) -> int:
        """Return how many messages the broker has not confirmed."""
        ...

    def drop(self, why: str) -> None:
        """Give up this connection for another one."""
        ...

    def stop(self) -> None:
        """Say goodbye and end the thread, bounded in time."""
        ...


class Probe(Protocol):
    """What the daemon needs to know how it is."""

    def measure(self, *, outbox_depth: int) -> DeviceHealth:
        """Return how the device is now."""
        ...


class Stop(msgspec.Struct, frozen=True):
    """Posted to end the daemon in order."""


class Signal(msgspec.Struct, frozen=True):
    """What the driver of one opening posted; a driver that was closed since is not listened to any more."""

    opening: int
    content: object


@dataclass(slots=True)
class _Retry:
    """A capped back-off on the daemon's clock."""

    next_ms: int | None = 0  # due when the daemon begins
    failures: int = 0

    def failed(self, now_ms: int) -> None:
        self.next_ms = now_ms + min(RETRY_FIRST_MS << min(self.failures, 10), RETRY_MAX_MS)
        self.failures += 1

    def succeeded(self) -> None:
        self.next_ms = None
        self.failures = 0


class WorkerDiedError(Exception):
    """A thread that the daemon needs has ended or hangs; only a new process helps."""


class Daemon:
    """Runs one device. Give `post` to whoever has news, then call `run` in the thread that shall own everything."""

    def __init__(
        self,
        *,
        source: str,
        build: Build,
        desired: type[State],
        outbox: Outbox,
        clock: Timer,
        notifier: Notifier,
        probe: Probe,
        pump: Pump | None = None,
        health_every_ms: int = HEALTH_EVERY_MS,
    ) -> None:
        self._source = source
        self._build = build
        self._outbox = outbox
        self._clock = clock
        self._notifier = notifier
        self._probe = probe
        self._pump = pump or Pump()
        self._health_every_ms = health_every_ms
        self._inbox = Inbox(
            {Channel.ACK: Ack, Channel.DESIRED: desired, Channel.REPLY: Reply, Channel.STATUS: Status}, clock=clock
        )
        self._link: Link | None = None
        self._up = False
        self._rival: NameTaken | None = None
        self._early: State | None = None  # what came before the connection was up
        self._newest = 0  # revision of the center that runs, heard on this connection
        self._center_run: tuple[str, str] | None = None
        self._center_gone = False  # as the center or its last will said; also after the link broke, until it speaks
        self._center_ahead_ms: int | None = None  # its clock and ours, by its last live word on this connection
        self._gone_said_ms: int | None = None
        self._back_unsaid = False
        self._told_up = False
        self._decisions: Decisions | None = None
        self._driver: Driver | None = None
        self._is_open = False
        self._opening = 0
        self._open_again = _Retry()
        self._memory: dict[str, str] | None = None
        self._recall_again = _Retry()
        self._stream = ""
        self._stopping = False
        self._desired: State | None = None
        self._reported: State | None = None
        self._asked: dict[str, int] = {}
        self._store_failed = False
        self._health_at_ms = 0
        self._health_told = False
        self._watchdog_at_ms: int | None = None

    def post(self, news: object) -> None:
        """Put news on the inbox; from any thread, at once, also from a signal handler."""
        if isinstance(news, Arrived):
            self._inbox.put_message(news)
        else:
            self._inbox.put(news)

    def in_contact(self) -> bool:
        """Whether there is contact to the center; from any thread."""
        return self._contact

    def run(self, link: Link) -> None:
        """Run until Stop is posted; raise ConfigError, OutboxInUseError or WorkerDiedError if it cannot go on."""
        self._link = link
        link.start()
        try:
            self._begin()
            while not self._stopping:
                self._handle_all(self._wait())
                self._do_what_is_due()
                self._pump_out()
        finally:
            self._end(link)

    # --- the loop ------------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        now_ms = self._clock.monotonic_ms()
        self._health_at_ms = now_ms + self._health_every_ms
        if self._notifier.watchdog_interval_ms is not None:
            self._watchdog_at_ms = now_ms
        self._do_what_is_due()
        # Ready also when the hardware is not there yet: the daemon is at work, and its status line says on what.
        self._notifier.ready()

    def _wait(self) -> object | None:
        deadline_ms = self._next_deadline_ms()
        return self._inbox.get(None if deadline_ms is None else self._clock.seconds_until(deadline_ms))

    def _handle_all(self, news: object | None) -> None:
        # Not endlessly: a flood of news must not keep from what falls due, such as the end of a debounce time.
        for _ in range(NEWS_AT_ONCE):
            if news is None or self._stopping:
                return
            self._handle(news)
            news = self._inbox.get(0)
        if news is not None:
            self._handle(news)

    def _next_deadline_ms(self) -> int | None:
        deadlines = (
            self._decisions.deadline_ms() if self._decisions is not None and self._is_open else None,
            self._open_again.next_ms,
            self._recall_again.next_ms,
            self._pump.deadline_ms(),
            self._health_at_ms,
            self._watchdog_at_ms,
        )
        return min((deadline for deadline in deadlines if deadline is not None), default=None)

    def _do_what_is_due(self) -> None:
        now_ms = self._clock.monotonic_ms()
        if _passed(self._recall_again.next_ms, now_ms):
            self._recall(now_ms)
        if _passed(self._open_again.next_ms, now_ms):
            self._open_device(now_ms)
        if self._decisions is not None and self._is_open and _passed(self._decisions.deadline_ms(), now_ms):
            self._carry_out(self._decisions.on_time(now_ms))
        if _passed(self._pump.deadline_ms(), now_ms):
            self._ack_is_late(now_ms)
        if _passed(self._watchdog_at_ms, now_ms):
            self._feed_watchdog(now_ms)
        if _passed(self._health_at_ms, now_ms):
            self._check_health(now_ms)

    def _handle(self, news: object) -> None:
        match news:
            case Signal(opening, content):
                if opening == self._opening:
                    now_ms = self._clock.monotonic_ms()
                    self._tell(lambda decisions: decisions.on_signal(content, now_ms))
            case Message():
                self._on_message(news)
            case LinkUp():
                self._on_link_up()
            case LinkDown():
                self._on_link_down()
            case NameTaken():
                self._rival = news
                self._contact_changed()
            case Stop():
                self._stopping = True
            case _:
                raise TypeError(f"the inbox does not know {type(news).__name__}")

    def _end(self, link: Link) -> None:
        if self._stopping and self._watchdog_at_ms is not None:
            self._notifier.watchdog()  # the last time: what comes is bounded, by less than it waits
        self._notifier.stopping()
        try:
            self._close_device()
        finally:
            try:
                link.stop()
            finally:
                self._outbox.close()

    # --- the device ----------------------------------------------------------------------------------------------

    def _recall(self, now_ms: int) -> None:
        """Read what was remembered. Until that succeeds the device runs but stores nothing, so it confirms nothing."""
        try:
            self._memory = self._outbox.memory()
        except OutboxInUseError:
            raise
        except StoreError as error:
            self._store_is_broken(error)
            self._recall_again.failed(now_ms)
            return
        self._recall_again.succeeded()
        if self._store_failed:
            self._store_works()
            self._close_device()
            self._decisions = self._driver = None
            self._open_again.next_ms = now_ms

    def _open_device(self, now_ms: int) -> None:
        if self._decisions is None or self._driver is None:
            self._decisions, self._driver = self._build(self._memory or {})
            self._told_up = False
        self._opening += 1
        opening = self._opening
        try:
            self._driver.open(lambda content: self.post(Signal(opening, content)))
        except HardwareError as error:
            self._device_failed(error, now_ms)
            return
        if self._open_again.failures:
            _log.info("the device works again")
        self._open_again.succeeded()
        self._is_open = True
        self._say_status()
        self._tell(lambda decisions: decisions.on_start(now_ms))
        self._tell_link()
        if (desired := self._desired) is not None:
            self._tell(lambda decisions: decisions.on_desired(desired, now_ms))

    def _device_failed(self, error: HardwareError, now_ms: int) -> None:
        if not self._open_again.failures:
            _log.warning("the device does not work: %s; trying again", error)
        else:
            _log.debug("the device still does not work: %s", error)
        self._close_device()
        self._open_again.failed(now_ms)
        self._notifier.status(f"waiting for the device: {error}")

    def _close_device(self) -> None:
        self._is_open = False
        self._opening += 1  # what its threads still post is not listened to any more
        if self._driver is not None:
            self._driver.close()

    def _tell(self, call: Callable[[Decisions], Sequence[Effect]]) -> None:
        """Let the decisions decide. While the driver is closed they rest: on opening they hear how things stand."""
        if self._decisions is not None and self._is_open:
            self._carry_out(call(self._decisions))

    def _carry_out(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            match effect:
                case Drive(command):
                    self._drive(command)
                case Record(fact, remember, then, otherwise):
                    self._carry_out(then if self._record(fact, remember) else otherwise)
                case Report(state):
                    self._reported = state
                    self._publish(Channel.REPORTED, encode(state), retain=True)
                case Ask():
                    self._ask(effect)
                case Remember(memory):
                    self._store(partial(self._outbox.remember, memory))

    def _drive(self, command: object) -> None:
        if self._driver is None or not self._is_open:
            return
        try:
            self._driver.drive(command)
        except HardwareError as error:
            self._device_failed(error, self._clock.monotonic_ms())

    def _record(self, fact: Fact, remember: Mapping[str, str]) -> bool:
        return self._store(partial(self._outbox.append, fact, remember))

    def _store(self, write: Callable[[], object]) -> bool:
        if self._memory is None:
            return False  # what is remembered is not known yet, so it must not be written over
        try:
            write()
        except StoreError as error:
            self._store_is_broken(error)
            return False
        if self._store_failed:
            self._store_works()
        return True

    def _store_is_broken(self, error: StoreError) -> None:
        if not self._store_failed:
            _log.error("facts cannot be stored, so nothing is confirmed: %s", error)
        self._store_failed = True
        self._notifier.status(f"cannot store: {error}")

    def _store_works(self) -> None:
        self._store_failed = False
        self._pump.begin_again()  # rows whose acknowledgement could not be stored are asked about once more
        _log.info("the outbox stores again")
        self._say_status()

    def _say_status(self) -> None:
        if self._rival is not None:
            self._notifier.status(
                f"refused: another machine (boot {self._rival.bootid[:8]}, online since {self._rival.since}) uses this"
                " name; facts are kept, trying again every minute"
            )
            return
        missing = "broker" if not self._up else "center" if self._center_gone else None
        self._notifier.status(f"running, no contact to the {missing}" if missing else "running")

    # --- the center ----------------------------------------------------------------------------------------------

    @property
    def _contact(self) -> bool:
        """Whether there is a link, and nothing has said that the center is not at its other end."""
        return self._up and not self._center_gone

    def _tell_link(self) -> None:
        """Let the decisions know of the contact, once for each change."""
        up = self._contact
        if self._is_open and up != self._told_up:
            self._told_up = up
            now_ms = self._clock.monotonic_ms()
            self._tell(lambda decisions: decisions.on_link(up=up, now_ms=now_ms))

    def _publish(self, channel: Channel, payload: bytes, *, retain: bool = False) -> bool:
        return self._up and self._link is not None and self._link.publish(channel, payload, retain=retain)

    def _on_link_up(self) -> None:
        now_ms = self._clock.monotonic_ms()
        self._up = True
        self._rival = None
        self._pump.connected()
        if self._center_gone:
            self._pump.center_left()
        if self._reported is not None:
            self._publish(Channel.REPORTED, encode(self._reported), retain=True)
        if not self._health_told:
            self._health_at_ms = now_ms
        self._contact_changed()
        if (early := self._early) is not None:
            self._early = None
            self._tell(lambda decisions: decisions.on_desired(early, now_ms))

    def _on_link_down(self) -> None:
        self._up = False
        self._early = None
        self._newest = 0
        self._pump.disconnected()
        self._center_ahead_ms = None
        self._asked.clear()
        self._contact_changed()

    def _on_message(self, message: Message) -> None:
        now_ms = self._clock.monotonic_ms()
        if not message.retained and message.channel is not Channel.STATUS:
            self._center_is_there(now_ms)
        match message.content:
            case Status() | None if message.channel is Channel.STATUS:
                self._on_presence(message.content, now_ms, retained=message.retained)
            case Ack() as ack:
                self._on_ack(ack, now_ms)
            case Reply() as reply if self._is_awaited(reply, now_ms):
                self._tell(lambda decisions: decisions.on_reply(reply, now_ms))
            case State() as desired if revision_of(desired) < self._newest:
                _log.debug("revision %d comes behind %d: it is old", revision_of(desired), self._newest)
            case State() as desired:
                self._newest = revision_of(desired)
                self._desired = desired
                if self._up:
                    self._tell(lambda decisions: decisions.on_desired(desired, now_ms))
                else:  # a broker may hand out what it kept before it answers the subscription
                    self._early = desired

    def _on_presence(self, status: Status | None, now_ms: int, *, retained: bool) -> None:
        run = None if status is None else (status.bootid, status.since)
        if run != self._center_run:  # another one counts anew, after a restore from yesterday
            self._center_run, self._newest = run, 0
        if status is None:  # cleared: nothing is known
            if self._center_gone:
                self._center_is_there(now_ms)
        elif status.state != "online":
            self._center_is_gone(now_ms)
        else:
            if self._center_gone:
                self._center_is_there(now_ms)
            if not retained:  # it says so every few seconds
                self._pump.center_heard()
                self._center_ahead_ms = None if status.clock_ms is None else status.clock_ms - now_ms

    def _center_is_there(self, now_ms: int) -> None:
        self._pump.center_spoke(now_ms)
        if not self._center_gone:
            return
        self._center_gone = False
        if self._back_unsaid:
            self._back_unsaid = False
            _log.info("the center is there again")
        self._contact_changed()

    def _center_is_gone(self, now_ms: int) -> None:
        if self._center_gone:
            return
        self._center_gone = True
        self._center_ahead_ms = None
        self._pump.center_left()
        self._asked.clear()
        if self._gone_said_ms is None or now_ms - self._gone_said_ms >= SAY_GONE_EVERY_MS:
            self._gone_said_ms = now_ms
            self._back_unsaid = True
            _log.warning(
                "the center is gone, the broker is not: facts wait in the outbox. If it stays so, look at the center"
            )
        self._contact_changed()

    def _contact_changed(self) -> None:
        if self._is_open:
            self._say_status()
        self._tell_link()

    def _on_ack(self, ack: Ack, now_ms: int) -> None:
        # An ack for another stream belongs to a card that was in this device before; one beyond what we sent is wrong.
        upto = ack.upto if ack.stream == self._outbox.stream else None
        upto = None if upto is None else min(upto, self._pump.highest_sent)
        sequences = self._pump.acknowledged(upto=upto, ids=ack.ids, now_ms=now_ms)
        if not upto and not sequences:
            return
        try:
            self._outbox.acknowledge(upto=upto, sequences=sequences)
        except StoreError as error:
            # Nothing is lost: what stays is sent again, and the center knows it by its id.
            self._store_is_broken(error)

    def _ask(self, ask: Ask) -> None:
        now_ms = self._clock.monotonic_ms()
        ahead_ms = self._center_ahead_ms
        request = Request(
            id=ask.request_id,
            action=ask.action,
            args=ask.args,
            expires_in_ms=ask.expires_in_ms,
            seen=ask.seen,
            asked_at_ms=None if ahead_ms is None else now_ms + ahead_ms,
        )
        if self._contact and self._publish(Channel.REQUEST, encode(request)):
            self._asked = {each: until for each, until in self._asked.items() if until > now_ms}
            self._asked[ask.request_id] = now_ms + ask.expires_in_ms

    def _is_awaited(self, reply: Reply, now_ms: int) -> bool:
        until_ms = self._asked.pop(reply.id, None)
        if until_ms is None or now_ms > until_ms:
            _log.debug("a reply to no open request is ignored: %s", reply.id)
            return False
        return True

    def _pump_out(self) -> None:
        if self._outbox.stream != self._stream:
            # Opened just now, or begun anew after damage: numbers of another stream mean nothing here.
            self._stream = self._outbox.stream
            self._pump.begin_stream()
        room = self._pump.room()
        if room <= 0 or self._pump.after >= self._outbox.last_sequence or self._link is None:
            return
        now_ms = self._clock.monotonic_ms()
        try:
            self._outbox.correct_times()
            rows = self._outbox.peek(after=self._pump.after, limit=room)
        except StoreError as error:
            self._store_is_broken(error)
            return
        for row in rows:
            if not self._link.publish(Channel.EVENT, row.seal(source=self._source, stream=self._outbox.stream)):
                return
            self._pump.sent(row.sequence, row.id, now_ms)

    def _ack_is_late(self, now_ms: int) -> None:
        if self._link is None:
            return
        pubacks_missing = self._link.unconfirmed() > 0
        match self._pump.due(now_ms, pubacks_missing=pubacks_missing):
            case "reconnect" if pubacks_missing:
                self._link.drop("the broker confirms nothing on a connection that looks alive")
            case "reconnect":
                self._link.drop("nothing comes from the center over a connection that looks alive")
            case "resend":
                _log.debug("no ack from the center: sending again from the first row")

    # --- how it is -----------------------------------------------------------------------------------------------

    def _feed_watchdog(self, now_ms: int) -> None:
        self._check_workers()
        self._notifier.watchdog()
        self._watchdog_at_ms = now_ms + (self._notifier.watchdog_interval_ms or 0)

    def _check_workers(self) -> None:
        if self._link is not None and not self._link.alive():
            raise WorkerDiedError("the network thread has ended, or hangs; the daemon ends too, to be started again")
        if self._driver is not None and self._is_open and not self._driver.alive():
            raise WorkerDiedError(
                "a thread of the device's driver has ended, or hangs; the daemon ends too, to be started again"
            )

    def _check_health(self, now_ms: int) -> None:
        self._health_at_ms = now_ms + self._health_every_ms
        self._check_workers()
        with suppress(StoreError):  # said already when a fact could not be stored; the next one will say it again
            self._outbox.correct_times()
            self._outbox.tidy()
            # Only while somebody can hear it: an outage must not fill the outbox with how we were.
            if self._contact and self._memory is not None:
                self._health_told = self._record(self._probe.measure(outbox_depth=self._outbox.depth()), {})


def _passed(deadline_ms: int | None, now_ms: int) -> bool:
    return deadline_ms is not None and now_ms >= deadline_ms
