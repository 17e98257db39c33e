"""A center whose recordings go to a bucket: nothing is said before it is so, and a store that is away hurts nobody."""

import hashlib
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from msgspec.structs import replace

from center.cameras import bucket, fsck
from center.cameras import uploads as module
from center.cameras.uploads import make_vault
from center.cameras.vault import VaultError
from center.config import Clips, Config, read
from center.doctor import checks
from center.errors import ConfigError
from center.hall import Hall
from contract.requests import Upload
from host.doctor.examine import examine
from tests.center.cameras.test_uploads import CONTENT, Camera, clip, row_of, send
from tests.center.cameras.test_wiping import put, sweep, wiped
from tests.center.web.site import Center
from tests.support.film import happen
from tests.support.s3 import StandIn, key_file

SHA256 = hashlib.sha256(CONTENT).hexdigest()
NAME = f"bentre/{SHA256}"


@pytest.fixture
def store() -> Iterator[StandIn]:
    """A store that fails as a test wants."""
    one = StandIn()
    yield one
    one.close()


def clips(store: StandIn, folder: Path) -> Clips:
    """Return how a center is told of it."""
    return Clips(spare_gb=0, largest_mb=2, store=store.url, store_key_file=str(key_file(folder)))


@pytest.fixture
def center(store: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Center]:
    """A center whose recordings go there."""
    monkeypatch.setattr(bucket, "AWAY_S", 0.0)
    one = Center(tmp_path / "center", clips=clips(store, tmp_path))
    one.start()
    one.uploads.vault._spare_share = 0  # whatever room there is on the machine of a test
    yield one
    one.http.close()
    one.stop()


def here(center: Center) -> list[str]:
    """Return the names of all files of recordings on the center's own disk."""
    return [one.name for one in center.uploads.vault.folder.rglob("*") if one.is_file() and one.name != "lock"]


def seen(center: Center) -> str:
    """Have an incident of the recording; return its key."""
    return happen(center.hall, name="i-1", at=row_of(center).start, recorded="c-1", before_s=5, seconds=42.5)


def test_a_recording_goes_to_the_bucket(center: Center, store: StandIn) -> None:
    """A whole recording lies in the bucket and nowhere else, its row says so, and a player gets any part of it."""
    leave = Camera(center).leave(clip())
    assert send(center, leave, CONTENT[:250_000], 0).status_code == 204
    assert (store.files, len(here(center))) == ({}, 1)
    assert send(center, leave, CONTENT[250_000:], 250_000).status_code == 204
    assert (store.files, here(center)) == ({NAME: CONTENT}, [])
    assert row_of(center).arrived_at is not None
    with center.client("dung-0") as dung:
        answer = dung.get(f"/review/{seen(center)}/video", headers={"range": "bytes=300000-300009"})
    assert (answer.status_code, answer.content) == (206, CONTENT[300_000:300_010])


def test_while_the_store_is_away_it_waits_here(center: Center, store: StandIn) -> None:
    """A recording that came while the store is away waits on the center's disk, not arrived; then it goes by itself."""
    camera = Camera(center)
    leave = camera.leave(clip())
    store.away = True
    answer = send(center, leave, CONTENT, 0)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "30")
    assert (row_of(center).arrived_at, len(here(center))) == (None, 1)
    assert camera.refusal(clip()) == "store_failed"
    store.away = False
    assert camera.leave(clip()).offset == len(CONTENT)
    assert (store.files, here(center)) == ({NAME: CONTENT}, [])
    assert row_of(center).arrived_at is not None


def test_a_full_bucket_is_507(center: Center, store: StandIn) -> None:
    """A bucket without room is told as a disk without room, and what came stays until there is some."""
    camera = Camera(center)
    store.full = True
    answer = send(center, camera.leave(clip()), CONTENT, 0)
    assert (answer.status_code, answer.json()["code"], store.files) == (507, "disk_low", {})
    assert camera.refusal(clip()) == "store_full"
    store.full = False
    assert camera.leave(clip()).offset == len(CONTENT)
    assert store.files == {NAME: CONTENT}


