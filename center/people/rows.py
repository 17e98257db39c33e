"""Accounts and sessions as rows. Every function runs inside `Hall.transact`."""

from collections.abc import Iterable, Mapping

import sqlalchemy as sa
from msgspec.structs import asdict

from center.people.model import Account, Session
from center.storage import tables


def load(connection: sa.Connection) -> tuple[list[Account], list[Session]]:
    """Read everybody and who is logged in."""
    accounts = [Account(**row) for row in connection.execute(sa.select(tables.account)).mappings()]
    sessions = [Session(**row) for row in connection.execute(sa.select(tables.session)).mappings()]
    return accounts, sessions


def add_account(connection: sa.Connection, account: Account) -> None:
    """Write a new account."""
    connection.execute(sa.insert(tables.account), asdict(account))


def put_account(connection: sa.Connection, account: Account) -> None:
    """Write another version of an account."""
    table = tables.account
    connection.execute(sa.update(table).where(table.c.name == account.name).values(**asdict(account)))


def add_session(connection: sa.Connection, session: Session) -> None:
    """Write a new session."""
    connection.execute(sa.insert(tables.session), asdict(session))


def delete_sessions(connection: sa.Connection, sessions: Iterable[Session]) -> None:
    """Take sessions out."""
    table = tables.session
    for session in sessions:
        connection.execute(sa.delete(table).where(table.c.id == session.id))


def put_seen(connection: sa.Connection, seen: Mapping[str, int]) -> None:
    """Write when sessions were last used."""
    table = tables.session
    for session_id, at in seen.items():
        connection.execute(sa.update(table).where(table.c.id == session_id).values(seen_at=at))
