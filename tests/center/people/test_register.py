"""The register: accounts and sessions, over a real hall and its database."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import pytest
import sqlalchemy as sa

from center import audit
from center.config import Config
from center.errors import StoreError
from center.hall import Hall
from center.people.model import PeopleError, Person
from center.people.passwords import Hasher
from center.people.register import Admitted, People, TooManyError
from center.people.sessions import EACH
from center.storage import tables
from tests.center.conftest import TestClock

T = TypeVar("T")
OWN = "bốn từ không liên quan"
NEW = "ngân nga giữa trưa"
HOUR_S = 3600.0


@pytest.fixture
def run(hall: Hall, config: Config) -> Callable[[Callable[[People], Awaitable[T]]], T]:
    """Do something with a register; the next call gets one that has been started anew."""

    def run(job: Callable[[People], Awaitable[T]]) -> T:
        async def all_of_it() -> T:
            people = People(hall, config, hasher=Hasher(memory_kib=8, passes=1))
            await people.start()
            try:
                return await job(people)
            finally:
                await people.stop()

        return asyncio.run(all_of_it())

    return run


async def settled(people: People, name: str = "an") -> Admitted:
    """Make an account, log in and choose a password."""
    given = await people.add(name, f"Cán bộ {name}", "officer", actor="test")
    admitted = await people.log_in(name, given, address="10.0.0.7")
    return await people.change_password(admitted.person, given, OWN, address="10.0.0.7")


async def refused(what: Awaitable[object]) -> str:
    """Return the code of a refusal."""
    with pytest.raises(PeopleError) as error:
        await what
    return error.value.code


def actions(hall: Hall) -> list[str]:
    """Return what the audit log says was done, in order."""
    return list(hall.transact(lambda rows: rows.execute(sa.select(tables.audit.c.action)).scalars().all()).result(30))


def test_the_first_start_makes_one_administrator_and_says_the_password_once(
    run: Any, hall: Hall, caplog: pytest.LogCaptureFixture
) -> None:
    """No default password: one is made by chance, said once and never again, and must be changed before all else."""

    async def first(people: People) -> Person:
        (account,) = people.accounts()
        assert (account.name, account.role, account.must_change) == ("quantri", "administrator", True)
        found = re.search(r"with the password (\S+) and choose", caplog.text)
        assert found is not None
        person = (await people.log_in("quantri", found[1], address="10.0.0.7")).person
        assert not person.may("govern")
        return (await people.change_password(person, found[1], OWN, address="10.0.0.7")).person

    assert run(first).may("govern")
    caplog.clear()

    async def again(people: People) -> int:
        return len(people.accounts())

    assert run(again) == 1
    assert "password" not in caplog.text
    rows = hall.transact(lambda rows: str(rows.execute(sa.select(tables.audit)).all())).result(30)
    assert OWN not in rows


def test_a_session_outlives_the_program_and_only_its_hash_is_stored(run: Any, hall: Hall) -> None:
    """After a restart the same cookie is the same person; whoever reads the database cannot make a cookie of it."""
    admitted = run(settled)

    async def who(people: People) -> Person | None:
        return people.person(admitted.token)

    person = run(who)
    assert (person.name, person.full_name, person.role) == ("an", "Cán bộ an", "officer")
    stored = hall.transact(lambda rows: rows.execute(sa.select(tables.session)).mappings().all()).result(30)
    assert [row["id"] for row in stored] == [person.session]
    assert admitted.token not in str(stored)


def test_asking_who_somebody_is_reads_no_database(run: Any, hall: Hall) -> None:
    """A page is never held up by a disk: a session is looked up in memory."""

    async def job(people: People) -> list[Person | None]:
        token = (await settled(people)).token
        hall.stop()
        return [people.person(token), people.person("x" * 43), people.person(None)]

    found = run(job)
    assert found[0] is not None
    assert found[1:] == [None, None]


def test_a_session_ends_unused_and_altogether(run: Any, clock: TestClock) -> None:
    """Four hours without a request end a session, and twelve hours end it whatever it did."""

    async def job(people: People) -> tuple[list[bool], bool]:
        busy, idle = (await settled(people)).token, (await settled(people, "binh")).token
        seen = []
        for _ in range(13):
            clock.advance(HOUR_S)
            seen.append(people.person(busy) is not None)
        return seen, people.person(idle) is not None

    seen, idle = run(job)
    assert seen == [True] * 11 + [False] * 2
    assert not idle


def test_an_idle_session_is_gone_after_four_hours(run: Any, clock: TestClock) -> None:
    """Idle time counts over a restart, too."""
    token = run(settled).token
    clock.advance(4 * HOUR_S - 600)

    async def alive(people: People) -> bool:
        return people.person(token) is not None

    assert run(alive)
    clock.advance(4 * HOUR_S + 600)
    assert not run(alive)


def test_a_small_step_of_the_clock_ends_no_session_and_a_large_one_all(run: Any, clock: TestClock) -> None:
    """Setting the clock back by minutes logs nobody out; a session cannot be made longer by setting it back a day."""

    async def job(people: People) -> list[bool]:
        token = (await settled(people)).token
        clock.wall_ms -= 20 * 60_000
        small = people.person(token) is not None
        clock.wall_ms -= 24 * 3_600_000
        return [small, people.person(token) is not None]

    assert run(job) == [True, False]


@pytest.mark.parametrize("end", ["disable", "reset", "role", "revoke", "logout", "password"])
def test_whatever_ends_a_session_ends_it_at_once_and_for_good(run: Any, hall: Hall, end: str) -> None:
    """Disabled, reset, another role, revoked, logged out, or a new password: the cookie is worth nothing."""

    async def job(people: People) -> tuple[bool, list[str], str]:
        admitted = await settled(people)
        ended: list[str] = []
        people.on_end = ended.append
        match end:
            case "disable":
                await people.set_disabled("an", True, actor="test")
            case "reset":
                await people.reset("an", actor="test")
            case "role":
                await people.set_role("an", "supervisor", actor="test")
            case "revoke":
                await people.revoke(people.sessions("an")[0].mark, actor="test")
            case "logout":
                await people.log_out(admitted.person)
            case _:
                await people.change_password(admitted.person, OWN, f"{OWN} nào nữa", address="10.0.0.7")
        return people.person(admitted.token) is None, ended, admitted.token

    gone, ended, token = run(job)
    assert (gone, len(ended)) == (True, 1)

    async def after(people: People) -> Person | None:
        return people.person(token)

    assert run(after) is None
    word = {
        "disable": "account_disabled", "reset": "password_reset", "role": "role_changed", "revoke": "session_revoked",
        "logout": "logout", "password": "password_changed",
    }[end]  # fmt: skip
    assert word in actions(hall)


def test_a_disabled_account_cannot_log_in_and_is_told_no_more_than_others(run: Any) -> None:
    """Wrong name, wrong password and a disabled account get the same answer."""

    async def job(people: People) -> list[str]:
        await settled(people)
        wrong = await refused(people.log_in("an", "x", address="10.0.0.7"))
        nobody = await refused(people.log_in("nobody", OWN, address="10.0.0.8"))
        await people.set_disabled("an", True, actor="test")
        return [wrong, nobody, await refused(people.log_in("an", OWN, address="10.0.0.9"))]

    assert run(job) == ["login_failed"] * 3


def test_the_last_administrator_stays(run: Any) -> None:
    """Nobody can lock everybody out: the only active administrator is neither disabled nor given another role."""

    async def job(people: People) -> list[str]:
        codes = [
            await refused(people.set_disabled("quantri", True, actor="test")),
            await refused(people.set_role("quantri", "officer", actor="test")),
        ]
        await people.add("chi", "Chi", "administrator", actor="test")
        await people.set_disabled("quantri", True, actor="test")
        return [*codes, await refused(people.set_disabled("chi", True, actor="test"))]

    assert run(job) == ["last_administrator"] * 3


def test_nobody_shuts_themselves_out(run: Any) -> None:
    """One's own account is disabled, demoted or given a first password by another administrator only."""

    async def job(people: People) -> list[str]:
        await people.add("chi", "Chi", "administrator", actor="test")
        own = "person:chi"
        return [
            await refused(people.set_disabled("chi", True, actor=own)),
            await refused(people.set_role("chi", "officer", actor=own)),
            await refused(people.reset("chi", actor=own)),
        ]

    assert run(job) == ["own_account", "own_account", "own_password"]


