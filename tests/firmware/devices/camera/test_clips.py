"""The folder of clips, and what goes when there is no more room."""

import errno
import hashlib
import os
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.devices.camera import mp4
from firmware.devices.camera.clips import Clip, Folder, Moment, is_tight, to_delete
from firmware.devices.camera.mp4 import Muxer
from host.sealing import CutShortError, Sealer, make_keys, read_private_key, read_public_key, unseal
from tests.firmware.devices.camera.numbered import FPS, HEIGHT, WIDTH, encoded, numbers
from tests.support.clock import ManualClock
from tests.support.disk import dying_card

NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
BOOT, NOW_MS = "this", 10_000_000
MOMENT = Moment(BOOT, NOW_MS, NOW)
PLENTY = 1_000_000_000


def _clip(
    id_: str = "c-1",
    *,
    age_s: int = 100,
    size: int = 10,
    held: bool = False,
    recording: bool = False,
    keep_s: int | None = None,
    ticket: str | None = None,
    sent: bool = False,
) -> Clip:
    return Clip(
        id=id_,
        why="panic",
        held=held,
        recording=recording,
        keep_s=keep_s,
        ticket=ticket,
        sent=sent,
        start=NOW - timedelta(seconds=age_s),
        boot="an earlier one",
        start_ms=5,
        seconds=20.0,
        bytes=size,
    )


_CLIPS = st.lists(
    st.builds(
        _clip,
        age_s=st.integers(0, 500),
        size=st.integers(0, 50),
        held=st.booleans(),
        recording=st.booleans(),
        keep_s=st.none() | st.integers(0, 300),
        sent=st.booleans(),
    ),
    max_size=12,
).map(lambda clips: [msgspec.structs.replace(clip, id=f"c-{each}") for each, clip in enumerate(clips)])


@given(_CLIPS, st.integers(0, 400), st.integers(0, 100))
def test_the_rules_of_room(clips: list[Clip], quota: int, missing: int) -> None:
    """Held clips stay; what is over goes; of the rest first what the center can show, then the oldest; as must."""
    gone = to_delete(clips, MOMENT, quota=quota, missing=missing)

    names = {clip.id for clip in gone}
    left = [clip for clip in clips if clip.id not in names]
    over = {
        clip.id
        for clip in clips
        if clip.keep_s is not None
        and not clip.held
        and not clip.recording
        and (clip.keep_s == 0 or clip.start + timedelta(seconds=20 + clip.keep_s) <= NOW)
    }
    assert len(names) == len(gone)
    assert not any(clip.held or clip.recording for clip in gone)
    assert over <= names
    free = [clip for clip in left if not clip.held and not clip.recording]
    for_room = [clip for clip in gone if clip.id not in over]
    worth = {clip.id: (not clip.sent, clip.start) for clip in clips}
    assert all(worth[one.id] <= worth[other.id] for one in for_room for other in free), "the oldest goes first"
    freed, used = sum(clip.size for clip in gone), sum(clip.size for clip in left)
    enough = used <= quota and freed >= missing
    assert enough or not free, "as much as must"
    if for_room:
        spared = for_room[-1].size
        assert used + spared > quota or freed - spared < missing, "no more than must"


@given(_CLIPS, st.integers(1, 400))
def test_a_person_is_told_before_the_quota_is_full_of_what_may_not_be_deleted(clips: list[Clip], quota: int) -> None:
    """At nine tenths of the quota in held clips alone somebody must make room; others' clips make no alarm."""
    held = sum(clip.size for clip in clips if clip.held)

    assert is_tight(clips, quota=quota, missing=0) == (held * 10 >= quota * 9)
    assert is_tight(clips, quota=quota, missing=1)


def test_a_clock_that_was_set_late_deletes_nothing_too_early() -> None:
    """A clip of a service from before the clock was set stays for its time, counted by the clock that never steps."""
    clip = msgspec.structs.replace(_clip(keep_s=60, age_s=90_000_000), boot=BOOT, start_ms=NOW_MS - 79_000)

    assert to_delete([clip], MOMENT, quota=PLENTY, missing=0) == []
    later = Moment(BOOT, NOW_MS + 1_000, NOW + timedelta(seconds=1))
    assert to_delete([clip], later, quota=PLENTY, missing=0) == [clip]


def test_a_service_from_the_future_goes_too() -> None:
    """A service of an earlier boot whose clock was ahead goes when it has lain here for its time; the clock may be."""
    clip = _clip(keep_s=60, age_s=-86_400_000)
    for clock_is_set in (True, False):
        early = Moment(BOOT, NOW_MS, NOW, 59_999, clock_is_set)
        assert to_delete([clip], early, quota=PLENTY, missing=0) == []
        late = Moment(BOOT, NOW_MS, NOW, 60_000, clock_is_set)
        assert to_delete([clip], late, quota=PLENTY, missing=0) == [clip]


