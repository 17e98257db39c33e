"""Clips from the rings to the disk."""

import errno
import logging
import os
from collections.abc import Callable, Iterable
from io import BytesIO
from pathlib import Path
from typing import TypeVar

import av
import pytest

from firmware.devices.camera import clips
from firmware.devices.camera import recorder as recorder_module
from firmware.devices.camera.clips import Clip, Folder
from firmware.devices.camera.mp4 import measure
from firmware.devices.camera.recorder import LONGEST_MS, SERVICE, Recorder
from firmware.devices.camera.ring import Packet, Ring
from firmware.devices.camera.signals import Begin, Begun, End, Forget, Held, Hold, Kept, Read, Room, Unkept
from firmware.errors import ConfigError
from host.sealing import CutShortError, make_keys, read_private_key, read_public_key, unseal
from tests.firmware.devices.camera.numbered import FPS, HEIGHT, WIDTH, encoded, numbers, shown, time_of
from tests.support.clock import ManualClock
from tests.support.disk import DyingCard, SmallDisk, dying_card, small_disk
from tests.support.waiting import wait_for

PEM, PUBLIC = make_keys()
PLENTY = 1_000_000_000
S = TypeVar("S")


@pytest.fixture(scope="module")
def packets() -> list[Packet]:
    """Thirty seconds of pictures, encoded once for all tests."""
    return encoded(450)


class Rig:
    """A recorder without its thread, a camera that plays pictures, and what was posted."""

    def __init__(
        self, path: Path, packets: list[Packet], *, sealed: bool = False, quota: int = PLENTY, begin: bool = True
    ) -> None:
        self.packets = packets
        self.clock = ManualClock(monotonic_ms=time_of(0))
        self.folder = Folder(path, quota_bytes=quota, clock=self.clock, spare_bytes=0)
        self.shown = Ring(seconds=60, most_bytes=50_000_000)
        self.clear = Ring(seconds=60, most_bytes=50_000_000)
        self.posted: list[object] = []
        self.recorder = Recorder(
            folder=self.folder,
            shown=self.shown,
            clear=(self.clear, read_public_key(PUBLIC)) if sealed else None,
            size=(WIDTH, HEIGHT),
            fps=FPS,
            service_kept_s=3600,
            clock=self.clock,
            post=self.posted.append,
        )
        if begin:
            self.recorder.begin()

    def play(self, numbers: Iterable[int], *, step_every: int = 7) -> None:
        """Let the camera see these pictures; now and then the recorder gets its turn."""
        for number in numbers:
            packet = self.packets[number]
            self.clock.advance(packet.at_ms - self.clock.monotonic_ms())
            self.shown.put(packet)
            self.clear.put(packet)
            if number % step_every == 0:
                self.recorder.step()

    def begin(self, id_: str, number: int, before: int, **said: object) -> None:
        """Begin a clip at a picture, with so many pictures before it."""
        before_ms = time_of(number) - time_of(number - before)
        fields = {"why": "panic", "held": False, **said}
        self.recorder.take(Begin(id_, time_of(number), before_ms, **fields))  # type: ignore[arg-type]

    def end(self, id_: str, number: int, after: int = 0) -> None:
        """End a clip at a picture, with so many pictures from it on."""
        self.recorder.take(End(id_, time_of(number), time_of(number + after) - time_of(number)))

    def of(self, kind: type[S]) -> list[S]:
        """Return what was posted of a kind."""
        return [each for each in self.posted if isinstance(each, kind)]

    def video(self, id_: str) -> bytes:
        """Return what lies on the disk."""
        return self.folder.video(id_).read_bytes()

    def clip(self, id_: str) -> Clip:
        """Return a sidecar."""
        found = self.folder.clip(id_)
        assert found is not None
        return found


