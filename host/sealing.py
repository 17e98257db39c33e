"""Files that who wrote them cannot read back: sealed for a public key, record by record.

    "MOTCUA", 0, 1   key's id, 8 bytes   sealed key, 80 bytes   length, 4 bytes   record   length   record …

The key is AES-256, made for this file alone, and sealed by HPKE (RFC 9180: X25519, HKDF-SHA256, AES-256-GCM) with the
file's name and the key's id as its info, so that nothing can be put under another name. A record is AES-256-GCM; its
nonce is its number, 11 bytes, and one byte that is 1 in the last record alone: the STREAM construction (Hoang,
Reyhanitabar, Rogaway, Vizár 2015), in which no record can be left out, repeated, moved or cut off unnoticed. Lengths
are those of the sealed records, big-endian. The last record may be empty.
"""

import base64
import hashlib
import os
from collections.abc import Iterator
from typing import BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

_MAGIC = b"MOTCUA\x00\x01"
_KEY_ID_BYTES, _SEALED_KEY_BYTES, _LENGTH_BYTES, _TAG_BYTES = 8, 80, 4, 16
_HEAD_BYTES = len(_MAGIC) + _KEY_ID_BYTES + _SEALED_KEY_BYTES
_SUITE = hpke.Suite(hpke.KEM.X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)

LONGEST_RECORD = 32 * 1024 * 1024
"""Bytes of one record before it is sealed: far above a second of video, far below what hurts a center."""

MOST_RECORDS = 200_000
"""Records of one file that are opened: more than two days of video. Millions of empty ones would hold a center up."""


class SealError(Exception):
    """A sealed file that is not what it should be; the message says in what."""


class CutShortError(SealError):
    """A sealed file ends before its last record; what was read of it is whole."""


def make_keys() -> tuple[str, str]:
    """Return a new private key (PEM, for the center alone) and its public key (for every device)."""
    private = X25519PrivateKey.generate()
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return pem, public_text(private)


def public_text(private: X25519PrivateKey) -> str:
    """Return the public key of a private one, as it stands in a station's file."""
    return base64.b64encode(private.public_key().public_bytes_raw()).decode()


def read_public_key(text: str) -> X25519PublicKey:
    """Return a public key as `make_keys` wrote it; raise ValueError for anything else."""
    try:
        return X25519PublicKey.from_public_bytes(base64.b64decode(text.strip(), validate=True))
    except ValueError as error:
        raise ValueError(f"the center's public key has 32 bytes in base64, 44 characters; got {text!r}") from error


def read_private_key(pem: str) -> X25519PrivateKey:
    """Return a private key as `make_keys` wrote it; raise ValueError for anything else."""
    try:
        key = load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError) as error:
        raise ValueError("the center's private key for clips is no PEM, or needs a password") from error
    if not isinstance(key, X25519PrivateKey):
        raise ValueError(  # noqa: TRY004 - it is the text that is wrong
            "the center's private key for clips is of another kind than X25519"
        )
    return key


def key_id(public: X25519PublicKey) -> bytes:
    """Return what a sealed file calls this key: the beginning of its SHA-256."""
    return hashlib.sha256(public.public_bytes_raw()).digest()[:_KEY_ID_BYTES]


class Sealer:
    """Makes the bytes of one sealed file: `head`, then records, the last one with `last`. Keeps nothing of them."""

    def __init__(self, public: X25519PublicKey, name: str) -> None:
        key = AESGCM.generate_key(256)
        self._cipher = AESGCM(key)
        self._number = 0
        self._ended = False
        head = _MAGIC + key_id(public)
        self.head = head + _SUITE.encrypt(key, public, _info(head, name))
        """What a file begins with."""

    def seal(self, plain: bytes, *, last: bool = False) -> bytes:
        """Return a record with its length before it."""
        if self._ended:
            raise ValueError("nothing follows the last record")
        if len(plain) > LONGEST_RECORD:
            raise ValueError(f"a record has at most {LONGEST_RECORD} bytes, got {len(plain)}")
        sealed = self._cipher.encrypt(_nonce(self._number, last=last), plain, None)
        self._number += 1
        self._ended = last
        return len(sealed).to_bytes(_LENGTH_BYTES, "big") + sealed


