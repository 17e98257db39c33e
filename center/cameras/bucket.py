"""A bucket: recordings in a store elsewhere that speaks S3, each file under the hash of its content.

    <store>/<center>/<sha256>

Every request is signed by the keys of `[clips] store_key_file`. A file goes up in one request with the hashes that the
store shall find: it takes it whole and right, or not at all. Nothing is kept here but whether the store answered.
"""

import base64
import contextlib
import hashlib
import hmac
import http.client
import io
import logging
import os
import re
import socket
import ssl
import stat
import threading
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, BinaryIO
from urllib.parse import quote, urlsplit
from xml.etree import ElementTree as Xml

import msgspec

from center.cameras.names import SHA256
from center.cameras.vault import MismatchError, VaultError, explained
from center.config import Clips
from center.errors import ConfigError
from contract.settings import SettingsError, explain_os_error, parse

log = logging.getLogger(__name__)

PATIENCE_S = 10.0
"""So long nothing may come before the store counts as away."""

TAKING_S = 60.0
"""So long the store may take to say that it has a file, after its last byte."""

AWAY_S = 5.0
"""So long nobody asks a store for a file that did not answer: pages say at once that it is away."""

AT_ONCE = 8
"""So many recordings are fetched at once; the pages have threads for other things, too."""

EMPTY = hashlib.sha256(b"").hexdigest()
_PART = 1 << 18
_ANSWER_BYTES = 8_000_000
_KEY_FILE_BYTES = 10_000
_PAGE = "1000"
_FULL = re.compile(r"Full|Quota|InsufficientStorage|NoSpace", re.IGNORECASE)
_ADVICE = {
    "NoSuchBucket": "make the bucket, or correct [clips] store",
    "InvalidAccessKeyId": "[clips] store_key_file: it does not know this access_key",
    "SignatureDoesNotMatch": "[clips] store_key_file: the secret_key is wrong, or store_region",
    "AuthorizationHeaderMalformed": "[clips] store_region: it wants another one",
    "AccessDenied": "these keys may not do this: let them read, write, delete and list in this bucket",
    "RequestTimeTooSkewed": "its clock and the center's differ: set both by NTP",
}