def test_wrong_passwords_wait_and_are_in_the_log_with_no_word_that_was_typed(
    run: Any, hall: Hall, clock: TestClock
) -> None:
    """After three wrong ones the next waits; what was typed for a name that does not exist may be a password."""

    async def job(people: People) -> tuple[str, int, bool]:
        await settled(people)
        for _ in range(3):
            await refused(people.log_in("an", "wrong", address="10.0.0.66"))
        await refused(people.log_in("my secret password", "wrong", address="10.0.0.67"))
        with pytest.raises(TooManyError) as waits:
            await people.log_in("an", OWN, address="10.0.0.66")
        elsewhere = await people.log_in("an", OWN, address="10.0.0.7")
        clock.advance(waits.value.wait_s)
        later = await people.log_in("an", OWN, address="10.0.0.66")
        return waits.value.code, waits.value.wait_s, elsewhere.person == later.person

    code, wait_s, _ = run(job)
    assert (code, 1 <= wait_s <= 2) == ("login_wait", True)
    rows = str(hall.transact(lambda rows: rows.execute(sa.select(tables.audit)).all()).result(30))
    assert ("secret" in rows, "wrong'" in rows) == (False, False)
    assert actions(hall).count("login_failed") == 4


def test_many_sessions_of_one_account_end_the_oldest(run: Any) -> None:
    """An account has ten sessions at most."""

    async def job(people: People) -> tuple[int, list[bool]]:
        first = (await settled(people)).token
        tokens = [(await people.admit("an", address="10.0.0.7")).token for _ in range(EACH)]
        return len(people.sessions("an")), [people.person(first) is None, people.person(tokens[-1]) is not None]

    assert run(job) == (EACH, [True, True])


