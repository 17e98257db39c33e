"""The live stream: one hub in the event loop, server-sent events to every open page.

A page first gets a snapshot, then the keys that changed, with a growing id:

    event: snapshot   {"server", "asset", "id", "now", "state": {key: value}}
    event: delta      {"id", "set": {key: value}, "drop": [key]}
    event: beat       {"now"}                                        every 15 s

The hall calls from its own thread after each commit; the hub copies that into its mirror in the event loop, waits for
the rest of a burst, computes each view that somebody looks at once, and hands the same bytes to all who look at it.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

import msgspec
from litestar.types import Receive, Scope, Send

from center.cameras.looks import Looks
from center.clock import Clock
from center.config import Config
from center.fleet.fleet import Board
from center.fleet.signs import center_clock
from center.hall import Change, Hall
from center.people.model import Person
from center.web import camera_views, views
from center.web.leases import GRACE_S, Lease, Leases
from center.web.mirror import Mirror
from center.web.views import View
from contract.ids import uuid7

_log = logging.getLogger(__name__)

BURST_S = 0.02
"""What happens within this time of each other reaches the pages together."""
BEAT_S = 15.0
QUEUE_LENGTH = 64
"""So many messages may wait for a slow page; then it is dropped, reconnects and gets a snapshot."""
SHARE = 5
"""Computing views may take one in so many parts of the time; under load the pages get news less often."""

VIEWS = ("board", "officer", "kiosk", "rating", "devices", "cameras")
_OF_A_COUNTER = ("officer", "rating")
_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
]
_RETRY = b"retry: 500\n\n"
_encode = msgspec.json.Encoder().encode

ChannelName = tuple[str, str]


class Client:
    """One open page."""

    def __init__(self, channel: "Channel", session: str | None) -> None:  # the session's id, where one is needed
        self.channel = channel
        self.session = session
        self.closing = False
        self.writer: asyncio.Task[None] | None = None
        self._pending: deque[bytes] = deque()
        self._news = asyncio.Event()

    def put(self, message: bytes) -> bool:
        """Queue a message; return False where the page is too far behind."""
        if len(self._pending) >= QUEUE_LENGTH:
            return False
        self._pending.append(message)
        self._news.set()
        return True

    def close(self) -> None:
        """End the stream after what is queued."""
        self.closing = True
        self._news.set()

    async def take(self) -> bytes:
        """Wait for messages; return all of them at once, nothing when the stream is to end."""
        await self._news.wait()
        self._news.clear()
        content = b"".join(self._pending)
        self._pending.clear()
        return content


class Channel:
    """One view, as everybody who looks at it sees it."""

    def __init__(self, name: ChannelName) -> None:
        self.name = name
        self.view: View = {}
        self.clients: set[Client] = set()


class Hub:
    """Keeps every open page equal to the hall."""

    def __init__(self, hall: Hall, config: Config, clock: Clock, *, asset: str) -> None:
        self._hall = hall
        self._config = config
        self._clock = clock
        self._asset = asset
        self.reached: Callable[[], bool] = lambda: True
        """Whether devices reach the center: the program that runs the ingest sets it to the ingest's own word."""
        self.board: Callable[[], Board] = Board
        """What is known of the fleet: who watches it sets this to its own."""
        self.called: Callable[[str], str] = lambda actor: actor
        """How people know whom the record names: the register sets this to its own."""
        self.looks = Looks(clock)
        """Who looks through which camera; it ends with the streams."""
        self.looks.on_news = self.wake
        self.server = uuid7()
        self.leases = Leases(clock.now_ms, clock.monotonic_s)
        self.last_id = 0
        self._channels: dict[ChannelName, Channel] = {}
        self._arrived: deque[Change] = deque()
        self._woken = False
        self._flush_at: asyncio.TimerHandle | None = None
        self._flushed_at_s = 0.0
        self._pause_s = BURST_S
        self._beat: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closing = False
        self.mirror: Mirror

    # --- life ------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Begin to follow the hall. Must run in the event loop that serves the pages."""
        snapshot = await asyncio.to_thread(self._hall.subscribe, self._on_change)
        self.mirror = Mirror(snapshot.state)
        self.mirror.meet(snapshot.devices)
        loop = asyncio.get_running_loop()
        self._flushed_at_s = loop.time()
        self._beat = loop.call_later(BEAT_S, self._send_beat)
        self._loop = loop  # from here on the hall may wake it
        self.catch_up()

    async def stop(self) -> None:
        """End the streams and stop following the hall."""
        self.close()
        if self._loop is not None:
            self._loop = None
            await asyncio.to_thread(self._hall.unsubscribe, self._on_change)

    def close(self) -> None:
        """End every stream, so that the server can stop. Safe to call twice."""
        self._closing = True
        self.looks.close()
        for timer in (self._beat, self._flush_at):
            if timer is not None:
                timer.cancel()
        for channel in self._channels.values():
            for client in channel.clients:
                client.close()

    # --- following the hall ----------------------------------------------------------------------------------------

    def _on_change(self, change: Change) -> None:
        """Called in the hall's thread: leave the change for the loop."""
        self._arrived.append(change)
        self.wake()

    def wake(self) -> None:
        """Look again at what the pages show, soon. Any thread; once for all who ask until the loop does."""
        loop = self._loop
        if not self._woken and loop is not None:
            self._woken = True
            try:
                loop.call_soon_threadsafe(self._wake)
            except RuntimeError:  # the loop is closed: nobody looks any more
                _log.debug("a change of the hall came after the pages were closed")

    def _wake(self) -> None:
        self.catch_up()
        self._flush_soon()

    def catch_up(self) -> None:
        """Take in everything the hall has committed so far."""
        self._woken = False
        while self._arrived:
            self._take(self._arrived.popleft())

    def _take(self, change: Change) -> None:
        self.mirror.apply(change.events)
        self.mirror.meet(change.devices)
        self.mirror.forget(change.forgotten)
        self.mirror.rated.update(rating.ticket for rating in change.ratings if rating.ticket is not None)

    def _flush_soon(self) -> None:
        if self._flush_at is not None or self._loop is None or self._closing:
            return
        due = self._flushed_at_s + self._pause_s
        self._flush_at = self._loop.call_at(due, self._flush)

    def _flush(self) -> None:
        """Send what changed. Computing takes at most one part in SHARE of the time."""
        assert self._loop is not None  # noqa: S101 (only the loop calls this)
        self._flush_at = None
        began = self._loop.time()
        for channel in list(self._channels.values()):
            self._update(channel)
        self._flushed_at_s = self._loop.time()
        self._pause_s = max(BURST_S, SHARE * (self._flushed_at_s - began))

    def _update(self, channel: Channel) -> None:
        view = self._view(channel.name)
        changed = {key: value for key, value in view.items() if key not in channel.view or channel.view[key] != value}
        dropped = [key for key in channel.view if key not in view]
        channel.view = view
        if not changed and not dropped:
            return
        self.last_id += 1
        self._send(channel, _message("delta", {"id": self.last_id, "set": changed, "drop": dropped}, self.last_id))

    def _send(self, channel: Channel, message: bytes) -> None:
        for client in [client for client in channel.clients if not client.put(message)]:
            _log.warning("a page with the view %s reads too slowly: dropped, it will connect again", channel.name[0])
            channel.clients.discard(client)
            if client.writer is not None:
                client.writer.cancel()

    def _send_beat(self) -> None:
        assert self._loop is not None  # noqa: S101 (only the loop calls this)
        message = _message("beat", {"now": self._clock.now_ms()})
        for channel in list(self._channels.values()):
            self._send(channel, message)
        self._flush_soon()  # what changes by the time alone: a device that fell silent
        self._beat = self._loop.call_later(BEAT_S, self._send_beat)

    # --- views -----------------------------------------------------------------------------------------------------

    def now_ms(self) -> int:
        """The center's clock."""
        return self._clock.now_ms()

    def knows(self, view: str, counter: str) -> bool:
        """Whether there is such a view."""
        return view in VIEWS and (view not in _OF_A_COUNTER or counter in self.mirror.state.counters)

    def watching(self, view: str, counter: str = "") -> int:
        """Return how many pages look at a view."""
        channel = self._channels.get((view, counter))
        return len(channel.clients) if channel else 0

    def view(self, view: str, counter: str = "") -> View:
        """Return a view as it is now, for a page's first paint; without who works at the desk."""
        self.catch_up()
        return self._compute((view, counter))

    def _view(self, name: ChannelName) -> View:
        view = self._compute(name)
        if name[0] == "officer":
            view["lease"] = self.leases.holder(name[1])
            view["places"] = self.leases.places()
        return view

    def _compute(self, name: ChannelName) -> View:
        kind, counter = name
        match kind:
            case "board":
                return views.board(self.mirror)
            case "officer":
                return views.desk(self.mirror, counter) | {"watched": self.looks.watched(counter)}
            case "kiosk":
                return views.kiosk(self.mirror)
            case "rating":
                arm_ms = self._config.rating.arm_seconds * 1000
                return views.rating(self.mirror, counter, scale=self._config.scale, arm_ms=arm_ms)
            case "cameras":
                off, reached = center_clock(self.mirror.devices.values()), self.reached()
                seen = camera_views.cameras(
                    self.mirror, self._clock.now_ms(), reached=reached, off=off, board=self.board(), looks=self.looks
                )
                return {"reached": reached, **seen}
            case _:
                reached, board, now_ms = self.reached(), self.board(), self._clock.now_ms()
                known = views.devices(self.mirror, now_ms, reached=reached, board=board)
                names = {by: self.called(by) for one in board.alerts if (by := one.acknowledged_by)}
                return {"reached": reached, "alerts": board.alerts, "names": names, **known}

    # --- pages -----------------------------------------------------------------------------------------------------

    async def __call__(self, scope: Scope, receive: Receive, send: Send, *, person: Person | None = None) -> None:
        """Serve one page's stream (ASGI), to somebody or to anybody: who may see what is checked before."""
        query = parse_qs(scope["query_string"].decode("latin-1"))
        kind, counter = _first(query, "view"), _first(query, "counter")
        if kind not in _OF_A_COUNTER:
            counter = ""
        if self._closing or not self.knows(kind, counter):
            await _refuse(send, 503 if self._closing else 404)
            return
        if person is not None and kind == "officer" and _first(query, "claim") == "1":
            self.leases.claim(counter, person)
        client = self._join((kind, counter), person.session if person is not None else None)
        client.writer = asyncio.create_task(self._write(client, send), name="stream-writer")
        gone = asyncio.create_task(_until_gone(receive), name="stream-reader")
        try:
            await asyncio.wait({client.writer, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._leave(client)
            client.writer.cancel()
            gone.cancel()
            await asyncio.gather(client.writer, gone, return_exceptions=True)

    def _join(self, name: ChannelName, session: str | None) -> Client:
        channel = self._channels.get(name) or self._channels.setdefault(name, Channel(name))
        client = Client(channel, session)
        if session and name[0] == "officer":
            self.leases.joined(name[1], session)
        self.catch_up()
        self._update(channel)  # the others get what is new, this one all of it
        channel.clients.add(client)
        snapshot = {
            "server": self.server,
            "asset": self._asset,
            "id": self.last_id,
            "now": self._clock.now_ms(),
            "state": channel.view,
        }
        client.put(_RETRY + _message("snapshot", snapshot, self.last_id))
        return client

    def _leave(self, client: Client) -> None:
        channel = client.channel
        channel.clients.discard(client)
        if not channel.clients:
            self._channels.pop(channel.name, None)
        if client.session and channel.name[0] == "officer" and self._loop is not None:
            self.leases.left(channel.name[1], client.session)
            if not self._closing:
                self._loop.call_later(GRACE_S + 0.1, self._flush_soon)

    def take_over(self, counter: str, person: Person) -> Lease | None:
        """Give a counter to a person; whoever had it sees that at once. Returns who that was, if another one."""
        mine = self.leases.holder(counter)
        before = self.leases.take(counter, person)
        if mine is None or mine.mark != person.session[:16]:
            channel = self._channels.get(("officer", counter))
            for client in channel.clients if channel else ():
                if client.session == person.session:
                    self.leases.joined(counter, person.session)
        self._flush_soon()
        return before

    def end(self, session: str) -> None:
        """End every stream and look of a session that is over, and free its desk."""
        self.leases.ended(session)
        self.looks.end(session)
        for channel in self._channels.values():
            for client in channel.clients:
                if client.session == session:
                    client.close()
        self._flush_soon()

    async def _write(self, client: Client, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
        while not client.closing:
            content = await client.take()
            await send({"type": "http.response.body", "body": content, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def _message(event: str, content: dict[str, Any], number: int | None = None) -> bytes:
    name = b"" if number is None else b"id: %d\n" % number
    return name + b"event: " + event.encode() + b"\ndata: " + _encode(content) + b"\n\n"


def _first(query: dict[str, list[str]], name: str) -> str:
    return query.get(name, [""])[0]


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _refuse(send: Send, status: int) -> None:
    await send({"type": "http.response.start", "status": status, "headers": [(b"cache-control", b"no-store")]})
    await send({"type": "http.response.body", "body": b"", "more_body": False})
