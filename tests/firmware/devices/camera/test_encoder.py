"""Pictures in, H.264 out."""

from io import BytesIO

import av
import numpy as np
import pytest

from firmware.devices.camera.encoder import Encoder, decode
from firmware.devices.camera.frames import Plane
from firmware.devices.camera.mp4 import Muxer
from firmware.errors import ConfigError
from tests.firmware.devices.camera.numbered import BLOCK, FPS, HEIGHT, WIDTH, encoded, picture, read


def test_each_picture_is_a_packet_at_once() -> None:
    """No picture waits in the encoder for another: what was seen can be kept at once."""
    packets = encoded(40)

    assert [packet.number for packet in packets] == list(range(40))
    assert [(packet.number, read(seen)) for packet, seen in decode(packets)] == [(n, n) for n in range(40)]


def test_there_is_a_key_frame_every_second() -> None:
    """A clip's fragment is a second, so that is the most that a power cut takes."""
    assert [packet.number for packet in encoded(46) if packet.key] == [0, 15, 30, 45]


def test_there_is_a_key_frame_every_second_in_the_dark_too() -> None:
    """A camera that gives five pictures a second instead of fifteen loses no more in a power cut."""
    encoder = Encoder(width=WIDTH, height=HEIGHT, fps=FPS)

    packets = [encoder.encode(picture(each), number=each, at_ms=each * 200) for each in range(16)]

    assert [packet.number for packet in packets if packet.key] == [0, 5, 10, 15]


def test_times_grow() -> None:
    """Pictures that come at one instant, as from a network that stood still, stand in a clip one after the other."""
    encoder = Encoder(width=WIDTH, height=HEIGHT, fps=FPS)

    packets = [
        encoder.encode(picture(each), number=each, at_ms=at) for each, at in enumerate((100, 166, 166, 160, 300))
    ]

    assert [packet.at_ms for packet in packets] == [100, 166, 167, 168, 300]


def test_two_encoders_agree_on_how_to_decode() -> None:
    """What is encoded anew for the beginning of a clip stands in one file with the rest."""
    one, other = encoded(1)[0], encoded(1, first=7)[0]
    sets = one.data.index(b"\x00\x00\x01\x06")  # the parameter sets end where x264 introduces itself

    assert sets > 20
    assert one.data[:sets] == other.data[:sets]


def _noise(number: int) -> Plane:
    """Return a picture of which nothing can be foretold, as of a sensor in the dark."""
    noisy = picture(number)
    grain = np.random.default_rng(number).normal(0, 12, (HEIGHT, WIDTH))
    noisy[BLOCK:HEIGHT] = np.clip(40 + grain[BLOCK:], 16, 235).astype(np.uint8)
    return noisy


def test_noise_costs_a_few_seconds_at_the_most() -> None:
    """Noise that no encoder can foretell is made coarser from second to second, until it costs what it may."""
    encoder = Encoder(width=WIDTH, height=HEIGHT, fps=FPS)
    may = WIDTH * HEIGHT * FPS * 0.5 / 8

    packets = [encoder.encode(_noise(each), number=each, at_ms=each * 1000 // FPS) for each in range(10 * FPS)]

    seconds = [sum(len(packet.data) for packet in packets[n * FPS : (n + 1) * FPS]) for n in range(10)]
    assert seconds[0] > 2 * may  # or this tests nothing
    assert sum(seconds[3:]) / 7 <= may
    assert [packet.number for packet in packets if packet.key] == list(range(0, 150, FPS))
    assert [read(seen) for _, seen in decode(packets)] == list(range(150))


def test_who_begins_to_decode_a_coarse_second_needs_no_other_parameters() -> None:
    """However coarse a second is, its parameter sets are those of every other: they stand once in a clip's head."""
    encoder = Encoder(width=WIDTH, height=HEIGHT, fps=FPS)
    packets = [encoder.encode(_noise(each), number=each, at_ms=each * 1000 // FPS) for each in range(6 * FPS)]

    keys = [packet.data[: packet.data.index(b"\x00\x00\x01\x65")] for packet in packets if packet.key]
    sets = [each.split(b"\x00\x00\x01\x06")[0].rstrip(b"\x00") for each in keys]
    assert len(packets[0].data) > 1.5 * len(packets[5 * FPS].data)
    assert set(sets) == {sets[0]}


def test_pictures_are_fine_again_after_noise() -> None:
    """When the light is on again a few seconds pass, and pictures are as they were."""
    encoder = Encoder(width=WIDTH, height=HEIGHT, fps=FPS)
    calm = [picture(5 * each) for each in range(FPS)]  # of one background
    shots = [*calm, *calm, *(_noise(each) for each in range(3 * FPS)), *(calm * 10)]

    packets = [encoder.encode(shot, number=each, at_ms=each * 1000 // FPS) for each, shot in enumerate(shots)]

    # Not the first second, in which x264 introduces itself.
    before, after = (sum(len(packet.data) for packet in packets[at : at + FPS]) for at in (FPS, len(shots) - FPS))
    assert after == pytest.approx(before, rel=0.05)


def test_colours_are_tagged() -> None:
    """A player is told that the colours are BT.601 of limited range, and does not guess by the size."""
    muxer = Muxer(width=WIDTH, height=HEIGHT, fps=FPS)
    data = b"".join([*(muxer.add(packet) for packet in encoded(2)), muxer.end()])

    with av.open(BytesIO(data)) as container:
        frame = next(container.decode(video=0))
        assert (frame.colorspace, frame.color_range, frame.color_primaries, frame.color_trc) == (6, 1, 6, 6)


def test_a_missing_codec_is_said_in_one_line() -> None:
    """On a 32-bit system the camera says what to install instead of H.264 that is not there."""
    with pytest.raises(ConfigError, match=r"^camera: this PyAV has no libx265x .*: use a 64-bit operating system$"):
        Encoder(width=WIDTH, height=HEIGHT, fps=FPS, codec="libx265x")
