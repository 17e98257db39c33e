"""What is known of people, and what each role may do. Pure: no clock, no store, no hash."""

import re
from typing import Annotated, Literal, get_args

import msgspec

from contract.events import END

Role = Literal["officer", "supervisor", "director", "administrator"]
Right = Literal["serve", "review", "reveal", "report", "see_devices", "mend_devices", "watch", "govern"]
"""`serve` at a desk, `review` incidents, `reveal` clear versions of them, `report` figures, look at devices or act on
them, `watch` through a camera and say what it looks for, `govern` people."""

ROLES: tuple[Role, ...] = get_args(Role)
RIGHTS: dict[Role, frozenset[Right]] = {
    "officer": frozenset({"serve"}),
    "supervisor": frozenset({"serve", "review", "reveal", "watch"}),
    "director": frozenset({"serve", "review", "report", "see_devices"}),
    "administrator": frozenset({"serve", "see_devices", "mend_devices", "watch", "govern"}),
}

NAME = r"^[a-z0-9](?:[a-z0-9._-]{0,30}[a-z0-9])?" + END
NAME_RULE = "2 to 32 of a-z, 0-9, dot, hyphen and underscore, such as an.nguyen"
FULL_NAME_LENGTH = 60

_NAME = re.compile(NAME)


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """One person who may log in. Never deleted, because the record speaks of them: `disabled` instead."""

    name: Annotated[str, msgspec.Meta(min_length=2, max_length=32, pattern=NAME)]
    full_name: str
    role: Role
    password: str
    """What argon2 made of it, with its salt and cost."""
    must_change: bool
    disabled: bool
    made_at: int
    changed_at: int
    subject: str | None = None
    """Whose account it is at the OIDC provider, as SHA-256; None where the password is one of ours."""


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody whom the OIDC provider has just vouched for. `name` is what they would be called if it is free here."""

    subject: str
    name: str
    full_name: str
    role: Role | None
    """None: the provider gives them nothing that is a role here."""


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """One browser or program that logged in. `id` is the SHA-256 of its token, which nobody but itself has."""

    id: str
    account: str
    made_at: int
    seen_at: int
    ends_at: int
    address: str

    @property
    def mark(self) -> str:
        """The beginning of the id: enough to know a session by, nothing to act with."""
        return self.id[:16]


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks: an account by one of its sessions."""

    name: str
    full_name: str
    role: Role
    session: str
    must_change: bool
    elsewhere: bool = False
    """Whether the login is the OIDC provider's: then there is no password here that could be changed."""

    def may(self, right: Right) -> bool:
        """Whether this person may do that now; nobody may do anything before a first password was changed."""
        return not self.must_change and right in RIGHTS[self.role]

    @property
    def actor(self) -> str:
        """How the record and the audit log name this person."""
        return f"person:{self.name}"


class PeopleError(Exception):
    """What was asked of accounts cannot be; `code` names the sentence that says why."""

    def __init__(self, code: str, **facts: object) -> None:
        super().__init__(code)
        self.code = code
        self.facts = facts


def account_name(typed: str) -> str:
    """Return a name as it is kept; raise PeopleError where it is none."""
    name = typed.strip().lower()
    if len(name) < 2 or not _NAME.match(name):
        raise PeopleError("name_unusable", rule=NAME_RULE)
    return name


def full_name(typed: str) -> str:
    """Return a full name as it is shown; raise PeopleError where it cannot be."""
    name = typed.strip(" ")
    # Of control characters, those that turn the text after them and those that nobody sees, none is printable.
    if not name or len(name) > FULL_NAME_LENGTH or not name.isprintable():
        raise PeopleError("full_name_unusable", most=FULL_NAME_LENGTH)
    return name


def role(typed: str) -> Role:
    """Return a role; raise PeopleError for another word."""
    for one in ROLES:
        if one == typed:
            return one
    raise PeopleError("role_unknown", roles=", ".join(ROLES))
