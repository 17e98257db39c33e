"""The composition root: store, hall, broker, ingest and pages of one center, started and stopped in order."""

import asyncio
import contextlib
import errno
import fcntl
import gc
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvloop

from center.broker import BrokerProcess, make_broker
from center.clock import SystemClock
from center.config import Config
from center.errors import BusyError, CenterError, StoreError
from center.hall import Hall
from center.ingest.ingest import Ingest
from center.keys import keeper as keepers
from center.keys.keeper import Keeper
from center.retention import Sweeper
from center.storage.store import Store
from center.web.app import create_app
from center.web.server import web_server
from host.notify import Notifier

if TYPE_CHECKING:
    from litestar import Litestar

    from center.web.server import WebServer

log = logging.getLogger(__name__)

MakeApp = Callable[[Hall, Config], "Litestar"]

SWITCH_INTERVAL_S = 0.001
"""The pages' thread must not keep the hall waiting for the interpreter: a durable commit lets go of it."""

_LOOK_S = 1.0
_STUCK_S = 30.0


def serve(config: Config, *, make_app: MakeApp = create_app) -> int:
    """Run a center until SIGTERM or SIGINT; returns the exit code. Raises CenterError if it cannot start.

    `make_app` lets a program around it add pages of its own.
    """
    stop = _Stop()
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    with contextlib.ExitStack() as cleanup:
        data_dir = Path(config.data_dir)
        cleanup.enter_context(_locked(data_dir))
        sock = cleanup.enter_context(contextlib.closing(_listen(config.http.host, config.http.port)))
        hall = Hall(config, Store(config.store_url), SystemClock())
        hall.start()
        cleanup.callback(hall.stop)
        keys, keeper = None, None
        if config.broker.secured:
            authority = keepers.authority(config)
            keeper = Keeper(config, authority, hall)
            keeper.write()
            keys, config = keepers.broker_keys(authority), keepers.with_keys(config, authority)
        broker = make_broker(config.broker, data_dir, keys)
        if broker is not None:
            cleanup.callback(broker.stop)
            broker.start()
            if keeper is not None:
                cleanup.callback(keeper.stop)
                keeper.start(broker)
        ingest = Ingest(config, hall, renew=keeper.renew if keeper is not None else None)
        ingest.start()
        cleanup.callback(ingest.stop)
        sweeper = Sweeper(hall, config)
        sweeper.start()
        cleanup.callback(sweeper.stop)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            code = runner.run(_pages(config, hall, ingest, broker, keeper, sock, stop, make_app))
    log.info("stopped")
    return code


class _Stop:
    """What a signal asks for, also before there is a server to hear it."""

    def __init__(self) -> None:
        self.asked = False
        # uvicorn takes these over, and raises them again when it has ended: then they must do nothing.
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, self._ask)

    def _ask(self, _number: int, _frame: object) -> None:
        self.asked = True


async def _pages(
    config: Config,
    hall: Hall,
    ingest: Ingest,
    broker: BrokerProcess | None,
    keeper: Keeper | None,
    sock: socket.socket,
    stop: _Stop,
    make_app: MakeApp,
) -> int:
    app = make_app(hall, config)
    app.state["hub"].reached = app.state["fleet"].reached = ingest.connected
    ingest.upload = app.state["uploads"].ask
    ingest.join(app.state["wishes"])
    if broker is not None:
        app.state["fleet"].broker_ends = lambda: broker.ends
    if keeper is not None:
        app.state["fleet"].certificates = keeper.ends
        app.state["fleet"].revoked = keeper.revoked
    starting = _Starting(app)
    server = web_server(starting, app.state["hub"], http=config.http)
    notifier = Notifier()
    task = asyncio.create_task(_serve_pages(server, sock), name="pages")
    while not server.started and not task.done():  # noqa: ASYNC110 – uvicorn has no event for it
        await asyncio.sleep(0.01)
    if not task.done():
        log.info("%s: %s://%s:%d/", config.name, config.http.scheme, config.http.host, config.http.port)
        if config.http.scheme == "http" and not config.http.on_loopback:
            log.warning(
                "passwords travel to this machine in the clear: set http.cert_file and http.key_file, or let only"
                " the center's own network reach it"
            )
        _settle_memory()
        notifier.ready()
    watch = asyncio.create_task(_watch(notifier, hall, ingest, broker, keeper), name="watch")
    if stop.asked:
        server.should_exit = True
    done, _ = await asyncio.wait({task, watch}, return_when=asyncio.FIRST_COMPLETED)
    notifier.stopping()
    server.should_exit = True
    await task
    if watch in done:
        return 1
    watch.cancel()
    if starting.fault is not None:
        raise starting.fault
    return 0 if server.started else 1


