"""Passwords: which are taken, what is kept of them, and new ones that can be read out over a telephone."""

import asyncio
import hashlib
import hmac
import re
import secrets
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from center.people.model import PeopleError

LEAST = 10
MOST = 200
"""A longer one is refused: nobody types it, and hashing it costs."""

MEMORY_KIB = 19_456
PASSES = 2
"""What OWASP asks of argon2id at the least; about 50 ms of one processor."""

AT_ONCE = 2
WAITING = 16
"""More logins than these at one time are refused: so hashing never takes more than 2 × 19 MB and the pages go on."""

# Our own list of what people choose first, in Vietnamese offices and elsewhere; years, digits and signs are cut off.
_COMMON = frozenset(
    """
    password passw matkhau matkhaumoi matkhaucu quantri quantrivien administrator admin administrador root user
    taikhoan dangnhap xinchao anhyeuem emyeuanh iloveyou loveyou vietnam vietnamvodich hanoi saigon hochiminh bentre
    tphcm danang haiphong cantho motcua trungtam hanhchinh hanhchinhcong dichvucong ubnd ubndphuong ubndxa canbo
    congan conganphuong vanphong qwerty qwertyuiop qwertyuiopasdfghjkl asdfgh asdfghjkl zxcvbn zxcvbnm qazwsx
    qazwsxedc abc abcd abcde abcdef abcdefgh abcdefghij welcome welcometo letmein changeme changeit secret default
    guest login test testtest demo dragon monkey football bongda sunshine princess superman batman master
    computer internet samsung iphone google facebook zalo viettel vinaphone mobifone
    """.split()  # noqa: SIM905 (a list of words, not of strings)
)
_LOOKS_LIKE = str.maketrans("@4310$5!", "aaeiossi")
_SYLLABLES = tuple(a + b for a in "bcdghklmnprstvx" for b in "aeiou")
_GROUPS = 4


def check(password: str, *about: str) -> None:
    """Raise PeopleError where a password is too short, too long, or among the first that anybody would try.

    `about` is what others know of its owner: the account's name, the full name, the center's id.
    """
    if len(password) < LEAST:
        raise PeopleError("password_short", least=LEAST)
    if len(password) > MOST:
        raise PeopleError("password_long", most=MOST)
    plain = _plain(password)
    repeated = len(set(plain)) < 4  # aaaaaaaaaa, 1212121212
    running = plain in "01234567890123456789" or plain in "98765432109876543210"
    first = _COMMON | {_letters(_plain(one)) for one in about} - {""}
    cores = {_letters(plain), _letters(re.sub(r"[^a-z]+$", "", plain).translate(_LOOKS_LIKE))}
    if repeated or running or any(core in first or _half(core) in first for core in cores):
        raise PeopleError("password_common")


def readable() -> str:
    """Return a new password of eight syllables, 50 bits by chance, as `tebi-koma-lusa-gido`."""
    return "-".join(secrets.choice(_SYLLABLES) + secrets.choice(_SYLLABLES) for _ in range(_GROUPS))


class Hasher:
    """Hashes and compares in two threads of its own, so that neither pages nor the hall wait for it."""

    def __init__(self, *, memory_kib: int = MEMORY_KIB, passes: int = PASSES) -> None:
        self._argon2 = PasswordHasher(time_cost=passes, memory_cost=memory_kib, parallelism=1)
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="password")
        self._asked = 0
        self._nobody = ""

    async def hash(self, password: str) -> str:
        """Return what is kept of a password."""
        return str(await self._run(self._argon2.hash, _normal(password)))

    async def matches(self, kept: str | None, password: str) -> bool:
        """Whether this is the password; takes as long for an account that does not exist (None)."""
        return bool(await self._run(self._matches, kept, _normal(password[: MOST + 1])))

    def outdated(self, kept: str) -> bool:
        """Whether a password should be hashed anew, because the cost has been raised since."""
        return self._argon2.check_needs_rehash(kept)

    def close(self) -> None:
        """Let the threads go."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _matches(self, kept: str | None, password: str) -> bool:
        if kept is None:
            self._nobody = self._nobody or self._argon2.hash(secrets.token_hex())
        try:
            self._argon2.verify(kept or self._nobody, password)
        except (VerificationError, InvalidHashError):
            return False
        return kept is not None

    async def _run(self, work: Callable[..., object], *args: object) -> object:
        if self._asked >= AT_ONCE + WAITING:
            raise PeopleError("logins_busy", seconds=2)
        self._asked += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work, *args)
        finally:
            self._asked -= 1


# --- the cookie of a computer that has been here before -----------------------------------------------------------


def make_known(account: str, kept: str) -> str:
    """Return a cookie that says: somebody has logged in here by this account and this password.

    It is signed by what is kept of the password: so nothing is stored for it, and a new password ends it.
    """
    nonce = secrets.token_hex(16)
    return f"{nonce}.{_sign(account, kept, nonce)}"


def known_as(cookie: str, account: str, kept: str) -> str | None:
    """Return the computer's own name in such a cookie, None where it is not of this account and password."""
    nonce, _, signature = cookie.partition(".")
    good = len(nonce) == 32 and hmac.compare_digest(signature.encode(), _sign(account, kept, nonce).encode())
    return nonce if good else None


def _sign(account: str, kept: str, nonce: str) -> str:
    return hmac.new(kept.encode(), f"known {account} {nonce}".encode(), hashlib.sha256).hexdigest()


def _normal(password: str) -> str:
    """One form for what can be typed in several: a Vietnamese keyboard may send a letter and its mark apart."""
    return unicodedata.normalize("NFC", password)


def _plain(text: str) -> str:
    letters = unicodedata.normalize("NFD", text.lower().replace("đ", "d"))
    return "".join(one for one in letters if not unicodedata.combining(one) and not one.isspace())


def _letters(plain: str) -> str:
    return re.sub(r"[^a-z]", "", plain)


def _half(core: str) -> str:
    """Return what stands twice in a row, as in matkhaumatkhau."""
    half = core[: len(core) // 2]
    return half if core == half * 2 else ""