def test_what_is_dated_in_the_future_is_not_newer_than_today() -> None:
    """When room is short what an earlier boot dated into the future goes before what was recorded since."""
    here = msgspec.structs.replace(_clip("today", age_s=5), boot=BOOT, start_ms=NOW_MS - 5_000)
    clips = [here, _clip("future", age_s=-1_000_000)]
    moment = Moment(BOOT, NOW_MS, NOW, 10_000)
    assert [clip.id for clip in to_delete(clips, moment, quota=10, missing=0)] == ["future"]


def test_what_the_center_can_show_goes_before_what_is_only_here() -> None:
    """When room is short a newer recording goes of which the center has what may be shown."""
    clips = [_clip("old", age_s=50), _clip("sent", age_s=10, sent=True), _clip("held", age_s=90, sent=True, held=True)]
    assert [clip.id for clip in to_delete(clips, MOMENT, quota=20, missing=0)] == ["sent"]


# --- on the disk ---------------------------------------------------------------------------------------------------


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a folder of clips will be."""
    return tmp_path / "clips"


def _folder(path: Path, *, quota: int = PLENTY, spare: int = 0) -> Folder:
    folder = Folder(path, quota_bytes=quota, clock=ManualClock(now=NOW), spare_bytes=spare)
    folder.open()
    return folder


def _put(folder: Folder, clip: Clip) -> None:
    """Make a finished clip with a file of its size."""
    folder.add(msgspec.structs.replace(clip, recording=True))
    folder.video(clip.id).write_bytes(bytes(clip.bytes))
    folder.change(clip)


def _names(path: Path) -> set[str]:
    return {file.name for file in path.iterdir()}


def test_the_folder_is_the_index(path: Path) -> None:
    """What another start of the program finds is what was there: there is nothing beside the folder."""
    folder = _folder(path)
    for each in range(3):
        _put(folder, _clip(f"c-{each}", held=each == 1))

    assert _folder(path).clips() == folder.clips()
    assert [clip.held for clip in _folder(path).clips()] == [False, True, False]


def test_the_oldest_goes_first_and_held_ones_stay(path: Path) -> None:
    """A folder over its quota loses the oldest clip that nobody holds, with all its files."""
    folder = _folder(path, quota=25)
    for each, age_s in enumerate((300, 200, 100, 50)):
        _put(folder, _clip(f"c-{each}", age_s=age_s, held=each == 0))
    folder.sealed("c-1").write_bytes(b"sealed")

    assert not folder.sweep()

    assert _names(path) == {"c-0.json", "c-0.mp4", "c-3.json", "c-3.mp4"}
    assert {clip.id for clip in folder.clips()} == {"c-0", "c-3"}


def test_others_files_on_the_disk_count(path: Path) -> None:
    """Where others fill the disk the clips make room, down to those that may not go, and then a person is told."""
    folder = _folder(path)
    for each in range(3):
        _put(folder, _clip(f"c-{each}", held=each == 0))
    disk = os.statvfs(path)
    full = _folder(path, spare=disk.f_blocks * disk.f_frsize + 1)

    assert not folder.sweep()
    assert full.sweep()
    assert [clip.id for clip in full.clips()] == ["c-0"]


def test_what_is_being_recorded_counts_as_large_as_it_is(path: Path) -> None:
    """A clip that grows makes older ones go before it is finished."""
    folder = _folder(path, quota=25)
    _put(folder, _clip("c-old", age_s=300))
    folder.add(_clip("c-new", age_s=0, recording=True, size=0))
    folder.video("c-new").write_bytes(bytes(20))

    folder.sweep()

    assert [clip.id for clip in folder.clips()] == ["c-new"]
    assert not folder.is_full()
    folder.video("c-new").write_bytes(bytes(25))
    assert folder.is_full()


def test_the_clips_of_a_ticket_are_held_by_the_name_they_are_asked_for(path: Path) -> None:
    """A low rating keeps what was recorded of its service, also over a restart and however often it is asked for."""
    folder = _folder(path, quota=5)
    _put(folder, _clip("c-0", ticket="t-1"))
    _put(folder, _clip("c-1", ticket="t-2"))

    assert [clip.id for clip in folder.hold("t-1", "keep-7", "low_rating")] == ["c-0"]
    folder.hold("t-1", "keep-7", "low_rating")
    assert folder.hold("t-3", "keep-8", "sample") == []

    again = _folder(path, quota=5)
    assert again.sweep()
    assert [(clip.id, clip.held, clip.asked) for clip in again.clips()] == [("c-0", True, ("keep-7",))]


def test_a_hold_survives_the_end_of_the_recording(path: Path) -> None:
    """A clip that is asked for while it is recorded stays held when it is finished."""
    folder = _folder(path)
    service = msgspec.structs.replace(_clip(ticket="t-1"), why="service")
    folder.add(msgspec.structs.replace(service, recording=True))
    folder.hold("t-1", "keep-7", "low_rating")

    folder.change(service)

    found = folder.clip("c-1")
    assert found is not None
    assert (found.recording, found.held, found.asked) == (False, True, ("keep-7",))
    assert (found.name, found.why) == ("keep-7", "low_rating")


def test_a_service_that_was_drawn_and_then_rated_low_is_one_that_was_rated_low(path: Path) -> None:
    """Whoever looks for low ratings finds it; one that was rated low and drawn stays one that was rated low."""
    folder = _folder(path)
    for id_, asked in (("s-1", ("sample", "low_rating")), ("s-2", ("low_rating", "sample"))):
        _put(folder, msgspec.structs.replace(_clip(id_, ticket=id_), why="service"))
        for why in asked:
            folder.hold(id_, f"{why}-{id_}", why)
    assert {clip.why for clip in _folder(path).clips()} == {"low_rating"}


def test_the_center_knows_the_service_by_the_name_it_asked_for(path: Path) -> None:
    """Of a ticket's clips the first service gets the name of the first who asks; an incident keeps its own."""
    folder = _folder(path)
    for id_, why, age_s in (("i-1", "panic", 50), ("s-2", "service", 20), ("s-1", "service", 40)):
        _put(folder, msgspec.structs.replace(_clip(id_, age_s=age_s, ticket="t-1"), why=why))
    for name, why in (("keep-7", "low_rating"), ("keep-7", "low_rating"), ("keep-8", "sample")):
        folder.hold("t-1", name, why)
    found = {clip.id: (clip.name, clip.why, clip.asked) for clip in _folder(path).clips()}
    both = ("keep-7", "keep-8")
    assert found == {
        "i-1": (None, "panic", both),
        "s-1": ("keep-7", "low_rating", both),
        "s-2": (None, "low_rating", both),
    }
    _put(folder, msgspec.structs.replace(_clip("s-0", age_s=60, ticket="t-1"), why="service"))
    (late,) = [clip for clip in folder.hold("t-1", "keep-7", "low_rating") if clip.id == "s-0"]
    assert late.name is None, "one name is one clip"


