"""Outboxes: whether they are whole, how much waits, and who has them. Read beside the running daemon."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from firmware.mqtt.outbox import SCHEMA_VERSION
from host.doctor import database
from host.doctor.database import DatabaseFacts
from host.doctor.finding import Finding, ok, problem, warning
from host.doctor.holders import Holder, Processes

MUCH = 100
_QUESTIONS = {"schema": "PRAGMA user_version", "waiting": "SELECT count(*) FROM event"}


@dataclass(frozen=True, slots=True)
class OutboxFacts:
    """One device's outbox."""

    device: str
    database: DatabaseFacts
    holder: Holder | None
    set_aside: Sequence[str] = ()
    """Damaged ones of earlier."""


def probe(device: str, folder: Path, processes: Processes) -> OutboxFacts:
    """Look at an outbox, read-only; its lock is read from the kernel's list and not tried."""
    path = folder / "outbox.db"
    return OutboxFacts(
        device,
        database.probe(path, _QUESTIONS),
        processes.locking(folder / "outbox.lock"),
        _set_aside(folder),
    )


def _set_aside(folder: Path) -> Sequence[str]:
    try:
        found = list(folder.glob("outbox.db.corrupt-*"))
    except OSError:  # it is not for this user, which the outbox itself says
        return ()
    return sorted({each.name.removesuffix("-wal").removesuffix("-shm") for each in found})


def judge(facts: OutboxFacts) -> Sequence[Finding]:
    """Judge an outbox."""
    name, path = f"the outbox of {facts.device}", facts.database.path
    found = [_judge_file(facts, name, path)]
    waiting = facts.database.answers.get("waiting")
    if isinstance(waiting, int) and waiting > MUCH:
        found.append(
            warning(
                "outbox-waits",
                f"{waiting} facts wait in {name}",
                "the center has not confirmed them: look at the lines of the broker below, then at the center's log",
            )
        )
    found.extend(
        warning(
            "outbox-set-aside",
            f"{path.with_name(aside)} was damaged and set aside: facts may be in it that the center never got",
            "read what can be read (sqlite3 FILE .recover), keep it, and replace the card",
        )
        for aside in facts.set_aside
    )
    return found


def _judge_file(facts: OutboxFacts, name: str, path: Path) -> Finding:
    look = facts.database
    if not look.exists:
        return ok("outbox-none", f"{name} is not there yet: the device makes it at its first start")
    if look.fault:
        if "malformed" in look.fault or "not a database" in look.fault:
            return _damaged(name, look.fault)
        return warning(
            "outbox-unread",
            f"{path} cannot be read: {look.fault}",
            "run this with sudo; if it says so again, it is no outbox",
        )
    if look.quick_check not in (None, "ok"):
        return _damaged(name, str(look.quick_check))
    schema = look.answers.get("schema")
    if schema != SCHEMA_VERSION:
        return problem(
            "outbox-schema",
            f"{name} has schema {schema}, this program knows {SCHEMA_VERSION}",
            "install the version of Motcua that wrote it",
        )
    held = f", held by {facts.holder}" if facts.holder else ", held by nobody"
    waiting = look.answers.get("waiting")
    return ok("outbox", f"{name} is whole: {look.size_mb:.1f} MB, {waiting} waiting{held}")


def _damaged(name: str, said: str) -> Finding:
    return problem(
        "outbox-damaged",
        f"{name} is damaged: {said}",
        "the device sets it aside and begins a new one; check or replace the card",
    )
