"""Files that who wrote them cannot read back."""

from io import BytesIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from host.sealing import (
    LONGEST_RECORD,
    CutShortError,
    Sealer,
    SealError,
    key_id,
    make_keys,
    read_private_key,
    read_public_key,
    sealed_for,
    unseal,
    whole_length,
)

PEM, PUBLIC = make_keys()
RECORDS = [b"the first second", b"", b"another one" * 9, b"the end"]
HEAD = 96


def _pieces(records: list[bytes], name: str = "c-1", *, whole: bool = True) -> list[bytes]:
    sealer = Sealer(read_public_key(PUBLIC), name)
    last = len(records) - 1
    return [sealer.head, *(sealer.seal(each, last=whole and number == last) for number, each in enumerate(records))]


def _read(data: bytes, name: str = "c-1", pem: str = PEM) -> tuple[list[bytes], SealError | None]:
    """Return what can be read, and what was said then."""
    found: list[bytes] = []
    try:
        found.extend(unseal(BytesIO(data), read_private_key(pem), name))
    except SealError as error:
        return found, error
    return found, None


@settings(max_examples=30, deadline=None)
@given(st.lists(st.binary(max_size=200), min_size=1, max_size=6))
def test_the_private_key_opens_what_the_public_key_sealed(records: list[bytes]) -> None:
    """The center reads what the device wrote, record by record."""
    assert _read(b"".join(_pieces(records))) == (records, None)


def test_who_seals_millions_of_nothing_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of more records than any recording has is given up, not read to its end."""
    monkeypatch.setattr("host.sealing.MOST_RECORDS", 3)
    assert _read(b"".join(_pieces([b"1", b"", b"3"]))) == ([b"1", b"", b"3"], None)
    found, error = _read(b"".join(_pieces([b"1", b"", b"3", b"4"])))
    assert (found, str(error)) == ([b"1", b"", b"3"], "more than 3 records")


def test_nothing_of_what_is_sealed_can_be_seen() -> None:
    """A stolen card shows no picture, and not even that two clips are the same."""
    one, other = b"".join(_pieces(RECORDS)), b"".join(_pieces(RECORDS))

    assert not any(record and record in one for record in RECORDS)
    assert one[HEAD:] != other[HEAD:]


def test_another_key_opens_nothing_and_says_for_whom_it_is() -> None:
    """Who has another center's key learns which key is needed, and nothing else."""
    pem, public = make_keys()
    data = b"".join(_pieces(RECORDS))

    found, error = _read(data, pem=pem)

    assert found == []
    assert sealed_for(BytesIO(data)) == key_id(read_public_key(PUBLIC))
    assert str(error) == f"sealed for the key {key_id(read_public_key(PUBLIC)).hex()}, not for {_hex(public)}"


def test_a_key_that_only_pretends_opens_nothing() -> None:
    """The key's id in the file is a label; that the key is the right one is proved."""
    pem, public = make_keys()
    data = b"".join(_pieces(RECORDS))

    found, error = _read(data[:8] + key_id(read_public_key(public)) + data[16:], pem=pem)

    assert (found, str(error)) == ([], "not sealed under the name c-1, or changed since")


def test_a_clip_cannot_be_passed_off_as_another() -> None:
    """Nobody can put one clip's sealed version in another's place."""
    found, error = _read(b"".join(_pieces(RECORDS, "c-1")), name="c-2")

    assert (found, str(error)) == ([], "not sealed under the name c-2, or changed since")


def test_every_change_is_noticed() -> None:
    """A change anywhere in a file is an error, and what is read before it is as it was sealed."""
    data = b"".join(_pieces(RECORDS))

    for place in range(len(data)):
        changed = bytearray(data)
        changed[place] ^= 1 << place % 8
        found, error = _read(bytes(changed))
        assert error is not None, f"byte {place}"
        assert found == RECORDS[: len(found)]
        assert len(found) < len(RECORDS)


def test_a_file_that_was_cut_gives_all_its_whole_records_and_says_so() -> None:
    """After a power cut every synced second can be seen, and it is never mistaken for all there was."""
    pieces = _pieces(RECORDS)
    data = b"".join(pieces)
    ends = [len(b"".join(pieces[: count + 1])) for count in range(len(pieces))]

    for cut in range(len(data)):
        found, error = _read(data[:cut])
        whole = max((end for end in ends if end <= cut), default=0)
        assert whole_length(BytesIO(data[:cut])) == whole
        assert found == (RECORDS[: ends.index(whole)] if whole else [])
        if cut >= 8:
            assert isinstance(error, CutShortError), f"cut to {cut}"
        else:
            assert isinstance(error, SealError)
    assert whole_length(BytesIO(data)) == len(data)


