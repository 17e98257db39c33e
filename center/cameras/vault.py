"""The vault: the files of clips, each under the hash of its content.

    <data_dir>/clips/ab/cd/<sha256>     a clip's file, mode 0600: never changed, only deleted
    <data_dir>/clips/uploads/<upload>   what has come of one so far; its size is the upload's offset
    <data_dir>/clips/aside/<upload>     what came whole with another hash than was said; gone after a week

A file comes to its address by a rename of what was synced before, so what stands there is whole. The queue's store
comes first: the vault takes nothing more while the disk has less than its spare room.

With a store elsewhere (center/cameras/bucket.py) files still grow here, and go there when they are whole.
"""

import contextlib
import errno
import fcntl
import hashlib
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Protocol

from center.cameras.names import NAME, SHA256
from center.errors import CenterError

FOLDER = "clips"
UPLOADS, ASIDE = "uploads", "aside"
SPARE_SHARE = 0.05
"""So much of the disk stays free, however small the spare room that is configured."""

_READ = 1 << 20
_FULL = (errno.ENOSPC, errno.EDQUOT)


class VaultError(CenterError):
    """The vault's disk cannot be used. `full`: it has no room to spare."""

    def __init__(self, message: str, *, full: bool = False) -> None:
        super().__init__(message)
        self.full = full


class MismatchError(CenterError):
    """What came has another hash than was said."""


class ClipStore(Protocol):
    """Where whole files lie, by the hash of their content: the vault, or another that is like it."""

    def put(self, file: Path, sha256: str) -> None:
        """Take a synced file whose content has this hash; afterwards it survives a power cut, here."""
        ...

    def has(self, sha256: str) -> bool:
        """Whether one is there."""
        ...

    def open(self, sha256: str, *, start: int = 0) -> BinaryIO:
        """Open one for reading, from a byte on; raise FileNotFoundError where it is not."""
        ...

    def delete(self, sha256: str) -> None:
        """Delete one for good; nothing to do if it is not there."""
        ...

    def list(self) -> Iterator[str]:
        """Return the hashes of all that are there."""
        ...


class StoreElsewhere(ClipStore, Protocol):
    """A store that is not on this disk, and may be away: then it raises VaultError."""

    @property
    def away(self) -> bool:
        """Whether it did not answer when it was asked last."""
        ...

    def names(self) -> Iterator[str]:
        """Return the names of all that this center has there, ours or not."""
        ...

    def close(self) -> None:
        """Ask nothing more, and let nobody wait."""
        ...


