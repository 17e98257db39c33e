"""What devices say: taken in batches, stored in one transaction, then acknowledged; requests answered.

An event is acknowledged by its id: that can cover nothing else. Only an event whose id cannot be read is acknowledged
by number, and only when everything before it in its outbox is stored or in quarantine.
"""

import logging
import queue
import threading
from collections import defaultdict
from collections.abc import Callable, Sequence

from center.answers import Answer, Arrival, Delivery, Sighting
from center.config import Config
from center.hall import Hall
from center.ingest import requests
from center.ingest.link import Link, Taken
from center.ingest.progress import Progress
from center.ingest.publisher import Publisher
from center.ingest.sorting import Broken, Event, Message, Sorted, lenient, sort, unstorable
from center.queue.messages import refuse
from center.queue.model import Refusal
from contract.codec import decode, encode
from contract.errors import ContractError
from contract.requests import Ack, Request
from contract.topics import Address, Channel, center_filter, parse

log = logging.getLogger(__name__)

BATCH = 500
"""At most so many messages share one transaction."""

PENDING = 4_000
PENDING_BYTES = 8 * 1024 * 1024
"""So much may wait to be stored. What comes beyond is dropped: its device has it and sends it again."""

PENDING_REQUESTS = 200
IDS_IN_ACK = 100
SAY_EVERY_S = 60.0


