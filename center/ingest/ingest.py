"""What devices say: stored in batches, one transaction each, then acknowledged; requests answered.

There is no thread here. A message is sorted where it arrives, in the connection's thread; what is sorted goes to the
hall unless a batch is on its way there, and when that one has been committed, in the hall's thread, its devices are
told and the next batch goes. So one event alone waits for nothing, and under load batches grow by themselves.

An event is acknowledged by its id: that can cover nothing else. Only an event whose id cannot be read is acknowledged
by number, and only when everything before it in its outbox is stored or in quarantine.
"""

import logging
import secrets
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from itertools import islice

from msgspec.structs import replace

from center.answers import Answer, Arrival, Delivery, Sighting, Verdict
from center.cameras.wishes import Wishes
from center.config import Config
from center.hall import Hall
from center.ingest import requests
from center.ingest.link import Link, Taken
from center.ingest.presence import CenterPresence, monotonic_ms
from center.ingest.progress import Progress
from center.ingest.publisher import Publisher
from center.ingest.sorting import Broken, Event, Message, Sorted, lenient, sort, unstorable
from center.keys.access import KEYS_DEVICE
from center.queue.messages import refuse
from center.queue.model import Refusal
from contract.codec import decode, encode
from contract.errors import ContractError
from contract.requests import Ack, Reply, Request
from contract.topics import Address, Channel, center_filter, parse

log = logging.getLogger(__name__)

BATCH = 500
"""At most so many messages share one transaction."""

PENDING = 10_000
PENDING_BYTES = 8 * 1024 * 1024
"""So much may wait to be stored. What comes beyond is dropped: its device has it and sends it again."""

PENDING_REQUESTS = 200
IDS_IN_ACK = 100
SAY_EVERY_S = 60.0

_HEARD = {Channel.EVENT: 0, Channel.STATUS: 1, Channel.REPORTED: 1, Channel.REQUEST: 1}
"""With what quality of service. An event comes again until it is acknowledged here, so the broker need not care."""

Renew = Callable[[str, Request, Callable[[Reply], None]], None]
"""Answers a station's request for a certificate, in its own time."""

Upload = Callable[[str, str, Request, Callable[[Reply], None]], None]
"""Answers a camera that asks for leave to send a recording, in its own time."""

_Pair = tuple[Taken, Sorted]


