"""`motcua center fsck`: holds the index of recordings against their files, both ways, and says what to do.

Looking is possible at any time. Mending needs the center stopped, because it is the database's only writer.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import sqlalchemy as sa

from center.cameras import incidents
from center.cameras.names import NAME, SHA256
from center.cameras.uploads import HALF_DAYS, make_vault
from center.cameras.vault import ASIDE, UPLOADS, Vault, digest
from center.config import Config
from center.storage.reading import read_only
from center.storage.store import Store
from center.storage.tables import clip, upload

Kind = Literal["missing", "damaged", "unmarked", "unknown", "wiped", "strange", "half", "aside", "incident"]

ADVICE: dict[Kind, str] = {
    "missing": "put it back from a copy; --repair marks it as not here, so that its camera may send it again",
    "damaged": "look at the disk; --repair sets it aside and marks it as not here",
    "unmarked": "the center was stopped while it put it away; --repair marks it as here",
    "unknown": "no recording has it: restored from an old copy? --repair deletes it",
    "wiped": "it should be gone; --repair deletes it",
    "strange": "not of this program: move it elsewhere",
    "half": f"no camera has gone on with it for {HALF_DAYS} days; --repair deletes it",
    "aside": f"it came with a wrong hash more than {HALF_DAYS} days ago; --repair deletes it",
    "incident": "its row differs from its events; --repair makes the rows anew",
}
DONE: dict[Kind, str] = {
    "missing": "marked as not here",
    "damaged": "set aside, and marked as not here",
    "unmarked": "marked as here",
    "unknown": "deleted",
    "wiped": "deleted",
    "half": "deleted",
    "aside": "deleted",
    "incident": "made anew",
}
_OLD_S = HALF_DAYS * 86_400


@dataclass(frozen=True, slots=True)
class Found:
    """One thing that is not as it should be. `object` is a clip, a file or an incident; `of` says whose."""

    kind: Kind
    object: str
    of: str = ""
    mended: bool = False

    def __str__(self) -> str:
        state = DONE[self.kind] if self.mended else ADVICE[self.kind]
        return f"{self.kind:9} {self.object}{f' of {self.of}' if self.of else ''}: {state}"


@dataclass(frozen=True, slots=True)
class _Said:
    """What the index says of one file."""

    clip: str
    column: str  # that says whether it is here
    of: str
    arrived: bool
    wiped: bool


def look(config: Config, *, now_s: float | None = None) -> list[Found]:
    """Return all that is not as it should be; reads every file."""
    vault = make_vault(config)
    with read_only(config.store_url) as connection:
        return list(_look(connection, vault, time.time() if now_s is None else now_s))


def repair(config: Config, *, now_s: float | None = None) -> list[Found]:
    """Mend what can be mended; returns what was found. Raises BusyError while the center runs."""
    vault = make_vault(config)
    store = Store(config.store_url)
    try:
        now = time.time() if now_s is None else now_s
        found = store.transact(lambda connection: list(_look(connection, vault, now)))
        return [Found(one.kind, one.object, one.of, mended=_mend(one, store, vault, now)) for one in found]
    finally:
        store.close()


def _look(connection: sa.Connection, vault: Vault, now_s: float) -> Iterator[Found]:
    said = _said(connection)
    elsewhere = set() if vault.elsewhere is None else set(vault.elsewhere.names())
    for sha256, each in said.items():
        for one in each:
            if one.arrived and not one.wiped and sha256 not in elsewhere and not vault.path(sha256).is_file():
                yield Found("missing", sha256, one.of)
    for file in vault.files():
        name = file.name
        if not SHA256.fullmatch(name) or file != vault.path(name) or file.is_symlink() or not file.is_file():
            yield Found("strange", str(file.relative_to(vault.folder)))
            continue
        elsewhere.discard(name)
        yield from _judged(name, said.get(name, []), vault)
    for name in sorted(elsewhere):
        if SHA256.fullmatch(name):
            yield from _judged(name, said.get(name, []), vault)
        else:
            yield Found("strange", f"{name} in the store elsewhere")
    yield from _half(connection, vault, now_s)
    for name in incidents.astray(connection):
        yield Found("incident", name)


def _judged(name: str, said: list[_Said], vault: Vault) -> Iterator[Found]:
    """Judge a whole file by what the index says of it."""
    alive = [one for one in said if not one.wiped]
    if not alive:
        yield Found("wiped" if said else "unknown", name, _of(said))
        return
    with vault.open(name) as file:
        found = digest(file)
    if found != name:
        yield Found("damaged", name, _of(alive))
    elif not any(one.arrived for one in alive):
        yield Found("unmarked", name, _of(alive))


def _half(connection: sa.Connection, vault: Vault, now_s: float) -> Iterator[Found]:
    going_on = set(
        connection.execute(sa.select(upload.c.id).where(upload.c.ends_at > (now_s - _OLD_S) * 1000)).scalars()
    )
    for folder, kind in ((UPLOADS, "half"), (ASIDE, "aside")):
        here = vault.folder / folder
        for file in sorted(here.iterdir()) if here.is_dir() else ():
            if not NAME.fullmatch(file.name):
                yield Found("strange", str(file.relative_to(vault.folder)))
            elif file.stat().st_mtime < now_s - _OLD_S and not (kind == "half" and file.name in going_on):
                yield Found("half" if kind == "half" else "aside", f"{folder}/{file.name}")


def _said(connection: sa.Connection) -> dict[str, list[_Said]]:
    found: dict[str, list[_Said]] = {}
    for row in connection.execute(sa.select(clip)):
        of = f"{row.station}/{row.device} {row.name}"
        for sha256, column, at in (
            (row.sha256, "arrived_at", row.arrived_at),
            (row.sealed_sha256, "sealed_at", row.sealed_at),
        ):
            if sha256 is not None:
                wiped = row.wiped_at is not None or row.wiping_at is not None
                one = _Said(row.id, column, of, arrived=at is not None, wiped=wiped)
                found.setdefault(sha256, []).append(one)
    return found


def _of(said: list[_Said]) -> str:
    return ", ".join(one.of for one in said)


def _mend(found: Found, store: Store, vault: Vault, now_s: float) -> bool:
    match found.kind:
        case "missing":
            store.transact(lambda connection: _mark(connection, found.object, None))
        case "damaged":
            vault.take_aside(found.object)
            store.transact(lambda connection: _mark(connection, found.object, None))
        case "unmarked":
            store.transact(lambda connection: _mark(connection, found.object, int(now_s * 1000)))
        case "unknown" | "wiped":
            vault.delete(found.object)
        case "half" | "aside":
            (vault.folder / Path(found.object)).unlink(missing_ok=True)
        case "incident":
            store.transact(incidents.rebuild)
        case "strange":
            return False
    return True


def _mark(connection: sa.Connection, sha256: str, at: int | None) -> None:
    """Say of a file that it is here, or that it is not."""
    for one in _said(connection).get(sha256, ()):
        if not one.wiped:
            connection.execute(sa.update(clip).where(clip.c.id == one.clip).values({one.column: at}))