@pytest.fixture
def make_rig(tmp_path: Path, packets: list[Packet]) -> Callable[..., Rig]:
    """Make recorders; those that are made with one path are starts of one program."""

    def make(path: Path = tmp_path / "clips", **options: object) -> Rig:
        return Rig(path, packets, **options)  # type: ignore[arg-type]

    return make


@pytest.mark.parametrize("first", [15, 16, 22, 29])
def test_pre_roll_and_post_roll_are_exact_to_the_picture(make_rig: Callable[..., Rig], first: int) -> None:
    """A clip begins and ends with the very picture that was asked for, each at its own time."""
    rig = make_rig()
    rig.play(range(60))
    rig.begin("c-1", 60, before=60 - first)
    rig.play(range(60, 70))
    rig.end("c-1", 70, after=13)
    rig.play(range(70, 90))

    rig.recorder.step()

    assert list(shown(rig.video("c-1"))) == [(n, time_of(n) - time_of(first)) for n in range(first, 83)]
    (kept,) = rig.of(Kept)
    assert kept.seconds == pytest.approx((time_of(83) - time_of(first)) / 1000)
    assert kept.bytes == len(rig.video("c-1"))
    assert rig.clip("c-1").sha256 == kept.sha256
    assert (rig.clip("c-1").frames, rig.clip("c-1").lost, rig.clip("c-1").cut) == (83 - first, 0, False)


def test_no_picture_is_lost_while_three_clips_overlap(make_rig: Callable[..., Rig]) -> None:
    """Thirty seconds at fifteen pictures a second: every clip has every one of its pictures, and sealed the same."""
    rig = make_rig(sealed=True)
    rig.play(range(20))
    rig.begin("all", 20, before=20)
    rig.play(range(20, 150))
    rig.begin("early", 150, before=100)
    rig.play(range(150, 200))
    rig.begin("late", 200, before=33)
    rig.play(range(200, 310))
    rig.end("early", 310)
    rig.end("late", 310, after=131)
    rig.play(range(310, 450))
    rig.clock.advance(1)
    rig.end("all", 449, after=1)
    rig.clock.advance(10_000)

    rig.recorder.step()

    assert numbers(rig.video("all")) == list(range(450))
    assert numbers(rig.video("early")) == list(range(50, 310))
    assert numbers(rig.video("late")) == list(range(167, 441))
    assert [rig.clip(each).lost for each in ("all", "early", "late")] == [0, 0, 0]
    for each in ("all", "early", "late"):
        with rig.folder.sealed(each).open("rb") as file:
            assert numbers(b"".join(unseal(file, read_private_key(PEM), each))) == numbers(rig.video(each))
        assert rig.clip(each).sealed_bytes == rig.folder.sealed(each).stat().st_size


def test_without_the_centers_key_nothing_clear_is_written(make_rig: Callable[..., Rig]) -> None:
    """Where there is no public key there is one version, the one that may be shown."""
    rig = make_rig()
    rig.play(range(30))
    rig.begin("c-1", 30, before=20)
    rig.end("c-1", 30)
    rig.play(range(30, 40))

    assert {file.name for file in rig.folder.video("c-1").parent.iterdir()} == {"c-1.mp4", "c-1.json"}


def test_pictures_that_the_camera_lost_are_counted(make_rig: Callable[..., Rig]) -> None:
    """A gap in the pictures is a gap in the clip's time and a figure in its sidecar, and no end of it."""
    rig = make_rig()
    rig.play(range(30))
    rig.begin("c-1", 30, before=20)
    rig.play([*range(30, 40), *range(45, 60)])
    rig.end("c-1", 60)
    rig.play([60])
    rig.recorder.step()

    assert rig.clip("c-1").lost == 5
    assert (39, time_of(39) - time_of(10)) in list(shown(rig.video("c-1")))
    assert rig.of(Kept)[0].seconds == pytest.approx((time_of(60) - time_of(10)) / 1000)