def test_a_center_killed_before_its_row_goes_on(
    center: Center, store: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cut between bucket and row leaves both files and no word of it; the next ask says that it arrived."""
    camera = Camera(center)
    leave = camera.leave(clip())

    def cut(*_: object) -> bool:
        raise sa.exc.OperationalError("", {}, Exception("cut"))

    with monkeypatch.context() as killed:
        killed.setattr(module, "_mark", cut)
        assert send(center, leave, CONTENT, 0).status_code >= 500
    assert (store.files, len(here(center)), row_of(center).arrived_at) == ({NAME: CONTENT}, 1, None)
    center.stop()
    center.start()
    center.uploads.vault._spare_share = 0
    assert camera.leave(clip()).offset == len(CONTENT)
    assert (store.files, here(center)) == ({NAME: CONTENT}, [])
    assert row_of(center).arrived_at is not None


def test_a_store_that_hangs_stops_no_queue(center: Center, store: StandIn) -> None:
    """While the store says nothing, tickets are taken, pages are drawn, and a supervisor may hold another recording."""
    leave = Camera(center).leave(clip())
    assert send(center, leave, CONTENT, 0).status_code == 204
    other = Camera(center).leave(clip(CONTENT + b"2", "c-2"))
    key = seen(center)
    before = len(store.asked)
    store.hang.clear()
    sender = threading.Thread(target=send, args=(center, other, CONTENT + b"2", 0))
    sender.start()
    try:
        while len(store.asked) == before:
            assert sender.is_alive()
        assert center.issue() == "A001"
        with center.client("dung-0") as dung, center.uploads.vault.alone():  # as an upload whose store hangs
            held = dung.post(f"/review/{key}", data={"do": "hold", "reason": "khiếu nại số 12"}, follow_redirects=True)
            assert held.status_code == 200
            assert dung.get("/").status_code == 200
        assert center.http.get("/healthz").status_code == 200
    finally:
        store.hang.set()
        sender.join()
    assert row_of(center).held


def test_a_page_says_that_it_cannot_be_fetched_now(center: Center, store: StandIn) -> None:
    """A page whose store is away says so in one line, and no more when it is back; it is no missing recording."""
    assert send(center, Camera(center).leave(clip()), CONTENT, 0).status_code == 204
    key = seen(center)
    store.away = True
    with center.client("dung-0") as dung:
        answer = dung.get(f"/review/{key}/video")
        assert (answer.status_code, "đang mất liên lạc" in answer.text) == (503, True)
        assert 'data-id="away">' in dung.get(f"/review/{key}").text
        store.away = False
        assert dung.get(f"/review/{key}/video").content == CONTENT
        assert 'data-id="away" hidden>' in dung.get(f"/review/{key}").text


def test_a_center_stops_though_its_store_hangs(center: Center, store: StandIn) -> None:
    """A center that is told to stop while its store says nothing stops at once; the next one goes on."""
    camera = Camera(center)
    leave = camera.leave(clip())
    before = len(store.asked)
    store.hang.clear()
    sender = threading.Thread(target=_try, args=(center, leave))
    sender.start()
    while len(store.asked) == before:
        assert sender.is_alive()
    center.uploads.stop()
    sender.join(30)
    assert not sender.is_alive()
    store.hang.set()
    center.stop()
    center.start()
    center.uploads.vault._spare_share = 0
    assert camera.leave(clip()).offset == len(CONTENT)
    assert store.files == {NAME: CONTENT}


def _try(center: Center, leave: Upload) -> None:
    assert send(center, leave, CONTENT, 0).status_code >= 500


# --- wiping and fsck -----------------------------------------------------------------------------------------------


@pytest.fixture
def config(config: Config, store: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    """A center that does not serve, whose recordings go there."""
    monkeypatch.setattr(bucket, "AWAY_S", 0.0)
    return replace(config, clips=clips(store, tmp_path))


def test_wiping_is_tried_until_the_store_is_there(hall: Hall, config: Config, store: StandIn) -> None:
    """While the store is away no row says wiped; when it is back file and row go, and what was here before, too."""
    old = make_vault(replace(config, clips=Clips(spare_gb=0)))
    put(hall, old, "here", b"here", age_days=32)
    put(hall, make_vault(config), "there", b"there", age_days=31)
    store.away = True
    with pytest.raises(VaultError):
        sweep(hall, config)
    assert wiped(hall) == {"here": False, "there": False}
    store.away = False
    sweep(hall, config)
    assert wiped(hall) == {"here": True, "there": True}
    assert (store.files, list(old.list())) == ({}, [])


def test_fsck_looks_into_the_bucket(hall: Hall, config: Config, store: StandIn) -> None:
    """What is missing, damaged, unmarked, unknown or strange in the bucket is told and mended; old files are good."""
    put(hall, make_vault(replace(config, clips=Clips(spare_gb=0))), "here", b"here", age_days=1)
    one = make_vault(config)
    hashes = {name: put(hall, one, name, name.encode(), age_days=1) for name in ("good", "missing", "damaged")}
    hashes["unmarked"] = put(hall, one, "unmarked", b"unmarked", age_days=1, arrived_at=None)
    hashes["unknown"] = hashlib.sha256(b"unknown").hexdigest()
    center = config.id
    del store.files[f"{center}/{hashes['missing']}"]
    store.files |= {
        f"{center}/{hashes['damaged']}": b"?", f"{center}/{hashes['unknown']}": b"unknown", f"{center}/letter": b"",
        f"{center}2/{hashes['unknown']}": b"another center's",
    }  # fmt: skip
    hall.stop()
    found = {(each.kind, each.object.split()[0]) for each in fsck.look(config)}
    kinds = ("missing", "damaged", "unmarked", "unknown")
    assert found == {*((kind, hashes[kind]) for kind in kinds), ("strange", "letter")}
    fsck.repair(config)
    assert [each.kind for each in fsck.look(config)] == ["strange"]
    left = {f"{center}/{hashes[name]}" for name in ("good", "unmarked")}
    assert set(store.files) == {*left, f"{center}/letter", f"{center}2/{hashes['unknown']}"}
    assert [file.read_bytes() for file in (one.folder / "aside").iterdir()] == [b"?"]
    store.away = True
    with pytest.raises(VaultError):
        fsck.look(config)


# --- configuration and check-up ------------------------------------------------------------------------------------

FILE = """
id = "bentre"
name = "Trung tâm"
data_dir = "{data}"
[clips]
{clips}
[[service]]
id = "dat-dai"
letter = "A"
vi = "Đất đai"
en = "Land"
[[counter]]
id = "q01"
label = "1"
services = ["dat-dai"]
"""


def write(folder: Path, lines: str) -> Path:
    """Write a center's file."""
    file = folder / "center.toml"
    file.write_text(FILE.format(data=folder / "data", clips=lines), encoding="utf-8")
    return file


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ('store = "http://10.0.0.9:9000/clips"', "clips.store: an address that begins with https://"),
        ('store = "https://10.0.0.9:9000"', "clips.store: an address that begins with https:// and ends with a bucket"),
        ('store = "https://10.0.0.9:9000/clips/x"', "and ends with a bucket"),
        ('store = "https://me:secret@10.0.0.9/clips"', "and ends with a bucket"),
        ('store = "https://10.0.0.9:9000/clips?x=1"', "and ends with a bucket"),
        ('store = "https://10.0.0.9:9000/clips"', "clips.store_key_file: a file, because clips.store is set"),
        ('store_key_file = "/k"', "clips.store: an address, because store_key_file is set, got nothing"),
        ('store = "https://a/clips"\nstore_key_file = "/k"\nlargest_mb = 5001', "clips.largest_mb: at most 5000"),
        ('store_region = "Hà Nội"', "clips.store_region: 1 to 64 of a-z, 0-9 and hyphens"),
    ],
)
def test_a_wrong_line_of_the_file_is_told(tmp_path: Path, lines: str, said: str) -> None:
    """Each line about the store that cannot be is told with file, key and what is allowed."""
    with pytest.raises(ConfigError) as error:
        read(write(tmp_path, lines))
    assert str(error.value).startswith(f"{tmp_path}/center.toml: ")
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def found(file: Path) -> list[tuple[str, str]]:
    """Return what the check-up says of the store."""
    sections = examine(checks(file, version="0.1.0"))
    return [(one.code, one.says) for section in sections if section.check == "recordings" for one in section.findings]


def test_the_check_up_asks_the_store(tmp_path: Path, store: StandIn) -> None:
    """`motcua doctor` says of a store that it is well, away, keeps versions, or that the key file is open to others."""
    assert found(write(tmp_path, "")) == []
    keys = key_file(tmp_path)
    file = write(tmp_path, f'store = "{store.url}"\nstore_key_file = "{keys}"')
    assert [code for code, _ in found(file)] == ["bucket"]
    store.versions = True
    assert "nothing would ever be wiped" in found(file)[0][1]
    store.versions, store.away = False, True
    assert store.url in found(file)[0][1]
    keys.chmod(0o644)
    assert [code for code, _ in found(file)] == ["bucket-keys"]
    assert store.files == {}
