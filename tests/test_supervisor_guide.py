"""The supervisors' guide calls things by the words that stand on the pages."""

import re
from pathlib import Path

import pytest

from center.web.words import WORDS

pytestmark = pytest.mark.docs

GUIDE = Path(__file__).parents[1] / "docs" / "guide" / "supervisor.md"
SHOWN = [words for words, _ in WORDS.values()]


def test_every_word_of_the_supervisors_guide_is_on_a_page() -> None:
    """Whoever looks for a button, a state or a message of the guide finds it, letter by letter."""
    columns = re.findall(r"^\|([^|]+)\|", GUIDE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    named = [words.rstrip("…") for column in columns for words in re.findall(r"\*+([^*]+)\*+", column)]
    assert len(named) > 15
    assert [words for words in named if not any(words in shown for shown in SHOWN)] == []


def test_every_button_of_an_incident_is_in_the_supervisors_guide() -> None:
    """No button that judges, holds or reveals is left unexplained."""
    text = GUIDE.read_text(encoding="utf-8")
    buttons = ("review_do", "review_do_next", "review_hold", "review_release", "reveal_open", "review_jump")
    assert [WORDS[each][0] for each in buttons if WORDS[each][0] not in text] == []
