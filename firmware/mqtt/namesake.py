"""Of two machines with the same name only one is up: who gives way to whom. Pure.

Each connects by a client id of its own, so no broker throws either of them out, and each hears on its own `status` what
is said of the name. Who finds that another machine was online says `offline` and waits: an incumbent says `online`
again whenever it hears anything else, and the newcomer leaves. A machine that is gone says nothing. If two come up all
the same, at one moment or over a slow network, the one with the larger boot id leaves.
"""

from collections import deque
from typing import Literal

from contract.codec import decode
from contract.errors import ContractError
from contract.states import Status

CLAIM_S = 2.0
"""So long a machine that was online by our name has time to say that it still is."""
_ECHO_S = 5.0
_OWN_WORDS = 8  # of this connection and those before: an old one may be what the broker kept

Act = Literal["come up", "say online", "yield"]


class Namesake:
    """What is known of another machine with our name. All times are seconds of a clock that never steps."""

    def __init__(self) -> None:
        self.holder: Status | None = None
        """Who was online by our name when we came."""
        self.rival: Status | None = None
        """To whom we yield."""
        self.claim_until: float | None = None
        """While we wait for the holder's word: how long."""
        self._claim: bytes | None = None
        self._online: deque[bytes] = deque(maxlen=_OWN_WORDS)
        self._is_up = False
        self._echo_until = 0.0  # what we said may still be on its way back to us

    def begin(self) -> None:
        """Begin on a new connection, of which nothing is known."""
        self.holder = self.rival = self.claim_until = None
        self._is_up = False

    def claims(self, word: bytes, now_s: float) -> None:
        """Note that we have asked for the name, by this word."""
        self._claim, self.claim_until = word, now_s + CLAIM_S

    def says_online(self, word: bytes, now_s: float) -> None:
        """Note that we have said that we are up, by this word."""
        self._is_up, self.claim_until = True, None
        self._echo_until = now_s + _ECHO_S
        if word not in self._online:
            self._online.append(word)

    def hear(self, payload: bytes, *, retained: bool, now_s: float) -> Act | None:
        """Return what to do about a word on our own `status`: ours, another machine's, or a late last will."""
        if payload in self._online:
            self._echo_until = 0.0
            return None
        if payload == self._claim or self.rival is not None:
            return None
        said = _read(payload)
        online = said if said and said.state == "online" else None
        if self._is_up:
            if online and not retained and self._is_senior(online):
                return self._yield_to(online)
            # Until our last word has come back it may stand behind this one already.
            return "say online" if now_s >= self._echo_until else None
        if retained or self.claim_until is None:
            self.holder = online
        elif online:
            return self._yield_to(online)
        elif said and self.holder and said.bootid == self.holder.bootid:
            return "come up"  # it left just now
        return None

    def _is_senior(self, other: Status) -> bool:
        mine = decode(self._online[-1], Status)
        return (other.bootid, other.since) < (mine.bootid, mine.since)

    def _yield_to(self, rival: Status) -> Act:
        self.rival = rival
        return "yield"


def _read(payload: bytes) -> Status | None:
    try:
        return decode(payload, Status)
    except ContractError:
        return None
