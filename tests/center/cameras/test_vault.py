"""The vault: what is whole lies under its hash, what is not can be gone on with, and the queue's disk is left alone."""

import errno
import hashlib
import os
from pathlib import Path

import pytest

from center.cameras.names import name_of
from center.cameras.vault import Partial, Vault, VaultError, digest
from tests.support.disk import small_disk

UPLOAD = name_of("q01", "camera", "c-1")
CONTENT = b"a recording " * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    """An empty vault, content with what room there is."""
    return Vault(tmp_path / "clips", spare_bytes=0, spare_share=0)


def fill(vault: Vault, content: bytes = CONTENT, upload: str = UPLOAD) -> Partial:
    """Write something into an upload, synced."""
    partial = Partial(vault, upload)
    partial.append(content)
    partial.sync()
    partial.close()
    return partial


def test_what_is_put_lies_under_its_hash(vault: Vault) -> None:
    """A whole file comes to the address of its content, readable by the center alone, and can be read from any byte."""
    partial = fill(vault)
    assert partial.sha256 == SHA256
    vault.put(vault.partial(UPLOAD), SHA256)
    assert vault.path(SHA256) == vault.folder / SHA256[:2] / SHA256[2:4] / SHA256
    assert vault.path(SHA256).stat().st_mode & 0o777 == 0o600
    with vault.open(SHA256) as file:
        assert digest(file) == SHA256
    assert list(vault.list()) == [SHA256]
    with vault.open(SHA256, start=12) as file:
        assert file.read(12) == b"a recording "
    assert vault.offset(UPLOAD) == 0


def test_one_content_lies_there_once(vault: Vault) -> None:
    """The same content a second time is one file; deleted, it is gone, and deleting it again is nothing."""
    for upload in (UPLOAD, name_of("q02", "camera", "c-1")):
        fill(vault, upload=upload)
        vault.put(vault.partial(upload), SHA256)
    assert list(vault.list()) == [SHA256]
    vault.delete(SHA256)
    vault.delete(SHA256)
    assert list(vault.list()) == []
    with pytest.raises(FileNotFoundError):
        vault.open(SHA256)


def test_an_upload_goes_on_where_it_was(vault: Vault) -> None:
    """What came before is counted by its size and hashed with what comes after, remembered or read again."""
    first = fill(vault, CONTENT[:100])
    assert vault.offset(UPLOAD) == 100
    for known in (first.known, None):
        again = Partial(vault, UPLOAD, known=known)
        assert (again.size, again.sha256) == (100, hashlib.sha256(CONTENT[:100]).hexdigest())
        again.close()
    rest = fill(vault, CONTENT[100:])
    assert (rest.size, rest.sha256) == (len(CONTENT), SHA256)


def test_what_is_remembered_of_another_size_is_not_believed(vault: Vault) -> None:
    """Where a power cut took some of a file back, its hash is made of what is there."""
    known = fill(vault).known
    os.truncate(vault.partial(UPLOAD), 10)
    again = Partial(vault, UPLOAD, known=known)
    again.close()
    assert again.sha256 == hashlib.sha256(CONTENT[:10]).hexdigest()


@pytest.mark.parametrize("name", ["..", "../../etc/passwd", "", "A" * 32, "a" * 31, "a" * 32 + "\n", "a/" * 16])
def test_only_names_of_ours_are_paths(vault: Vault, name: str) -> None:
    """No name leads out of the folder: what is not of our own making is refused before a file is touched."""
    for use in (vault.partial, vault.offset, vault.put_aside, vault.forget, vault.path, vault.open, vault.delete):
        with pytest.raises(ValueError, match="not a"):
            use(name)


def test_a_link_in_the_place_of_an_upload_is_not_followed(vault: Vault, tmp_path: Path) -> None:
    """Whoever put a link there does not get what it points to read, nor written to."""
    fill(vault)
    vault.partial(UPLOAD).unlink()
    vault.partial(UPLOAD).symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").write_bytes(b"not ours")
    with pytest.raises(VaultError):
        Partial(vault, UPLOAD)
    with pytest.raises(VaultError):
        vault.offset(UPLOAD)
    assert (tmp_path / "elsewhere").read_bytes() == b"not ours"


def test_after_a_close_nothing_is_written(vault: Vault) -> None:
    """Whoever gave up closed the file: what another thread still wants to write goes nowhere."""
    partial = fill(vault, b"abc")
    with pytest.raises(VaultError):
        partial.append(b"d")
    assert vault.partial(UPLOAD).read_bytes() == b"abc"


def test_the_queue_keeps_its_room(tmp_path: Path) -> None:
    """With less than the spare room free, nothing more is taken, long before the disk is full."""
    with small_disk(tmp_path / "disk", kilobytes=400) as disk:
        vault = Vault(disk.folder / "clips", spare_bytes=200_000)
        partial = Partial(vault, UPLOAD)
        for _ in range(3):
            partial.append(bytes(40_000))
        with pytest.raises(VaultError, match="no room to spare") as error:
            partial.append(bytes(100_000))
        assert error.value.full
        partial.sync()
        partial.close()
        assert vault.offset(UPLOAD) == partial.size == 120_000
        statvfs = os.statvfs(disk.folder)
        assert statvfs.f_bavail * statvfs.f_frsize >= 200_000


def test_a_full_disk_keeps_what_was_written(tmp_path: Path) -> None:
    """What a disk took before it was full counts, with the right hash; with room again it goes on from there."""
    with small_disk(tmp_path / "disk", kilobytes=400) as disk:
        vault = Vault(disk.folder / "clips", spare_bytes=0, spare_share=0)
        partial = Partial(vault, UPLOAD)
        partial.append(bytes(4096))
        disk.fill()
        with pytest.raises(VaultError) as error:
            partial.append(bytes(4096))
        assert error.value.full
        disk.free()
        partial.append(bytes(4096))
        partial.sync()
        partial.close()
        with vault.partial(UPLOAD).open("rb") as file:
            found = digest(file)
        assert found == partial.sha256 == hashlib.sha256(bytes(partial.size)).hexdigest()


def test_a_write_that_fails_half_way_counts_what_was_written(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a part that the disk took half, size and hash say just that half."""
    partial = Partial(vault, UPLOAD)
    real, calls = os.write, []

    def write(file: int, data: bytes) -> int:
        calls.append(1)
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(file, bytes(data)[:5])

    monkeypatch.setattr("center.cameras.vault.os.write", write)
    with pytest.raises(VaultError) as error:
        partial.append(b"1234567890")
    partial.close()
    assert error.value.full
    assert (partial.size, partial.sha256) == (5, hashlib.sha256(b"12345").hexdigest())
