"""A center for tests: its configuration, a clock that tests set, a hall on a real database."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from center.clock import Clock
from center.config import Broker, Config, CounterConfig, ServiceConfig
from center.hall import Hall
from center.storage.store import Store

MORNING_MS = 1_795_395_600_000
"""2026-11-23, 08:00 in Bến Tre."""


class TestClock:
    """The center's clock under a test's control."""

    __test__ = False

    def __init__(self) -> None:
        self.wall_ms = MORNING_MS
        self.steady_s = 1_000.0

    def now_ms(self) -> int:
        """The wall clock."""
        return self.wall_ms

    def monotonic_s(self) -> float:
        """The clock that never steps."""
        return self.steady_s

    def advance(self, seconds: float) -> None:
        """Let time pass on both."""
        self.wall_ms += round(seconds * 1000)
        self.steady_s += seconds


@pytest.fixture
def clock() -> TestClock:
    """Eight in the morning."""
    return TestClock()


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """A small center in a folder of its own; its broker is on port 1, where nothing is."""
    return Config(
        id="bentre",
        name="Trung tâm Phục vụ hành chính công tỉnh Bến Tre",
        data_dir=str(tmp_path / "data"),
        broker=Broker(kind="external", port=1),
        service=(
            ServiceConfig(id="dat-dai", letter="A", vi="Đất đai", en="Land"),
            ServiceConfig(id="ho-tich", letter="B", vi="Hộ tịch", en="Civil status"),
        ),
        counter=(
            CounterConfig(id="q01", label="1", services=("dat-dai",)),
            CounterConfig(id="q02", label="2", services=("dat-dai", "ho-tich")),
        ),
    )


def with_broker(config: Config, host: str, port: int) -> Config:
    """Return the configuration with a broker that somebody else runs."""
    return msgspec.structs.replace(config, broker=Broker(kind="external", host=host, port=port))


@pytest.fixture
def store(config: Config) -> Iterator[Store]:
    """A fresh database."""
    one = Store(config.store_url)
    yield one
    one.close()


@pytest.fixture
def hall(config: Config, clock: Clock) -> Iterator[Hall]:
    """A hall that answers."""
    one = Hall(config, Store(config.store_url), clock)
    one.start()
    yield one
    one.stop()
