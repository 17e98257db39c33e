"""How often something that floods may be written to a memory card. Pure."""


class Throttle:
    """Lets one through, then fewer and fewer while they keep coming: each gap is twice the last, up to `longest_ms`.

    After a gap's time of silence it starts afresh. A button that chatters for a day costs 1,500 records, not a million.
    """

    def __init__(self, *, first_ms: int, longest_ms: int) -> None:
        self._first_ms = first_ms
        self._longest_ms = longest_ms
        self._gap_ms = first_ms
        self._passed_ms: int | None = None
        self._asked_ms = 0

    def passes(self, now_ms: int) -> bool:
        """Whether this one may through."""
        quiet_ms = now_ms - self._asked_ms
        self._asked_ms = now_ms
        if self._passed_ms is None or quiet_ms >= self._gap_ms:
            self._gap_ms = self._first_ms
        elif now_ms - self._passed_ms < self._gap_ms:
            return False
        else:
            self._gap_ms = min(2 * self._gap_ms, self._longest_ms)
        self._passed_ms = now_ms
        return True