def test_strange_files_are_left_alone(path: Path) -> None:
    """What is not ours is neither read as a clip nor deleted, however full it is."""
    path.mkdir()
    strange = {
        "notes.txt": b"mine",
        "holiday.mp4": b"video",
        "c-9.json": b"{half a sidecar",
        "c-9.mp4": b"its video",
        "c-8.json": msgspec.json.encode(_clip("c-7")),
        "c-7.mp4": b"nobody's video",
        "lost+found": None,
    }
    for name, content in strange.items():
        (path / name).mkdir() if content is None else (path / name).write_bytes(content)

    folder = _folder(path, quota=0, spare=2**60)

    assert folder.clips() == []
    assert folder.sweep()
    assert _names(path) == set(strange)
    with pytest.raises(ValueError, match="there is a clip by this id already"):
        folder.add(_clip("holiday"))


@pytest.mark.parametrize("id_", ["", "../c", "a/b", ".hidden", "ü", "x" * 65, "c\n"])
def test_an_id_that_is_no_files_name_is_refused(path: Path, id_: str) -> None:
    """What the center asks for cannot leave the folder."""
    with pytest.raises(ValueError, match="cannot be the name of a file"):
        _folder(path).add(_clip(id_))
    assert _names(path) == set()


def test_what_a_cut_left_of_a_deletion_or_a_sidecar_is_swept_up(path: Path) -> None:
    """A power cut in the middle of deleting or of writing a sidecar leaves nothing for ever."""
    folder = _folder(path)
    _put(folder, _clip("c-1"))
    _put(folder, _clip("c-2"))
    folder.video("c-1").unlink()
    folder.sealed("c-1").write_bytes(b"sealed")
    (path / ".c-2.json.new").write_bytes(b"{")

    assert [clip.id for clip in _folder(path).clips()] == ["c-2"]
    assert _names(path) == {"c-2.json", "c-2.mp4"}