class Keys(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What `store_key_file` holds."""

    access_key: Annotated[str, msgspec.Meta(min_length=1)]
    secret_key: Annotated[str, msgspec.Meta(min_length=1)]


class AwayError(VaultError):
    """The store did not answer."""


class _Refusal(Exception):  # noqa: N818 – an answer, which becomes an error only where it is one
    """An answer that is none of the good ones."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(status, code)
        self.status, self.code = status, code


class Bucket:
    """The recordings of one center in a bucket. Any thread; raises VaultError, and AwayError where it is away."""

    def __init__(self, clips: Clips, center: str) -> None:
        """Read keys and certificate; raise ConfigError where they are not right. Asks nothing of the store yet."""
        url = urlsplit(clips.store or "")
        self._host, self._port, self._secure = url.hostname or "", url.port, url.scheme == "https"
        self.address = f"{url.scheme}://{url.netloc}{url.path.rstrip('/')}"
        self._netloc, self._bucket, self._region = url.netloc, url.path.rstrip("/"), clips.store_region
        self._prefix = f"{center}/"
        self._keys = read_keys(Path(clips.store_key_file or ""))
        self._tls = _trusting(clips.store_ca_file) if self._secure else None
        self._places = threading.BoundedSemaphore(AT_ONCE)
        self._lock = threading.Lock()  # guards what follows
        self._fault = ""
        self._asked_s = -AWAY_S
        self._checked = self._closed = False
        self._open: set[http.client.HTTPConnection] = set()

    def close(self) -> None:
        """Ask nothing more, and end what is asked: who waits for it gets AwayError. Any thread."""
        with self._lock:
            self._closed = True
            for connection in self._open:
                if connection.sock is not None:
                    with contextlib.suppress(OSError):  # a TLS socket's own would pull its state away meanwhile
                        socket.socket.shutdown(connection.sock, socket.SHUT_RDWR)

    @property
    def away(self) -> bool:
        """Whether the store did not answer when it was asked last."""
        return bool(self._fault)

    # --- whole files -----------------------------------------------------------------------------------------------

    def put(self, file: Path, sha256: str) -> None:
        """Copy a synced file to the bucket; afterwards the store has it, with this hash."""
        key = self._key(sha256)
        self._check_once()
        try:
            with file.open("rb") as opened:
                size, found, md5 = _hashed(opened)
                if found != sha256:
                    raise MismatchError(f"its SHA-256 is {found}, not {sha256}")
                headers = {
                    "content-length": str(size),
                    # Stores look at one or the other, and some at neither of the hash that is signed.
                    "content-md5": base64.b64encode(md5).decode(),
                    "x-amz-checksum-sha256": base64.b64encode(bytes.fromhex(sha256)).decode(),
                }
                with self._ask("PUT", key, headers=headers, sha256=sha256, body=opened) as answer:
                    answer.read(_ANSWER_BYTES)
        except _Refusal as refusal:
            raise self._explained(refusal) from refusal
        except OSError as error:
            raise explained(error, file) from error

    def has(self, sha256: str) -> bool:
        """Whether a file with this hash is there."""
        key = self._key(sha256)
        self._give_up_early()
        try:
            with self._ask("HEAD", key):
                return True
        except _Refusal as refusal:
            if refusal.status == 404:
                return False
            raise self._explained(refusal) from refusal

    def open(self, sha256: str, *, start: int = 0) -> BinaryIO:
        """Open one for reading, from a byte on; raise FileNotFoundError where it is not."""
        key = self._key(sha256)
        self._give_up_early()
        if not self._places.acquire(timeout=PATIENCE_S):
            raise AwayError(f"{self.address}: {AT_ONCE} recordings are fetched already")
        try:
            return io.BufferedReader(_Reading(self, key, start), _PART)
        except BaseException:
            self._places.release()
            raise

    def delete(self, sha256: str) -> None:
        """Delete one for good; nothing to do if it is not there."""
        key = self._key(sha256)
        self._give_up_early()
        self._check_once()
        try:
            with self._ask("DELETE", key):
                pass
        except _Refusal as refusal:
            if refusal.status != 404:
                raise self._explained(refusal) from refusal

    def list(self) -> Iterator[str]:
        """Return the hashes of all that are there."""
        return (name for name in self.names() if SHA256.fullmatch(name))

    def names(self) -> Iterator[str]:
        """Return the names of all that this center has there, ours or not."""
        after = ""
        while True:
            query = {"list-type": "2", "max-keys": _PAGE, "prefix": self._prefix}
            found = self._table({**query, "continuation-token": after} if after else query)
            keys = [one.text or "" for one in found.iterfind("{*}Contents/{*}Key")]
            yield from (key.removeprefix(self._prefix) for key in keys)
            after = found.findtext("{*}NextContinuationToken") or ""
            if not after or found.findtext("{*}IsTruncated") != "true":
                return

    # --- the store itself ------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Raise VaultError where the store cannot be used: away, keys wrong, or wiped recordings would stay."""
        self._table({"list-type": "2", "max-keys": "1", "prefix": self._prefix})
        try:
            found = self._read_table({"versioning": ""})
        except _Refusal:
            return  # a store that does not know what versions are, or does not tell these keys
        if found.findtext("{*}Status") in ("Enabled", "Suspended"):
            raise VaultError(
                f"{self.address}: it keeps versions of what is deleted, so nothing would ever be wiped: use a bucket"
                " that never had versions"
            )

    def _check_once(self) -> None:
        if not self._checked:
            self.check()
            self._checked = True

    def _table(self, query: Mapping[str, str]) -> Xml.Element:
        try:
            return self._read_table(query)
        except _Refusal as refusal:
            raise self._explained(refusal) from refusal

    def _read_table(self, query: Mapping[str, str]) -> Xml.Element:
        with self._ask("GET", self._bucket, query) as answer:
            text = answer.read(_ANSWER_BYTES)
        try:
            return Xml.fromstring(text)  # noqa: S314 – the office's own store, and no more than a few megabytes
        except Xml.ParseError as error:
            raise VaultError(f"{self.address}: it does not speak S3; correct [clips] store") from error

    def _key(self, sha256: str) -> str:
        if not SHA256.fullmatch(sha256):
            raise ValueError(f"not a SHA-256: {sha256!r}")
        return f"{self._bucket}/{self._prefix}{sha256}"

    def _explained(self, refusal: _Refusal) -> VaultError:
        full = refusal.status == 507 or bool(_FULL.search(refusal.code))
        advice = "give it more room" if full else _ADVICE.get(refusal.code, "see the store's own journal")
        return VaultError(f"{self.address}: {refusal.status} {refusal.code}: {advice}", full=full)

    # --- requests --------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _ask(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        sha256: str = EMPTY,
        body: BinaryIO | None = None,
    ) -> Iterator[http.client.HTTPResponse]:
        connection, answer = self._begin(method, path, query or {}, headers or {}, sha256, body)
        try:
            yield answer
        except (OSError, http.client.HTTPException) as error:
            raise self._lost(error) from error
        finally:
            answer.close()
            self._end(connection)

    def _begin(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        sha256: str,
        body: BinaryIO | None = None,
    ) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        """Ask; return connection and answer, whose body is still to be read. Raises _Refusal and AwayError."""
        connection = self._connection()
        asked = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in sorted(query.items()))
        given = {"host": self._netloc, "x-amz-content-sha256": sha256, **headers}
        signed = sign(self._keys, self._region, datetime.now(UTC), method, quote(path), asked, given)
        try:
            try:
                connection.request(method, quote(path) + (f"?{asked}" if asked else ""), body, signed)
                if body is not None and connection.sock is not None:
                    connection.sock.settimeout(TAKING_S)
            except (BrokenPipeError, ConnectionResetError):
                log.debug("the store hung up before it had all; it may have said why")
            answer = connection.getresponse()
            refusal = None if answer.status < 300 else _Refusal(answer.status, _code(answer))
        except (OSError, http.client.HTTPException) as error:
            self._end(connection)
            raise self._lost(error) from error
        if refusal is None or (refusal.status < 500 or refusal.status == 507):
            self._found()
        if refusal is not None:
            answer.close()
            self._end(connection)
            if refusal.status >= 500 and refusal.status != 507:
                raise self._lost(OSError(f"it answers {refusal.status} {refusal.code}"))
            raise refusal
        return connection, answer

    def _connection(self) -> http.client.HTTPConnection:
        made: http.client.HTTPConnection
        if self._tls is not None:
            made = http.client.HTTPSConnection(
                self._host, self._port, timeout=PATIENCE_S, context=self._tls, blocksize=_PART
            )
        else:
            made = http.client.HTTPConnection(self._host, self._port, timeout=PATIENCE_S, blocksize=_PART)
        with self._lock:
            if self._closed:
                raise AwayError("the center stops")
            self._open.add(made)
        return made

    def _end(self, connection: http.client.HTTPConnection) -> None:
        with self._lock:
            self._open.discard(connection)
        connection.close()

    def _give_up_early(self) -> None:
        """Raise where the store was away a moment ago: who waits for a page does not find that out again."""
        with self._lock:
            if self._fault and time.monotonic() - self._asked_s < AWAY_S:
                raise AwayError(self._fault)

    def _lost(self, error: Exception) -> AwayError:
        why = getattr(error, "strerror", None) or str(error) or type(error).__name__
        fault = f"{self.address}: {why}"
        with self._lock:
            told, self._fault, self._asked_s = bool(self._fault) or self._closed, fault, time.monotonic()
        if not told:
            log.warning("the store of recordings does not answer, they wait here and at their cameras: %s", fault)
        return AwayError(fault)

    def _found(self) -> None:
        with self._lock:
            told, self._fault = bool(self._fault), ""
        if told:
            log.info("the store of recordings answers again")


