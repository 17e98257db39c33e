"""Which passwords are taken, and what is kept of them."""

import asyncio
from unicodedata import normalize

import pytest

from center.people import passwords
from center.people.model import PeopleError
from center.people.passwords import Hasher, check, known_as, make_known, readable


def refusal(password: str, *about: str) -> str | None:
    """Return why a password is refused, None where it is not."""
    try:
        check(password, *about)
    except PeopleError as error:
        return error.code
    return None


@pytest.mark.parametrize(
    "password",
    [
        "password123", "P@ssw0rd2026", "matkhau2026", "Mật khẩu 123", "M@tkhau!!!!!", "quantri@2026", "Admin12345",
        "vietnam1975", "qwertyuiop", "1234567890", "aaaaaaaaaaaa", "1212121212", "matkhaumatkhau", "9876543210",
        "an.nguyen2026", "Nguyễn Văn An 1", "bentre2026!",
    ],
)  # fmt: skip
def test_what_anybody_would_try_first_is_refused(password: str) -> None:
    """The usual words with years, signs and look-alike letters, runs, and one's own name are easy to guess."""
    assert refusal(password, "an.nguyen", "Nguyễn Văn An", "bentre") == "password_common"


@pytest.mark.parametrize(
    "password", ["bốn từ không liên quan", "xe đạp mưa chiều tím", "Kh0ng-ai-biet-dau", "zyxw0vut1s"]
)
def test_a_phrase_is_taken(password: str) -> None:
    """A few odd words need no signs or digits."""
    assert refusal(password, "an.nguyen", "Nguyễn Văn An", "bentre") is None


def test_a_password_has_ten_to_two_hundred_characters() -> None:
    """Shorter is refused, and so is what nobody types."""
    assert refusal("chín ký t") == "password_short"
    assert refusal("x y z " * 50) == "password_long"


def test_a_given_password_can_be_read_out_and_is_never_the_same() -> None:
    """It has eight syllables of plain letters; of a thousand no two are equal, and each passes our own rule."""
    given = {readable() for _ in range(1000)}
    assert len(given) == 1000
    assert all(len(one) == 19 and one.replace("-", "").isalpha() and one.isascii() for one in given)
    assert {refusal(one) for one in given} == {None}


def test_the_hash_is_argon2id_with_the_documented_cost() -> None:
    """What is kept begins with the algorithm and its cost: 19 MB, two passes."""

    async def kept() -> str:
        hasher = Hasher()
        try:
            return await hasher.hash("bốn từ không liên quan")
        finally:
            hasher.close()

    assert asyncio.run(kept()).startswith("$argon2id$v=19$m=19456,t=2,p=1$")


def test_only_the_right_password_matches_however_it_was_typed() -> None:
    """A keyboard that sends letters and marks apart types the same password; nobody's account matches nothing."""

    async def found() -> list[bool]:
        hasher = Hasher(memory_kib=8, passes=1)
        try:
            kept = await hasher.hash("mật khẩu của tôi")
            tried = ["mật khẩu của tôi", normalize("NFD", "mật khẩu của tôi"), "mat khau cua toi", ""]
            matches = [await hasher.matches(kept, one) for one in tried]
            return [*matches, await hasher.matches(None, "mật khẩu của tôi"), await hasher.matches("rubbish", "x")]
        finally:
            hasher.close()

    assert asyncio.run(found()) == [True, True, False, False, False, False]


def test_a_flood_of_logins_is_refused_before_it_costs_memory() -> None:
    """At most eighteen passwords are in hand at a time; the next one is told to come back."""

    async def flood() -> list[str]:
        hasher = Hasher()
        kept = await hasher.hash("bốn từ không liên quan")
        tried = await asyncio.gather(*(hasher.matches(kept, "x") for _ in range(40)), return_exceptions=True)
        hasher.close()
        return [one.code if isinstance(one, PeopleError) else "compared" for one in tried]

    said = asyncio.run(flood())
    assert said.count("compared") == passwords.AT_ONCE + passwords.WAITING
    assert said.count("logins_busy") == 40 - passwords.AT_ONCE - passwords.WAITING


def test_a_computer_is_known_until_the_password_changes() -> None:
    """The cookie of a computer is good for one account and one password, and cannot be made without what is kept."""
    cookie = make_known("an", "kept-1")
    assert known_as(cookie, "an", "kept-1") == cookie[:32]
    assert known_as(cookie, "binh", "kept-1") is None
    assert known_as(cookie, "an", "kept-2") is None
    assert known_as(cookie[:-1] + "x", "an", "kept-1") is None
    assert known_as("", "an", "kept-1") is None
    assert known_as("đ.é", "an", "kept-1") is None