@pytest.mark.parametrize("meanwhile", ["reset", "disabled", "session ended"])
def test_a_password_that_is_being_changed_does_not_undo_what_an_administrator_does(run: Any, meanwhile: str) -> None:
    """Whoever is put out while their new password is hashed stays out, and the password that was given then holds."""

    async def job(people: People) -> str:
        admitted = await settled(people)
        hashing, go_on = asyncio.Event(), asyncio.Event()
        hash_it = people._hasher.hash

        async def slowly(password: str) -> str:
            if password == NEW:
                hashing.set()
                await go_on.wait()
            return await hash_it(password)

        people._hasher.hash = slowly  # type: ignore[method-assign]
        change = asyncio.create_task(people.change_password(admitted.person, OWN, NEW, address="10.0.0.7"))
        await hashing.wait()
        current = OWN
        if meanwhile == "reset":
            current = await people.reset("an", actor="test")
        elif meanwhile == "disabled":
            await people.set_disabled("an", True, actor="test")
        else:
            await people.revoke(admitted.person.session[:16], actor="test")
        go_on.set()
        code = await refused(change)
        assert people.sessions("an") == []
        if meanwhile == "disabled":
            await people.set_disabled("an", False, actor="test")
        inside = (await people.log_in("an", current, address="10.0.0.8")).person
        assert inside.must_change == (meanwhile == "reset")
        return code

    assert run(job) == "login_needed"