def test_what_is_left_of_a_held_clip_is_kept(path: Path) -> None:
    """Whoever deletes the video of a held clip by hand does not delete its sealed version with it."""
    folder = _folder(path)
    _put(folder, _clip("c-1", held=True))
    folder.sealed("c-1").write_bytes(b"sealed")
    folder.video("c-1").unlink()

    again = _folder(path, quota=0)
    again.sweep()

    assert _names(path) == {"c-1.json", "c-1.sealed"}


def test_what_is_deleted_by_hand_is_forgotten(path: Path) -> None:
    """Somebody who deletes a clip's files need not restart the program."""
    folder = _folder(path)
    _put(folder, _clip("c-1"))
    for file in path.iterdir():
        file.unlink()

    folder.sweep()

    assert folder.clips() == []


@pytest.mark.parametrize("seconds", [1, 2])
def test_a_clip_that_the_power_cut_is_completed(path: Path, seconds: int) -> None:
    """After a power cut a clip is whole up to its last synced second, and its sidecar says how long it is and so on."""
    pem, public = make_keys()
    folder = _folder(path)
    folder.add(_clip("c-1", recording=True, held=True, ticket="t-1"))
    muxer, sealer = Muxer(width=WIDTH, height=HEIGHT, fps=FPS), Sealer(read_public_key(public), "c-1")
    pieces = [piece for piece in (*(muxer.add(packet) for packet in encoded(45)), muxer.end()) if piece]
    whole = b"".join(pieces[:seconds])
    records = [sealer.seal(piece) for piece in pieces]
    sealed = sealer.head + b"".join(records[:seconds])
    folder.video("c-1").write_bytes(whole + pieces[seconds][:2_000])
    folder.sealed("c-1").write_bytes(sealed + records[seconds][:-1])

    (clip,) = Folder(path, quota_bytes=PLENTY, clock=ManualClock()).open()

    assert (clip.recording, clip.cut, clip.held, clip.ticket) == (False, True, True, "t-1")
    assert clip.seconds == pytest.approx(seconds, abs=0.02)
    assert (clip.frames, clip.bytes, clip.sealed_bytes) == (seconds * 15, len(whole), len(sealed))
    assert clip.sha256 == hashlib.sha256(folder.video("c-1").read_bytes()).hexdigest()
    assert clip.sealed_sha256 == hashlib.sha256(folder.sealed("c-1").read_bytes()).hexdigest()
    assert numbers(folder.video("c-1").read_bytes()) == list(range(seconds * 15))
    unsealed = []
    with pytest.raises(CutShortError):
        unsealed.extend(unseal(BytesIO(folder.sealed("c-1").read_bytes()), read_private_key(pem), "c-1"))
    assert b"".join(unsealed) == whole
    assert _folder(path).clips() == [clip]


@pytest.mark.parametrize("content", [None, b"", b"\x00" * 5000])
def test_a_clip_of_which_nothing_was_recorded_is_deleted(path: Path, content: bytes | None) -> None:
    """A power cut within the first second leaves no clip without pictures."""
    folder = _folder(path)
    folder.add(_clip("c-1", recording=True))
    if content is not None:
        folder.video("c-1").write_bytes(content)

    again = Folder(path, quota_bytes=PLENTY, clock=ManualClock())

    assert again.open() == []
    assert again.clips() == []
    assert _names(path) == set()


def test_a_card_that_fails_does_not_make_it_forget_what_is_there(tmp_path: Path) -> None:
    """On a card that became read-only nothing can be deleted, and that is said; the clips are still known."""
    with dying_card(tmp_path / "card") as card:
        folder = _folder(card.folder / "clips", quota=5)
        _put(folder, _clip("c-1"))
        card.fail()

        with pytest.raises(OSError, match="Read-only file system"):
            folder.sweep()
        with pytest.raises(OSError, match="Read-only file system"):
            folder.add(_clip("c-2"))

        assert [clip.id for clip in folder.clips()] == ["c-1"]
        assert folder.video("c-1").read_bytes() == bytes(10)


@pytest.mark.parametrize(
    ("old", "new"),
    [(b"trak", b"trax"), (b"iso5iso6", b"iso5is\xb66"), (b"moov", b"mooX"), (b"moof", b"mo\x00f")],
    ids=["no track", "a name that is no text", "no head", "no fragment"],
)
def test_a_clip_that_the_card_damaged_ends_like_any_other(path: Path, old: bytes, new: bytes) -> None:
    """Whatever a power cut made of a clip's bytes, it ends no start and is recorded no more: it may be sent, and go."""
    folder = _folder(path)
    muxer = Muxer(width=WIDTH, height=HEIGHT, fps=FPS)
    whole = b"".join([*(muxer.add(packet) for packet in encoded(45)), muxer.end()])
    damaged = whole.replace(old, new)
    for id_, content in (("c-1", damaged), ("c-2", whole)):
        folder.add(_clip(id_, recording=True))
        folder.video(id_).write_bytes(content)

    again = Folder(path, quota_bytes=PLENTY, clock=ManualClock())

    assert {clip.id for clip in again.open()} == {"c-1", "c-2"}
    assert not any(clip.recording for clip in _folder(path).clips())
    assert {(clip.bytes, clip.sha256) for clip in again.clips() if clip.id == "c-1"} == {
        (len(damaged), hashlib.sha256(damaged).hexdigest())
    }
    full = _folder(path, quota=1)
    full.sweep()
    assert full.clips() == []


