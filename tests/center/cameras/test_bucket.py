"""Stores of whole recordings keep one contract, on the disk and in a bucket; one that fails, fails well."""

import hashlib
import io
import os
import random
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from center.cameras import bucket as module
from center.cameras.bucket import AwayError, Bucket, Keys, read_keys, sign
from center.cameras.vault import ClipStore, MismatchError, Vault, VaultError
from center.config import Clips
from center.errors import ConfigError
from tests.support.certificates import Office
from tests.support.s3 import MISSING, PACKAGES, PROGRAMS, StandIn, free_port, key_file, running

CONTENT = random.Random(3).randbytes(700_000)  # noqa: S311 – the same ones each time
SHA256 = hashlib.sha256(CONTENT).hexdigest()


def synced(folder: Path, content: bytes = CONTENT) -> Path:
    """Return a file with this content, as an upload leaves it."""
    file = folder / "whole"
    file.write_bytes(content)
    return file


def bucket_at(url: str, folder: Path, **changes: Any) -> Bucket:
    """Return a center's bucket."""
    return Bucket(Clips(store=url, store_key_file=str(key_file(folder)), **changes), "bentre")


BUCKETS = pytest.mark.parametrize("place", ["stand-in", *PROGRAMS], indirect=True)
EVERYWHERE = pytest.mark.parametrize("place", ["vault", "stand-in", *PROGRAMS], indirect=True)


@pytest.fixture(scope="module")
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where a store is: a bucket's address, of the stand-in or of a real program that is here; or "vault"."""
    kind = request.param
    if kind == "vault":
        yield kind
    elif kind == "stand-in":
        one = StandIn()
        yield one.url
        one.close()
    elif shutil.which(kind) is None:
        pytest.skip(MISSING.format(kind, PACKAGES[kind]))
    else:
        with running(kind, tmp_path_factory.mktemp(kind)) as url:
            yield url


@pytest.fixture
def store(place: str, tmp_path: Path) -> ClipStore:
    """An empty store."""
    one = Vault(tmp_path / "clips", spare_bytes=0) if place == "vault" else bucket_at(place, tmp_path)
    if isinstance(one, Vault):
        one.room()
    for sha256 in list(one.list()):
        one.delete(sha256)
    return one


@pytest.fixture
def stand_in() -> Iterator[StandIn]:
    """A store that fails as a test wants."""
    one = StandIn()
    yield one
    one.close()


@pytest.fixture
def bucket(stand_in: StandIn, tmp_path: Path) -> Bucket:
    """A bucket of it."""
    return bucket_at(stand_in.url, tmp_path)


@pytest.fixture
def bucket_of_a_program(place: str, tmp_path: Path) -> Bucket:
    """An empty bucket, of whichever store it is."""
    one = bucket_at(place, tmp_path)
    for sha256 in list(one.list()):
        one.delete(sha256)
    return one


# --- the contract --------------------------------------------------------------------------------------------------


@EVERYWHERE
def test_what_is_put_is_read_from_any_byte(store: ClipStore, tmp_path: Path) -> None:
    """A whole file is there under its hash, alone, and is read from its beginning, its middle and its end."""
    store.put(synced(tmp_path), SHA256)
    assert store.has(SHA256)
    assert list(store.list()) == [SHA256]
    for start in (0, 1, 262_144, 399_999, len(CONTENT) - 1, len(CONTENT), len(CONTENT) + 5):
        with store.open(SHA256, start=start) as file:
            assert file.read(10) == CONTENT[start : start + 10], start
            assert file.read() == CONTENT[start + 10 :], start


@EVERYWHERE
def test_a_reader_goes_where_it_likes(store: ClipStore, tmp_path: Path) -> None:
    """A reader winds on and back, and is let go in the middle, as players do."""
    store.put(synced(tmp_path), SHA256)
    with store.open(SHA256) as file:
        assert file.seek(0, os.SEEK_END) == len(CONTENT)
        assert file.read(1) == b""
        for at in (600_000, 5, 300_000):
            assert file.seek(at) == at
            assert file.read(7) == CONTENT[at : at + 7]
    for _ in range(3 * module.AT_ONCE):
        store.open(SHA256).close()


@EVERYWHERE
def test_one_content_is_there_once(store: ClipStore, tmp_path: Path) -> None:
    """Put twice it is one file, and one delete takes it; another delete finds nothing to do."""
    store.put(synced(tmp_path), SHA256)
    store.put(synced(tmp_path), SHA256)
    assert list(store.list()) == [SHA256]
    store.delete(SHA256)
    store.delete(SHA256)
    assert (list(store.list()), store.has(SHA256)) == ([], False)
    with pytest.raises(FileNotFoundError):
        store.open(SHA256)


@EVERYWHERE
def test_a_put_that_fails_leaves_nothing(store: ClipStore, tmp_path: Path) -> None:
    """A file that cannot be read is told as a fault of its disk, and the store has nothing of it."""
    with pytest.raises(VaultError):
        store.put(tmp_path / "not there", SHA256)
    assert (list(store.list()), store.has(SHA256)) == ([], False)