def test_a_recorder_that_was_held_up_goes_on_at_a_key_frame(make_rig: Callable[..., Rig]) -> None:
    """A card that stood still for longer than the ring reaches costs pictures, which are counted, and no clip."""
    rig = make_rig()
    rig.shown = Ring(seconds=1, most_bytes=50_000_000)
    rig.recorder._shown = rig.shown
    rig.play(range(15), step_every=1)
    rig.begin("c-1", 15, before=15)
    rig.play(range(15, 30), step_every=1)
    rig.play(range(30, 90), step_every=1000)
    rig.end("c-1", 100)
    rig.play(range(90, 102), step_every=1)

    found = numbers(rig.video("c-1"))
    assert found[:30] == list(range(30))
    assert found[30:] == list(range(found[30], 100))
    assert found[30] % 15 == 0
    assert rig.clip("c-1").lost == found[30] - 30 > 0


def test_a_camera_that_is_gone_ends_its_clips(make_rig: Callable[..., Rig]) -> None:
    """When no picture comes any more a clip ends with the last one, some seconds after its time."""
    rig = make_rig()
    rig.play(range(30))
    rig.begin("c-1", 30, before=10)
    rig.begin("nothing", 30, before=0)
    rig.end("c-1", 30, after=60)
    rig.end("nothing", 30, after=60)
    rig.clock.advance(time_of(90) - time_of(29) + 4_000)
    rig.recorder.step()
    assert rig.of(Kept) == []
    rig.clock.advance(1_500)

    rig.recorder.step()

    assert numbers(rig.video("c-1")) == list(range(20, 30))
    assert [kept.clip for kept in rig.of(Kept)] == ["c-1"]
    assert rig.of(Unkept) == [Unkept("nothing", "no picture came in its time")]
    assert rig.folder.clip("nothing") is None


