"""Hostile messages, from a seed: broken, too large, nested, right-looking and wrong, for every channel there is."""

import json
import random
from collections.abc import Callable, Iterator
from typing import Any

from contract import examples
from contract.codec import encode
from contract.ids import uuid7
from contract.topics import Channel

EVENTS = tuple(examples.event(fact) for fact in examples.FACTS)
GOOD: dict[Channel, tuple[bytes, ...]] = {
    Channel.EVENT: EVENTS,
    Channel.ACK: (encode(examples.ACK), encode(examples.ACK_BY_ID)),
    Channel.STATUS: (encode(examples.STATUS),),
    Channel.DESIRED: tuple(map(encode, examples.DESIRED.values())),
    Channel.REPORTED: tuple(map(encode, examples.REPORTED.values())),
    Channel.REQUEST: (encode(examples.REQUEST), encode(examples.CALL)),
    Channel.REPLY: (encode(examples.DONE), encode(examples.REFUSED)),
}
LARGEST = 200_000
"""Below mosquitto's own limit, above ours."""

_WRONG: tuple[Any, ...] = (
    None, True, -1, 0, 2**31, 2**53, 2**63, 2**64, 10**400, 1e308, 0.1, "", "\0", "\n", "A007\n", "x" * 65, "x" * 1001,
    "\u202e", "0000-01-01T00:00:00Z", "9999-12-31T23:59:59-23:59", "2026-11-23T01:02:03", "9999999999", "0000000000",
    "/bentre/q03/rating\n", [], {}, [[]], {"": None}, ["x"] * 11,
)  # fmt: skip
_RAW = (
    b"", b"null", b"[]", b"{}", b'"', b"0", b"-", b"1e999999", b"NaN", b"Infinity", b"\xff\xfe", b"\xed\xa0\x80",
    b"{" * 4_000, b"[" * 8_000, b'{"a":' * 3_000, b"[" * 300 + b"]" * 300, b"9" * 5_000, b'{"id":"' + b"i" * 7_000,
    b'{"data":{"id":"' + b"7" * 36 + b'"},', b"\xef\xbb\xbf{}", b'{"id":"\\ud800"}', b'{"id":1,"id":2}', b"\x00" * 64,
)  # fmt: skip


_FOREIGN = ("$x", "/", "a", "motcua/v1/vungtau/q01/rating/event", "motcua/v1/bentre/q01/rating")
_CROOKED = (
    "Q 1/rating/event", "/rating/event", f"q01/{'d' * 40}/request", "q-/rating/status", "q01/ứng/event",
    "q01/rating/none",
)  # fmt: skip


class Hostile:
    """An endless supply of hostile payloads; the same seed gives the same ones."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)  # noqa: S311 – chance, not secrecy
        self._makers: tuple[Callable[[bytes], bytes], ...] = (
            self._noise, self._raw, self._cut, self._flipped, self._changed, self._changed, self._changed,
            self._surrogate, self._twice, self._renamed, self._renamed, self._nested,
        )  # fmt: skip

    def payload(self, channel: Channel) -> bytes:
        """Return a payload that may be anything, made for a channel or for another one."""
        if self.random.random() < 0.002:
            return self._oversize()
        of = channel if self.random.random() < 0.8 else self.random.choice(list(GOOD))
        return self.random.choice(self._makers)(self.random.choice(GOOD[of]))

    def _noise(self, _good: bytes) -> bytes:
        return self.random.randbytes(self.random.randrange(0, 600))

    def _raw(self, _good: bytes) -> bytes:
        return self.random.choice(_RAW)

    def _oversize(self) -> bytes:
        size = self.random.choice((16_385, 65_537, LARGEST))
        start, filler = self.random.choice(
            ((b"", b" "), (b"[", b"1,"), (b'{"id":"' + uuid7().encode() + b'","x":"', b"x"))
        )
        return (start + filler * size)[:size]

    def _cut(self, good: bytes) -> bytes:
        return good[: self.random.randrange(len(good))]

    def _flipped(self, good: bytes) -> bytes:
        flipped = bytearray(good)
        for _ in range(self.random.randint(1, 4)):
            flipped[self.random.randrange(len(flipped))] = self.random.randrange(256)
        return bytes(flipped)

    def _changed(self, good: bytes) -> bytes:
        """Return a good one with a value replaced, removed or added somewhere."""
        whole = json.loads(good)
        place = whole
        while (inner := [each for each in place.values() if isinstance(each, dict) and each]) and self._coin():
            place = self.random.choice(inner)
        name = self.random.choice(list(place))
        match self.random.randrange(3):
            case 0:
                del place[name]
            case 1:
                place[name] = self.random.choice(_WRONG)
            case _:
                place[self.random.choice(("", "id", "x", "\ud800", "ticket", "x" * 300))] = self.random.choice(_WRONG)
        return json.dumps(whole, ensure_ascii=self._coin()).encode(errors="surrogatepass")

    def _surrogate(self, good: bytes) -> bytes:
        at = good.find(b'":"', self.random.randrange(len(good))) + 3
        return good[:at] + self.random.choice((b"\\ud800", b"\\udfff\\ud800", b"\xed\xb0\x80", b"\\u0000")) + good[at:]

    def _twice(self, good: bytes) -> bytes:
        name, value = self.random.choice(list(json.loads(good).items()))
        return good[:-1] + b"," + json.dumps({name: value}).encode()[1:]

    def _renamed(self, good: bytes) -> bytes:
        """Return one that looks right: ids, streams and numbers of its own, some of them from somewhere else."""
        whole = json.loads(good)
        for name in ("id", "stream"):
            if name in whole and self._coin():
                whole[name] = uuid7() if self._coin() else f"{name}-{self.random.randrange(50)}"
        if "sequence" in whole:
            whole["sequence"] = f"{self.random.choice((0, 1, self.random.randrange(10**10))):010d}"
            whole["type"] = self.random.choice((whole["type"], whole["type"][:-1] + "9", "vn.motcua.nothing.v1"))
        if "source" in whole and self._coin():
            whole["source"] = self.random.choice(("/bentre/q01/rating", "/bentre/center/hall", "/vungtau/q01/rating"))
        return json.dumps(whole).encode()

    def _nested(self, good: bytes) -> bytes:
        depth = self.random.choice((10, 500, 1_500))
        return good[:-1] + b',"x":' + b"[" * depth + b"]" * depth + b"}"

    def _coin(self) -> bool:
        return self.random.random() < 0.5


def for_the_center(hostile: Hostile, center: str, root: str = "motcua") -> Iterator[tuple[str, bytes, bool]]:
    """Return messages as devices and strangers may send them: topic, payload, whether retained."""
    chance = hostile.random
    channels = list(Channel)
    while True:
        channel = chance.choice(channels)
        station = chance.choice(("q01", "q02", "q03", "center", f"q{chance.randrange(10, 30)}"))
        device = chance.choice(("rating", "display", "callpad", "hall", "camera", f"d{chance.randrange(9)}"))
        topic = f"{root}/v1/{center}/{station}/{device}/{channel.value}"
        if chance.random() < 0.05:
            topic = chance.choice((*_FOREIGN, f"{root}/v9/{topic}", f"{root}/v1/{center}/{chance.choice(_CROOKED)}"))
        yield topic, hostile.payload(channel), chance.random() < 0.02