@EVERYWHERE
@pytest.mark.parametrize("name", ["", "../../etc/passwd", SHA256[:-1], SHA256.upper(), f"{SHA256}?versioning"])
def test_only_a_hash_is_an_address(store: ClipStore, tmp_path: Path, name: str) -> None:
    """Nothing but a SHA-256 leads anywhere."""
    with pytest.raises(ValueError, match="not a SHA-256"):
        store.put(synced(tmp_path), name)
    for use in (store.has, store.open, store.delete):
        with pytest.raises(ValueError, match="not a SHA-256"):
            use(name)


# --- buckets, real ones too ----------------------------------------------------------------------------------------


class Torn(io.BytesIO):
    """A file that breaks off in its middle when it is read a second time."""

    again = False

    def seek(self, *where: int) -> int:
        """Go somewhere."""
        self.again = True
        return super().seek(*where)

    def read(self, size: int | None = -1) -> bytes:
        """Read, as far as it goes."""
        if self.again and self.tell() > 300_000:
            raise OSError("the line was cut")
        return super().read(size)


@BUCKETS
def test_a_put_that_is_cut_leaves_nothing(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line that is cut in the middle of a file leaves none under its hash; sent again it is whole."""
    bucket_at(place, tmp_path).delete(SHA256)
    with monkeypatch.context() as cut:
        one = bucket_at(place, tmp_path)
        cut.setattr(Path, "open", lambda *_: Torn(CONTENT))
        with pytest.raises(VaultError, match="the line was cut"):
            one.put(Path("torn"), SHA256)
    after = bucket_at(place, tmp_path)
    assert not after.has(SHA256)
    after.put(synced(tmp_path), SHA256)
    with after.open(SHA256) as file:
        assert file.read() == CONTENT


@BUCKETS
def test_the_store_takes_no_other_content(
    bucket_of_a_program: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file of another hash is not sent; one that changes on its way is refused by the store itself."""
    with pytest.raises(MismatchError):
        bucket_of_a_program.put(synced(tmp_path, b"other"), SHA256)
    md5 = hashlib.md5(CONTENT, usedforsecurity=False).digest()
    monkeypatch.setattr(module, "_hashed", lambda _: (5, SHA256, md5))
    with pytest.raises(VaultError, match="400 BadDigest"):
        bucket_of_a_program.put(synced(tmp_path, b"other"), SHA256)
    assert not bucket_of_a_program.has(SHA256)


@BUCKETS
def test_many_are_listed_page_by_page(
    bucket_of_a_program: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bucket with more than one page tells all of it, and nothing of another center's."""
    monkeypatch.setattr(module, "_PAGE", "3")
    contents = [str(one).encode() for one in range(8)]
    for content in contents:
        bucket_of_a_program.put(synced(tmp_path, content), hashlib.sha256(content).hexdigest())
    assert list(bucket_of_a_program.list()) == sorted(hashlib.sha256(one).hexdigest() for one in contents)
    bucket_of_a_program._prefix = "bentre2/"
    assert list(bucket_of_a_program.list()) == []


@BUCKETS
def test_what_an_operator_does_wrong_is_said(place: str, tmp_path: Path) -> None:
    """A bucket that is not there, and a wrong secret, are told with what to do."""
    bucket_at(place, tmp_path).check()
    with pytest.raises(VaultError, match=r"404 NoSuchBucket: make the bucket, or correct \[clips\] store"):
        bucket_at(place.replace("/clips", "/none"), tmp_path).check()
    wrong = bucket_at(place, tmp_path)
    wrong._keys = Keys(access_key="motcua", secret_key="wrong")  # noqa: S106
    with pytest.raises(VaultError, match=r"403 SignatureDoesNotMatch: .*store_key_file: the secret_key is wrong"):
        wrong.check()


# --- a store that fails --------------------------------------------------------------------------------------------


def test_a_store_that_is_away_is_told_once(
    bucket: Bucket, stand_in: StandIn, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """While it is away each ask fails, the log has one line for that and one when it is back."""
    caplog.set_level("INFO", "center")
    bucket.put(synced(tmp_path), SHA256)
    stand_in.away = True
    for use in (lambda: bucket.put(synced(tmp_path), SHA256), bucket.check):
        with pytest.raises(AwayError):
            use()
    assert bucket.away
    before = len(stand_in.asked)
    for ask in (bucket.has, bucket.open, bucket.delete):
        with pytest.raises(AwayError):
            ask(SHA256)
    assert len(stand_in.asked) == before  # who waits for a page is told at once
    stand_in.away = False
    bucket.check()
    assert not bucket.away
    assert bucket.has(SHA256)
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


def test_a_store_that_says_nothing_is_given_up(
    bucket: Bucket, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store that takes a connection and never answers is away after its time."""
    monkeypatch.setattr(module, "PATIENCE_S", 0.2)
    stand_in.hang.clear()
    with pytest.raises(AwayError, match="timed out"):
        bucket.has(SHA256)


def test_nobody_listens(tmp_path: Path) -> None:
    """A store whose machine is off is away."""
    with pytest.raises(AwayError, match="refused"):
        bucket_at(f"http://127.0.0.1:{free_port()}/clips", tmp_path).check()


def test_a_full_store_is_full(bucket: Bucket, stand_in: StandIn, tmp_path: Path) -> None:
    """A store without room is told as full, not as away; what is there can be read and deleted."""
    bucket.put(synced(tmp_path), SHA256)
    stand_in.full = True
    with pytest.raises(VaultError, match="give it more room") as error:
        bucket.put(synced(tmp_path, b"other"), hashlib.sha256(b"other").hexdigest())
    assert error.value.full
    assert not bucket.away
    bucket.delete(SHA256)
    assert stand_in.files == {}


def test_a_store_that_keeps_versions_is_refused(bucket: Bucket, stand_in: StandIn, tmp_path: Path) -> None:
    """Where deleted recordings would stay as versions, none is put, and why is said."""
    stand_in.versions = True
    with pytest.raises(VaultError, match="nothing would ever be wiped"):
        bucket.put(synced(tmp_path), SHA256)
    assert stand_in.files == {}


def test_a_recording_that_breaks_off_is_no_whole_one(bucket: Bucket, stand_in: StandIn, tmp_path: Path) -> None:
    """A store that hangs up in the middle of a recording is a fault, never a shorter recording."""
    bucket.put(synced(tmp_path), SHA256)
    stand_in.cut_at = 300_000
    with bucket.open(SHA256) as file, pytest.raises(AwayError, match="broke off"):
        file.read()


def test_what_does_not_speak_s3(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    """A web server that is no store is told as what it is."""
    monkeypatch.setattr(StandIn, "_listed", lambda *_: b"<!doctype html>")
    with pytest.raises(VaultError, match=r"it does not speak S3; correct \[clips\] store"):
        bucket.check()


def test_readers_wait_for_their_turn(bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No more recordings are fetched at once than may be; one that ends lets the next in."""
    bucket.put(synced(tmp_path), SHA256)
    monkeypatch.setattr(module, "PATIENCE_S", 0.2)
    opened = [bucket.open(SHA256) for _ in range(module.AT_ONCE)]
    with pytest.raises(AwayError, match="are fetched already"):
        bucket.open(SHA256)
    for file in opened:
        file.close()
        file.close()
    bucket.open(SHA256).close()


# --- keys and signatures -------------------------------------------------------------------------------------------


def test_the_signature_is_that_of_the_standard() -> None:
    """The example of the S3 reference, GET of a range, has the signature that stands there."""
    keys = Keys(access_key="AKIAIOSFODNN7EXAMPLE", secret_key="wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")  # noqa: S106
    headers = {"host": "examplebucket.s3.amazonaws.com", "range": "bytes=0-9", "x-amz-content-sha256": module.EMPTY}
    found = sign(keys, "us-east-1", datetime(2013, 5, 24, tzinfo=UTC), "GET", "/test.txt", "", headers)
    expected = "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
    assert found["authorization"].endswith(expected)


@pytest.mark.parametrize(
    ("text", "mode", "said"),
    [
        (None, 0o600, "cannot be read: no such file"),
        ("access_key = 'a'\nsecret_key = 'hidden'\n", 0o640, "others may read it; chmod 600"),
        ("hidden", 0o600, "two lines, access_key"),
        ("access_key = ''\nsecret_key = 'hidden'\n", 0o600, "two lines, access_key"),
        ("access_key = 'hidden'\n", 0o600, "two lines, access_key"),
        ('access_key = "a"\nsecret_key = "hid\\u0007hidden"\n', 0o600, "two lines, access_key"),
    ],
)
def test_a_wrong_key_file_is_said_without_what_is_in_it(tmp_path: Path, text: str | None, mode: int, said: str) -> None:
    """A key file that is missing, open to others or not two lines is told in one line, which shows nothing of it."""
    file = tmp_path / "store.key"
    if text is not None:
        file.write_text(text)
        file.chmod(mode)
    with pytest.raises(ConfigError, match=said) as error:
        read_keys(file)
    assert "hidden" not in str(error.value)


def test_a_certificate_that_is_none(tmp_path: Path) -> None:
    """A CA file that is missing or no certificate is told at the start, in one line."""
    with pytest.raises(ConfigError, match="cannot be read: no such file"):
        bucket_at("https://127.0.0.1:1/clips", tmp_path, store_ca_file=str(tmp_path / "none"))
    with pytest.raises(ConfigError, match="is no certificate in PEM"):
        bucket_at("https://127.0.0.1:1/clips", tmp_path, store_ca_file=str(key_file(tmp_path)))


def test_https_by_the_offices_own_certificate(stand_in: StandIn, tmp_path: Path) -> None:
    """With `store_ca_file` a store is believed whose certificate the office signed; without it nobody's is."""
    office = Office(tmp_path / "office")
    url = stand_in.secure(office.paper("store"))
    trusting = bucket_at(url, tmp_path, store_ca_file=str(office.root))
    trusting.put(synced(tmp_path), SHA256)
    assert trusting.has(SHA256)
    with pytest.raises(AwayError, match=r"(?i)certificate"):
        bucket_at(url, tmp_path).has(SHA256)