class _Reading(io.RawIOBase):
    """A file of the bucket, read as it comes; another place in it is another request."""

    def __init__(self, bucket: Bucket, key: str, start: int) -> None:
        super().__init__()
        self._bucket, self._path, self._at, self._size = bucket, key, start, -1
        self._connection: http.client.HTTPConnection | None = None
        self._answer: http.client.HTTPResponse | None = None
        self._begin()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        at = offset + (0, self._at, self._size)[whence]
        if at != self._at:
            self._end()
            self._at = at
        return at

    def readinto(self, buffer: "memoryview[int]") -> int:  # type: ignore[override]
        if self._at >= self._size:
            return 0
        if self._answer is None:
            self._begin()
        assert self._answer is not None  # noqa: S101 – or it is at its end
        try:
            count = self._answer.readinto(buffer)
        except (OSError, http.client.HTTPException) as error:
            raise self._bucket._lost(error) from error  # noqa: SLF001 – its own file's other half
        if count == 0:
            raise self._bucket._lost(OSError("it broke off in the middle of a recording"))  # noqa: SLF001
        self._at += count
        return count

    def close(self) -> None:
        if not self.closed:
            if self._size >= 0:  # else whoever opens it gives its place back
                self._bucket._places.release()  # noqa: SLF001
            self._end()
        super().close()

    def _begin(self) -> None:
        headers = {"range": f"bytes={self._at}-"}
        try:
            self._connection, self._answer = self._bucket._begin("GET", self._path, {}, headers, EMPTY)  # noqa: SLF001
        except _Refusal as refusal:
            if refusal.status == 416:
                self._size = max(self._size, 0)
                return
            if refusal.status == 404 and refusal.code != "NoSuchBucket":
                raise FileNotFoundError(f"{self._bucket.address}: not there") from refusal
            raise self._bucket._explained(refusal) from refusal  # noqa: SLF001
        left, part = self._answer.getheader("content-length"), self._answer.getheader("content-range", "bytes 0-")
        if left is None or not part.startswith(f"bytes {self._at}-"):  # rclone says 200 to a range, and sends it
            self._end()
            raise self._bucket._lost(OSError("it does not send the part that it was asked for"))  # noqa: SLF001
        self._size = self._at + int(left)

    def _end(self) -> None:
        if self._answer is not None and self._connection is not None:
            self._answer.close()
            self._bucket._end(self._connection)  # noqa: SLF001
        self._answer = self._connection = None


