from firmware.devices.throttle import Throttle


def passed(times_ms: list[int]) -> list[int]:
    """Return which of these got through."""
    throttle = Throttle(first_ms=2000, longest_ms=60_000)
    return [ms for ms in times_ms if throttle.passes(ms)]


def test_the_first_one_passes_and_the_next_ones_wait() -> None:
    """Of presses every 100 ms the first passes, then one after 2 s, then one after 4 s more."""
    assert passed(list(range(0, 10_000, 100))) == [0, 2000, 6000]


def test_after_silence_it_starts_afresh() -> None:
    """After a gap's time of silence the next one passes at once and the gap is short again."""
    assert passed([0, 500, 1000, 3100, 3200, 5200]) == [0, 3100, 5200]


def test_a_day_of_chatter_is_few_records() -> None:
    """A button that chatters ten times a second for a day gets through at most 1,500 times."""
    assert len(passed(list(range(0, 86_400_000, 100)))) < 1500
