"""A device's figures for Prometheus, on loopback only, for who asks for them in the station's file.

Loaded only then: an idle device pays nothing for what nobody reads. The server has a thread and a connection to the
outbox of its own, so that neither a scrape nor a scraper that hangs is felt by the device.
"""

import logging
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.parse import quote

from contract.events import DeviceHealth
from contract.topics import Address
from firmware.health import HealthProbe

_log = logging.getLogger(__name__)

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
CLIENT_S = 5.0
"""Who asks, or takes the answer, more slowly than this is hung up on."""


class MetricsServer:
    """Answers `GET /metrics` on 127.0.0.1. A port that is in use is a line in the log, and no more."""

    def __init__(self, port: int, *, address: Address, probe: HealthProbe, outbox: Path, contact: Callable[[], bool]):
        self._port = port
        self._address, self._probe, self._outbox, self._contact = address, probe, outbox, contact
        self._server: HTTPServer | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to answer, in a thread of its own."""
        text = self.text

        class Handler(BaseHTTPRequestHandler):
            timeout = CLIENT_S

            def do_GET(self) -> None:
                if self.path.partition("?")[0] != "/metrics":
                    self.send_error(404)
                    return
                body = text()
                self.send_response(200)
                self.send_header("content-type", CONTENT_TYPE)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 – the base class's name for it
                _log.debug("metrics: " + format, *args)

        class Server(HTTPServer):
            def handle_error(self, request: object, client_address: object) -> None:
                _log.debug("metrics: a reader went away", exc_info=True)

        try:
            self._server = Server(("127.0.0.1", self._port), Handler)
        except OSError as error:
            _log.warning(
                "metrics: port %d on 127.0.0.1: %s; the device works without, set [metrics] port to a free one",
                self._port,
                error.strerror,
            )
            return
        self._thread = threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop answering; bounded."""
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join(CLIENT_S)

    @property
    def port(self) -> int | None:
        """Where it listens, if it does."""
        return None if self._server is None else self._server.server_address[1]

    def text(self) -> bytes:
        """Return the figures as they are now, in Prometheus's text format."""
        depth = self._depth()
        return render(self._address, self._probe.measure(outbox_depth=depth or 0), depth, contact=self._contact())

    def _depth(self) -> int | None:
        try:
            with closing(sqlite3.connect(f"file:{quote(str(self._outbox))}?mode=ro", uri=True, timeout=1)) as database:
                found: int = database.execute("SELECT count(*) FROM event").fetchone()[0]
        except sqlite3.Error:
            return None  # it is not there yet, or the card is broken: the device's log says that, louder
        return found


def render(address: Address, health: DeviceHealth, depth: int | None, *, contact: bool) -> bytes:
    """Return figures in Prometheus's text format 0.0.4; one that is not known is left out."""
    labels = f'station="{address.station}",device="{address.device}"'
    version = health.version.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
    mib = 1 << 20
    figures: tuple[tuple[str, str, float | None, str], ...] = (
        ("info", "The program.", 1, f'{labels},version="{version}"'),
        ("contact", "Whether there is contact to the center.", contact, labels),
        ("outbox_events", "Events that wait for the center.", depth, labels),
        ("uptime_seconds", "Since the program started.", health.uptime_s, labels),
        ("clock_synchronised", "Whether the clock was set in this boot.", health.clocksynced, labels),
        ("temperature_celsius", "The processor.", health.temperature_c, labels),
        ("throttled", "Whether heat or low voltage slows the processor down.", health.throttled, labels),
        ("disk_free_bytes", "Where the outbox is.", _times(health.disk_free_mb, mib), labels),
        ("memory_bytes", "What the program uses.", _times(health.memory_mb, mib), labels),
    )
    lines = []
    for name, words, value, named in figures:
        if value is not None:
            full = f"motcua_device_{name}"
            lines += [f"# HELP {full} {words}", f"# TYPE {full} gauge", f"{full}{{{named}}} {float(value)}"]
    return ("\n".join(lines) + "\n").encode()


def _times(value: float | None, factor: int) -> float | None:
    return None if value is None else value * factor