def test_a_clip_that_nobody_ends_ends_itself(make_rig: Callable[..., Rig]) -> None:
    """No clip grows for ever."""
    rig = make_rig()
    rig.play(range(16))
    rig.begin("c-1", 16, before=1)
    rig.clock.advance(LONGEST_MS)
    late = Packet(900, rig.clock.monotonic_ms(), True, rig.packets[15].data)
    rig.shown.put(late)

    rig.recorder.step()

    assert [round(kept.seconds) for kept in rig.of(Kept)] == [LONGEST_MS // 1000]


def test_a_clip_that_is_ended_after_the_fact_ends_at_once(make_rig: Callable[..., Rig]) -> None:
    """Who learns late that a clip is over gets it at once, with the pictures that it has by then."""
    rig = make_rig()
    rig.play(range(16))
    rig.begin("c-1", 16, before=6)
    rig.play(range(16, 50), step_every=1)
    rig.end("c-1", 20)

    rig.recorder.step()

    assert numbers(rig.video("c-1")) == list(range(10, 50))
    assert rig.of(Kept)[0].seconds == pytest.approx((time_of(49) - time_of(10)) / 1000 + 1 / FPS, abs=0.01)


def test_a_clip_ends_at_its_time_also_between_two_pictures(make_rig: Callable[..., Rig]) -> None:
    """A clip is as long as it was asked for, to the millisecond, however late the recorder reads."""
    rig = make_rig()
    rig.play(range(16))
    rig.begin("c-1", 16, before=6)
    rig.recorder.take(End("c-1", time_of(40) + 10, 0))
    rig.play(range(16, 50), step_every=1)

    assert numbers(rig.video("c-1")) == list(range(10, 41))
    assert rig.of(Kept)[0].seconds == (time_of(40) + 10 - time_of(10)) / 1000


def test_a_service_goes_after_its_time_unless_it_is_held(make_rig: Callable[..., Rig]) -> None:
    """The clip of a service that nobody rated badly is gone an hour later; the one that was stays."""
    rig = make_rig()
    rig.play(range(20))
    for each in ("bad", "good"):
        rig.begin(each, 20, before=10, why=SERVICE, ticket=f"t-{each}")
        rig.end(each, 20)
    rig.play(range(20, 22), step_every=1)
    rig.recorder.take(Hold("keep-1", "t-bad", "low_rating"))
    rig.recorder.take(Hold("keep-2", "t-unknown", "low_rating"))
    rig.clock.advance(3_590_000)
    rig.recorder.step()
    assert len(rig.folder.clips()) == 2
    rig.clock.advance(60_000)

    rig.recorder.step()

    assert [clip.id for clip in rig.folder.clips()] == ["bad"]
    assert rig.of(Held) == [Held("keep-1", ("bad",)), Held("keep-2", ())]
    assert rig.of(Room)[-1] == Room(clips=1, held=1, tight=False)


def test_what_nobody_needs_is_forgotten_and_what_is_held_is_not(make_rig: Callable[..., Rig]) -> None:
    """A clip may be given up while it is recorded or after; one that is held may not."""
    rig = make_rig()
    rig.play(range(20))
    for each, held in (("going", False), ("done", False), ("held", True)):
        rig.begin(each, 20, before=10, held=held)
    rig.end("done", 20)
    rig.play(range(20, 22), step_every=1)
    assert [kept.clip for kept in rig.of(Kept)] == ["done"]

    for each in ("going", "done", "held", "never was"):
        rig.recorder.take(Forget(each))
    rig.end("held", 22)
    rig.play(range(22, 30), step_every=1)

    assert {file.name for file in rig.folder.video("held").parent.iterdir()} == {"held.mp4", "held.json"}
    assert [kept.clip for kept in rig.of(Kept)] == ["done", "held"]


def test_what_is_there_is_not_recorded_over(make_rig: Callable[..., Rig]) -> None:
    """A clip that is asked for twice is recorded once; one in whose place a strange file lies is refused and told."""
    rig = make_rig()
    rig.folder.video("strange").write_bytes(b"mine")
    rig.play(range(20))
    rig.begin("strange", 20, before=5)
    rig.begin("c-1", 20, before=10)
    rig.begin("c-1", 20, before=5)
    rig.begin("../c", 20, before=5)
    rig.end("c-1", 20)
    rig.play(range(20, 22), step_every=1)

    assert rig.of(Unkept) == [
        Unkept("strange", "there is a clip by this id already"),
        Unkept("../c", "'../c' cannot be the name of a file"),
    ]
    assert numbers(rig.video("c-1")) == list(range(10, 20))
    assert rig.video("strange") == b"mine"


def test_a_center_gone_wild_does_not_take_the_disk_s_time(
    make_rig: Callable[..., Rig], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No more clips are recorded at once than can be meant, whoever asks for more; a panic always is."""
    monkeypatch.setattr(recorder_module, "AT_ONCE", 3)
    rig = make_rig()
    rig.play(range(20))
    for each in range(5):
        rig.begin(f"c-{each}", 10, before=0, why="asked", held=True)
    rig.begin("p", 10, before=0, why="panic", held=True)
    rig.recorder.step()
    assert [each.clip for each in rig.of(Unkept)] == ["c-3", "c-4"]
    assert {clip.id for clip in rig.folder.clips()} == {"c-0", "c-1", "c-2", "p"}
    rig.end("c-0", 19)
    rig.end("c-1", 19)
    rig.play(range(20, 30))
    rig.begin("again", 22, before=0, why="asked")
    assert rig.folder.clip("again") is not None


def test_a_quota_full_of_held_clips_refuses_new_ones_after_it_was_told(make_rig: Callable[..., Rig]) -> None:
    """Before anything is refused somebody is told to make room; then what is held stays and what is new is refused."""
    rig = make_rig(quota=1_000_000)
    rig.play(range(90))
    told: list[bool] = []
    for each in range(20):
        rig.begin(f"c-{each}", 89, before=15, held=True)
        rig.end(f"c-{each}", 89)
        rig.recorder.step()
        told.append(rig.of(Room)[-1].tight)
        if rig.of(Unkept):
            break

    (refused,) = rig.of(Unkept)
    assert refused.why == "the quota is full of clips that may not be deleted: review them, or raise quota_mb"
    assert told.index(True) < len(told) - 1
    assert not told[0]
    assert {clip.id for clip in rig.folder.clips()} == {f"c-{each}" for each in range(len(told) - 1)}


def test_a_stop_and_a_power_cut_are_the_same(make_rig: Callable[..., Rig]) -> None:
    """What is being recorded when the program stops is completed and told at the next start, to the last picture."""
    rig = make_rig(sealed=True)
    rig.play(range(40))
    rig.begin("c-1", 40, before=33, held=True)
    rig.play(range(40, 53))
    rig.recorder.step()
    rig.recorder.cut()
    assert rig.of(Kept) == []

    again = make_rig(sealed=True)

    (kept,) = again.of(Kept)
    assert numbers(again.video("c-1")) == list(range(7, 53))
    assert (again.clip("c-1").cut, again.clip("c-1").held, again.clip("c-1").frames) == (True, True, 46)
    assert kept.seconds == again.clip("c-1").seconds == pytest.approx(46 / FPS, abs=0.02)
    unsealed = []
    with pytest.raises(CutShortError):
        unsealed.extend(unseal(BytesIO(again.folder.sealed("c-1").read_bytes()), read_private_key(PEM), "c-1"))
    assert b"".join(unsealed) == again.video("c-1")


def test_every_second_is_on_the_disk_as_soon_as_it_is_over(make_rig: Callable[..., Rig]) -> None:
    """A killed program loses at most the second that goes on, and the picture that shows when it was over."""
    rig = make_rig()
    rig.play(range(15))
    rig.begin("c-1", 15, before=15)
    for number in range(15, 60):
        rig.play([number], step_every=1)
        left = rig.video("c-1")
        assert (measure(BytesIO(left))[1] if left else 0) == (number - 1) // 15 * 15
    rig.recorder.cut()


def test_a_clip_has_begun_when_a_power_cut_would_leave_some_of_it(make_rig: Callable[..., Rig]) -> None:
    """The word that a clip has begun comes once, with its first fragment on the disk; of what lies there at once."""
    rig = make_rig()
    rig.play(range(20))
    rig.begin("c-1", 20, before=0)
    rig.play(range(20, 30))
    rig.recorder.step()
    assert rig.of(Begun) == []
    rig.play(range(30, 60))
    rig.recorder.step()
    assert rig.of(Begun) == [Begun("c-1")]
    assert rig.video("c-1")
    rig.recorder.cut()

    again = make_rig()
    again.begin("c-1", 60, before=0)
    assert again.of(Begun) == [Begun("c-1")]
    assert again.recorder._recordings == {}


@pytest.mark.parametrize(
    "fault",
    [av.FFmpegError(22, "Invalid argument"), av.error.InvalidDataError(1, "Invalid data"), ConfigError("no x264")],
    ids=["of FFmpeg", "damaged", "no encoder"],
)
@pytest.mark.parametrize("when", ["Muxer", "beginning_at"])
def test_a_fault_of_ffmpeg_costs_one_clip(
    make_rig: Callable[..., Rig], monkeypatch: pytest.MonkeyPatch, fault: Exception, when: str
) -> None:
    """Whatever FFmpeg does at a clip's beginning, that clip is told as lost, its files go, and all others are kept."""
    rig = make_rig(sealed=True)
    rig.play(range(20))
    rig.begin("c-1", 20, before=20)
    descriptors = len(list(Path("/proc/self/fd").iterdir()))

    def fail(*_: object, **__: object) -> None:
        raise fault

    with monkeypatch.context() as library:
        library.setattr(recorder_module, when, fail)
        rig.begin("c-2", 20, before=7)
        rig.recorder.step()
        rig.play(range(20, 50))
    rig.end("c-1", 50)
    rig.play(range(50, 60))
    rig.recorder.step()

    assert [unkept.clip for unkept in rig.of(Unkept)] == ["c-2"]
    assert numbers(rig.video("c-1")) == list(range(50))
    assert [clip.id for clip in rig.folder.clips()] == ["c-1"]
    assert len(list(Path("/proc/self/fd").iterdir())) <= descriptors


# --- disks that fail -----------------------------------------------------------------------------------------------


def test_a_folder_that_cannot_be_read_is_tried_again(
    make_rig: Callable[..., Rig], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What was asked of clips meanwhile is done when they can be read; one line says they cannot, one that they can."""
    caplog.set_level(logging.INFO)
    rig = make_rig()
    rig.play(range(20))
    rig.begin("c-1", 20, before=20, why=SERVICE, ticket="t-1")
    rig.begin("c-2", 20, before=20)
    rig.play(range(20, 50))
    rig.recorder.cut()
    again = make_rig(begin=False)

    def fail(_: Path) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as card:
        card.setattr(Path, "iterdir", fail)
        again.recorder.begin()
        again.recorder.take(Hold("k-1", "t-1", "low_rating"))
        again.clock.advance(31_000)
        again.recorder.step()
        assert again.of(Read) == again.of(Held) == again.of(Kept) == []
        assert again.of(Room)[-1].tight
    again.clock.advance(31_000)
    again.recorder.step()

    assert [kept.clip for kept in again.of(Kept)] == ["c-2"], "a service is told of by its hold"
    assert again.of(Held) == [Held("k-1", ("c-1",))]
    assert (again.clip("c-1").held, again.clip("c-2").recording) == (True, False)
    assert isinstance(again.posted[-1], Read)
    assert not again.of(Room)[-1].tight
    said = [record.message for record in caplog.records if "the clips can" in record.message]
    assert said == [
        "the clips cannot be read: [Errno 5] Input/output error; trying again",
        "the clips can be read again",
    ]


def test_a_full_disk_makes_room_with_the_oldest_clip(tmp_path: Path, make_rig: Callable[..., Rig]) -> None:
    """When the disk is full in the middle of a clip the oldest one goes, and the clip loses nothing."""
    with small_disk(tmp_path / "disk", kilobytes=2000) as disk:
        rig = _rig_with_an_old_clip(make_rig, disk)
        rig.folder._spare = 4096
        rig.play(range(90, 125))
        rig.end("c-1", 125)
        rig.play(range(125, 127), step_every=1)

        assert numbers(rig.video("c-1")) == list(range(60, 125))
        assert rig.of(Unkept) == []
        assert [clip.id for clip in rig.folder.clips()] == ["c-1"]


def _rig_with_an_old_clip(make_rig: Callable[..., Rig], disk: SmallDisk) -> Rig:
    rig = make_rig(disk.folder / "clips")
    rig.play(range(80))
    rig.begin("old", 80, before=70)
    rig.end("old", 80)
    rig.play(range(80, 90), step_every=1)
    assert rig.clip("old").size > 60_000
    rig.begin("c-1", 90, before=30)
    rig.recorder.step()
    disk.fill()
    return rig


def test_a_disk_that_stays_full_ends_the_clip_and_keeps_what_there_is(
    tmp_path: Path, make_rig: Callable[..., Rig]
) -> None:
    """A clip for which there is no room ends at its last synced second, is told, and the next one is tried again."""
    with small_disk(tmp_path / "disk", kilobytes=2000) as disk:
        rig = make_rig(disk.folder / "clips", sealed=True)
        rig.play(range(60))
        rig.begin("c-1", 60, before=30, held=True)
        rig.play(range(60, 64), step_every=1)
        disk.fill()
        rig.play(range(64, 150))

        (unkept,) = rig.of(Unkept)
        assert (unkept.clip, unkept.why) == ("c-1", "[Errno 28] No space left on device")
        assert numbers(rig.video("c-1")) == list(range(30, 60))
        assert (rig.clip("c-1").cut, rig.clip("c-1").recording) == (True, False)
        rig.begin("none", 150, before=10)
        assert rig.of(Unkept)[-1].clip == "none"
        disk.free()
        rig.begin("c-2", 150, before=10)
        rig.end("c-2", 150)
        rig.play([150], step_every=1)
        assert numbers(rig.video("c-2")) == list(range(140, 150))


def test_a_hold_holds_on_a_full_disk(tmp_path: Path, make_rig: Callable[..., Rig]) -> None:
    """Making room for the word that a clip is held does not take that very clip."""
    with small_disk(tmp_path / "disk", kilobytes=2000) as disk:
        rig = make_rig(disk.folder / "clips")
        rig.play(range(80))
        for each in ("bad", "good"):
            rig.begin(each, 80, before=70, ticket=f"t-{each}")
            rig.end(each, 80)
        rig.play(range(80, 90), step_every=1)
        disk.fill()
        rig.folder._spare = 4096

        rig.recorder.take(Hold("keep-1", "t-bad", "low_rating"))

        assert rig.of(Held) == [Held("keep-1", ("bad",))]
        again = Folder(disk.folder / "clips", quota_bytes=PLENTY, clock=rig.clock, spare_bytes=0)
        again.open()
        assert [(clip.id, clip.held) for clip in again.clips()] == [("bad", True)]


def test_a_card_that_dies_is_told_and_nothing_falls(tmp_path: Path, make_rig: Callable[..., Rig]) -> None:
    """A card that becomes read-only costs the clips, and is told; after its repair what was synced is there."""
    with dying_card(tmp_path / "card") as card:
        before = _on_a_dying_card(make_rig, card)
        card.mend()

        again = make_rig(card.folder / "clips")

        assert [kept.clip for kept in again.of(Kept)] == ["c-1"]
        assert numbers(again.video("c-1")) == before


def _on_a_dying_card(make_rig: Callable[..., Rig], card: DyingCard) -> list[int]:
    rig = make_rig(card.folder / "clips")
    rig.play(range(60))
    rig.begin("c-1", 60, before=30)
    rig.play(range(60, 64), step_every=1)
    card.fail()
    rig.play(range(64, 150))
    rig.begin("c-2", 150, before=10)
    assert [unkept.clip for unkept in rig.of(Unkept)] == ["c-1", "c-2"]
    assert all("Read-only file system" in unkept.why for unkept in rig.of(Unkept))
    return list(range(30, 60))


def test_a_service_that_was_asked_for_before_goes_by_that_name(make_rig: Callable[..., Rig]) -> None:
    """The first clip of a ticket has the name that the center asked by; a second one of the same has its own."""
    rig = make_rig()
    rig.play(range(40))
    for id_ in ("s-1", "s-2"):
        rig.begin(id_, 30, before=0, why="sample", held=True, ticket="t-1", asked="keep-1")
        rig.end(id_, 50)
    rig.play(range(40, 70))
    rig.recorder.step()
    assert [(clip.id, clip.name, clip.asked, clip.held) for clip in rig.folder.clips()] == [
        ("s-1", "keep-1", ("keep-1",), True),
        ("s-2", None, ("keep-1",), True),
    ]


def test_whoever_deletes_a_clip_that_is_being_recorded_costs_no_other(make_rig: Callable[..., Rig]) -> None:
    """All files of a clip that are deleted by hand while it is recorded are that clip's loss, and told as such."""
    rig = make_rig(sealed=True)
    rig.play(range(60))
    rig.begin("c-1", 60, before=10)
    rig.begin("c-2", 60, before=10)
    rig.begin("c-3", 60, before=10)
    for file in (rig.folder.video("c-1"), rig.folder.video("c-1").with_suffix(".json")):
        file.unlink()
    rig.folder.video("c-2").with_suffix(".json").unlink()
    rig.clock.advance(40_000)
    rig.recorder.step()
    for id_ in ("c-1", "c-2", "c-3"):
        rig.end(id_, 60)

    rig.recorder.step()

    assert [unkept.clip for unkept in rig.of(Unkept)] == ["c-1"]
    assert [kept.clip for kept in rig.of(Kept)] == ["c-2", "c-3"]
    assert not rig.folder.sealed("c-1").exists(), "nothing is left that nobody knows of"
    assert rig.folder.video("c-2").with_suffix(".json").exists()


def test_a_file_that_cannot_be_asked_for_its_size_costs_one_clip(
    make_rig: Callable[..., Rig], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the card answers with an error to a question about a file, a clip is lost, and told; the recorder lives."""
    rig = make_rig()
    rig.play(range(60))
    rig.begin("c-1", 60, before=10)
    stat = Path.stat

    def fail(path: Path, **how: bool) -> os.stat_result:
        if path.suffix == ".mp4":
            raise OSError(errno.EIO, "Input/output error", str(path))
        return stat(path, **how)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "stat", fail)
        rig.begin("c-2", 60, before=10)

    assert [(unkept.clip, "Input/output error" in unkept.why) for unkept in rig.of(Unkept)] == [("c-2", True)]
    rig.begin("c-3", 60, before=10)
    assert rig.folder.video("c-3").exists()


# --- the thread ----------------------------------------------------------------------------------------------------


def test_the_thread_records_and_ends(make_rig: Callable[..., Rig]) -> None:
    """The recorder works in a thread of its own: commands are left with it, and what it did is posted."""
    rig = make_rig()
    rig.play(range(40), step_every=1000)
    rig.recorder.do(Begin("c-1", time_of(39), time_of(39) - time_of(9), "panic", False))
    rig.recorder.do(End("c-1", time_of(39), time_of(60) - time_of(39)))
    rig.recorder.start()
    try:
        assert rig.recorder.alive()
        rig.play(range(40, 70), step_every=1000)
        wait_for(lambda: rig.of(Kept))
        rig.recorder.do(Begin("c-2", time_of(69), time_of(69) - time_of(9), "panic", False))
    finally:
        rig.recorder.close()
    rig.recorder.close()

    assert not rig.recorder.alive()
    assert numbers(rig.video("c-1")) == list(range(9, 60))
    again = make_rig()
    assert [kept.clip for kept in again.of(Kept)] == ["c-1", "c-2"], "of some nobody may have heard"
    assert isinstance(again.posted[-1], Read)
    assert numbers(again.video("c-2")) == list(range(9, 70))


def test_long_clips_on_a_slow_card_are_completed_and_not_taken_for_a_hang(
    make_rig: Callable[..., Rig], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An hour that the power cut takes minutes to read again: a restart in the midst of it would begin it anew."""
    rig = make_rig()
    rig.play(range(60))
    rig.begin("c-1", 60, before=60)
    rig.recorder.step()
    rig.recorder.cut()
    again = make_rig(begin=False)
    alive = []

    class Slow:
        """A hash of a card that gives a piece in 25 s."""

        def update(self, _: bytes) -> None:
            again.clock.advance(25_000)
            alive.append(again.recorder.alive())

        def hexdigest(self) -> str:
            return "0" * 64

    monkeypatch.setattr(clips, "_PIECE", 10_000)
    monkeypatch.setattr(clips.hashlib, "sha256", Slow)
    again.recorder.start()
    try:
        wait_for(lambda: again.of(Read))
    finally:
        again.recorder.close()

    assert len(alive) > 4
    assert all(alive)
    assert [kept.clip for kept in again.of(Kept)] == ["c-1"]
