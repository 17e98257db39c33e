"""What the daemon has still to look at: all that the device itself says, and of the network a bounded share.

Whoever may publish on a device's topics could otherwise fill its memory, and a press would wait behind all of it.
"""

import logging
import threading
from collections import deque
from collections.abc import Mapping
from queue import Empty, SimpleQueue

import msgspec

from contract.codec import decode
from contract.errors import ContractError
from contract.topics import Channel
from firmware.mqtt.transport import Arrived
from firmware.ports import Clock

_log = logging.getLogger(__name__)

MESSAGES = 500
"""So many acks and replies may wait. What comes beyond is dropped: an ack comes again when the row is sent again."""

COMPLAIN_EVERY_MS = 60_000


class Message(msgspec.Struct, frozen=True):
    """A message to this device that the contract allows. `content` is None where a retained state was cleared."""

    channel: Channel
    content: msgspec.Struct | None
    retained: bool


def revision_of(content: object) -> int:
    """Return a state's revision: the higher is the later, in whatever order they come; 0 for what has none."""
    revision: int = getattr(content, "revision", 0)
    return revision


class Inbox:
    """Two queues for one reader, who takes from them in turn: a press waits for one message of the network at most.

    Messages are read by the thread that brings them: what is broken takes no place here. Of a retained state only the
    latest waits. Everything else is kept, however much it is.
    """

    def __init__(self, kinds: Mapping[Channel, type[msgspec.Struct]], *, clock: Clock) -> None:
        self._kinds = kinds
        self._clock = clock
        self._ready: SimpleQueue[None] = SimpleQueue()  # one for each that waits
        self._own: deque[object] = deque()
        self._message_next = False
        self._complained_ms: dict[str, int] = {}

        self._lock = threading.Lock()  # guards what follows; never held by `put`, which a signal handler may call
        self._messages: deque[Message | Channel] = deque()
        self._latest: dict[Channel, Message] = {}

    def put(self, news: object) -> None:
        """Put news of the device or the connection; from any thread, at once, also from a signal handler."""
        self._own.append(news)
        self._ready.put(None)

    def put_message(self, arrived: Arrived) -> None:
        """Put what the network brought, unless it is broken or too much; from the network's thread."""
        message = self._read(arrived)
        if message is None:
            return
        with self._lock:
            if message.channel.retained:
                waiting = self._latest.get(message.channel)
                if waiting is None or revision_of(message.content) >= revision_of(waiting.content):
                    self._latest[message.channel] = message
                if waiting is not None:
                    return
                self._messages.append(message.channel)
            elif len(self._messages) < MESSAGES:
                self._messages.append(message)
            else:
                self._complain("too many messages come for this device: some are dropped; check who publishes there")
                return
        self._ready.put(None)

    def get(self, timeout_s: float | None) -> object | None:
        """Take the next, waiting for it until the timeout; None if there is none."""
        try:
            self._ready.get(timeout_s is None or timeout_s > 0, timeout_s)
        except Empty:
            return None
        self._message_next = not self._own or (self._message_next and bool(self._messages))
        if not self._message_next:
            self._message_next = True
            return self._own.popleft()
        self._message_next = False
        with self._lock:
            message = self._messages.popleft()
            return self._latest.pop(message) if isinstance(message, Channel) else message

    def _read(self, arrived: Arrived) -> Message | None:
        channel = arrived.channel
        kind = self._kinds.get(channel)
        if kind is None or (arrived.retained and not channel.retained):
            # What is never retained, and is, is no word of the center's: an old slip that the broker hands out.
            _log.debug("nothing to do for a message on %s", channel.value)
            return None
        try:
            content = None if channel.retained and not arrived.payload else decode(arrived.payload, kind)
        except ContractError as error:
            self._complain(
                f"a broken message on {channel.value} is ignored; more of them are too: check who publishes there",
                error,
            )
            return None
        return Message(channel=channel, content=content, retained=arrived.retained)

    def _complain(self, what: str, why: object = None) -> None:
        """Say it, once a minute at most: somebody may send a great many."""
        now_ms = self._clock.monotonic_ms()
        last_ms = self._complained_ms.get(what)
        if last_ms is None or now_ms - last_ms >= COMPLAIN_EVERY_MS:
            self._complained_ms[what] = now_ms
            _log.warning("%s%s", what, f" ({why})" if why else "")
