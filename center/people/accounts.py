"""The accounts of a center, as the database has them, and what must hold of them together. Pure."""

from collections.abc import Iterable

from center.people.model import Account, PeopleError

MOST = 2_000


class Accounts:
    """Every account, by name."""

    def __init__(self) -> None:
        self._known: dict[str, Account] = {}

    def start(self, accounts: Iterable[Account]) -> None:
        """Begin with what the database has."""
        self._known = {one.name: one for one in accounts}

    def all(self) -> list[Account]:
        """Return every account, by name."""
        return sorted(self._known.values(), key=lambda one: one.name)

    def find(self, name: str) -> Account | None:
        """Return an account, None where there is none of that name."""
        return self._known.get(name)

    def named(self, typed: str) -> Account:
        """Return the account that somebody typed the name of; raise PeopleError where there is none."""
        account = self._known.get(typed.strip().lower())
        if account is None:
            raise PeopleError("account_unknown", name=typed[:32])
        return account

    def of_subject(self, subject: str) -> Account | None:
        """Return the account of somebody whom the OIDC provider knows."""
        return next((one for one in self._known.values() if one.subject == subject), None)

    def free_name(self, wish: str) -> str:
        """Return a name that nobody has: the one wished for, or with the first number behind it."""
        taken = (wish, *(f"{wish[:27]}-{number}" for number in range(2, MOST + 2)))
        return next(one for one in taken if one not in self._known)

    def check_room(self, name: str) -> None:
        """Raise PeopleError where no account of that name can be made."""
        if name in self._known:
            raise PeopleError("account_exists", name=name)
        if len(self._known) >= MOST:
            raise PeopleError("accounts_full", most=MOST)

    def check_governed(self, changed: Account) -> None:
        """Raise PeopleError where nobody with a password of this center could govern after that change."""
        if self.last_administrator == changed.name and not _governs(changed):
            raise PeopleError("last_administrator")

    @property
    def last_administrator(self) -> str | None:
        """The one account that may govern with a password of this center; None where there are several."""
        found = [one.name for one in self._known.values() if _governs(one)]
        return found[0] if len(found) == 1 else None

    def called(self, actor: str) -> str:
        """Return how people know an actor of the record: by the full name, where it is a person's account."""
        name = actor.removeprefix("person:")
        account = self._known.get(name)
        return account.full_name if account is not None and name != actor else name

    def put(self, account: Account) -> None:
        """Remember an account as it has been committed."""
        self._known[account.name] = account


def own(account: Account) -> Account:
    """Return an account whose password and role are this center's business; raise PeopleError for another."""
    if account.subject is not None:
        raise PeopleError("password_elsewhere")
    return account


def of_another(account: Account, actor: str, code: str) -> None:
    """Raise PeopleError where somebody asks for their own account what would shut them out."""
    if actor == f"person:{account.name}":
        raise PeopleError(code)


def _governs(account: Account) -> bool:
    return account.role == "administrator" and not account.disabled and account.subject is None
