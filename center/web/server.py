"""The web server: uvicorn, which ends the live streams before it waits for connections to close."""

import socket

import uvicorn

from center.web.stream import Hub

# A page that was cut off in the middle of an answer must not hold up a stop.
_LAST_ANSWERS_S = 3


class WebServer(uvicorn.Server):
    """Serves the app; on a signal the streams end first, for an open stream never ends by itself."""

    def __init__(self, config: uvicorn.Config, hub: Hub) -> None:
        super().__init__(config)
        self._hub = hub

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop listening, end the streams, let the last answers go out."""
        self._hub.close()
        await super().shutdown(sockets)


def web_server(app: object, hub: Hub, *, host: str, port: int) -> WebServer:
    """Return a server for the app, to be run with `serve()` in an event loop or `run()` in a thread."""
    config = uvicorn.Config(
        app,  # type: ignore[arg-type]  # any ASGI app
        host=host,
        port=port,
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        timeout_graceful_shutdown=_LAST_ANSWERS_S,
    )
    return WebServer(config, hub)
