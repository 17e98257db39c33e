"""The web server: uvicorn, which ends the live streams before it waits for connections to close."""

import asyncio
import logging
import resource
import socket
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from center.config import Http
from center.errors import ConfigError
from center.web.stream import Hub
from contract.settings import explain_os_error

log = logging.getLogger(__name__)

REQUEST_S = 12.0
"""A request that is not complete by then is cut off: whoever left it half-said would hold a connection for ever.

An upload (PATCH) has that time for each part of it, until it is answered.
"""

UNSENT = 64 * 1024
"""So much waits in the system for a reader that is slow: what comes later is newer, where only the newest counts."""

_CONNECTIONS = 2_000
_OTHER_FILES = 100  # what the process has open beside connections: store, broker, log, scripts

# A page that was cut off in the middle of an answer must not hold up a stop.
_LAST_ANSWERS_S = 3


def most_connections() -> int:
    """Return how many connections are held at most: less than what the system lets this process open."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(_OTHER_FILES, min(_CONNECTIONS, files - _OTHER_FILES))


class WebServer(uvicorn.Server):
    """Serves the app; on a signal the streams end first, for an open stream never ends by itself."""

    def __init__(self, config: uvicorn.Config, hub: Hub) -> None:
        super().__init__(config)
        self._hub = hub
        self._full = False

    async def on_tick(self, counter: int) -> bool:
        """Say once when connections run out."""
        full = len(self.server_state.connections) >= most_connections()
        if full and not self._full:
            log.warning(
                "all %d connections are in use and new ones are closed: see who holds them with ss -tnp",
                len(self.server_state.connections),
            )
        self._full = full
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop listening, end the streams, let the last answers go out."""
        self._hub.close()
        await super().shutdown(sockets)


class _Connection(HttpToolsProtocol):
    """A connection on which a request, once there is a connection or a first byte of it, must be complete in time."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        super().connection_made(transport)
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT)
        if len(self.connections) > most_connections():
            transport.close()
        else:
            self._deadline = self.loop.call_later(REQUEST_S, transport.close)

    def data_received(self, data: bytes) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(REQUEST_S, self.transport.close)
        super().data_received(data)

    def on_body(self, body: bytes) -> None:
        if self._deadline is not None and self.scope["method"] == "PATCH" and not self.cycle.response_complete:
            self._cancel()
            self._deadline = self.loop.call_later(REQUEST_S, self.transport.close)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._cancel()
        super().on_message_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel()
        super().connection_lost(exc)

    def _unsupported_upgrade_warning(self) -> None:
        """Say nothing: anybody may ask for a WebSocket, and is answered as if it were any request."""

    def _cancel(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def web_server(app: object, hub: Hub, *, http: Http) -> WebServer:
    """Return a server for the app, to be run with `serve()` in an event loop or `run()` in a thread.

    Raises ConfigError where certificate and key do not work.
    """
    config = uvicorn.Config(
        app,  # type: ignore[arg-type]  # any ASGI app
        host=http.host,
        port=http.port,
        ssl_certfile=http.cert_file,
        ssl_keyfile=http.key_file,
        http=_Connection,
        ws="none",  # an attempt would only end in a fault
        proxy_headers=bool(http.proxies),  # whoever is not a known proxy could name any address
        forwarded_allow_ips=list(http.proxies),
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        timeout_graceful_shutdown=_LAST_ANSWERS_S,
    )
    try:
        config.load()  # reads certificate and key
    except OSError as error:
        raise ConfigError(f"http.cert_file, http.key_file: {explain_os_error(error)}") from error
    return WebServer(config, hub)
