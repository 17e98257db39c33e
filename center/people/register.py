"""The register of people: everything that is done to accounts and sessions, written through the hall.

All methods belong to the event loop that serves the pages. Asking who somebody is costs a look into a dict: it never
waits for the hall or the database. What is changed here is first committed, together with its line in the audit log;
only the end of a session comes first and is written after it.
"""

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import sqlalchemy as sa
from msgspec.structs import replace

from center import audit
from center.clock import business_day
from center.config import Config
from center.errors import StoreError
from center.hall import Hall
from center.people import passwords, rows
from center.people.accounts import Accounts, of_another, own
from center.people.limits import Buckets, Logins
from center.people.model import Account, Identity, PeopleError, Person, Role, Session, account_name, full_name
from center.people.passwords import Hasher
from center.people.sessions import EACH, Sessions, id_of

log = logging.getLogger(__name__)

T = TypeVar("T")
_End = tuple[list[Session], audit.Entry | None]

FIRST = "quantri"
FIRST_FULL_NAME = "Quản trị"
FAILURES_A_DAY = 2_000
"""So many wrong passwords a day stand in the audit log line by line; of more, every hundredth."""

_MINUTE_MS = 60_000
_SWEEP_S = 15.0


@dataclass(frozen=True, slots=True)
class Admitted:
    """Somebody is in: the token is for their cookie and stands nowhere else; `known` marks the computer."""

    token: str
    person: Person
    known: str


class TooManyError(PeopleError):
    """Come again later."""

    def __init__(self, code: str, wait_s: float) -> None:
        super().__init__(code, seconds=max(1, round(wait_s + 0.5)))

    @property
    def wait_s(self) -> int:
        """For `Retry-After`."""
        return int(str(self.facts["seconds"]))


