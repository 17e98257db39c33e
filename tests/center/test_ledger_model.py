"""The ledger against the simplest model there is: first answers in a dictionary, the state before a failed commit."""

import shutil
import tempfile
from itertools import count
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from msgspec.structs import asdict

from center.answers import Answer, Done
from center.config import Config, CounterConfig, ServiceConfig
from center.errors import StoreError
from center.ledger import Ledger, Round
from center.queue.model import (
    AnyCommand,
    CallNext,
    CloseCounter,
    Finish,
    Issue,
    NoShow,
    OpenCounter,
    Refusal,
    Requeue,
    Start,
)
from center.storage import tables
from center.storage.store import Batch, Store

MORNING_MS = 1_795_395_600_000
COUNTERS = st.sampled_from(["q01", "q02"])
AT_COUNTER = (OpenCounter, CallNext, CallNext, Start, Finish, NoShow, CloseCounter)


class Disk(Store):
    """A store whose commits fail when they are told to."""

    broken = False

    def write(self, batch: Batch) -> None:
        """Fail as a full disk does."""
        if self.broken:
            raise StoreError("full", full=True)
        super().write(batch)


class Clock:
    """Both clocks, which go on by a second with each look."""

    def __init__(self) -> None:
        self.passed_s = 0

    def now_ms(self) -> int:
        """The wall clock."""
        self.passed_s += 1
        return MORNING_MS + 1000 * self.passed_s

    def monotonic_s(self) -> float:
        """The clock that never steps."""
        return 1000.0 + self.passed_s


class AnyAsks(RuleBasedStateMachine):
    """Asks in rounds of any length, repeated keys, broken disks, restarts."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="ledger-"))
        self.config = Config(
            id="bentre",
            name="Trung tâm",
            data_dir=str(self.folder),
            service=(
                ServiceConfig(id="dat-dai", letter="A", vi="Đất đai", en="Land"),
                ServiceConfig(id="ho-tich", letter="B", vi="Hộ tịch", en="Civil status"),
            ),
            counter=(
                CounterConfig(id="q01", label="1", services=("dat-dai",)),
                CounterConfig(id="q02", label="2", services=("dat-dai", "ho-tich")),
            ),
        )
        self.clock = Clock()
        self.numbers = count(1)
        self.first: dict[str, tuple[AnyCommand, Answer]] = {}
        self.open()
        self.round([])  # begins the day

    def open(self) -> None:
        """Open the store as a new process does."""
        self.store = Disk(self.config.store_url)
        self.ledger = Ledger(self.config, self.store, self.clock)

    def round(self, asks: list[tuple[str, AnyCommand]]) -> list[Answer] | None:
        """Decide and commit asks together; return the answers, None if nothing of it happened."""
        this = Round()
        before = self.ledger.state.copy()
        self.ledger.begin(this, [key for key, _ in asks])
        answers = [self.ledger.ask(this, command, key=key, actor="test") for key, command in asks]
        try:
            self.ledger.commit(this)
        except StoreError:
            self.ledger.undo(this)
            assert self.ledger.state == before
            return None
        return answers

    def command(self, draw: Any) -> AnyCommand:
        """Return something that may be asked."""
        at = self.clock.now_ms()
        match draw(st.integers(0, 3)):
            case 0:
                return Issue(
                    at=at, ticket_id=f"t{next(self.numbers)}", service=draw(st.sampled_from(["dat-dai", "ho-tich"]))
                )
            case 1:
                return Requeue(at=at, ticket=f"t{draw(st.integers(1, 5))}")
            case _:
                return draw(st.sampled_from(AT_COUNTER))(at=at, counter=draw(COUNTERS))

    @rule(data=st.data(), size=st.integers(1, 4))
    def ask(self, data: st.DataObject, size: int) -> None:
        """Some ask, some of them with a key that was used before: for the same, or for something else."""
        asks: list[tuple[str, AnyCommand]] = []
        for _ in range(size):
            known = [*self.first, *(key for key, _ in asks)]
            if known and data.draw(st.booleans()):
                key = data.draw(st.sampled_from(known))
                same = self.first[key][0] if key in self.first else dict(asks)[key]
                asks.append((key, same if data.draw(st.booleans()) else self.command(data.draw)))
            else:
                asks.append((f"k{next(self.numbers)}", self.command(data.draw)))
        answers = self.round(asks)
        assert (answers is None) == (self.store.broken and self.something_new(asks))
        for (key, command), answer in zip(asks, answers or [], strict=False):
            if key not in self.first:
                self.first[key] = (command, answer)
            else:
                self.is_first_answer(key, command, answer)

    def something_new(self, asks: list[tuple[str, AnyCommand]]) -> bool:
        """Whether there is anything to commit: a repeat needs nothing."""
        return any(key not in self.first for key, _ in asks)

    def is_first_answer(self, key: str, command: AnyCommand, answer: Answer) -> None:
        """Check that a used key gives its first answer again, or is refused for another ask."""
        asked, first = self.first[key]
        if plain(asked) != plain(command):
            assert isinstance(answer, Refusal)
            assert answer.code == "key_reused"
        elif isinstance(first, Done):
            assert isinstance(answer, Done)
            assert (answer.ticket, answer.counter, answer.repeated) == (first.ticket, first.counter, True)
        else:
            assert answer == first

    @rule(broken=st.booleans())
    def disk(self, broken: bool) -> None:
        """The disk breaks, or works again."""
        self.store.broken = broken

    @rule()
    def restart(self) -> None:
        """End and begin again: the state is the same."""
        before = self.ledger.state.copy()
        self.ledger.close()
        self.open()
        assert self.ledger.state == before

    @invariant()
    def the_record_is_the_state(self) -> None:
        """The events make the state, the table of tickets holds what it holds, and each number stands once."""
        assert self.ledger._replayed() == self.ledger.state
        rows = self.ledger.transact(lambda db: [dict(row) for row in db.execute(tables.ticket.select()).mappings()])
        assert {row["id"]: row for row in rows} == {one.id: asdict(one) for one in self.ledger.state.tickets.values()}
        assert len({row["number"] for row in rows}) == len(rows)

    def teardown(self) -> None:
        """Leave nothing behind."""
        self.ledger.close()
        shutil.rmtree(self.folder)


def plain(command: AnyCommand) -> dict[str, Any]:
    """Return what a command asks, without the time and the ticket id that the server chose."""
    return {"kind": type(command).__name__, **asdict(command)} | {"at": 0, "ticket_id": ""}


AnyAsks.TestCase.settings = settings(
    max_examples=15, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
TestAnyAsks = AnyAsks.TestCase
TestAnyAsks.__doc__ = (
    """A key is answered once and for all, a failed commit changed nothing, and a restart finds everything."""
)