def sealed_for(file: BinaryIO) -> bytes:
    """Return the id of the key that a file, read from its beginning, is sealed for; raise SealError for others."""
    head = file.read(len(_MAGIC) + _KEY_ID_BYTES)
    if not head.startswith(_MAGIC):
        raise SealError("not a sealed file of Motcua, or of a newer version")
    if len(head) < len(_MAGIC) + _KEY_ID_BYTES:
        raise CutShortError("cut short within its first bytes")
    return head[len(_MAGIC) :]


def unseal(file: BinaryIO, private: X25519PrivateKey, name: str, *, start: int = 0) -> Iterator[bytes]:
    """Yield the records of a file, read from its beginning, each one proved whole and in its place.

    From a `start` within the plain file on: records before it are passed over, and the first one begins there.
    Raises CutShortError after the last whole record of a file that was cut, as by a power cut; SealError for
    anything else that was not sealed so, for this key and under this name.
    """
    wanted = key_id(private.public_key())
    found = sealed_for(file)
    if found != wanted:
        raise SealError(f"sealed for the key {found.hex()}, not for {wanted.hex()}")
    sealed_key = file.read(_SEALED_KEY_BYTES)
    if len(sealed_key) < _SEALED_KEY_BYTES:
        raise CutShortError("cut short within its first bytes")
    try:
        cipher = AESGCM(_SUITE.decrypt(sealed_key, private, _info(_MAGIC + found, name)))
    except InvalidTag as error:
        raise SealError(f"not sealed under the name {name}, or changed since") from error
    number = 0
    while (length := _length(file)) is not None:
        if 0 < start >= length - _TAG_BYTES:
            _pass_over(file, length)
            start -= length - _TAG_BYTES
            number += 1
            continue
        sealed = file.read(length)
        if len(sealed) < length:
            break
        if number >= MOST_RECORDS:
            raise SealError(f"more than {MOST_RECORDS} records")
        plain, last = _opened(cipher, number, sealed)
        number += 1
        yield plain[start:] if start else plain
        start = 0
        if last:
            if file.read(1):
                raise SealError("something follows the last record")
            return
    raise CutShortError(f"cut short after {number} whole records")


def whole_length(file: BinaryIO) -> int:
    """Return how much of a file, read from its beginning, is its head and whole records; needs no key."""
    file.seek(0, os.SEEK_END)
    end, whole = file.tell(), _HEAD_BYTES
    if end < whole:
        return 0
    while True:
        file.seek(whole)
        length = file.read(_LENGTH_BYTES)
        if len(length) < _LENGTH_BYTES:
            return whole
        following = whole + _LENGTH_BYTES + int.from_bytes(length, "big")
        if following > end:
            return whole
        whole = following


def _opened(cipher: AESGCM, number: int, sealed: bytes) -> tuple[bytes, bool]:
    for last in (False, True):
        try:
            return cipher.decrypt(_nonce(number, last=last), sealed, None), last
        except InvalidTag:
            continue
    raise SealError(f"record {number} was changed, or stands in another's place")


def _length(file: BinaryIO) -> int | None:
    """Return the length of the next sealed record, None where the file ends."""
    head = file.read(_LENGTH_BYTES)
    if len(head) < _LENGTH_BYTES:
        return None
    length = int.from_bytes(head, "big")
    if not _TAG_BYTES <= length <= LONGEST_RECORD + _TAG_BYTES:
        raise SealError(f"a record cannot have {length} bytes")
    return length


def _pass_over(file: BinaryIO, length: int) -> None:
    if file.seekable():
        file.seek(length, os.SEEK_CUR)
    else:
        file.read(length)


def _nonce(number: int, *, last: bool) -> bytes:
    return number.to_bytes(11, "big") + bytes([last])


def _info(head: bytes, name: str) -> bytes:
    return head + name.encode()
