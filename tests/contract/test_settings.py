"""Configuration files: what every one of them may hold, and what is said of one that cannot be read."""

import pytest

from contract.settings import SettingsError, parse


def test_an_editor_s_mark_and_line_ends_do_not_matter() -> None:
    """A file from Windows' editor, with its mark in front and its line ends, is read like any other."""
    assert parse("\ufeffname = 'Trung tâm\u00a0Đất đai'\r\n[http]\r\nport = 1\r\n".encode()) == {
        "name": "Trung tâm\u00a0Đất đai",
        "http": {"port": 1},
    }


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b'id = "q01\\n"', 'id: a text without control characters, got "q01\\n"'),
        (b'[broker]\nhost = "a\\u0000"', 'broker.host: a text without control characters, got "a\\x00"'),
        (b'[[a]]\nb = ["x", "\\u202e"]', 'a[0].b[1]: a text without control characters, got "\\u202e"'),
        (b"x = " + b"[" * 5000, "valid TOML, got: lists in lists without end"),
        (b"x = " + b"9" * 5000, "numbers of a few digits, got one of thousands"),
        (b"x = \xff", "byte 4: text in UTF-8, got 0xff"),
        (b"x = \ny = 1", "line 1, column 5: valid TOML, got: invalid value"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_one_line(data: bytes, said: str) -> None:
    """A control character, a number or a nesting that nobody means is named with its key, not with a traceback."""
    with pytest.raises(SettingsError) as error:
        parse(data)
    assert str(error.value).startswith(said)
    assert "\n" not in str(error.value)
