"""A month in minutes: thirty days of 240 visits through the real center, broker and rating pad; what they keep of it.

The center is the real program with its own mosquitto; only its two clocks go on by a day when a day is over. Visitors
take numbers over HTTP, counters call, serve and finish by requests over MQTT, and every device tells its health forty
times a day. One counter has a real pad, whose daemon is told each state and stores a press of its own for every tenth
visit; the other ratings come from devices that are played. A page follows the live stream all the month. Memory is
the resident set at each day's end, from the fourth day's (keys are kept for three) to the last. The database may be
as large as docs/design/store.md says of so many visits and reports.
"""

import asyncio
import http.client
import itertools
import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil

from benchmarks import station
from benchmarks.figures import Row, at_most, render
from benchmarks.wire import MIDS, Wire, publish
from center import serve
from center.clock import SystemClock
from center.config import read
from contract.codec import decode, encode
from contract.envelope import seal
from contract.events import DeviceHealth, Fact, RatingGiven
from contract.ids import uuid7
from contract.requests import Ack, Reply, Request, TicketView
from contract.states import Status
from contract.topics import Address, Channel, center_address
from simulator.hands import Board
from simulator.ports import free_port
from simulator.premises import CENTER_ID, RATING_BUTTONS, Premises, plan_counters

DAYS, VISITS = 30, 240
COUNTERS = 3
HEALTH_A_DAY = 40
PRESS_EVERY = 10
SETTLED_DAYS = 4
GROWTH_GOAL_MB = 2
EMPTY_MB = 5
"""An empty database, and the log beside it, which is cut at 4 MB."""
REMEMBERED = 100
PATIENCE_S = 30.0
START_TIMEOUT_S = 60.0
_DAY_S = 86_400
_CENTER_STATUS = center_address(CENTER_ID).topic(Channel.STATUS)


@dataclass
class Seen:
    """What the month left."""

    resident_mb: dict[str, list[float]] = field(default_factory=dict)
    file_mb: list[float] = field(default_factory=list)
    visits: int = 0
    ratings: int = 0
    stored_ratings: int = 0
    faults: int = 0

    def growth_mb(self, program: str) -> float:
        """What a program's memory gained after it had settled."""
        each_day = self.resident_mb[program]
        return each_day[-1] - each_day[min(SETTLED_DAYS, len(each_day)) - 1]


