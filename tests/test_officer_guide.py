"""The officers' guide calls things by the words that stand on pages and in refusals."""

import re
from pathlib import Path

import pytest

from center.people import messages as about_people
from center.queue.messages import CATALOGUE
from center.web.words import WORDS

pytestmark = pytest.mark.docs

ROOT = Path(__file__).parents[1]
GUIDE = ROOT / "docs" / "guide" / "officer.md"
SHOWN = [words for words, _ in (*WORDS.values(), *CATALOGUE.values(), *about_people.CATALOGUE.values())]


def named() -> list[str]:
    """Return what stands emphasised in the first column of a table: a button, a light's key, a message."""
    columns = re.findall(r"^\|([^|]+)\|", GUIDE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return [words.rstrip("…") for column in columns for words in re.findall(r"\*+([^*]+)\*+", column)]


def test_every_word_of_the_officers_guide_is_on_a_screen() -> None:
    """Whoever looks for a button or a message of the guide finds it, letter by letter."""
    assert len(named()) > 15
    assert [words for words in named() if not any(words in shown for shown in SHOWN)] == []


def test_every_button_of_the_desk_is_in_the_officers_guide() -> None:
    """No button of the desk is left unexplained."""
    text = GUIDE.read_text(encoding="utf-8")
    buttons = [words for key, (words, _) in WORDS.items() if key.startswith(("do_", "outcome_")) and key != "do_call"]
    assert [words for words in buttons if words not in text] == []


def test_pictures_are_light() -> None:
    """A picture of the guide weighs at most 120 KB: a page of the guide opens on a slow line."""
    pictures = re.findall(r"\]\(([^)]+\.png)\)", GUIDE.read_text(encoding="utf-8"))
    assert len(pictures) >= 3
    assert [each for each in pictures if (GUIDE.parent / each).stat().st_size > 120_000] == []
