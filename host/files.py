"""Files that are replaced at one stroke."""

import os
from pathlib import Path


def replace_file(file: Path, content: bytes, *, mode: int = 0o600, owner: tuple[int, int] | None = None) -> None:
    """Write a file at one stroke and for good: after a power cut it is the old one or the new, never half of it.

    `owner` is a user's and a group's number, for who may give files away.
    """
    new = file.with_name(f".{file.name}.new")
    new.unlink(missing_ok=True)  # left by a power cut, or put there: nothing that is there is written to or given away
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, mode)
    with os.fdopen(descriptor, "wb") as out:
        os.fchmod(descriptor, mode)
        if owner is not None:
            os.fchown(descriptor, *owner)
        out.write(content)
        out.flush()
        os.fsync(descriptor)
    new.replace(file)
    folder = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
