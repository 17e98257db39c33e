"""Identifiers that sort by time."""

import re
import time
import uuid

from contract.ids import uuid7


def test_the_test_vector_of_the_rfc() -> None:
    """The time and the noise of RFC 9562, appendix A.6, give the identifier printed there."""
    assert uuid7(0x017F22E279B0, bytes.fromhex("0cc318c4dc0c0c07398f")) == "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"


def test_version_and_variant_hold_whatever_the_noise() -> None:
    """Version 7 and the RFC's variant are set even over noise of all ones or all zeros."""
    for noise in (b"\x00" * 10, b"\xff" * 10):
        made = uuid.UUID(uuid7(1_700_000_000_000, noise))
        assert made.version == 7
        assert made.variant == uuid.RFC_4122


def test_a_later_one_sorts_behind_as_text() -> None:
    """Identifiers of different milliseconds sort by time as plain text, also over every byte's border."""
    times = [0, 1, 255, 256, 65_535, 65_536, 2**32 - 1, 2**32, 1_700_000_000_000, 2**48 - 1]
    late_noise_first = [uuid7(ms, bytes([255 - index]) * 10) for index, ms in enumerate(times)]
    assert late_noise_first == sorted(late_noise_first)


def test_the_time_is_now_unless_given() -> None:
    """The first 48 bits are the wall clock's milliseconds."""
    before = time.time_ns() // 1_000_000
    made = uuid7()
    after = time.time_ns() // 1_000_000
    assert before <= int(made.replace("-", "")[:12], 16) <= after


def test_ten_thousand_made_at_once_differ() -> None:
    """Identifiers made within one millisecond differ by their noise."""
    assert len({uuid7(1) for _ in range(10_000)}) == 10_000


def test_a_clock_before_1970_or_far_ahead_still_gives_an_identifier() -> None:
    """A card without a clock makes well-formed identifiers whatever its time is."""
    for unix_ms in (-1, 2**48, 2**60):
        assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", uuid7(unix_ms))
