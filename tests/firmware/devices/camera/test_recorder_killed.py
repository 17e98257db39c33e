"""A recorder that is killed at any moment, again and again: what it had said is there, and every clip plays."""

import hashlib
import multiprocessing
import random
from contextlib import suppress
from io import BytesIO
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from firmware.devices.camera.clips import SERVICE, Folder
from firmware.devices.camera.ring import Packet
from firmware.devices.camera.signals import Begin, Begun, End, Forget, Held, Hold, Kept
from host.sealing import CutShortError, read_private_key, unseal
from tests.firmware.devices.camera.numbered import encoded, numbers, time_of
from tests.firmware.devices.camera.test_recorder import PEM, Rig

PICTURES = 300


def _record(path: Path, packets: list[Packet], run: int, said: Connection) -> None:
    """Record a day of a counter in a second: services, keeps, panics and ratings that overlap; say what is posted."""
    chance = random.Random(run)  # noqa: S311 - the same day each time
    rig = Rig(path, packets, sealed=run % 2 == 0, begin=False)
    rig.recorder._post = said.send
    rig.recorder.begin()
    said.send("ready")
    going: list[str] = []
    for number in range(PICTURES):
        rig.play([number], step_every=chance.choice((1, 7)))
        if number % 9 == 8:
            why = chance.choice((SERVICE, "panic", "asked"))
            id_ = f"{run}-{number}-{why}"
            at_ms, before_ms = time_of(number), chance.randint(0, 4_000)
            rig.recorder.take(Begin(id_, at_ms, before_ms, why, why != SERVICE, ticket=f"t-{number % 4}"))
            going.append(id_)
        if going and number % 11 == 10:
            rig.recorder.take(End(going.pop(chance.randrange(len(going))), time_of(number), chance.randint(0, 3_000)))
        if number % 40 == 39:
            rig.recorder.take(Hold(f"{run}-low-{number}", f"t-{number % 4}", "low_rating"))
        if number % 70 == 69 and going:
            rig.recorder.take(Forget(going[0]))
    said.send("over")


def _plays(folder: Folder, id_: str) -> int:
    """Hold a clip against its sidecar, byte for byte, and play it; return how many pictures it has."""
    clip = folder.clip(id_)
    assert clip is not None
    assert not clip.recording
    video = folder.video(id_).read_bytes()
    assert (len(video), hashlib.sha256(video).hexdigest()) == (clip.bytes, clip.sha256)
    seen = numbers(video)
    assert seen == list(range(seen[0], seen[0] + clip.frames)), "no picture is missing between two others"
    if clip.sealed_bytes:
        sealed = folder.sealed(id_).read_bytes()
        assert (len(sealed), hashlib.sha256(sealed).hexdigest()) == (clip.sealed_bytes, clip.sealed_sha256)
        pieces: list[bytes] = []
        with suppress(CutShortError):
            pieces.extend(unseal(BytesIO(sealed), read_private_key(PEM), id_))
        clear = b"".join(pieces)
        assert clear.startswith(video) or video.startswith(clear), "a cut between the two costs one second of one"
    return len(seen)


@pytest.mark.long
def test_a_recorder_that_is_killed_fifty_times_leaves_clips_that_play(tmp_path: Path) -> None:
    """What was said to be begun, held or kept is there after each kill; each clip plays and is as its sidecar says."""
    path, packets = tmp_path / "clips", encoded(PICTURES)
    forks, chance = multiprocessing.get_context("fork"), random.Random(7)  # noqa: S311 - the same kills each time
    cut = whole = pictures = 0
    for run in range(50):
        hear, said = forks.Pipe(duplex=False)
        child = forks.Process(target=_record, args=(path, packets, run, said))
        child.start()
        said.close()
        told: list[object] = []
        last = chance.randint(1, 90)  # words until it is killed
        with suppress(EOFError):
            while len(told) < last:
                told.append(hear.recv())
        child.kill()
        with suppress(EOFError, OSError):
            while True:
                told.append(hear.recv())
        child.join(30)
        assert child.exitcode in (0, -9)

        rig = Rig(path, packets, begin=False)
        rig.folder.open()
        there = {clip.id: clip for clip in rig.folder.clips()}
        ours = f"{run}-"
        begun = {each.clip for each in told if isinstance(each, Begun) and each.clip.startswith(ours)}
        held = {id_ for each in told if isinstance(each, Held) for id_ in each.clips}
        kept = {each.clip: each for each in told if isinstance(each, Kept) and each.clip.startswith(ours)}
        assert held <= there.keys()
        assert all(there[id_].held for id_ in held)
        assert all(id_.endswith(SERVICE) for id_ in (begun | kept.keys()) - there.keys()), (
            "nobody held what was given up"
        )
        for id_ in kept.keys() & there.keys():
            assert (there[id_].sha256, there[id_].bytes) == (kept[id_].sha256, kept[id_].bytes)
        for id_ in sorted(there):
            pictures += _plays(rig.folder, id_)
            cut, whole = cut + there[id_].cut, whole + (not there[id_].cut)
            rig.folder.delete(id_)
        assert list(path.iterdir()) == [], "nothing lies there that nobody knows of"
    assert cut > 50
    assert whole > 50
    assert pictures > 5_000