class Ingest:
    """The center's side of the wire."""

    def __init__(
        self, config: Config, hall: Hall, *, make_link: Callable[..., Link] = Link, renew: Renew | None = None
    ) -> None:
        self._renew = renew
        self.upload: Upload | None = None
        """Who gives leave to send recordings; until there is somebody, cameras are told to ask later."""
        self._wishes: Wishes | None = None
        self._config, self._hall = config, hall
        self._lock = threading.Lock()  # guards what follows, up to the blank line
        self._waiting: deque[_Pair] = deque()
        self._waiting_bytes = self._dropped = self._asking = 0
        self._split: deque[list[_Pair]] = deque()  # parts of a batch in which something cannot be stored
        self._under_way: list[_Pair] = []
        self._progress = Progress(hall.streams())

        self._put_aside = 0
        self._said_put_aside_s: float | None = None
        self._presence = CenterPresence(config.id, root=config.root, clock=hall.clock)
        self._link = make_link(
            config.broker,
            # Made up anew: who could guess it might take the connection over.
            client_id=f"center-{config.id}-{secrets.token_hex(4)}",
            filters=[(center_filter(config.id, channel, root=config.root), qos) for channel, qos in _HEARD.items()],
            presence=self._presence,
            clock=hall.clock,
            on_message=self._on_message,
            on_up=self._on_up,
        )
        self._publisher = Publisher(
            center=config.id,
            root=config.root,
            arm_s=config.rating.arm_seconds,
            clock=hall.clock,
            publish=lambda topic, payload: self._link.publish(topic, payload, retain=True),
            later=hall.later,
        )

    def start(self) -> None:
        """Begin to listen. The hall must have been started."""
        self._publisher.begin(self._hall.subscribe(self._publisher.on_change).rated)
        self._link.start()

    def stop(self) -> None:
        """Stop listening; bounded. What was not acknowledged comes again."""
        self._link.stop()
        if self._hall.alive():
            self._hall.unsubscribe(self._publisher.on_change)

    def join(self, wishes: Wishes) -> None:
        """Let cameras be told what is asked of them."""
        self._wishes = wishes
        wishes.speak(lambda topic, payload: self._link.publish(topic, payload, retain=True))

    def alive(self) -> bool:
        """Whether every thread of it runs."""
        return self._link.alive()

    def connected(self) -> bool:
        """Whether there is contact to the broker."""
        return self._link.connected()

    def _on_up(self) -> None:
        self._hall.run(self._publisher.everything)
        if self._wishes is not None:
            self._wishes.everything()

    def _on_message(self, taken: Taken) -> None:
        if taken.message.topic == self._presence.topic:
            self._link.ack(taken)
            if self._presence.is_denied_by(taken.message.payload):
                log.debug("somebody says that the center is not there; it says that it is")
                self._link.say_online()
            return
        if taken.message.topic.endswith("/request"):
            self._request(taken)
            return
        found = sort(taken.message)
        if found is None:
            self._link.ack(taken)
            return
        if not self._keep(taken, found):
            # The broker's own window must move on; the device waits for our ack, not for the broker's.
            self._link.ack(taken)
        self._go_on()

    # --- events and states -------------------------------------------------------------------------------------------

    def _keep(self, taken: Taken, found: Sorted) -> bool:
        """Put a message among those that wait for the store; false if there is no room."""
        with self._lock:
            size = len(taken.message.payload)
            if len(self._waiting) < PENDING and self._waiting_bytes + size <= PENDING_BYTES:
                self._waiting.append((taken, found))
                self._waiting_bytes += size
                return True
            self._dropped += 1
            first = self._dropped == 1
        if first:
            log.warning("messages come faster than they can be stored: some are dropped, devices send them again")
        return False

    def _go_on(self) -> None:
        """Hand the next batch to the hall, unless one is under way."""
        with self._lock:
            if self._under_way:
                return
            batch = self._under_way = self._next_batch()
            if not batch:
                return
            delivery = self._delivery([found for _, found in batch])
        self._hall.ingest(delivery).add_done_callback(self._settled)

    def _next_batch(self) -> list[_Pair]:
        if self._split:
            return self._split.popleft()
        batch = list(islice(self._waiting, BATCH))
        for taken, _ in batch:
            self._waiting.popleft()
            self._waiting_bytes -= len(taken.message.payload)
        if self._dropped and not self._waiting:
            log.info("storing keeps up again; %d messages had been dropped", self._dropped)
            self._dropped = 0
        return batch

    def _settled(self, future: "Future[Verdict]") -> None:
        """Tell the devices what became of a batch, then send the next. In the hall's thread."""
        verdict: Verdict = "failed" if future.cancelled() else future.result()
        with self._lock:
            batch = self._under_way
            if verdict == "stored":
                self._progress.stored()
            else:
                self._progress.failed()
            covered = [one for _, one in batch if self._covered(one)]
            if verdict == "unstorable":
                batch = self._set_apart(batch)
        try:
            if verdict == "stored":
                self._acknowledge([found for _, found in batch], covered)
                self._say_put_aside([found for _, found in batch if isinstance(found, Broken)])
            for taken, _ in batch:
                self._link.ack(taken)
        except Exception:
            log.exception("a batch could not be acknowledged; devices send it again; please report these lines")
        finally:
            with self._lock:
                self._under_way = []
            self._go_on()

    def _set_apart(self, batch: list[_Pair]) -> list[_Pair]:
        """Split a batch to find what the database itself refuses; returns what is done with, for good."""
        if len(batch) > 1:
            half = len(batch) // 2
            self._split.extendleft((batch[half:], batch[:half]))
            return []
        taken, found = batch[0]
        if isinstance(found, Event):
            log.warning("event %s of %s cannot be stored and is put aside", found.event_id, found.address.source)
            self._split.appendleft([(taken, unstorable(found, taken.message, "the database refuses it"))])
            return []
        return batch

    def _delivery(self, found: Sequence[Sorted]) -> Delivery:
        arrivals: list[Arrival] = []
        sightings: list[Sighting] = []
        quarantine = []
        for one in found:
            match one:
                case Event():
                    fresh = self._progress.add(one.address.source, one.stream, one.sequence)
                    arrivals.append(replace(one.arrival, fresh=fresh))
                    sightings.append(one.sighting)
                case Sighting():
                    sightings.append(one)
                case Broken():
                    quarantine.append(one.row)
                    if one.address is not None and one.stream is not None and one.sequence is not None:
                        self._progress.add(one.address.source, one.stream, one.sequence)
        return Delivery(arrivals=arrivals, sightings=sightings, quarantine=quarantine, streams=self._progress.rows())

    def _covered(self, one: Sorted) -> bool:
        """Whether a broken event without an id may be acknowledged by its number."""
        return (
            isinstance(one, Broken)
            and one.address is not None
            and one.event_id is None
            and one.stream is not None
            and one.sequence is not None
            and self._progress.covered(one.address.source, one.stream, one.sequence)
        )

    def _acknowledge(self, found: Sequence[Sorted], covered: Sequence[Sorted]) -> None:
        ids: dict[Address, list[str]] = defaultdict(list)
        for one in found:
            if not isinstance(one, Sighting) and one.address is not None and one.event_id is not None:
                ids[one.address].append(one.event_id)
        for address, every in ids.items():
            for at in range(0, len(every), IDS_IN_ACK):
                self._ack(address, Ack(ids=tuple(every[at : at + IDS_IN_ACK])))
        for one in covered:
            if isinstance(one, Broken) and one.address is not None:
                self._ack(one.address, Ack(stream=one.stream, upto=one.sequence))

    def _ack(self, address: Address, ack: Ack) -> None:
        self._link.publish(address.topic(Channel.ACK), encode(ack))

    def _say_put_aside(self, broken: Sequence[Broken]) -> None:
        """Log broken messages, once a minute at most: somebody may send a great many."""
        if not broken:
            return
        self._put_aside += len(broken)
        now_s = self._hall.clock.monotonic_s()
        if self._said_put_aside_s is None or now_s - self._said_put_aside_s >= SAY_EVERY_S:
            row = broken[-1].row
            log.warning(
                "%d broken messages were put aside (table quarantine), the last from %s: %s",
                self._put_aside,
                row["topic"],
                row["reason"],
            )
            self._said_put_aside_s, self._put_aside = now_s, 0

    # --- requests ----------------------------------------------------------------------------------------------------

    def _request(self, taken: Taken) -> None:
        message = taken.message
        self._link.ack(taken)  # a request is never replayed
        try:
            address, _ = parse(message.topic)
        except ContractError as error:
            log.debug("a request that no device can have made: %s", error)
            return
        try:
            request = decode(message.payload, Request)
        except ContractError as error:
            self._broken_request(address, message, error)
            return
        within_ms = requests.left_ms(request, now_ms=monotonic_ms(self._hall.clock))
        if message.retained or within_ms is None:
            self._reply(address, request.id, refuse("request_expired"))
            return
        if request.action == "renew":
            self._renewal(address, request)
            return
        if request.action == "upload":
            self._leave(address, request)
            return
        command = requests.command(request, counter=address.station, at=message.at)
        with self._lock:
            crowded = self._asking >= PENDING_REQUESTS
            self._asking += not crowded
        if crowded:
            self._reply(address, request.id, refuse("overloaded"))
            return
        if isinstance(command, Refusal):
            self._answered(address, request.id, command)
            return
        device = f"{address.station}/{address.device}"
        asked = self._hall.submit(command, key=f"mqtt:{device}/{request.id}", actor=device, within_s=within_ms / 1000)
        asked.add_done_callback(
            lambda done: self._answered(address, request.id, refuse("stopping") if done.cancelled() else done.result())
        )

    def _renewal(self, address: Address, request: Request) -> None:
        """Have a certificate made for a station, if its broker lets nobody else speak in its name."""

        def answer(reply: Reply) -> None:
            self._link.publish(address.topic(Channel.REPLY), encode(reply))

        if self._renew is None or address.device != KEYS_DEVICE:
            message = "certificates are made over the broker that the center starts, for a station's own keys"
            answer(Reply(id=request.id, ok=False, code="renew_refused", message=message))
        else:
            self._renew(address.station, request, answer)

    def _leave(self, address: Address, request: Request) -> None:
        """Have a camera told where to send a recording."""

        def answer(reply: Reply) -> None:
            self._link.publish(address.topic(Channel.REPLY), encode(reply))

        if self.upload is None:
            answer(Reply(id=request.id, ok=False, code="stopping", message="no recordings are taken now; later"))
        else:
            self.upload(address.station, address.device, request, answer)

    def _answered(self, address: Address, request_id: str, answer: Answer) -> None:
        with self._lock:
            self._asking -= 1
        self._reply(address, request_id, answer)

    def _broken_request(self, address: Address, message: Message, error: ContractError) -> None:
        request_id, _, _ = lenient(message.payload)
        log.debug("broken request on %s: %s", message.topic, error)
        if request_id is not None:
            self._reply(address, request_id, refuse("request_invalid", reason=str(error)[:200]))

    def _reply(self, address: Address, request_id: str, answer: Answer) -> None:
        self._link.publish(address.topic(Channel.REPLY), encode(requests.reply(request_id, answer)))
