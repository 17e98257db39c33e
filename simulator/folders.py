"""The folders of a demo: where its data is, and what a demo that was killed has left behind."""

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PREFIX = "motcua-"
_LOCK = "in-use"


class FoldersError(Exception):
    """The folder that was asked for cannot be used."""


@dataclass
class Folders:
    """Where the data is, and a short folder for sockets: their names may have no more than 107 bytes."""

    data: Path
    run: Path
    kept: bool = False


@contextlib.contextmanager
def folders(asked: Path | None) -> Iterator[Folders]:
    """Make the folders; what is temporary goes with the demo, unless it is to be looked into."""
    sweep()
    run = Path(tempfile.mkdtemp(prefix=PREFIX))
    with (run / _LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        made = Folders(data=run / "data" if asked is None else asked.absolute(), run=run)
        try:
            _make(made.data)
            yield made
        finally:
            if made.kept and asked is None:
                (run / _LOCK).unlink(missing_ok=True)  # nobody sweeps it
            else:
                shutil.rmtree(run, ignore_errors=True)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise FoldersError(f"{folder} cannot be written: {error.strerror}; choose another --data") from error


def sweep() -> None:
    """Remove the temporary folders of our own demos that were killed: their lock is there, and nobody holds it."""
    for run in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):  # somebody else's, gone already, or in use
            if run.is_symlink() or run.stat().st_uid != os.getuid():
                continue
            with (run / _LOCK).open("r+") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(run, ignore_errors=True)
