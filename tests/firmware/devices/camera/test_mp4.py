"""Packets in, a fragmented MP4 out."""

from io import BytesIO
from pathlib import Path

import av
import numpy as np
import pytest

from firmware.devices.camera import mp4
from firmware.devices.camera.encoder import Encoder
from firmware.devices.camera.mp4 import Muxer, beginning_at
from firmware.devices.camera.ring import Packet
from tests.firmware.devices.camera.numbered import FPS, HEIGHT, WIDTH, encoded, numbers, read, shown, time_of

VTEST = Path("/usr/share/doc/opencv-doc/examples/data/vtest.avi")


def _muxed(packets: list[Packet], end_ms: int | None = None) -> list[bytes]:
    muxer = Muxer(width=WIDTH, height=HEIGHT, fps=FPS)
    return [piece for piece in (*(muxer.add(packet) for packet in packets), muxer.end(end_ms)) if piece]


def test_every_picture_keeps_its_time() -> None:
    """A picture is shown when it was taken, to the millisecond, however unsteady the camera is."""
    video = b"".join(_muxed(encoded(50), end_ms=time_of(50)))

    assert list(shown(video)) == [(number, time_of(number) - time_of(0)) for number in range(50)]
    assert mp4.measure(BytesIO(video)) == ((time_of(50) - time_of(0)) / 1000, 50)


def test_the_still_is_the_first_picture_of_the_middle_second() -> None:
    """One picture stands for a recording: of its middle, exactly as it is shown there; also of a file that was cut."""
    pieces = _muxed(encoded(75))
    for count, first in ((1, 0), (2, 15), (4, 30), (5, 30)):
        for cut in (b"", pieces[count][:1000] if count < 5 else b""):
            assert read(mp4.still(BytesIO(b"".join(pieces[:count]) + cut))) == first


@pytest.mark.parametrize("old", [b"moov", b"trak", b"avcC", b"moof", b"mdat"])
def test_a_damaged_file_has_no_still(old: bytes) -> None:
    """What cannot be decoded is said to be no picture, and nothing worse."""
    video = b"".join(_muxed(encoded(45)))
    with pytest.raises(ValueError, match=r"damaged|no pictures"):
        mp4.still(BytesIO(video.replace(old, b"free")))
    with pytest.raises(ValueError, match="no pictures"):
        mp4.still(BytesIO(b""))


def test_a_piece_is_one_second() -> None:
    """What is written at once is a whole fragment, a key frame and what hangs on it; the first one has the head."""
    pieces = _muxed(encoded(45))

    assert [piece[4:8] for piece in pieces] == [b"ftyp", b"moof", b"moof"]
    assert [piece.count(b"moof") for piece in pieces] == [1, 1, 1]
    assert [len(numbers(b"".join(pieces[:count]))) for count in (1, 2, 3)] == [15, 30, 45]


@pytest.mark.parametrize("first", range(15))
def test_a_clip_begins_with_the_very_picture(first: int) -> None:
    """A pre-roll begins at any picture: what the decoder needs from before is not in the file at all."""
    packets = encoded(20)
    encoder = Encoder(width=WIDTH, height=HEIGHT, fps=FPS)

    begun = beginning_at(time_of(first), packets[:15], encoder)
    video = b"".join(_muxed([*begun, *packets[15:]]))

    assert begun[0].key
    assert list(shown(video)) == [(number, time_of(number) - time_of(first)) for number in range(first, 20)]


def test_a_file_that_was_cut_anywhere_is_mended_to_its_last_whole_second() -> None:
    """Wherever the power cut a file, what was synced before plays to its end without an error."""
    pieces = _muxed(encoded(45))
    video = b"".join(pieces)
    ends = [len(b"".join(pieces[:count])) for count in range(4)]

    for cut in {*range(0, len(video), 997), *ends, *(end - 1 for end in ends[1:]), *(end + 7 for end in ends[:-1])}:
        whole = mp4.whole_length(BytesIO(video[:cut]))
        assert whole == max(end for end in ends if end <= cut)
    assert numbers(video[: ends[2]]) == list(range(30))


def test_what_is_no_mp4_has_no_whole_piece() -> None:
    """Rubbish in a clip's place is not taken for a clip."""
    assert [mp4.whole_length(BytesIO(rubbish)) for rubbish in (b"", b"\x00" * 4096, b"\xff" * 64, b"moof")] == [0] * 4
    with pytest.raises(ValueError, match="damaged"):
        mp4.measure(BytesIO(b"rubbish" * 100))


@pytest.mark.skipif(not VTEST.exists(), reason="needs Debian's opencv-doc: sudo make system-packages")
def test_real_pictures_look_as_they_did() -> None:
    """Pedestrians in front of a real camera are recorded well enough to be judged: more than 30 dB."""
    with av.open(VTEST) as container:
        planes = []
        for frame, _ in zip(container.decode(video=0), range(12), strict=False):
            planes.append(frame.to_ndarray(format="yuv420p").astype(np.uint8))
    height, width = planes[0].shape[0] * 2 // 3, planes[0].shape[1]
    encoder, muxer = Encoder(width=width, height=height, fps=10), Muxer(width=width, height=height, fps=10)
    packets = [encoder.encode(plane, number=each, at_ms=each * 100) for each, plane in enumerate(planes)]
    video = b"".join([*(muxer.add(packet) for packet in packets), muxer.end()])

    with av.open(BytesIO(video)) as container:
        seen = [frame.to_ndarray(format="yuv420p") for frame in container.decode(video=0)]
    worst = max(float(np.mean((a.astype(int) - b.astype(int)) ** 2)) for a, b in zip(planes, seen, strict=True))
    assert 10 * np.log10(255**2 / worst) > 30
