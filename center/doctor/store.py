"""The store: whether it is whole, of which schema, and who writes it. Read beside the running center."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from center.storage.schema import versions
from host.doctor import database
from host.doctor.database import DatabaseFacts
from host.doctor.finding import Finding, ok, problem, warning
from host.doctor.holders import Holder, Processes

_SCHEMA = "SELECT version_num FROM alembic_version"
_REPORT = "stop the center and restore the last copy: docs/guide/operator.md, Restore; keep the damaged file"


@dataclass(frozen=True, slots=True)
class StoreFacts:
    """A store as it is; `schemas` are all that this program knows, oldest first."""

    name: str
    schema: str | None
    schemas: Sequence[str]
    database: DatabaseFacts | None = None
    """Of an SQLite file; None for a server's."""
    holder: Holder | None = None
    fault: str = ""


def probe(url: str, processes: Processes) -> StoreFacts:
    """Look into the store, read-only; its lock is read from the kernel's list and not tried."""
    schemas = versions()
    try:
        parsed = sa.make_url(url)
    except sa.exc.ArgumentError:
        return StoreFacts(url, None, schemas, fault="is no SQLAlchemy URL such as sqlite:////var/lib/x.db")
    name = parsed.database or ""
    if parsed.get_backend_name() == "sqlite":
        look = database.probe(Path(name), {"schema": _SCHEMA})
        holder = processes.locking(Path(f"{name}.lock"))
        return StoreFacts(name, look.answers.get("schema"), schemas, look, holder, look.fault)
    name = parsed.render_as_string(hide_password=True)
    try:
        engine = sa.create_engine(parsed, poolclass=sa.pool.NullPool, connect_args={"connect_timeout": 5})
        with engine.connect() as connection:
            return StoreFacts(name, connection.scalar(sa.text(_SCHEMA)), schemas)
    except (sa.exc.SQLAlchemyError, ImportError) as error:
        return StoreFacts(name, None, schemas, fault=str(error).splitlines()[0])


def judge(facts: StoreFacts) -> Sequence[Finding]:
    """Judge the store."""
    look = facts.database
    if look is not None and not look.exists:
        return [ok("store-none", f"{facts.name} is not there yet: the center makes it at its first start")]
    if look is not None and (
        look.quick_check not in (None, "ok") or "malformed" in facts.fault or "not a database" in facts.fault
    ):
        return [problem("store-damaged", f"{facts.name} is damaged: {facts.fault or look.quick_check}", _REPORT)]
    if facts.fault:
        return [
            problem(
                "store-unread",
                f"{facts.name} cannot be read: {facts.fault}",
                "run this with sudo; with a database server: check store.url, and that the server runs",
            )
        ]
    found = [_judge_schema(facts)]
    if look is not None:
        if look.quick_check is None:
            found.append(
                warning(
                    "store-large",
                    f"{facts.name} has {look.size_mb:.0f} MB: not looked through whole, so as not to be in the way",
                    "look through the newest copy: sqlite3 COPY 'PRAGMA integrity_check'",
                )
            )
        else:
            found.append(ok("store", f"{facts.name} is whole: {look.size_mb:.1f} MB"))
        if facts.holder is not None and not facts.holder.center:
            found.append(
                warning(
                    "store-held", f"{facts.name} is locked by {facts.holder}, which is no center", "end that program"
                )
            )
        elif facts.holder is not None:
            found.append(ok("store-writer", f"it is written by {facts.holder}"))
    return found


def _judge_schema(facts: StoreFacts) -> Finding:
    newest = facts.schemas[-1]
    if facts.schema == newest:
        return ok("store-schema", f"its schema is {newest}, as this program's")
    if facts.schema in facts.schemas:
        return warning(
            "store-older",
            f"its schema is {facts.schema}, this program's is {newest}",
            "the center brings it up to date at its next start; make a copy before: docs/guide/operator.md, Upgrade",
        )
    return problem(
        "store-newer",
        f"its schema is {facts.schema}, which this program does not know",
        "a newer version of Motcua has opened it: install that one, or restore a copy of before",
    )