def _settle_memory() -> None:
    """Let the collector of cyclic garbage pass over what stays to the end: a tenth of the time at a busy center."""
    gc.collect()
    gc.freeze()


async def _serve_pages(server: "WebServer", sock: socket.socket) -> None:
    with contextlib.suppress(SystemExit):  # uvicorn's word for an app that could not start; it has been kept or logged
        await server.serve(sockets=[sock])


class _Starting:
    """The app, whose own fault at the start is kept, to be told in one line."""

    def __init__(self, app: "Litestar") -> None:
        self._app = app
        self.fault: CenterError | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass on; of a start that fails, its reason is not told here."""
        if scope["type"] != "lifespan":
            await self._app(scope, receive, send)
            return

        async def tell(message: Any) -> None:
            await send(message | {"message": ""} if message["type"] == "lifespan.startup.failed" else message)

        try:
            await self._app(scope, receive, tell)
        except* CenterError as group:
            self.fault = next(_leaves(group))
        except* Exception:
            log.exception("a fault of this program; please report these lines")


def _leaves(group: BaseExceptionGroup[CenterError]) -> Iterator[CenterError]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error


async def _watch(
    notifier: Notifier, hall: Hall, ingest: Ingest, broker: BrokerProcess | None, keeper: Keeper | None
) -> None:
    """Feed systemd's watchdog while every part works; return when one has died."""
    interval_ms = notifier.watchdog_interval_ms
    every_s = _LOOK_S if interval_ms is None else min(_LOOK_S, interval_ms / 1000)
    while True:
        for name, alive in (("hall", hall.alive), ("ingest", ingest.alive)):
            if not alive():
                log.error("the %s has ended; the center stops so that it can be started again", name)
                return
        if broker is not None and not broker.alive():
            log.error("the broker is not watched any more; the center stops so that it can be started again")
            return
        if keeper is not None and not keeper.alive():
            log.error("nobody looks after the keys any more; the center stops so that it can be started again")
            return
        answered = hall.run(lambda state: state.day)
        try:
            await asyncio.wait_for(asyncio.wrap_future(answered), _STUCK_S)
        except TimeoutError:
            log.exception("the hall does not answer for %.0f s: is the disk stuck?", _STUCK_S)
            continue
        notifier.watchdog()
        await asyncio.sleep(every_s)


@contextlib.contextmanager
def _locked(data_dir: Path) -> Iterator[None]:
    """Hold the data folder for this process alone: two centers on one store would give numbers twice."""
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)  # people's accounts are nobody else's to read
        file = os.open(data_dir / "center.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreError(f"{data_dir}: cannot be used: {error.strerror}; check data_dir and its rights") from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise BusyError(f"{data_dir}: another center runs on this folder; stop it, or set another data_dir") from error
    finally:
        os.close(file)


def _listen(host: str, port: int) -> socket.socket:
    """Return a listening socket for the pages; raise BusyError with what to do."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[
            0
        ]
        sock = socket.socket(family, kind)
    except OSError as error:
        raise BusyError(f"http.host {host}: {error.strerror or error}; set it to an address of this machine") from error
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        sock.listen(1024)
    except OSError as error:
        sock.close()
        if error.errno == errno.EADDRINUSE:
            advice = f"stop what listens there (ss -ltnp 'sport = :{port}') or set http.port to a free one"
            raise BusyError(f"HTTP port {port} on {host} is in use; {advice}") from error
        raise BusyError(f"HTTP port {port} on {host}: {error.strerror}; set http.host and http.port") from error
    return sock
