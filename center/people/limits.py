"""How often somebody may try. Pure: the time is passed in. What is remembered is bounded.

Nobody is locked out by what others do: a wrong password delays only the computer that sent it, for that account.
"""

import functools
import ipaddress
from collections import OrderedDict

REMEMBERED = 4096
"""So many addresses and accounts are kept in mind; the one that was quiet longest is forgotten first."""

FREE = 3
LONGEST_S = 300.0
FORGET_S = 3600.0


@functools.lru_cache(maxsize=REMEMBERED)
def neighbourhood(address: str) -> str:
    """Return whom an address counts as: itself, or its /64 where a computer may choose among so many by itself."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return str(ipaddress.ip_network((found, 64), strict=False).network_address)
    return str(found)


class Bucket:
    """A bucket of permits that fills by itself: at most `size` at once, `per_s` in the long run."""

    def __init__(self, *, size: float, per_s: float) -> None:
        self._size, self._per_s = size, per_s
        self._left = size
        self._at_s: float | None = None

    def wait_s(self, now_s: float) -> float:
        """Return how long to wait for the next permit; 0 where there is one."""
        if self._at_s is not None:
            self._left = min(self._size, self._left + (now_s - self._at_s) * self._per_s)
        self._at_s = now_s
        return 0.0 if self._left >= 1 else (1 - self._left) / self._per_s

    def take(self) -> None:
        """Use a permit that `wait_s` has just said to be there."""
        self._left -= 1

    def full(self, now_s: float) -> bool:
        """Whether it is as if nobody had ever used it."""
        return self.wait_s(now_s) == 0.0 and self._left >= self._size


class Buckets:
    """A set of buckets for each name; a permit is taken from all of them or from none."""

    def __init__(self, *rates: tuple[float, float]) -> None:
        self._rates = rates
        self._of: OrderedDict[str, tuple[Bucket, ...]] = OrderedDict()

    def take(self, name: str, now_s: float) -> float:
        """Take a permit; return 0, or how long to wait where there is none."""
        buckets = self._of.get(name)
        if buckets is None:
            buckets = self._of[name] = tuple(Bucket(size=size, per_s=per_s) for size, per_s in self._rates)
            if len(self._of) > REMEMBERED:
                self._of.popitem(last=False)
        self._of.move_to_end(name)
        wait_s = max((bucket.wait_s(now_s) for bucket in buckets), default=0.0)
        if not wait_s:
            for bucket in buckets:
                bucket.take()
        return wait_s


class Delays:
    """A pause that grows with failures: three are free, then 1, 2, 4 … seconds, five minutes at most."""

    def __init__(self) -> None:
        self._of: OrderedDict[str, tuple[int, float]] = OrderedDict()  # how many, and when the last was

    def wait_s(self, name: str, now_s: float) -> float:
        """Return how long this one has to wait before the next try."""
        failures, last_s = self._of.get(name, (0, 0.0))
        if now_s - last_s > FORGET_S:
            return 0.0
        pause_s = min(LONGEST_S, 2.0 ** min(failures - FREE, 20)) if failures >= FREE else 0.0
        return max(0.0, last_s + pause_s - now_s)

    def failed(self, name: str, now_s: float) -> int:
        """Count a failure; return how many there have been."""
        failures, last_s = self._of.pop(name, (0, 0.0))
        failures = 1 if now_s - last_s > FORGET_S else failures + 1
        self._of[name] = (failures, now_s)
        if len(self._of) > REMEMBERED:
            self._of.popitem(last=False)
        return failures

    def succeeded(self, name: str) -> None:
        """Forget the failures of one who has shown to be right."""
        self._of.pop(name, None)


class Logins:
    """Who may try a password now.

    A computer that has logged in before (its cookie says so) has a count of its own for each account, and no other
    limit: a flood from elsewhere cannot keep it out. All others are limited by account and address, by address, and
    together.
    """

    def __init__(self) -> None:
        self._delays = Delays()
        self._addresses = Buckets((20, 1 / 3))
        self._strangers = Bucket(size=60, per_s=1.0)

    def wait_s(self, account: str, address: str, known: str | None, now_s: float) -> float:
        """Return 0 and count the try, or how long to wait for the next one."""
        wait_s = self._delays.wait_s(_who(account, address, known), now_s)
        if wait_s or known is not None:
            return wait_s
        if wait_s := self._strangers.wait_s(now_s):
            return wait_s
        if wait_s := self._addresses.take(neighbourhood(address), now_s):
            return wait_s
        self._strangers.take()
        return 0.0

    def failed(self, account: str, address: str, known: str | None, now_s: float) -> int:
        """Count a wrong password; return how many there have been in a row."""
        return self._delays.failed(_who(account, address, known), now_s)

    def succeeded(self, account: str, address: str, known: str | None) -> None:
        """Forget the wrong passwords of one who had the right one."""
        self._delays.succeeded(_who(account, address, known))


def _who(account: str, address: str, known: str | None) -> str:
    return f"{account} {known or neighbourhood(address)}"