def test_names_are_one_line_of_plain_letters(run: Any) -> None:
    """A login name is small letters and digits; a full name has no control characters and does not turn the text."""

    async def job(people: People) -> list[str]:
        wrong = [("an nguyen", "An"), ("a", "An"), ("ấn", "An"), ("an", ""), ("an", "\u202eAn"), ("an", "\u200b\u200d")]
        codes = [await refused(people.add(name, full, "officer", actor="test")) for name, full in wrong]
        await people.add(" An.Nguyen ", " Nguyễn   Văn An ", "officer", actor="test")
        return [*codes, await refused(people.add("an.nguyen", "X", "officer", actor="test"))]

    assert run(job) == ["name_unusable"] * 3 + ["full_name_unusable"] * 3 + ["account_exists"]


def test_everything_done_stands_in_a_whole_audit_log(run: Any, hall: Hall, caplog: pytest.LogCaptureFixture) -> None:
    """Each change has its entry, the chain is whole, and its head is in the journal from the start."""
    caplog.set_level("INFO")
    run(settled)
    assert actions(hall) == ["account_made", "account_made", "login", "password_changed", "login"]
    head = hall.transact(audit.verify).result(30)
    assert isinstance(head, audit.Head)
    assert re.search(r"audit log: 1 entries, head 1:[0-9a-f]{64}", caplog.text)


def test_a_change_that_cannot_be_stored_has_not_happened(run: Any, hall: Hall) -> None:
    """If the disk fails, the account is as before and the session goes on."""

    async def job(people: People) -> tuple[bool, bool]:
        admitted = await settled(people)

        def full(_job: object) -> None:
            raise StoreError("disk full", full=True)

        hall._ledger._store.transact = full  # type: ignore[method-assign, assignment]
        with pytest.raises(StoreError):
            await people.set_disabled("an", True, actor="test")
        del hall._ledger._store.transact
        (account,) = (one for one in people.accounts() if one.name == "an")
        return account.disabled, people.person(admitted.token) is not None

    assert run(job) == (False, True)


@pytest.mark.parametrize("who", ["administrator", "oneself"])
def test_a_session_ends_also_while_nothing_can_be_stored(run: Any, hall: Hall, who: str) -> None:
    """A full disk keeps nobody in: the end holds at once, and is written, once, as soon as there is room."""

    def full(_job: object) -> None:
        raise StoreError("disk full", full=True)

    async def job(people: People) -> tuple[str, list[bool]]:
        admitted = await settled(people)
        hall._ledger._store.transact = full  # type: ignore[method-assign, assignment]
        ended: list[str] = []
        people.on_end = ended.append
        if who == "administrator":
            assert not await people.revoke(admitted.person.session[:16], actor="test")
        else:
            await people.log_out(admitted.person)
        found = [people.person(admitted.token) is None, ended == [admitted.person.session], people.sessions("an") == []]
        await people._look_after()
        return admitted.token, found

    token, found = run(job)
    assert found == [True, True, True]
    del hall._ledger._store.transact

    async def after(people: People) -> list[bool]:
        again = people.person(token) is not None  # as the administrator was told
        session = people.sessions("an")[0]
        hall._ledger._store.transact = full  # type: ignore[method-assign, assignment]
        await people.revoke(session.mark, actor="test")
        del hall._ledger._store.transact
        await asyncio.gather(people._look_after(), people._look_after())
        return [again, people.person(token) is None]

    assert run(after) == [True, True]
    assert actions(hall).count("session_revoked") == 1

    async def nobody(people: People) -> Person | None:
        return people.person(token)

    assert run(nobody) is None


def test_the_audit_log_cannot_be_filled_by_wrong_passwords(run: Any, hall: Hall, monkeypatch: Any) -> None:
    """After so many failures a day only every hundredth is written, with the count."""
    monkeypatch.setattr("center.people.register.FAILURES_A_DAY", 5)

    async def job(people: People) -> None:
        for _ in range(205):
            await people._record_failure("an", "10.0.0.66", 9)

    run(job)
    assert actions(hall).count("login_failed") == 7
