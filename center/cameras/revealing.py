"""Clear versions: opened by the center's private key, for one person, for a while, and never written anywhere.

    [clips]
    reveal_key_file = "/etc/motcua/clips.key"    # made by `motcua center clips-key`

The whole file is read once before anything is granted, so that a wrong key, a damaged file or one that was cut is said
before anybody sees a picture, and its length is known; what is shown is opened again, from where the player wants it.
"""

import hmac
import os
import secrets
import stat
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from center.cameras.reviews import Recording, ReviewError
from center.cameras.vault import VaultError
from center.config import Config
from center.errors import ConfigError
from contract.settings import explain_os_error
from host.files import replace_file
from host.sealing import CutShortError, SealError, make_keys, public_text, read_private_key, unseal

GRANT_MS = 15 * 60_000
"""A grant is good for so long; then another reason is asked for."""

LOGIN_MS = 60 * 60_000
"""Whoever opens a clear version has given a password within this time."""

_GRANTS = 100
_KEY_BYTES = 10_000


@dataclass(frozen=True, slots=True)
class Grant:
    """What one session may see of one recording. `length` is the plain file's; `cut`: its end is missing."""

    token: str
    session: str
    recording: Recording
    length: int
    cut: bool
    ends_at: int


class Revealing:
    """Who may see which clear version now. Any thread; `open` of a store elsewhere may take its time."""

    def __init__(self, config: Config, open_file: Callable[[str], BinaryIO], now_ms: Callable[[], int]) -> None:
        self._file = config.clips.reveal_key_file
        self._open, self._now_ms = open_file, now_ms
        self._lock = threading.Lock()
        self._grants: dict[str, Grant] = {}

    @property
    def possible(self) -> bool:
        """Whether this center has a key for clear versions at all."""
        return self._file is not None

    def examine(self, recording: Recording) -> tuple[int, bool]:
        """Read a clear version to its end; return its length, and whether it was cut. Raises ReviewError."""
        length = 0
        try:
            for piece in self._pieces(recording, 0):
                length += len(piece)
        except CutShortError as error:
            if length == 0:
                raise ReviewError("reveal_broken", why=str(error)) from error
            return length, True
        except SealError as error:
            raise ReviewError("reveal_broken", why=str(error)) from error
        except OSError as error:
            raise ReviewError("reveal_broken", why=explain_os_error(error)) from error
        except VaultError as error:
            raise ReviewError("review_away") from error
        return length, False

    def grant(self, recording: Recording, session: str, examined: tuple[int, bool]) -> Grant:
        """Let a session see a clear version for a while."""
        now = self._now_ms()
        token = secrets.token_urlsafe(24)
        given = Grant(token, session, recording, *examined, ends_at=now + GRANT_MS)
        with self._lock:
            alive = [one for one in self._grants.values() if one.ends_at > now][-_GRANTS + 1 :]
            self._grants = {one.token: one for one in (*alive, given)}
        return given

    def granted(self, token: str, session: str) -> Grant | None:
        """Return the grant of a token, to the session that it was given to, while it is good."""
        with self._lock:
            found = self._grants.get(token)
        if found is None or not hmac.compare_digest(found.session, session):
            return None
        # A clock that is set back makes nothing last longer.
        return found if 0 < found.ends_at - self._now_ms() <= GRANT_MS else None

    def pieces(self, grant: Grant, start: int, length: int) -> Iterator[bytes]:
        """Yield a part of a clear version; ends early where the file or its key went since it was examined."""
        try:
            for piece in self._pieces(grant.recording, start):
                yield piece[:length]
                length -= len(piece)
                if length <= 0:
                    return
        except (ReviewError, SealError, OSError, VaultError):
            return  # the player sees that it ends

    def _pieces(self, recording: Recording, start: int) -> Iterator[bytes]:
        key = self._key()
        if recording.sealed_sha256 is None:
            raise ReviewError("reveal_none")
        with self._open(recording.sealed_sha256) as file:
            yield from unseal(file, key, recording.name, start=start)

    def _key(self) -> X25519PrivateKey:
        if self._file is None:
            raise ReviewError("reveal_no_key")
        try:
            with Path(self._file).open("rb") as file:
                return read_private_key(file.read(_KEY_BYTES).decode())
        except OSError as error:
            raise ReviewError("reveal_key", why=f"{self._file}: {explain_os_error(error)}") from error
        except ValueError as error:
            raise ReviewError("reveal_key", why=f"{self._file}: {error}") from error


def make_key(config: Config) -> str:
    """Make the center's key for clear versions where there is none yet; return its public half for every station.

    Made by root it belongs to whom the data folder belongs to: the center's own user reads it.
    """
    if config.clips.reveal_key_file is None:
        raise ConfigError(
            'clips.reveal_key_file: a file that is to be made, such as "/etc/motcua/clips.key", got nothing'
        )
    file = Path(config.clips.reveal_key_file)
    try:
        if file.exists():
            if stat.S_IMODE(file.stat().st_mode) & 0o077:
                raise ConfigError(f"{file}: others may read it; chmod 600 {file}")
            return public_text(read_private_key(file.read_text()))
        private, public = make_keys()
        replace_file(file, private.encode(), owner=_owner(Path(config.data_dir)))
    except OSError as error:
        raise ConfigError(f"{file}: {explain_os_error(error)}") from error
    except ValueError as error:
        raise ConfigError(f"{file}: {error}") from error
    return public


def _owner(data_dir: Path) -> tuple[int, int] | None:
    if os.geteuid() != 0:
        return None
    if not data_dir.is_dir():
        raise ConfigError(f"{data_dir}: is not there yet; start the center once, the key will belong to its user")
    owner = data_dir.stat()
    return owner.st_uid, owner.st_gid
