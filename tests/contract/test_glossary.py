"""The glossary has every word that the code uses for the hall."""

import re
from pathlib import Path
from typing import get_args

import pytest

from center.queue import model
from contract.requests import ACTIONS
from contract.scales import SCALES
from contract.topics import Channel

pytestmark = pytest.mark.docs

TEXT = (Path(__file__).parents[2] / "docs" / "glossary.md").read_text(encoding="utf-8")
EXPLAINED = set(re.findall(r"`([^`]+)`", TEXT))
COMMANDS = {command.__struct_config__.tag for command in get_args(model.AnyCommand)}


@pytest.mark.parametrize(
    "words",
    [
        get_args(model.TicketState),
        get_args(model.CounterState),
        get_args(model.Priority),
        get_args(model.Outcome),
        tuple(COMMANDS),
        ACTIONS,
        tuple(channel.value for channel in Channel),
        tuple(SCALES),
    ],
    ids=["ticket states", "counter states", "priorities", "outcomes", "commands", "actions", "channels", "scales"],
)
def test_every_word_is_explained(words: tuple[str, ...]) -> None:
    """Every state, command, action and channel of the code has its place in the glossary."""
    assert set(words) <= EXPLAINED


def test_a_line_explains_one_term() -> None:
    """Every row of the glossary has three cells: the word on screens, the term, the meaning."""
    rows = [line for line in TEXT.splitlines() if line.startswith("| ") and not line.startswith("| on screens")]
    assert len(rows) > 50
    for row in rows:
        assert row.count(" | ") == 2, row
        assert row.endswith((". |", "`. |")), row
