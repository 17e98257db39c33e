"""Parts of a whole, as RFC 9110 has them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from center.web.ranges import Part, part

ETAG = '"e"'
SIZE = 1000


@given(
    st.integers(1, 50),
    st.one_of(st.none(), st.integers(0, 60)),
    st.one_of(st.none(), st.integers(0, 60)),
    st.sampled_from(["bytes={}-{}", "Bytes = {} - {}", " bytes={}-{} "]),
)
def test_a_part_is_what_the_standard_says(size: int, first: int | None, last: int | None, shape: str) -> None:
    """What is answered is what picking the bytes one by one gives; nothing of it there is 416, nonsense is all."""
    found = part(shape.format("" if first is None else first, "" if last is None else last), size, etag=ETAG)
    if (first is None and last is None) or (first is not None and last is not None and last < first):
        assert found == Part(0, size, partial=False)
        return
    if first is None:
        assert last is not None
        wanted = [at for at in range(size) if at >= size - last]
    else:
        wanted = [at for at in range(size) if at >= first and (last is None or at <= last)]
    if not wanted:
        assert found is None
    else:
        assert found == Part(wanted[0], wanted[-1] + 1, partial=True)
        assert found.length == len(wanted)


@given(st.text(max_size=30))
def test_whatever_is_asked_gets_an_answer(asked: str) -> None:
    """No header makes the player's address fail: it is understood, beyond the end, or taken for none."""
    found = part(asked, SIZE, etag=ETAG)
    assert found is None or 0 <= found.start < found.end <= SIZE


@pytest.mark.parametrize(
    "asked", [None, "bytes=0-1,5-6", "chars=0-1", "bytes=-", "bytes=1_0-", "bytes=٣-", "bytes 0-1"]
)
def test_what_is_not_understood_is_all_of_it(asked: str | None) -> None:
    """Several ranges, another unit and nonsense are answered like no range at all."""
    assert part(asked, SIZE, etag=ETAG) == Part(0, SIZE, partial=False)


def test_another_version_is_answered_whole() -> None:
    """`If-Range` with another entity tag, a weak one or a date: a player never joins parts of two recordings."""
    for condition in ('"other"', 'W/"e"', "Mon, 23 Nov 2026 01:00:00 GMT"):
        assert part("bytes=5-9", SIZE, condition=condition, etag=ETAG) == Part(0, SIZE, partial=False)
    assert part("bytes=5-9", SIZE, condition=ETAG, etag=ETAG) == Part(5, 10, partial=True)