class People:
    """Who may do what at one center."""

    def __init__(self, hall: Hall, config: Config, *, hasher: Hasher | None = None) -> None:
        self._hall = hall
        self._config = config
        self._hasher = hasher or Hasher()
        self._logins = Logins()
        self._denied = Buckets((3, 1 / 60))
        self._accounts = Accounts()
        self._sessions = Sessions(
            hall.now_ms,
            idle_ms=config.people.idle_minutes * _MINUTE_MS,
            longest_ms=config.people.session_hours * 60 * _MINUTE_MS,
        )
        self._unwritten: list[_End] = []
        self._writing_ends = asyncio.Lock()  # two who write at once would each write all of them
        self._changing = asyncio.Lock()
        self._failures = ("", 0)
        self._head_day = ""
        self._sweeper: asyncio.Task[None] | None = None
        self.on_end: Callable[[str], None] = lambda _session: None
        """Called with the id of each session that ends."""

    # --- life ------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Read who there is; make the first administrator where there is nobody."""
        accounts, sessions = await self._transact(rows.load)
        self._accounts.start(accounts)
        self._sessions.start(sessions)
        await self._look_after()
        self._sweeper = asyncio.create_task(self._sweep(), name="people")

    async def stop(self) -> None:
        """Stop looking after sessions. They go on after a restart."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.gather(self._sweeper, return_exceptions=True)
            self._sweeper = None
            with contextlib.suppress(StoreError):
                await self._write_ends()
                await self._write_seen()
        self._hasher.close()

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_S)
            await self._look_after()

    async def _look_after(self) -> None:
        """End what has expired, make sure that somebody can log in, and tell the journal where the audit log ends."""
        try:
            if not self._accounts.all():
                await self._make_first()
            if over := self._sessions.over():
                await self._end(over)
            await self._write_ends()
            await self._write_seen()
            day = business_day(self._hall.now_ms(), self._config.zone)
            if day != self._head_day:
                head = await self._transact(audit.head)
                log.info("audit log: %d entries, head %s", head.seq, head)
                self._head_day = day
        except StoreError as error:
            log.debug("people: %s; tried again soon", error)  # the hall has said it already

    async def _make_first(self) -> None:
        password = passwords.readable()
        await self._put_new(FIRST, FIRST_FULL_NAME, "administrator", password, actor="center")
        log.warning(
            "nobody has an account yet: log in as %s with the password %s and choose your own;"
            " it is shown this once (forgotten: motcua center people reset %s --config FILE)",
            FIRST, password, FIRST,
        )  # fmt: skip

    # --- who asks --------------------------------------------------------------------------------------------------

    def person(self, token: str | None) -> Person | None:
        """Return whose session a token is, and note that it was used; None where it is nobody's any more."""
        if not token:
            return None
        session = self._sessions.find(id_of(token))
        account = self._accounts.find(session.account) if session is not None else None
        if session is None or account is None or account.disabled:
            return None
        self._sessions.use(session)
        return _person(account, session)

    def still(self, session_id: str) -> bool:
        """Whether a session goes on; asking is no use of it."""
        return self._sessions.find(session_id) is not None

    def logged_in_at(self, person: Person) -> int | None:
        """Return when somebody gave a password, here or elsewhere, for the session that asks."""
        session = self._sessions.find(person.session)
        return None if session is None else session.made_at

    def accounts(self) -> list[Account]:
        """Return every account, by name."""
        return self._accounts.all()

    @property
    def last_administrator(self) -> str | None:
        """The one account that may govern with a password of this center; None where there are several."""
        return self._accounts.last_administrator

    def called(self, actor: str) -> str:
        """Return how people know an actor of the record: by the full name, where it is a person's account."""
        return self._accounts.called(actor)

    def sessions(self, account: str | None = None) -> list[Session]:
        """Return who is logged in, the last to be seen first."""
        return self._sessions.living(account)

    # --- in and out ------------------------------------------------------------------------------------------------

    async def log_in(self, name: str, password: str, *, address: str, known: str = "") -> Admitted:
        """Open a session; raise PeopleError for a wrong name or password, TooManyError for too many of them."""
        name = name.strip().lower()[:64]
        account = self._accounts.find(name)
        computer = passwords.known_as(known, name, account.password) if account else None
        now_s = self._hall.clock.monotonic_s()
        if wait_s := self._logins.wait_s(name, address, computer, now_s):
            raise TooManyError("login_wait", wait_s)
        times = self._logins.failed(
            name, address, computer, now_s
        )  # until it is known better: tries may be many at once
        usable = account if account is not None and not account.disabled and account.subject is None else None
        if not await self._hasher.matches(usable.password if usable else None, password) or usable is None:
            await self._record_failure(name if account else "", address, times)
            raise PeopleError("login_failed")
        self._logins.succeeded(name, address, computer)
        if self._hasher.outdated(usable.password):
            usable = replace(usable, password=await self._hasher.hash(password))
        return await self._open(usable, address)

    async def admit(self, name: str, *, address: str) -> Admitted:
        """Open a session for somebody whom another check has let in."""
        account = self._accounts.find(name)
        if account is None or account.disabled:
            raise PeopleError("login_failed")
        return await self._open(account, address)

    async def log_in_as(self, identity: Identity, *, address: str, label: str) -> Admitted:
        """Open a session for somebody whom the OIDC provider `label` has vouched for.

        The first login makes the account; the role is what the provider says now. An account is found by its subject
        only, never by a name, so that nobody becomes somebody else here by choosing a name there.
        """
        account = self._accounts.of_subject(identity.subject)
        if account is not None and account.disabled:
            await self.record(f"http:{address}", "login_refused", account.name, "disabled")
            raise PeopleError("account_disabled")
        if identity.role is None:
            await self._refuse(identity, account, address)
            raise PeopleError("role_missing", label=label)
        if account is None:
            # No argon2 ever makes this, so no password fits; it signs the computer's second cookie.
            kept = f"!{secrets.token_urlsafe(32)}"
            account = await self._insert(
                identity.name, identity.full_name, identity.role, kept, actor="oidc", subject=identity.subject
            )
        await self._rename(account, identity.full_name, actor="oidc")
        await self._give_role(account, identity.role, actor="oidc")
        return await self._open(self._accounts.named(account.name), address)

    async def record_failure(self, address: str, detail: str) -> None:
        """Note that a provider's answer was refused before it was known whose it is."""
        await self._record_failure("", address, 0, detail)

    async def _refuse(self, identity: Identity, account: Account | None, address: str) -> None:
        """Note that somebody came without a role; who had one until now is out everywhere."""
        ended = [] if account is None else self._sessions.of(account.name)
        who = account.name if account is not None else ""
        await self._end(ended, self._entry(f"http:{address}", "login_refused", who, f"{identity.full_name}: no role"))

    async def _open(self, account: Account, address: str) -> Admitted:
        token = secrets.token_urlsafe(32)
        session = self._sessions.make(token, account.name, address)
        async with self._changing:
            current = self._accounts.find(account.name)
            if current is None or current.disabled or current.changed_at != account.changed_at:
                raise PeopleError("login_failed")  # changed while the password was compared
            others = self._sessions.living(account.name)[EACH - 1 :]
            by = ", by oidc" if account.subject else ""
            entry = self._entry(f"person:{account.name}", "login", account.name, f"from {address}{by}")

            def job(connection: sa.Connection) -> None:
                rows.put_account(connection, account)
                rows.add_session(connection, session)
                rows.delete_sessions(connection, others)
                audit.append(connection, entry)

            await self._transact(job)
            self._accounts.put(account)
            self._sessions.add(session)
            self._forget(others)
        known = passwords.make_known(account.name, account.password)
        return Admitted(token, _person(account, session), known)

    async def log_out(self, person: Person) -> None:
        """End the session that asks."""
        session = self._sessions.find(person.session)
        if session is not None:
            await self._end([session], self._entry(person.actor, "logout", person.name))

    async def change_password(self, person: Person, old: str, new: str, *, address: str) -> Admitted:
        """Give a person a password of their own choice; all their other sessions end, and this one gets a new token."""
        account = own(self._accounts.named(person.name))
        now_s = self._hall.clock.monotonic_s()
        if wait_s := self._logins.wait_s(person.name, address, person.session, now_s):
            raise TooManyError("login_wait", wait_s)
        self._logins.failed(person.name, address, person.session, now_s)
        if not await self._hasher.matches(account.password, old):
            raise PeopleError("password_wrong")
        self._logins.succeeded(person.name, address, person.session)
        passwords.check(new, account.name, account.full_name, self._config.id)
        if new == old:
            raise PeopleError("password_same")
        hashed = await self._hasher.hash(new)
        await self._change(
            account,
            "password_changed",
            person.actor,
            by=person.session,
            password=hashed,
            must_change=False,
            end_sessions=True,
        )
        return await self._open(self._accounts.named(person.name), address)

    # --- what an administrator does --------------------------------------------------------------------------------

    async def add(self, name: str, full: str, role: Role, *, actor: str) -> str:
        """Make an account; returns its first password, which must be changed at the first login."""
        password = passwords.readable()
        await self._put_new(account_name(name), full_name(full), role, password, actor=actor)
        return password

    async def vouch(self, name: str, full: str, role: Role, *, actor: str) -> None:
        """Have an account for somebody whom another check knows; made if it is not there, its password nobody knows."""
        name, full = account_name(name), full_name(full)
        if self._accounts.find(name) is None:
            await self._put_new(name, full, role, secrets.token_urlsafe(), actor=actor, must_change=False)
            return
        await self.rename(name, full, actor=actor)
        await self.set_role(name, role, actor=actor)

    async def reset(self, name: str, *, actor: str) -> str:
        """Give an account a new first password and end its sessions; returns the password."""
        account = own(self._accounts.named(name))
        of_another(account, actor, "own_password")  # it would be shown to a session that has just ended
        password = passwords.readable()
        hashed = await self._hasher.hash(password)
        await self._change(account, "password_reset", actor, password=hashed, must_change=True, end_sessions=True)
        return password

    async def set_role(self, name: str, role: Role, *, actor: str) -> None:
        """Give an account another role; its sessions end, so that no page shows what is not its own any more."""
        account = own(self._accounts.named(name))
        of_another(account, actor, "own_account")
        await self._give_role(account, role, actor=actor)

    async def _give_role(self, account: Account, role: Role, *, actor: str) -> None:
        if account.role != role:
            detail = f"{account.role} -> {role}"
            await self._change(account, "role_changed", actor, detail, role=role, end_sessions=True)

    async def rename(self, name: str, full: str, *, actor: str) -> None:
        """Correct how a person is called."""
        await self._rename(self._accounts.named(name), full_name(full), actor=actor)

    async def _rename(self, account: Account, full: str, *, actor: str) -> None:
        if account.full_name != full:
            await self._change(account, "account_renamed", actor, f"{account.full_name} -> {full}", full_name=full)

    async def set_disabled(self, name: str, disabled: bool, *, actor: str) -> None:
        """Let an account log in no more, or again."""
        account = self._accounts.named(name)
        of_another(account, actor, "own_account")
        if account.disabled != disabled:
            action = "account_disabled" if disabled else "account_enabled"
            await self._change(account, action, actor, disabled=disabled, end_sessions=disabled)

    async def revoke(self, mark: str, *, actor: str) -> bool:
        """End a session by its mark; nothing to do where there is none. False: it is over, but not yet written."""
        written = True
        for session in self._sessions.marked(mark):
            entry = self._entry(actor, "session_revoked", session.account, f"from {session.address}")
            written = await self._end([session], entry) and written
        return written

    async def record(self, actor: str, action: str, what: str = "", detail: str = "") -> None:
        """Add a line to the audit log that belongs to nothing stored here."""
        entry = self._entry(actor, action, what, detail)
        await self._transact(lambda connection: audit.append(connection, entry))

    async def record_denied(self, person: Person, what: str) -> None:
        """Note that a person asked for what is not theirs, a few times a minute at the most."""
        if not self._denied.take(person.name, self._hall.clock.monotonic_s()):
            with contextlib.suppress(StoreError):
                await self.record(person.actor, "refused", what, f"as {person.role}")

    async def entries(self, before: int | None, count: int) -> list[audit.Written]:
        """Return lines of the audit log, the newest first; `before` a number, or from the end."""
        return await self._transact(lambda connection: audit.newest(connection, before, count))

    # --- changing --------------------------------------------------------------------------------------------------

    async def _put_new(
        self, name: str, full: str, role: Role, password: str, *, actor: str, must_change: bool = True
    ) -> None:
        hashed = await self._hasher.hash(password)
        await self._insert(name, full, role, hashed, actor=actor, must_change=must_change)

    async def _insert(
        self,
        name: str,
        full: str,
        role: Role,
        kept: str,
        *,
        actor: str,
        must_change: bool = False,
        subject: str | None = None,
    ) -> Account:
        """Commit an account. One of the provider's takes a name that is free, and is there only once."""
        async with self._changing:
            if subject is not None:
                if there := self._accounts.of_subject(subject):
                    return there
                name = self._accounts.free_name(name)
            self._accounts.check_room(name)
            now = self._hall.now_ms()
            account = Account(
                name=name,
                full_name=full,
                role=role,
                password=kept,
                must_change=must_change,
                disabled=False,
                made_at=now,
                changed_at=now,
                subject=subject,
            )
            entry = self._entry(actor, "account_made", name, f"{full}, {role}")

            def job(connection: sa.Connection) -> None:
                rows.add_account(connection, account)
                audit.append(connection, entry)

            await self._transact(job)
            self._accounts.put(account)
            return account

    async def _change(
        self,
        account: Account,
        action: str,
        actor: str,
        detail: str = "",
        *,
        by: str | None = None,
        end_sessions: bool = False,
        **new: object,
    ) -> None:
        """Commit another version of an account, the end of its sessions, and the line that says so.

        `by` is the session of the person that asks for their own account: if it has ended since, nothing is changed, so
        that a password which was given meanwhile stays.
        """
        async with self._changing:
            if by is not None and not self.still(by):
                raise PeopleError("login_needed")
            changed = replace(self._accounts.named(account.name), changed_at=self._hall.now_ms(), **new)
            self._accounts.check_governed(changed)
            ended = self._sessions.of(account.name) if end_sessions else []
            entry = self._entry(actor, action, account.name, detail)

            def job(connection: sa.Connection) -> None:
                rows.put_account(connection, changed)
                rows.delete_sessions(connection, ended)
                audit.append(connection, entry)

            await self._transact(job)
            self._accounts.put(changed)
            self._forget(ended)

    async def _end(self, sessions: list[Session], entry: audit.Entry | None = None) -> bool:
        """End sessions at once, and write that as soon as it can be; return whether it is written.

        A disk that is full must not keep in whoever is to be put out. If the program ends before there is room again,
        the database brings them back: whoever asked is told so.
        """
        self._forget(sessions)
        self._unwritten.append((sessions, entry))
        try:
            await self._write_ends()
        except StoreError as error:
            if entry is not None:  # of one that has run out nothing would come back
                log.warning(
                    "the session of %s is over, but not written: %s; started again before it is, the center lets it in",
                    entry.object,
                    error,
                )
            return False
        return True

    async def _write_ends(self) -> None:
        """Write which sessions have ended, with their lines of the audit log, the oldest first."""
        async with self._writing_ends:
            while waits := self._unwritten[:]:
                await self._transact(lambda connection: _put_ends(connection, waits))
                del self._unwritten[: len(waits)]

    def _forget(self, sessions: list[Session]) -> None:
        for session in sessions:
            self._sessions.drop(session)
            self.on_end(session.id)

    async def _write_seen(self) -> None:
        """Write when sessions were last used, those that have moved on enough."""
        if seen := self._sessions.seen():
            await self._transact(lambda connection: rows.put_seen(connection, seen))
            self._sessions.wrote(seen)

    async def _record_failure(self, name: str, address: str, times: int, detail: str = "") -> None:
        day = business_day(self._hall.now_ms(), self._config.zone)
        count = self._failures[1] + 1 if self._failures[0] == day else 1
        self._failures = day, count
        if count > FAILURES_A_DAY and count % 100:
            return
        # What was typed for a name that does not exist may be a password.
        detail = detail or (f"{times} in a row" if name else "no such account")
        if count > FAILURES_A_DAY:
            detail += f", {count} today"
        with contextlib.suppress(StoreError):
            await self.record(f"http:{address}", "login_failed", name, detail)

    def _entry(self, actor: str, action: str, what: str, detail: str = "") -> audit.Entry:
        return audit.Entry(at=self._hall.now_ms(), actor=actor, action=action, object=what, detail=detail)

    async def _transact(self, job: Callable[[sa.Connection], T]) -> T:
        return await asyncio.wrap_future(self._hall.transact(job))


def _person(account: Account, session: Session) -> Person:
    return Person(
        name=account.name,
        full_name=account.full_name,
        role=account.role,
        session=session.id,
        must_change=account.must_change,
        elsewhere=account.subject is not None,
    )


def _put_ends(connection: sa.Connection, ends: list[_End]) -> None:
    for sessions, entry in ends:
        rows.delete_sessions(connection, sessions)
        if entry is not None:
            audit.append(connection, entry)