class Vault:
    """The files of one center's clips on its own disk. Any number of these may look at one folder.

    With a store `elsewhere` whole files go there, and only those that were here before it was are read here.
    """

    def __init__(
        self,
        folder: Path,
        *,
        spare_bytes: int,
        spare_share: float = SPARE_SHARE,
        elsewhere: StoreElsewhere | None = None,
    ) -> None:
        self.folder, self.elsewhere = folder, elsewhere
        self._spare_bytes, self._spare_share = spare_bytes, spare_share

    def room(self) -> int:
        """Return how many bytes may still be taken; negative where the disk has less than its spare room."""
        disk = self._disk()
        spare = max(self._spare_bytes, int(disk.f_blocks * disk.f_frsize * self._spare_share))
        return disk.f_bavail * disk.f_frsize - spare

    def size(self) -> int | None:
        """Return how many bytes the disk has, free or not; None where whole files lie elsewhere."""
        if self.elsewhere is not None:
            return None
        disk = self._disk()
        return disk.f_blocks * disk.f_frsize

    def _disk(self) -> os.statvfs_result:
        with _told(self.folder):
            self._prepare()
            return os.statvfs(self.folder)

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Keep everybody else from adding and deleting whole files, other programs too; for moments only."""
        with _told(self.folder):
            self._prepare()
            lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    # --- whole files -----------------------------------------------------------------------------------------------

    def path(self, sha256: str) -> Path:
        """Return where a file with this content lies, or would."""
        if not SHA256.fullmatch(sha256):
            raise ValueError(f"not a SHA-256: {sha256!r}")
        return self.folder / sha256[:2] / sha256[2:4] / sha256

    @property
    def away(self) -> bool:
        """Whether recordings cannot be fetched now, as far as is known."""
        return self.elsewhere is not None and self.elsewhere.away

    def send(self, file: Path, sha256: str) -> None:
        """Copy a synced file to the store elsewhere, if there is one. It takes its time: keep nobody `alone` for it."""
        if self.elsewhere is not None:
            self.elsewhere.put(file, sha256)

    def put(self, file: Path, sha256: str) -> None:
        """Take a synced file whose content has this hash; one that is there already is the same, and replaced.

        Where there is a store elsewhere, the file itself stays until `let_go`.
        """
        if self.elsewhere is not None:
            if not self.elsewhere.has(sha256):
                self.elsewhere.put(file, sha256)
            return
        target = self.path(sha256)
        with _told(target):
            for folder in (target.parent.parent, target.parent):
                if not folder.is_dir():
                    folder.mkdir(mode=0o700)
                    _sync(folder.parent)
            file.replace(target)
            _sync(target.parent)

    def has(self, sha256: str) -> bool:
        """Whether one is there."""
        return self.path(sha256).is_file() or (self.elsewhere is not None and self.elsewhere.has(sha256))

    def open(self, sha256: str, *, start: int = 0) -> BinaryIO:
        """Open one for reading, from a byte on; raise FileNotFoundError where it is not."""
        try:
            file = self.path(sha256).open("rb")
        except FileNotFoundError:
            if self.elsewhere is None:
                raise
            return self.elsewhere.open(sha256, start=start)
        file.seek(start)
        return file

    def delete(self, sha256: str) -> None:
        """Delete one for good, everywhere: a power cut does not bring it back."""
        target = self.path(sha256)
        if self.elsewhere is not None:
            self.elsewhere.delete(sha256)
        with _told(target), contextlib.suppress(FileNotFoundError):
            target.unlink()
            _sync(target.parent)

    def list(self) -> Iterator[str]:
        """Return the hashes of all that are there."""
        here = [file.name for file in self.files() if SHA256.fullmatch(file.name) and file == self.path(file.name)]
        yield from here
        if self.elsewhere is not None:
            yield from sorted(set(self.elsewhere.list()) - set(here))

    def files(self) -> Iterator[Path]:
        """Return every file of this disk where whole ones lie, ours or not."""
        if not self.folder.is_dir():
            return
        for folder in sorted(self.folder.iterdir()):
            if folder.is_dir() and folder.name not in (UPLOADS, ASIDE):
                yield from (file for file in sorted(folder.rglob("*")) if not file.is_dir() or file.is_symlink())

    # --- uploads ---------------------------------------------------------------------------------------------------

    def partial(self, upload: str) -> Path:
        """Return where an upload gathers."""
        return self.folder / UPLOADS / _checked(upload)

    def offset(self, upload: str) -> int:
        """Return how much of an upload is here and synced."""
        try:
            file = os.open(self.partial(upload), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            return 0
        except OSError as error:
            raise explained(error, self.partial(upload)) from error
        try:
            with _told(self.partial(upload)):
                os.fsync(file)
                return os.fstat(file).st_size
        finally:
            os.close(file)

    def put_aside(self, upload: str) -> Path:
        """Set apart what came of an upload; one that was set apart before is replaced. Returns where it is."""
        target = self.folder / ASIDE / _checked(upload)
        with _told(target):
            self.partial(upload).replace(target)
            _sync(target.parent)
            _sync(self.folder / UPLOADS)
        return target

    def take_aside(self, sha256: str) -> None:
        """Set a whole file apart; it is not under its hash any more."""
        target = self.folder / ASIDE / sha256[:32]
        with _told(target):
            self._prepare()
            if self.path(sha256).is_file():
                self.path(sha256).replace(target)
                return
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
            with self.open(sha256) as file, os.fdopen(os.open(target, flags, 0o600), "wb") as copy:
                shutil.copyfileobj(file, copy, _READ)
        self.delete(sha256)

    def let_go(self, upload: str) -> None:
        """Delete what came of an upload, now that the store elsewhere has it."""
        if self.elsewhere is not None:
            with _told(self.folder), contextlib.suppress(FileNotFoundError):
                self.partial(upload).unlink()
                _sync(self.folder / UPLOADS)

    def forget(self, upload: str) -> None:
        """Delete what came of an upload, and what was set apart of it."""
        for folder in (UPLOADS, ASIDE):
            with _told(self.folder), contextlib.suppress(FileNotFoundError):
                (self.folder / folder / _checked(upload)).unlink()
                _sync(self.folder / folder)

    def _prepare(self) -> None:
        for folder in (self.folder, self.folder / UPLOADS, self.folder / ASIDE):
            if not folder.is_dir():
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                _sync(folder.parent)


class Partial:
    """A file that grows at its end, and the hash of all that is in it. Any thread, one at a time."""

    def __init__(self, vault: Vault, upload: str, *, known: "Known | None" = None) -> None:
        """Open it; `known` is what was known of it before, and saves reading it again."""
        self._vault, self._upload = vault, upload
        self._lock = threading.Lock()  # whoever gives up must not close what is being written to
        with _told(vault.partial(upload)):
            vault._prepare()  # noqa: SLF001 – its own file's other half
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            self._file = os.open(vault.partial(upload), flags, 0o600)
            self.size = os.fstat(self._file).st_size
            if known is not None and known[0] == self.size:
                self._hash = known[1].copy()
            else:
                self._hash = self._read()
            os.lseek(self._file, 0, os.SEEK_END)

    @property
    def sha256(self) -> str:
        """The hash of what is in it."""
        return self._hash.hexdigest()

    @property
    def known(self) -> "Known":
        """What to open it with the next time."""
        return self.size, self._hash.copy()

    def append(self, data: bytes | bytearray) -> None:
        """Write at the end, not yet synced; raise VaultError with `full` where the disk has no room to spare."""
        if self._vault.room() < len(data):
            raise VaultError(f"{self._vault.folder}: the disk has no room to spare", full=True)
        with self._lock, _told(self._vault.partial(self._upload)), memoryview(data) as rest:
            at = 0
            while at < len(rest):
                written = os.write(self._file, rest[at:])
                self._hash.update(rest[at : at + written])
                self.size += written
                at += written

    def sync(self) -> None:
        """Make what was written survive a power cut."""
        with self._lock, _told(self._vault.partial(self._upload)):
            os.fsync(self._file)
            _sync(self._vault.folder / UPLOADS)

    def close(self) -> None:
        """Let the file go."""
        with self._lock:
            if self._file >= 0:
                os.close(self._file)
            self._file = -1

    def _read(self) -> "hashlib._Hash":
        found = hashlib.sha256()
        at = 0
        while part := os.pread(self._file, _READ, at):
            found.update(part)
            at += len(part)
        return found


Known = tuple[int, "hashlib._Hash"]  # noqa: SLF001 – the only name that it has
"""How large a file was, and the hash of that, still open."""


def digest(file: BinaryIO) -> str:
    """Return the hash of a file's content, from where it stands on."""
    found = hashlib.sha256()
    while part := file.read(_READ):
        found.update(part)
    return found.hexdigest()


def _checked(upload: str) -> str:
    if not NAME.fullmatch(upload):
        raise ValueError(f"not an upload's name: {upload!r}")
    return upload


def _sync(folder: Path) -> None:
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


@contextlib.contextmanager
def _told(where: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise explained(error, where) from error


def explained(error: OSError, where: Path) -> VaultError:
    """Return what to tell of a fault of the disk."""
    full = error.errno in _FULL
    advice = "free some space" if full else "check the disk and the rights of the folder"
    return VaultError(f"{where}: {error.strerror}: {advice}", full=full)