def test_a_clip_that_cannot_be_read_is_not_recorded_for_ever(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a clip that the card does not give back goes when its room is needed; else the next start tries again."""
    folder = _folder(path)
    muxer = Muxer(width=WIDTH, height=HEIGHT, fps=FPS)
    whole = b"".join([*(muxer.add(packet) for packet in encoded(45)), muxer.end()])
    for id_, held in (("c-1", False), ("c-2", True)):
        folder.add(_clip(id_, recording=True, held=held))
        folder.video(id_).write_bytes(whole)

    def fail(_: object) -> int:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as card:
        card.setattr(mp4, "whole_length", fail)
        again = _folder(path, quota=len(whole))
        assert {clip.id for clip in again.clips()} == {"c-1", "c-2"}
        again.sweep()
        assert [clip.id for clip in again.clips()] == ["c-2"], "nobody holds the other"
    (clip,) = Folder(path, quota_bytes=PLENTY, clock=ManualClock()).open()
    assert (clip.id, clip.recording, clip.bytes) == ("c-2", False, len(whole))


def test_a_folder_that_could_not_be_read_may_be_read_while_clips_are_recorded(path: Path) -> None:
    """What is being recorded when the folder is read at last is nobody's half."""
    half = _folder(path)
    half.add(_clip("c-1", recording=True))
    _put(half, _clip("c-2"))
    folder = Folder(path, quota_bytes=PLENTY, clock=ManualClock(now=NOW))
    folder.add(_clip("c-3", recording=True))

    assert folder.open() == []

    assert {clip.id: clip.recording for clip in folder.clips()} == {"c-2": False, "c-3": True}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('Z"', '"'),
        ('"keep_s": 60', '"keep_s": 60000000000000000'),
        ('"start_ms": 5', '"start_ms": 5000000000000000000'),
    ],
    ids=["no time zone", "kept for ever", "begun at the end of time"],
)
def test_a_sidecar_that_no_clip_can_have_is_left_to_a_person(path: Path, old: str, new: str) -> None:
    """What a sidecar says that cannot be reckoned with ends no start: its clip is left alone, and the others go on."""
    folder = _folder(path)
    _put(folder, _clip("c-1", keep_s=60))
    _put(folder, _clip("c-2"))
    sidecar = path / "c-1.json"
    there = sidecar.read_text()
    assert old in there
    sidecar.write_text(there.replace(old, new))

    again = _folder(path, quota=5)
    again.sweep()

    assert again.clips() == []
    assert _names(path) == {"c-1.json", "c-1.mp4"}


def test_one_file_that_the_card_does_not_give_back_costs_no_other(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever lies in the way of one clip, the others are known after a power cut, and completed."""
    folder = _folder(path)
    _put(folder, _clip("c-2"))
    folder.add(_clip("c-3", recording=True))
    _put(folder, _clip("c-1"))
    folder.video("c-1").unlink()
    folder.sealed("c-1").mkdir()  # what cannot be deleted as a file, whoever tries
    (path / ".c-0.json.new").mkdir()

    again = _folder(path)

    assert {clip.id for clip in again.clips()} == {"c-1", "c-2"}, "nothing of c-3 was recorded"
    assert [record.message.split(" is left")[0] for record in caplog.records if " is left" in record.message] == [
        str(path / ".c-0.json.new"),
        str(path / "c-1.mp4"),
    ]


def test_room_is_made_with_the_next_clip_where_one_cannot_be_deleted(path: Path) -> None:
    """A clip that the card does not let go is told of, and does not keep all others on a disk that is full."""
    folder = _folder(path, quota=25)
    for number in range(5):
        _put(folder, _clip(f"c-{number}", age_s=500 - number))
    folder.sealed("c-0").mkdir()

    with pytest.raises(OSError, match=r"c-0\.sealed"):
        folder.sweep()

    assert {clip.id for clip in folder.clips()} == {"c-0", "c-3", "c-4"}
