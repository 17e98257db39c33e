"""The outbox against the simplest model there is: a list."""

import shutil
import tempfile
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, multiple, rule

from contract.events import RatingIgnored
from firmware.mqtt.outbox import Outbox
from tests.support.clock import ManualClock

LEVELS = st.integers(1, 5)


class OutboxMachine(RuleBasedStateMachine):
    """Facts, acks and restarts in any order."""

    sent = Bundle("sent")

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="outbox-"))
        self.ids = count(1)
        self.outbox = self.reopened()
        self.rows: list[tuple[int, str, int]] = []
        self.memory: dict[str, str] = {}
        self.highest = 0

    def reopened(self) -> Outbox:
        """Open the database as a new process does."""
        outbox = Outbox(self.folder, clock=ManualClock(), new_id=lambda: f"id-{next(self.ids)}")
        outbox.open()
        return outbox

    @rule(target=sent, level=LEVELS, memory=st.dictionaries(st.sampled_from("abc"), st.text(max_size=5), max_size=2))
    def append(self, level: int, memory: dict[str, str]) -> tuple[int, str]:
        """Record a fact."""
        sequence = self.outbox.append(RatingIgnored(why="late", level=level), memory)
        assert sequence > self.highest
        self.highest = sequence
        row = self.outbox.peek(after=sequence - 1, limit=1)[0]
        self.rows.append((sequence, row.id, level))
        self.memory |= memory
        return sequence, row.id

    @rule(event=sent)
    def acknowledge_upto(self, event: tuple[int, str]) -> None:
        """Let the center acknowledge all up to one, maybe again."""
        self.outbox.acknowledge(upto=event[0])
        self.rows = [row for row in self.rows if row[0] > event[0]]

    @rule(events=st.lists(sent, max_size=3))
    def acknowledge_some(self, events: list[tuple[int, str]]) -> None:
        """Let the center acknowledge single ones, maybe again."""
        sequences = [sequence for sequence, _ in events]
        self.outbox.acknowledge(sequences=sequences)
        self.rows = [row for row in self.rows if row[0] not in sequences]

    @rule()
    def restart(self) -> None:
        """End and begin again."""
        stream = self.outbox.stream
        self.outbox.close()
        self.outbox = self.reopened()
        assert self.outbox.stream == stream

    @rule(target=sent)
    def nothing(self) -> object:
        """Tidy up."""
        self.outbox.tidy()
        return multiple()

    @invariant()
    def holds_what_the_list_holds(self) -> None:
        """Compare rows, depth, numbers and memory with the model."""
        found = [(row.sequence, row.id, row.data) for row in self.outbox.peek(after=0, limit=1000)]
        assert found == [
            (sequence, event_id, b'{"why":"late","level":%d}' % level) for sequence, event_id, level in self.rows
        ]
        assert self.outbox.depth() == len(self.rows)
        assert self.outbox.last_sequence == self.highest
        assert self.outbox.memory() == self.memory

    def teardown(self) -> None:
        """Leave nothing behind."""
        self.outbox.close()
        shutil.rmtree(self.folder)


@pytest.mark.usefixtures("no_leaks")
class TestOutboxModel(OutboxMachine.TestCase):
    """In any order of facts, acks and restarts the outbox holds what a list would hold."""

    settings = settings(max_examples=40, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck))