class Ingest:
    """The center's side of the wire."""

    def __init__(self, config: Config, hall: Hall, *, make_link: Callable[..., Link] = Link) -> None:
        self._config, self._hall = config, hall
        self._progress = Progress(hall.streams())
        self._taken: queue.SimpleQueue[Taken | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._waiting = self._waiting_bytes = self._asking = self._dropped = 0
        self._put_aside = 0
        self._said_put_aside_s: float | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ingest", daemon=True)
        self._link = make_link(
            config.broker,
            client_id=f"center-{config.id}",
            filters=[
                center_filter(config.id, channel, root=config.root)
                for channel in (Channel.EVENT, Channel.STATUS, Channel.REPORTED, Channel.REQUEST)
            ],
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
        self._hall.subscribe(self._publisher.on_change)
        self._thread.start()
        self._link.start()

    def stop(self) -> None:
        """Stop listening; bounded. What was not acknowledged comes again."""
        self._link.stop()
        self._stop.set()
        self._taken.put(None)
        if self._thread.is_alive():
            self._thread.join(3.0)
        if self._hall.alive():
            self._hall.unsubscribe(self._publisher.on_change)

    def alive(self) -> bool:
        """Whether every thread of it runs."""
        return self._thread.is_alive() and self._link.alive()

    def connected(self) -> bool:
        """Whether there is contact to the broker."""
        return self._link.connected()

    # --- in paho's thread --------------------------------------------------------------------------------------------

    def _on_up(self) -> None:
        self._hall.run(self._publisher.everything)

    def _on_message(self, taken: Taken) -> None:
        if taken.message.topic.endswith("/request"):
            self._request(taken)
            return
        size = len(taken.message.payload)
        with self._lock:
            room = self._waiting < PENDING and self._waiting_bytes + size <= PENDING_BYTES
            if room:
                self._waiting += 1
                self._waiting_bytes += size
            else:
                self._dropped += 1
        if room:
            self._taken.put(taken)
            return
        if self._dropped == 1:
            log.warning("messages come faster than they can be stored: some are dropped, devices send them again")
        # The broker's own window must move on; the device waits for our ack, not for the broker's.
        self._link.ack(taken)

    def _request(self, taken: Taken) -> None:
        message = taken.message
        self._link.ack(taken)  # a request is never replayed
        try:
            address, _ = parse(message.topic)
            request = decode(message.payload, Request)
        except ContractError as error:
            self._broken_request(message, error)
            return
        if message.retained:
            self._reply(address, request.id, refuse("request_expired"))
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
        asked = self._hall.submit(
            command, key=f"mqtt:{device}/{request.id}", actor=device, within_s=request.expires_in_ms / 1000
        )
        asked.add_done_callback(
            lambda done: self._answered(address, request.id, refuse("stopping") if done.cancelled() else done.result())
        )

    def _answered(self, address: Address, request_id: str, answer: Answer) -> None:
        with self._lock:
            self._asking -= 1
        self._reply(address, request_id, answer)

    def _broken_request(self, message: Message, error: ContractError) -> None:
        request_id, _, _ = lenient(message.payload)
        log.debug("broken request on %s: %s", message.topic, error)
        if request_id is not None:
            address, _ = parse(message.topic)
            self._reply(address, request_id, refuse("request_invalid", reason=str(error)[:200]))

    def _reply(self, address: Address, request_id: str, answer: Answer) -> None:
        self._link.publish(address.topic(Channel.REPLY), encode(requests.reply(request_id, answer)))

    # --- in the ingest thread ----------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stop.is_set():
            batch = self._batch()
            if not batch:
                continue
            try:
                self._handle(batch)
            except Exception:
                log.exception("a batch could not be handled; devices send it again; please report these lines")
                self._progress.failed()
            finally:
                for taken in batch:
                    self._link.ack(taken)
                self._made_room(batch)

    def _batch(self) -> list[Taken]:
        """Wait for a message, then take what is there: under load batches grow by themselves."""
        batch: list[Taken] = []
        taken = self._taken.get()
        try:
            while taken is not None:
                batch.append(taken)
                if len(batch) >= BATCH:
                    break
                taken = self._taken.get_nowait()
        except queue.Empty:
            pass
        return batch

    def _made_room(self, batch: Sequence[Taken]) -> None:
        with self._lock:
            self._waiting -= len(batch)
            self._waiting_bytes -= sum(len(taken.message.payload) for taken in batch)
            dropped = self._dropped if self._waiting < PENDING // 2 else 0
            self._dropped -= dropped
        if dropped:
            log.info("storing keeps up again; %d messages had been dropped", dropped)

    def _handle(self, batch: Sequence[Taken]) -> None:
        pairs = [(taken.message, found) for taken in batch if (found := sort(taken.message)) is not None]
        self._store(pairs)

    def _store(self, pairs: Sequence[tuple[Message, Sorted]]) -> None:
        """Store a batch and acknowledge it; split it to find what the database itself refuses."""
        if not pairs:
            return
        verdict = self._hall.ingest(self._delivery([found for _, found in pairs])).result()
        if verdict == "stored":
            self._progress.stored()
            self._acknowledge([found for _, found in pairs])
            self._say_put_aside([found for _, found in pairs if isinstance(found, Broken)])
            return
        self._progress.failed()
        if verdict == "failed":
            return  # no ack: the devices keep it and send it again
        if len(pairs) > 1:
            half = len(pairs) // 2
            self._store(pairs[:half])
            self._store(pairs[half:])
            return
        message, found = pairs[0]
        if isinstance(found, Event):
            log.warning("event %s of %s cannot be stored and is put aside", found.event_id, found.address.source)
            self._store([(message, unstorable(found, message, "the database refuses it"))])

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

    def _delivery(self, found: Sequence[Sorted]) -> Delivery:
        arrivals: list[Arrival] = []
        sightings: list[Sighting] = []
        quarantine = []
        for one in found:
            match one:
                case Event():
                    arrivals.append(one.arrival)
                    sightings.append(one.sighting)
                    self._progress.add(one.address.source, one.stream, one.sequence)
                case Sighting():
                    sightings.append(one)
                case Broken():
                    quarantine.append(one.row)
                    if one.address is not None and one.stream is not None and one.sequence is not None:
                        self._progress.add(one.address.source, one.stream, one.sequence)
        return Delivery(arrivals=arrivals, sightings=sightings, quarantine=quarantine, streams=self._progress.rows())

    def _acknowledge(self, found: Sequence[Sorted]) -> None:
        ids: dict[Address, list[str]] = defaultdict(list)
        for one in found:
            if isinstance(one, Sighting) or one.address is None:
                continue
            if one.event_id is not None:
                ids[one.address].append(one.event_id)
                continue
            stream, sequence = one.stream, one.sequence
            if stream and sequence and self._progress.covered(one.address.source, stream, sequence):
                self._ack(one.address, Ack(stream=stream, upto=sequence))
        for address, every in ids.items():
            for at in range(0, len(every), IDS_IN_ACK):
                self._ack(address, Ack(ids=tuple(every[at : at + IDS_IN_ACK])))

    def _ack(self, address: Address, ack: Ack) -> None:
        self._link.publish(address.topic(Channel.ACK), encode(ack))
