"""The last minute in memory."""

from collections.abc import Iterable

from firmware.devices.camera.ring import Packet, Ring


def _fill(ring: Ring, numbers: Iterable[int], size: int = 100) -> None:
    for number in numbers:
        ring.put(Packet(number, number * 100, number % 10 == 0, bytes(size)))


def _numbers(packets: list[Packet]) -> list[int]:
    return [packet.number for packet in packets]


def test_a_reader_begins_at_the_key_frame_before_the_time_it_asks_for() -> None:
    """To show a moment the pictures are read from the last key frame at or before it."""
    ring = Ring(seconds=60, most_bytes=1_000_000)
    _fill(ring, range(40))

    assert _numbers(ring.reader(2_500).read()) == list(range(20, 40))
    assert _numbers(ring.reader(3_000).read()) == list(range(30, 40))
    assert _numbers(ring.reader(9_999).read()) == list(range(30, 40))


def test_what_reaches_back_too_far_begins_with_what_there_is() -> None:
    """A pre-roll that is longer than the camera runs begins with its first picture."""
    ring = Ring(seconds=60, most_bytes=1_000_000)
    _fill(ring, range(40))

    assert _numbers(ring.reader(-5_000).read())[0] == 0


def test_readers_do_not_disturb_each_other() -> None:
    """Clips that overlap read the same pictures, each in its own time."""
    ring = Ring(seconds=60, most_bytes=1_000_000)
    _fill(ring, range(15))
    early, late = ring.reader(0), ring.reader(1_000)
    assert _numbers(early.read()) == list(range(15))
    _fill(ring, range(15, 18))

    assert _numbers(late.read()) == list(range(10, 18))
    assert _numbers(early.read()) == [15, 16, 17]
    assert early.read() == []
    assert (early.lost, late.lost) == (0, 0)


def test_the_ring_holds_all_of_its_time_and_begins_with_a_key_frame() -> None:
    """As much is in memory as was promised, and at most one key frame's pictures more."""
    ring = Ring(seconds=3, most_bytes=1_000_000)
    for count in range(100):
        _fill(ring, [count])
        held = ring.reader(-1).read()
        assert held[0].key
        assert held[-1].at_ms - held[0].at_ms < 3_000 + 1_000
        if count >= 30:
            assert held[0].at_ms <= held[-1].at_ms - 3_000


def test_the_ring_holds_no_more_bytes_than_it_may() -> None:
    """Pictures that are hard to encode cost pre-roll, not memory."""
    ring = Ring(seconds=60, most_bytes=2_500)
    for count in range(100):
        _fill(ring, [count])
        held = ring.reader(-1).read()
        assert ring.bytes == sum(len(packet.data) for packet in held) <= 2_500
    assert held[0].key


def test_a_second_that_is_larger_than_the_ring_leaves_it_empty_until_the_next_key_frame() -> None:
    """Nothing is held that cannot be decoded."""
    ring = Ring(seconds=60, most_bytes=450)
    _fill(ring, range(6))
    assert ring.bytes == 0
    _fill(ring, range(6, 12))

    assert _numbers(ring.reader(0).read()) == [10, 11]


def test_a_reader_that_is_too_slow_is_told_what_it_lost() -> None:
    """The writer waits for nobody: who comes too late goes on at a key frame and knows how much is missing."""
    ring = Ring(seconds=1, most_bytes=1_000_000)
    _fill(ring, range(5))
    reader = ring.reader(0)
    assert _numbers(reader.read()) == list(range(5))
    _fill(ring, range(5, 45))

    found = reader.read()

    assert found[0].key
    assert _numbers(found) == list(range(found[0].number, 45))
    assert reader.lost == found[0].number - 5
    assert reader.read() == []
