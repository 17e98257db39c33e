"""A whole path within a test: a device's daemon in hands, a real outbox, a real connection and a real center."""

import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from center.clock import Clock as CenterClock
from center.clock import SystemClock as CenterSystemClock
from center.config import Broker as CenterBroker
from center.config import Config, CounterConfig, ServiceConfig
from center.fleet.signs import Signs, signs
from center.hall import Hall
from center.ingest.ingest import Ingest
from center.storage.store import Store
from contract.codec import encode
from contract.events import RatingGiven
from contract.ids import uuid7
from contract.states import RatingDesired, Status
from contract.topics import Address
from firmware.clock import SystemClock
from firmware.config import BrokerConfig
from firmware.daemon import Daemon, Stop, Timer
from firmware.health import HealthProbe
from firmware.mqtt.outbox import Outbox
from firmware.mqtt.pump import Pump
from firmware.mqtt.transport import Presence, Transport
from firmware.ports import Drive, Record
from host.notify import Notifier
from tests.support.brokers import Broker
from tests.support.hands import Hands, Obedient
from tests.support.waiting import wait_for

ADDRESS = Address(center="bentre", station="q01", device="rating")


class Center:
    """A center without pages. As a context it runs; `stored` is what it holds."""

    def __init__(self, folder: Path, broker: Broker, *, clock: CenterClock | None = None) -> None:
        folder.mkdir(exist_ok=True)
        self._database = folder / "center.db"
        self.config = Config(
            id="bentre",
            name="Trung tâm",
            data_dir=str(folder),
            broker=CenterBroker(kind="external", host=broker.host, port=broker.port),
            service=(ServiceConfig(id="dat-dai", letter="A", vi="Đất đai", en="Land"),),
            counter=(CounterConfig(id="q01", label="1", services=("dat-dai",)),),
        )
        self._clock = clock or CenterSystemClock()
        self._in_contact = True

    @classmethod
    def later(cls, folder: Path, broker: Broker) -> Self:
        """Make one whose broker comes later."""
        made = cls(folder, broker)
        made._in_contact = False
        return made

    def __enter__(self) -> Self:
        self.hall = Hall(self.config, Store(self.config.store_url), self._clock)
        self.hall.start()
        self.ingest = Ingest(self.config, self.hall)
        self.ingest.start()
        if self._in_contact:
            wait_for(self.ingest.connected, timeout_s=30)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.ingest.stop()
        self.hall.stop()

    def signs(self) -> Signs:
        """Return what is to be said of the device."""
        known = self.hall.subscribe(_nothing).devices
        self.hall.unsubscribe(_nothing)
        return signs(known[0], self._clock.now_ms()) or {}

    def rows(self, query: str) -> list[Any]:
        """Read the database."""
        with closing(sqlite3.connect(self._database)) as database:
            return database.execute(query).fetchall()

    def stored(self) -> list[tuple[str, int]]:
        """Return machine and number of each press, in the order in which they were stored."""
        return self.rows(
            "SELECT json_extract(body, '$.bootid'), json_extract(body, '$.data.pressed_ms') FROM device_event"
            " WHERE type = 'vn.motcua.rating.given.v1' ORDER BY seq"
        )

    def put_aside(self) -> int:
        """Return how many messages are in quarantine."""
        count: int = self.rows("SELECT count(*) FROM quarantine")[0][0]
        return count


class Device:
    """A rating pad's daemon. As a context it runs; `press` is a finger, `lit` how many presses were confirmed."""

    def __init__(
        self,
        folder: Path,
        broker: Broker,
        *,
        boot: str | None = None,
        clock: Timer | None = None,
        ack_timeout_ms: int = 500,
        yield_s: float = 0.5,
    ) -> None:
        self.folder = folder
        self.hands, self.decisions = Hands(), Obedient()
        self._broker, self._ack_timeout_ms, self._yield_s = broker, ack_timeout_ms, yield_s
        if clock is None and boot is not None:
            folder.mkdir(exist_ok=True)
            boot_file = folder / "boot_id"
            boot_file.write_text(boot, encoding="ascii")
            clock = SystemClock(boot_id_file=boot_file)
        self._clock: Timer = clock or SystemClock()
        self.pressed = 0

    def __enter__(self) -> Self:
        self.daemon = Daemon(
            source=ADDRESS.source,
            build=lambda _memory: (self.decisions, self.hands),
            desired=RatingDesired,
            outbox=Outbox(self.folder, clock=self._clock, new_id=uuid7),
            clock=self._clock,
            notifier=Notifier({}),
            probe=HealthProbe(version="1", clock=self._clock, disk=self.folder),
            pump=Pump(ack_timeout_ms=self._ack_timeout_ms),
        )
        self.transport = Transport(
            ADDRESS,
            BrokerConfig(host=self._broker.host, port=self._broker.port),
            password=None,
            status=partial(_status, self._clock),
            post=self.daemon.post,
            boot_id=self._clock.boot_id,
            yield_s=self._yield_s,
        )
        self._thread = threading.Thread(target=self.daemon.run, args=(self.transport,), name="device")
        self._thread.start()
        wait_for(lambda: self.hands.post is not None)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.daemon.post(Stop())
        self._thread.join(30)

    @property
    def boot_id(self) -> str:
        """Which machine it is."""
        return self._clock.boot_id

    def press(self, times: int = 1) -> None:
        """Press; each press is another fact, and its light comes once it is stored."""
        for _ in range(times):
            self.pressed += 1
            fact = RatingGiven(level=3, scale="vn-3", ticket=None, armed_for_ms=None, pressed_ms=self.pressed)
            self.hands.do(Record(fact, then=(Drive("light"),), otherwise=(Drive("fast"),)))

    def lit(self) -> int:
        """Return how many presses were confirmed."""
        return self.hands.driven.count("light")

    def waiting(self) -> int:
        """Return how many facts the center has not acknowledged, as a restart would find them."""
        with closing(sqlite3.connect(self.folder / "outbox.db")) as database:
            count: int = database.execute("SELECT count(*) FROM event").fetchone()[0]
        return count

    def is_up(self) -> bool:
        """Whether it is on the wire."""
        return "up" in [word for word in self.decisions.heard if word in ("up", "down")][-1:]


def settled(center: Center, *devices: Device) -> Callable[[], bool]:
    """Return the question whether every confirmed press is stored and no device keeps anything."""
    return lambda: (
        len(center.stored()) >= sum(each.lit() for each in devices) and not any(each.waiting() for each in devices)
    )


def _nothing(_change: object) -> None:
    """Hear of a change, and leave it."""


def _status(clock: Timer, presence: Presence) -> bytes:
    return encode(Status(state=presence, version="1", bootid=clock.boot_id, since=clock.now().isoformat()))