def run(_rounds: int, *, days: int = DAYS, visits: int = VISITS) -> list[Row]:
    """Live through the month once."""
    seen = month(days, visits)
    print("MB at each day's end: " + json.dumps({**seen.resident_mb, "database": seen.file_mb}), flush=True)
    return [
        Row(f"visits on {days} days", seen.visits, ""),
        *(
            at_most(f"{name}: memory growth", seen.growth_mb(name), "MB", GROWTH_GOAL_MB)
            for name in ("center", "broker", "rating pad")
        ),
        at_most("database, with its log", seen.file_mb[-1], "MB", round(allowed_mb(days, visits), 1)),
        Row("… a day, on the last days", (seen.file_mb[-1] - seen.file_mb[len(seen.file_mb) // 2]) / (days / 2), "MB"),
        at_most("ratings lost or counted twice", abs(seen.ratings - seen.stored_ratings), "", 0),
        at_most("faults in the logs, or an end", seen.faults, "", 0),
    ]


def allowed_mb(days: int, visits: int) -> float:
    """Return how large the database may be by the formula of docs/design/store.md; health as if none were thinned."""
    health = (2 * COUNTERS + 1) * HEALTH_A_DAY * days * 0.85
    return (visits * 3.9 * days + visits * 2.7 * 3 + health) / 1000 + EMPTY_MB


def month(days: int, visits: int) -> Seen:
    """Play so many days of so many visits; return what could be seen."""
    seen = Seen()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        premises = Premises(
            folder=folder, run=folder, http_port=free_port(), mqtt_port=free_port(), counters=plan_counters(COUNTERS)
        )
        premises.write()
        text = premises.center_config.read_text("utf-8").replace('kind = "external"', 'kind = "mosquitto"')
        premises.center_config.write_text(text, "utf-8")
        config = premises.station_config("q01")
        station.write(config, port=premises.mqtt_port, center=CENTER_ID, station="q01", options="thanks_ms = 100")
        socket = premises.board_socket("q01", "rating")
        center = _start(folder / "center.log", "benchmarks.month", str(premises.center_config))
        pad = _start(
            folder / "pad.log",
            "simulator.board",
            "--socket",
            str(socket),
            "--",
            "run",
            "rating",
            "--config",
            str(config),
        )
        try:
            asyncio.run(_Month(premises, center, pad, seen).play(days, visits))
        finally:
            for program, log in ((pad, "pad.log"), (center, "center.log")):
                _end(program, folder / log, seen)
        with closing(sqlite3.connect(premises.center_data / "center.db")) as database:
            (seen.stored_ratings,) = database.execute("SELECT count(*) FROM rating").fetchone()
    return seen


class _Month:
    """Everybody who comes and goes."""

    def __init__(
        self, premises: Premises, center: subprocess.Popen[bytes], pad: subprocess.Popen[bytes], seen: Seen
    ) -> None:
        self._premises, self._center, self._pad, self._seen = premises, center, pad, seen
        self._today = datetime.now(UTC)
        self._outboxes: dict[str, tuple[str, Iterator[int]]] = {}
        self._mids = itertools.cycle(range(1, MIDS))
        self._heard: list[tuple[str, bytes]] = []

    async def play(self, days: int, visits: int) -> None:
        """Wait until everybody is there, then live day after day."""
        board = Board(self._premises.board_socket("q01", "rating"))
        hands = asyncio.create_task(board.run())
        try:
            self._wire = await asyncio.to_thread(self._connected)
            self._woke_ms = await asyncio.to_thread(self._center_clock_ms)
            self._http = http.client.HTTPConnection("127.0.0.1", self._premises.http_port, timeout=PATIENCE_S)
            threading.Thread(target=self._watch_board, name="page", daemon=True).start()
            async with asyncio.timeout(START_TIMEOUT_S):
                while not board.powered:  # noqa: ASYNC110 – the board connects when it can
                    await asyncio.sleep(0.05)
            for _ in range(days):
                await self._day(board, visits)
        finally:
            hands.cancel()

    async def _day(self, board: Board, visits: int) -> None:
        counters = [counter.id for counter in self._premises.counters]
        for counter in counters:
            self._ask(counter, "open")
        for visit in range(visits):
            counter = counters[visit % len(counters)]
            services = self._premises.counters[visit % len(counters)].services
            self._take_number(services[0])
            ticket = self._ask(counter, "call_next")
            self._ask(counter, "start")
            self._ask(counter, "finish")
            if ticket is None:
                sys.exit(f"{counter} called nobody although somebody waits")
            if counter == "q01":
                await self._press(board, ticket, by_hand=visit % PRESS_EVERY == 0)
            else:
                rated = RatingGiven(level=3, scale="vn-3", ticket=ticket.id, armed_for_ms=900, pressed_ms=15)
                self._tell(counter, "rating", [rated])
                self._seen.ratings += 1
        for counter in counters:
            self._ask(counter, "close")
            for device in ("display", "callpad"):
                uptime_s = round(self._today.timestamp()) % _DAY_S
                health = DeviceHealth(outbox_depth=0, uptime_s=uptime_s, clocksynced=True, version="0.1.0")
                self._tell(counter, device, [health] * HEALTH_A_DAY)
        self._seen.visits += visits
        self._look()
        await asyncio.to_thread(self._sleep)

    def _sleep(self) -> None:
        """Let the night pass; the center says by its own clock that it has."""
        self._today += timedelta(days=1)
        self._center.send_signal(signal.SIGUSR1)
        while (clock_ms := self._center_clock_ms()) < self._woke_ms + _DAY_S * 500:
            pass
        self._woke_ms = clock_ms

    def _center_clock_ms(self) -> int:
        return decode(self._hear(_CENTER_STATUS, b'"online"'), Status).clock_ms or 0

    async def _press(self, board: Board, ticket: TicketView, *, by_hand: bool) -> None:
        """Let the pad be told of a visit, and press where the visitor does."""
        address = Address(center=CENTER_ID, station="q01", device="rating")
        if not by_hand:
            return
        await asyncio.to_thread(self._hear, address.topic(Channel.REPORTED), ticket.id.encode())
        await board.press(RATING_BUTTONS["3"])
        await asyncio.to_thread(self._hear, address.topic(Channel.EVENT), b"rating.given")
        await board.release(RATING_BUTTONS["3"])
        self._seen.ratings += 1

    def _take_number(self, service: str) -> None:
        headers = {"Content-Type": "application/json", "Idempotency-Key": uuid7()}
        for patience in (True, False):
            try:
                self._http.request("POST", "/api/tickets", json.dumps({"service": service}), headers)
                answer = self._http.getresponse()
                body = answer.read()
                break
            except (OSError, http.client.HTTPException):  # an idle connection is closed: the same ask on another
                self._http.close()
                if not patience:
                    raise
        if answer.status != 201:
            sys.exit(f"a number was refused: {answer.status} {body.decode()}")

    def _ask(self, counter: str, action: str) -> TicketView | None:
        """Ask as a call pad does; return the ticket it was about."""
        request = Request(id=uuid7(), action=action)  # type: ignore[arg-type]  # one of its words
        address = Address(center=CENTER_ID, station=counter, device="callpad")
        self._publish(address.topic(Channel.REQUEST), encode(request))
        reply = decode(self._hear(address.topic(Channel.REPLY), request.id.encode()), Reply)
        if not reply.ok:
            sys.exit(f"{action} at {counter} was refused: {reply.message}")
        return reply.ticket

    def _tell(self, counter: str, device: str, facts: list[Fact]) -> None:
        """Say facts as a device does, one after another, each stored before the next."""
        address = Address(center=CENTER_ID, station=counter, device=device if device != "rating" else "played")
        stream, numbers = self._outboxes.setdefault(address.source, (uuid7(), itertools.count(1)))
        for fact in facts:
            event_id, sequence = uuid7(), next(numbers)
            payload = seal(
                fact,
                event_id=event_id,
                source=address.source,
                time=self._today,
                sequence=sequence,
                stream=stream,
                boot_id="boot-1",
                monotonic_ms=sequence,
                clock_synced=True,
            )
            self._publish(address.topic(Channel.EVENT), payload)
            ack = decode(self._hear(address.topic(Channel.ACK), event_id.encode()), Ack)
            if event_id not in ack.ids:
                sys.exit(f"an event was not acknowledged by its id: {ack}")

    def _publish(self, topic: str, payload: bytes) -> None:
        self._wire.send(publish(topic, payload, mid=next(self._mids)))

    def _hear(self, topic: str, part: bytes) -> bytes:
        """Return the next message on a topic that holds these bytes."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            for at, (where, payload) in enumerate(self._heard):
                if where == topic and part in payload:
                    del self._heard[at]
                    return payload
            self._wire.sock.settimeout(max(0.01, deadline - time.monotonic()))
            with suppress(TimeoutError):
                self._heard = [*self._heard[-REMEMBERED:], *self._wire.read()[1]]
        sys.exit(f"nothing on {topic} within {PATIENCE_S:.0f} s; in the end: {self._heard[-3:]}")

    def _connected(self) -> Wire:
        address = f"motcua/v1/{CENTER_ID}/+/+/"
        channels = (Channel.EVENT, Channel.ACK, Channel.REPLY, Channel.REPORTED)
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            with suppress(OSError):
                wire = Wire(
                    self._premises.mqtt_port,
                    "month",
                    [_CENTER_STATUS, *(address + channel.value for channel in channels)],
                )
                http.client.HTTPConnection("127.0.0.1", self._premises.http_port).connect()
                return wire
            time.sleep(0.1)
        sys.exit(f"the center did not start within {START_TIMEOUT_S:.0f} s")

    def _watch_board(self) -> None:
        """Follow the live stream as the hall's board does, until the center ends."""
        board = http.client.HTTPConnection("127.0.0.1", self._premises.http_port)
        with suppress(OSError, http.client.HTTPException):
            board.request("GET", "/stream?view=board")
            answer = board.getresponse()
            while answer.read1(65_536):
                pass

    def _look(self) -> None:
        """Note what each program needs and how large the database is."""
        center = psutil.Process(self._center.pid)
        (broker,) = [each for each in center.children(recursive=True) if each.name() == "mosquitto"]
        programs = {"center": center, "broker": broker, "rating pad": psutil.Process(self._pad.pid)}
        for name, process in programs.items():
            self._seen.resident_mb.setdefault(name, []).append(round(process.memory_info().rss / 1e6, 2))
        files = self._premises.center_data.glob("center.db*")
        self._seen.file_mb.append(round(sum(file.stat().st_size for file in files) / 1e6, 2))


class _DaysAhead(SystemClock):
    """The machine's clocks, some days ahead: it slept, and woke up on another morning."""

    def __init__(self) -> None:
        self.days = 0

    def now_ms(self) -> int:
        """The wall clock."""
        return super().now_ms() + self.days * _DAY_S * 1000

    def monotonic_s(self) -> float:
        """The clock that never steps; it goes on while a machine sleeps."""
        return super().monotonic_s() + self.days * _DAY_S


def _serve(config: Path) -> int:
    """Run the center; a SIGUSR1 is a night."""
    clock = _DaysAhead()

    def sleep(_number: int, _frame: object) -> None:
        clock.days += 1

    signal.signal(signal.SIGUSR1, sleep)
    serve.SystemClock = lambda: clock  # type: ignore[attr-defined,assignment]  # the one place where it is made
    return serve.serve(read(config))


def _start(log: Path, *module: str) -> subprocess.Popen[bytes]:
    with log.open("wb") as output:
        environment = os.environ | {"GPIOZERO_PIN_FACTORY": "mock"}
        return subprocess.Popen([sys.executable, "-m", *module], stdout=output, stderr=output, env=environment)


def _end(program: subprocess.Popen[bytes], log: Path, seen: Seen) -> None:
    ended = program.poll() is not None
    program.terminate()
    code = program.wait(20)
    lines = log.read_text("utf-8", "replace")
    faults = ended + (code != 0) + sum(lines.count(each) for each in ("Traceback", "please report these lines"))
    seen.faults += faults
    if faults:
        print(f"{log.name}: exit code {code}; its end:\n{lines[-4000:]}", file=sys.stderr)


if __name__ == "__main__":
    if len(sys.argv) == 2:
        sys.exit(_serve(Path(sys.argv[1])))
    print(render(run(1, days=int(sys.argv[1]), visits=int(sys.argv[2]))))