# --- keys and signatures -------------------------------------------------------------------------------------------


def read_keys(file: Path) -> Keys:
    """Return the keys of a file that only its owner can read; raise ConfigError with the line an operator needs."""
    try:
        with file.open("rb") as opened:
            if stat.S_IMODE(os.fstat(opened.fileno()).st_mode) & 0o077:
                raise ConfigError(f"{file}: others may read it; chmod 600 {file}")
            return msgspec.convert(parse(opened.read(_KEY_FILE_BYTES)), Keys)
    except OSError as error:
        raise ConfigError(f"{file}: {explain_os_error(error)}") from error
    except (SettingsError, msgspec.ValidationError):  # what is told of them would show a secret
        raise ConfigError(f'{file}: two lines, access_key = "…" and secret_key = "…", got something else') from None


def sign(
    keys: Keys, region: str, now: datetime, method: str, path: str, query: str, headers: Mapping[str, str]
) -> dict[str, str]:
    """Return the headers of a request with its signature: AWS Signature Version 4. `path` and `query` are encoded."""
    moment = now.strftime("%Y%m%dT%H%M%SZ")
    given = {**headers, "x-amz-date": moment}
    names = ";".join(sorted(given))
    lines = "".join(f"{name}:{given[name].strip()}\n" for name in sorted(given))
    asked = "\n".join((method, path, query, lines, names, given["x-amz-content-sha256"]))
    scope = f"{moment[:8]}/{region}/s3/aws4_request"
    text = "\n".join(("AWS4-HMAC-SHA256", moment, scope, hashlib.sha256(asked.encode()).hexdigest()))
    key = f"AWS4{keys.secret_key}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    proof = f"AWS4-HMAC-SHA256 Credential={keys.access_key}/{scope},SignedHeaders={names},Signature={signature}"
    return {**given, "authorization": proof}


def _hashed(file: BinaryIO) -> tuple[int, str, bytes]:
    """Return a file's size, SHA-256 and MD5; it stands at its beginning then."""
    size, sha256, md5 = 0, hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    while part := file.read(_PART):
        size += len(part)
        sha256.update(part)
        md5.update(part)
    file.seek(0)
    return size, sha256.hexdigest(), md5.digest()


def _code(answer: http.client.HTTPResponse) -> str:
    """Return the code in an answer that is an error; the reason of HTTP where it has none."""
    with contextlib.suppress(Xml.ParseError):
        code = Xml.fromstring(answer.read(_ANSWER_BYTES)).findtext("{*}Code")  # noqa: S314
        if code:
            return code[:100]
    return answer.reason[:100]


def _trusting(ca_file: str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        why = "is no certificate in PEM" if isinstance(error, ssl.SSLError) else explain_os_error(error)
        raise ConfigError(f"{ca_file}: {why}") from error
