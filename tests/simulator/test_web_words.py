"""The words of the demo's page: all there, in both languages, none too many."""

import re
from pathlib import Path

import simulator.web
from simulator.web.words import WORDS, words

FOLDER = Path(simulator.web.__file__).parent
SAID = re.compile(r"say\(\s*\"(\w+)\"|words\.(\w+)|\? \"(\w+)\" : \"(\w+)\"")
COMPUTED = ("codec_", "level_", "desk_", "do_", "kind_")
BUTTONS = {"next", "recall", "no_show", "pause"}


def test_every_word_that_is_said_is_there() -> None:
    """The page and its script say nothing that has no words."""
    text = (FOLDER / "demo.html").read_text("utf-8") + (FOLDER / "demo.js").read_text("utf-8")
    said = {word for match in SAID.findall(text) for word in match if word}
    missing = {word for word in said if word not in WORDS and not word.startswith(COMPUTED)}
    assert missing <= {"true", "false", "unplug", "plug", "press", "release", "cover", "uncover"}
    unused = {word for word in WORDS if word not in said | BUTTONS and not word.startswith(COMPUTED)}
    assert not unused


def test_both_languages_say_everything() -> None:
    """Vietnamese and English have the same words and the same places in them."""
    vietnamese, english = words("vi"), words("en")
    assert vietnamese.keys() == english.keys()
    for key, text in vietnamese.items():
        assert re.findall(r"\{\w+\}", text) == re.findall(r"\{\w+\}", english[key]), key
