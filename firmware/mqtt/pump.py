"""When which row of the outbox goes out: pure window logic, without I/O, without a clock of its own."""

from collections.abc import Sequence
from typing import Literal

WINDOW = 20
"""Rows on their way at once: brokers commonly allow a client 20 unacknowledged messages."""

_ACK_TIMEOUT_MS = 5_000
_ACK_TIMEOUT_MAX_MS = 60_000
_PATIENCE_MS = 500
"""An ack takes milliseconds. Rows older than this, when the center speaks again, were sent to nobody."""

_DEAF_AFTER = 2
_DEAF_AFTER_MAX = 32
"""So many time-outs without a word of a center that is not known to be gone ask for another connection, the second time
twice as many, and so on: it may be the center that says nothing, and then no connection helps."""

_RECENT = 4 * WINDOW
"""Rows whose ids are known: acks may come a few windows late."""

Due = Literal["resend", "reconnect"]


class Pump:
    """Decides what to send next and when to send again. All times are monotonic milliseconds.

    Rows go out in the order of their sequence numbers, at most `window` without an ack. Without any ack for
    `ack_timeout_ms` everything is sent again from the first row; while the center stays silent only that first row
    knocks, ever more seldom. A connection over which nothing comes may be deaf (a broker may have forgotten what was
    subscribed on it), so now and then it is replaced.
    """

    def __init__(
        self,
        *,
        window: int = WINDOW,
        ack_timeout_ms: int = _ACK_TIMEOUT_MS,
        ack_timeout_max_ms: int = _ACK_TIMEOUT_MAX_MS,
    ) -> None:
        self._window = window
        self._ack_timeout_ms = ack_timeout_ms
        self._ack_timeout_max_ms = ack_timeout_max_ms
        self._up = False
        self._in_flight: dict[int, None] = {}  # in the order of sending
        self._recent: dict[str, int] = {}
        self._cursor = 0
        self._highest_sent = 0
        self._silences = 0
        self._unheard = 0  # time-outs without a word of the center
        self._deaf_after = _DEAF_AFTER
        self._gone = False
        self._waiting_since_ms: int | None = None

    @property
    def after(self) -> int:
        """The sequence number behind which the next rows to send are."""
        return self._cursor

    @property
    def highest_sent(self) -> int:
        """The highest sequence number that ever went out: an ack beyond it is a lie."""
        return self._highest_sent

    def room(self) -> int:
        """Return how many rows may go out now."""
        if not self._up:
            return 0
        return (1 if self._silences else self._window) - len(self._in_flight)

    def begin_stream(self) -> None:
        """Begin with another outbox, whose numbers have nothing to do with those before."""
        self._in_flight.clear()
        self._recent.clear()
        self._waiting_since_ms = None
        self._silences = self._cursor = self._highest_sent = 0

    def connected(self) -> None:
        """Begin on a new connection, from the first row that waits."""
        self._up = True
        self._silences = self._unheard = 0
        self.begin_again()

    def begin_again(self) -> None:
        """Send everything that waits once more, also what was acknowledged and could not be deleted."""
        self._rewind()
        self._cursor = 0

    def disconnected(self) -> None:
        """Stop: what was on its way is taken for lost."""
        self._up = False
        self._rewind()

    def sent(self, sequence: int, event_id: str, now_ms: int) -> None:
        """Note that a row went out."""
        self._in_flight[sequence] = None
        self._recent[event_id] = sequence
        if len(self._recent) > _RECENT:
            del self._recent[next(iter(self._recent))]
        self._cursor = sequence
        self._highest_sent = max(self._highest_sent, sequence)
        if self._waiting_since_ms is None:
            self._waiting_since_ms = now_ms

    def acknowledged(self, *, upto: int | None, ids: Sequence[str], now_ms: int) -> list[int]:
        """Note what the center has committed; return the numbers of the rows that `ids` name.

        An id that did not go out lately is passed over: its row, if it still waits, goes out again and is
        acknowledged again.
        """
        named = [self._recent[event_id] for event_id in ids if event_id in self._recent]
        for sequence in named:
            self._in_flight.pop(sequence, None)
        if upto is not None:
            upto = min(upto, self._highest_sent)
            self._cursor = max(self._cursor, upto)
            for sequence in [each for each in self._in_flight if each <= upto]:
                del self._in_flight[sequence]
        if named or upto is not None:
            self.center_heard()
            self._silences = 0
            self._waiting_since_ms = now_ms if self._in_flight else None
        return named

    def center_spoke(self, now_ms: int) -> None:
        """Hear anything else from the center: if it was silent to our rows, it has come back and gets them now."""
        self.center_heard()
        waited = self._waiting_since_ms is not None and now_ms - self._waiting_since_ms >= _PATIENCE_MS
        if self._silences or waited:
            self._silences = 0
            self._rewind()

    def center_heard(self) -> None:
        """Hear that the center is there and can be heard; that does not say that it can take rows."""
        self._gone = False
        self._unheard = 0
        self._deaf_after = _DEAF_AFTER

    def center_left(self) -> None:
        """Hear that the center is gone: what is on its way went to nobody, and from now on only the first row knocks.

        It does go on knocking: whoever said that the center is gone may be wrong.
        """
        self._gone = True
        self._silences = max(self._silences, 1)
        self._rewind()

    def due(self, now_ms: int, *, pubacks_missing: bool) -> Due | None:
        """Return what a time-out asks for, if one has passed: the rows again, or another connection.

        `pubacks_missing`: not even the broker has confirmed what we sent, so the connection is dead.
        """
        deadline = self.deadline_ms()
        if deadline is None or now_ms < deadline:
            return None
        self._silences += 1
        self._unheard += not self._gone
        self._rewind()
        if self._unheard < self._deaf_after:
            return "reconnect" if pubacks_missing else "resend"
        self._deaf_after = min(2 * self._deaf_after, _DEAF_AFTER_MAX)
        return "reconnect"

    def deadline_ms(self) -> int | None:
        """When `due` has something to say, if nothing else happens before."""
        if not self._up or self._waiting_since_ms is None:
            return None
        return self._waiting_since_ms + min(self._ack_timeout_ms << min(self._silences, 16), self._ack_timeout_max_ms)

    def _rewind(self) -> None:
        if self._in_flight:
            self._cursor = min(self._in_flight) - 1
        self._in_flight.clear()
        self._waiting_since_ms = None
