"""An answer over HTTP that comes byte by byte and has no end: every wait for a byte is short."""

import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler


def dribble(request: BaseHTTPRequestHandler) -> None:
    """Answer a request so, until its sender hangs up."""
    request.close_connection = True
    with suppress(OSError):
        request.wfile.write(b"HTTP/1.1 200 OK\r\nX-Patience: ")
        for _ in range(2_000):
            request.wfile.write(b"a")
            time.sleep(0.01)