def test_a_file_whose_end_never_came_is_cut_short() -> None:
    """A file of whole records without the last one is not whole."""
    found, error = _read(b"".join(_pieces(RECORDS, whole=False)))

    assert found == RECORDS
    assert isinstance(error, CutShortError)
    assert str(error) == "cut short after 4 whole records"


@pytest.mark.parametrize(
    ("order", "good"),
    [((1, 0, 2, 3), 0), ((0, 0, 1, 2, 3), 1), ((0, 2, 3), 1), ((0, 1, 3), 2), ((3,), 0), ((0, 1, 2, 3, 3), 4)],
)
def test_records_stand_in_their_order_and_each_once(order: tuple[int, ...], good: int) -> None:
    """Records that are swapped, repeated or left out are noticed at the first one that is out of place."""
    head, *records = _pieces(RECORDS)

    found, error = _read(head + b"".join(records[each] for each in order))

    assert found == RECORDS[:good]
    assert type(error) is SealError


def test_nothing_can_be_appended() -> None:
    """What follows the last record is noticed."""
    found, error = _read(b"".join(_pieces(RECORDS)) + b"\x00")

    assert found == RECORDS
    assert str(error) == "something follows the last record"


def test_records_of_another_file_do_not_fit() -> None:
    """Each file has a key of its own: records cannot be carried from one to another, even of the same name."""
    one, other = _pieces(RECORDS), _pieces(RECORDS)

    found, error = _read(b"".join([*one[:2], *other[2:]]))

    assert (found, str(error)) == (RECORDS[:1], "record 1 was changed, or stands in another's place")


def test_a_length_is_not_believed() -> None:
    """A file that says it has a record of gigabytes costs no memory."""
    head, *_ = _pieces(RECORDS)

    for length in (0, 15, LONGEST_RECORD + 17, 0xFFFFFFFF):
        found, error = _read(head + length.to_bytes(4, "big") + bytes(64))
        assert (found, str(error)) == ([], f"a record cannot have {length} bytes")


def test_only_sealed_files_are_opened() -> None:
    """A file of another kind is refused by its first bytes."""
    found, error = _read(b"\x00\x00\x00\x1cftypisom" + bytes(200))

    assert (found, str(error)) == ([], "not a sealed file of Motcua, or of a newer version")


def test_nothing_is_sealed_after_the_end_or_too_large() -> None:
    """A program that seals on after the last record, or far too much at once, is stopped."""
    sealer = Sealer(read_public_key(PUBLIC), "c-1")
    with pytest.raises(ValueError, match=f"at most {LONGEST_RECORD} bytes"):
        sealer.seal(bytes(LONGEST_RECORD + 1))
    sealer.seal(b"", last=True)

    with pytest.raises(ValueError, match="nothing follows"):
        sealer.seal(b"more")


@pytest.mark.parametrize(
    "text",
    ["", "AAAA", PUBLIC[:-4], "not base64!", "ü" * 44, PEM],
    ids=["nothing", "short", "cut off", "no base64", "no ASCII", "the private one"],
)
def test_a_public_key_that_is_none_is_refused(text: str) -> None:
    """A key that was copied wrongly is told at the start."""
    with pytest.raises(ValueError, match=r"^the center's public key has 32 bytes in base64, 44 characters; got "):
        read_public_key(text)


@pytest.mark.parametrize("text", ["", PUBLIC, PEM[:60]], ids=["nothing", "the public one", "cut off"])
def test_a_private_key_that_is_none_is_refused(text: str) -> None:
    """A key file that is damaged is told, without a word of what is in it."""
    with pytest.raises(ValueError, match=r"^the center's private key for clips is no PEM, or needs a password$"):
        read_private_key(text)


def _hex(public: str) -> str:
    return key_id(read_public_key(public)).hex()


class _OneWay(BytesIO):
    """A stream as it comes from another machine: it goes on, and never back."""

    def seekable(self) -> bool:
        return False

    def seek(self, *_: object) -> int:
        raise OSError("cannot go back")


@settings(max_examples=60, deadline=None)
@given(st.lists(st.binary(max_size=9), min_size=1, max_size=6), st.data(), st.sampled_from([BytesIO, _OneWay]))
def test_reading_may_begin_anywhere(records: list[bytes], data: st.DataObject, kind: type[BytesIO]) -> None:
    """Whoever winds a clear version on gets exactly what is there from that byte on."""
    plain = b"".join(records)
    start = data.draw(st.integers(0, max(len(plain) - 1, 0)))
    file = kind(b"".join(_pieces(records)))
    assert b"".join(unseal(file, read_private_key(PEM), "c-1", start=start)) == plain[start:]
