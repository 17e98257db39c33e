"""The authority in its folder: `keys/` beside the center's database, mode 0700, under a lock of its own.

Both the running center and `motcua provision` work in it. Every file is replaced at one stroke, the index last but for
the list of revocations, which is made from it.
"""

import contextlib
import fcntl
import os
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from center.errors import KeysError
from center.keys import papers
from center.keys.access import CENTER
from center.keys.index import How, Index, Issued
from host.files import replace_file

PLAUSIBLE_FROM = datetime(2026, 1, 1, tzinfo=UTC)
"""No clock of a center that signs can be right before."""
RENEW_DAYS = papers.DAYS // 3
"""A certificate is due for a new one in the last third of its time."""
A_DAY = 10
"""So many certificates a device may have within a day: a stolen key must not fill the index."""
_DAY = timedelta(days=1)


def _now() -> datetime:
    return datetime.now(UTC)


class Authority:
    """One center's root key and all it has signed. Methods raise KeysError with the line an operator needs."""

    def __init__(self, folder: Path, *, center: str, now: Callable[[], datetime] = _now) -> None:
        self.folder = folder
        self.root_file = folder / "root.pem"
        self.broker_file = folder / "broker.pem"
        self.center_file = folder / "center.pem"
        self.revoked_file = folder / "revoked.pem"
        self.index_file = folder / "index.json"
        self._root_key_file = folder / "root.key"
        self._center, self._now = center, now

    def exists(self) -> bool:
        """Whether it has been made."""
        return self._root_key_file.exists()

    def prepare(self, names: Collection[str]) -> bool:
        """Make what is missing, or due, or not good for all `names` of the broker; returns whether anything was."""
        with self._locked():
            if not self.exists():
                root = papers.make_root(self._center, now=self._plausible_now())
                self._write(self.root_file, papers.pem(root.certificate))
                self._write_index(Index())
                self._write(self._root_key_file, root.key_pem)  # last: with it the authority exists
            root = self._root()
            changed = False
            if self._is_due(self.broker_file) or not set(names) <= set(self._names()):
                until = self._plausible_now() + timedelta(days=papers.DAYS)
                server = papers.make(root, "broker", use="server", until=until, names=sorted(set(names)))
                self._write(self.broker_file, server.pem)
                changed = True
            if self._is_due(self.center_file):
                until = self._plausible_now() + timedelta(days=papers.DAYS)
                self._write(self.center_file, papers.make(root, CENTER, use="client", until=until).pem)
                changed = True
            return self._settle(root) or changed

    def settle(self) -> bool:
        """Make the list of revocations say what the index says; returns whether it did not.

        Whoever revoked may have been cut off between the two, by a power cut or a full disk.
        """
        with self._locked():
            return self._settle(self._root())

    def index(self) -> Index:
        """Return what was issued."""
        try:
            return msgspec.json.decode(self.index_file.read_bytes(), type=Index)
        except OSError as error:
            if not self.exists():
                return Index()
            # Taken for an empty one it would let in again who was revoked.
            raise KeysError(
                f"{self.index_file}: cannot be read: {error.strerror}; restore it from the last backup"
            ) from error
        except msgspec.DecodeError as error:
            raise KeysError(f"{self.index_file}: damaged ({error}); restore it from the last backup") from error

    def root_pem(self) -> bytes:
        """Return the certificate that every device trusts."""
        return self._read(self.root_file)

    def issue(self, identities: Sequence[str]) -> dict[str, bytes]:
        """Return a new key with its certificate for each of them, as PEM."""
        with self._locked():
            root, made, index = self._root(), {}, self.index().forget_expired(self._now())
            for identity in identities:
                until = self._until(identity)
                pair = papers.make(root, identity, use="client", until=until)
                made[identity] = pair.pem
                index = index.add(self._entry(identity, pair.certificate.serial_number, until, "provisioned"))
            self._write_index(index)
            return made

    def sign(self, request: bytes, identity: str) -> bytes:
        """Return a certificate for the key that a device made itself, followed by nothing; it must have a good one."""
        with self._locked():
            index = self.index().forget_expired(self._now())
            if not any(one.identity == identity and one.good(self._now()) for one in index.issued):
                raise KeysError(f"{identity} has no certificate that could be renewed: motcua provision")
            today = [one for one in index.issued if one.identity == identity and abs(self._now() - one.made_at) < _DAY]
            if len(today) >= A_DAY:
                raise KeysError(f"{identity} has had {len(today)} certificates within a day: no more before tomorrow")
            until = self._until(identity)
            certificate = papers.sign(self._root(), request, identity, until=until)
            self._write_index(index.add(self._entry(identity, certificate.serial_number, until, "renewed")))
            return papers.pem(certificate)

    def revoke(self, station: str, device: str | None = None, *, but_newest: bool = False) -> tuple[Issued, ...]:
        """Revoke the certificates of a station or of one device there, and return them.

        `but_newest` leaves each device its newest one: what an earlier bundle or card holds is good no more.
        """
        with self._locked():
            root, index, now = self._root(), self.index(), self._plausible_now()
            found = [one for one in index.of(station, device) if one.revoked_at is None]
            if but_newest:
                newest = {one.identity: one.serial for one in found}
                found = [one for one in found if one.serial != newest[one.identity]]
            index = index.revoke(frozenset(one.serial for one in found), now)
            self._write_index(index)
            self._write_revoked(root, index)
            return tuple(found)

    # --- inside ------------------------------------------------------------------------------------------------------

    def _entry(self, identity: str, serial: int, until: datetime, how: How) -> Issued:
        return Issued(identity=identity, serial=f"{serial:x}", made_at=self._now(), expires_at=until, how=how)

    def _until(self, identity: str) -> datetime:
        if len(identity) > papers.LONGEST_NAME:
            raise KeysError(
                f"{identity}: station and device together may have {papers.LONGEST_NAME - 1} characters, because a"
                f" certificate holds no longer name"
            )
        return (self._plausible_now() + timedelta(days=papers.DAYS)).replace(microsecond=0)

    def _plausible_now(self) -> datetime:
        now = self._now()
        if now < PLAUSIBLE_FROM:
            raise KeysError(f"the clock says {now:%Y-%m-%d}: set it before keys are made (timedatectl set-time)")
        return now

    def _names(self) -> tuple[str, ...]:
        return papers.names_of(self._pair(self.broker_file).certificate) if self.broker_file.exists() else ()

    def _is_due(self, file: Path) -> bool:
        if not file.exists():
            return True
        return self._pair(file).certificate.not_valid_after_utc - self._now() < timedelta(days=RENEW_DAYS)

    def _root(self) -> papers.Pair:
        if not self.exists():
            raise KeysError(f"{self.folder}: no keys yet; start the center once: it makes them")
        return self._load(self._root_key_file, self._read(self._root_key_file) + self._read(self.root_file))

    def _pair(self, file: Path) -> papers.Pair:
        return self._load(file, self._read(file))

    def _load(self, file: Path, text: bytes) -> papers.Pair:
        try:
            return papers.load(text)
        except KeysError as error:
            raise KeysError(f"{file}: {error}; restore {self.folder} from the last backup") from error

    def _write_index(self, index: Index) -> None:
        self._write(self.index_file, msgspec.json.format(msgspec.json.encode(index)) + b"\n")

    def _write_revoked(self, root: papers.Pair, index: Index) -> None:
        revoked = [(int(one.serial, 16), one.revoked_at) for one in index.issued if one.revoked_at is not None]
        self._write(self.revoked_file, papers.revocations(root, revoked, now=self._now()))

    def _settle(self, root: papers.Pair) -> bool:
        index = self.index()
        wanted = {int(one.serial, 16) for one in index.issued if one.revoked_at is not None}
        if self.revoked_file.exists() and wanted <= papers.revoked_by(self._read(self.revoked_file)):
            return False
        self._write_revoked(root, index)
        return True

    def _read(self, file: Path) -> bytes:
        try:
            return file.read_bytes()
        except OSError as error:
            raise KeysError(f"{file}: cannot be read: {error.strerror}; restore it from the last backup") from error

    def _write(self, file: Path, content: bytes) -> None:
        try:
            replace_file(file, content)
        except OSError as error:
            raise KeysError(f"{file}: cannot be written: {error.strerror}") from error

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            self.folder.mkdir(mode=0o700, exist_ok=True)
            lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise KeysError(
                f"{self.folder}: cannot be used: {error.strerror}; check data_dir and its rights"
            ) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)
