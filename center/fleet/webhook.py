"""Tells alerts to another program: one HTTP POST for each beginning and each end, in order, in a thread of its own.

The body is a CloudEvent in structured JSON. With a secret, the headers `webhook-id`, `webhook-timestamp` and
`webhook-signature` are those of Standard Webhooks: `v1,` and the base64 of HMAC-SHA256 over `id.timestamp.body`.

What was not taken is sent again, ever more seldom, for as long as it takes; the table of alerts knows what was told, so
that a restart forgets nothing. A receiver may get a message twice, with the same id.
"""

import base64
import hashlib
import hmac
import http.client
import json
import logging
import socket
import ssl
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from center.clock import Clock, rfc3339
from center.config import Alerts as AlertsConfig
from center.errors import ConfigError
from center.fleet.alerts import Alert
from center.fleet.book import ALL, BEGAN, NOTHING

log = logging.getLogger(__name__)

WAITING = 1_000
"""So many messages wait in memory; beyond that the oldest goes."""

TIMEOUT_S = 10.0
"""For the whole of a POST, from connecting to the answer, however slowly the other side does each. Only a name server's
answer has limits of its own (resolv.conf)."""

FIRST_RETRY_S, LAST_RETRY_S = 2.0, 600.0
CONTENT_TYPE = "application/cloudevents+json; charset=utf-8"

_AGAIN = frozenset({401, 403, 404, 408, 425, 429})
"""Refusals that somebody may mend: wrong secret, wrong path, too early."""


def message(alert: Alert, *, center: str, ended: bool) -> tuple[str, bytes]:
    """Return the id and the body of what is told: a CloudEvent 1.0 in structured JSON."""
    word = "ended" if ended else "began"
    at = alert.ended_at if ended and alert.ended_at is not None else alert.begun_at
    event_id = f"{alert.id}-{word}"
    content = {
        "specversion": "1.0",
        "id": event_id,
        "type": f"vn.motcua.alert.{word}.v1",
        "source": f"/{center}",
        "subject": alert.subject,
        "time": rfc3339(at),
        "datacontenttype": "application/json",
        "data": {
            "alert": alert.id,
            "kind": alert.kind,
            "detail": alert.detail,
            "station": alert.station,
            "device": alert.device or None,
            "begun_at": rfc3339(alert.begun_at),
            "ended_at": rfc3339(at) if ended else None,
        },
    }
    return event_id, json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


def sign(secret: bytes, *, event_id: str, timestamp: int, body: bytes) -> str:
    """Return the value of `webhook-signature`."""
    digest = hmac.new(secret, f"{event_id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"


def read_secret(path: str) -> bytes:
    """Return the secret of a file: after `whsec_` it is base64, else the line as it is."""
    try:
        line = Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise ConfigError(f"{path}: alerts.secret_file: a file with the secret on one line: {reason}") from error
    try:
        secret = base64.b64decode(line.removeprefix("whsec_"), validate=True) if line.startswith("whsec_") else None
    except ValueError as error:
        raise ConfigError(f"{path}: alerts.secret_file: base64 after whsec_, got something else") from error
    secret = line.encode() if secret is None else secret
    if len(secret) < 16:
        raise ConfigError(f"{path}: alerts.secret_file: a secret of at least 16 bytes, got {len(secret)}")
    return secret


def make_webhook(config: AlertsConfig, *, center: str, clock: Clock) -> "Webhook | None":
    """Return the webhook that the configuration asks for; raise ConfigError if its secret cannot be read."""
    if config.webhook is None:
        return None
    secret = read_secret(config.secret_file) if config.secret_file else None
    return Webhook(config.webhook, center=center, clock=clock, secret=secret)


S = TypeVar("S", bound=socket.socket)


class Webhook:
    """Sends what it is given, one after another. `told` is called in its thread with what the other side has taken."""

    def __init__(
        self,
        url: str,
        *,
        center: str,
        clock: Clock,
        secret: bytes | None = None,
        timeout_s: float = TIMEOUT_S,
        first_retry_s: float = FIRST_RETRY_S,
    ) -> None:
        self._url = urlsplit(url)
        self._center, self._clock, self._secret = center, clock, secret
        self._timeout_s, self._first_retry_s = timeout_s, first_retry_s
        self.told: Callable[[str, int], None] = lambda _alert, _what: None
        self._waiting: deque[tuple[Alert, bool]] = deque(maxlen=WAITING)
        self._news = threading.Event()
        self._stop = threading.Event()
        self._socket: socket.socket | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="webhook", daemon=True)
        self._failing = False

    def put(self, alert: Alert, known: int) -> None:
        """Tell what the other side does not know yet of an alert. Returns at once."""
        if known == NOTHING:
            self._waiting.append((alert, False))
        if alert.ended_at is not None and known != ALL:
            self._waiting.append((alert, True))
        self._news.set()

    def waiting(self) -> int:
        """Return how many messages wait."""
        return len(self._waiting)

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def stop(self) -> None:
        """Give up what is under way; it is told after the next start. Bounded."""
        self._stop.set()
        self._news.set()
        self._hang_up()
        if self._thread.is_alive():
            self._thread.join(self._timeout_s)

    # --- the thread ------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        retry_s = self._first_retry_s
        while not self._stop.is_set():
            if not self._waiting:
                self._news.wait()
                self._news.clear()
                continue
            alert, ended = first = self._waiting[0]
            fault = self._send(alert, ended=ended)
            if self._stop.is_set():
                return
            if fault is None:
                retry_s = self._first_retry_s
                if self._failing:
                    log.info("the webhook takes alerts again")
                self._failing = False
                if self._waiting and self._waiting[0] is first:  # else it fell out at the other end
                    self._waiting.popleft()
                self.told(alert.id, ALL if ended else BEGAN)
                continue
            if not self._failing:
                log.warning("the webhook does not take alerts: %s; trying again, [alerts] in center.toml", fault)
            self._failing = True
            self._stop.wait(retry_s)
            retry_s = min(2 * retry_s, LAST_RETRY_S)

    def _send(self, alert: Alert, *, ended: bool) -> str | None:
        """POST one message; return why it was not taken, or None if there is nothing more to do about it."""
        event_id, body = message(alert, center=self._center, ended=ended)
        headers = {"content-type": CONTENT_TYPE, "user-agent": "motcua", "webhook-id": event_id}
        timestamp = self._clock.now_ms() // 1000
        headers["webhook-timestamp"] = str(timestamp)
        if self._secret is not None:
            headers["webhook-signature"] = sign(self._secret, event_id=event_id, timestamp=timestamp, body=body)
        self._over.clear()
        limit = threading.Timer(self._timeout_s, self._hang_up)  # a socket's own time-out begins anew with each byte
        limit.daemon = True
        limit.start()
        try:
            status, where = self._post(body, headers)
        except (OSError, http.client.HTTPException, ValueError) as error:
            if self._over.is_set():
                return f"it is not done within {self._timeout_s:g} s"
            return str(error) or type(error).__name__
        finally:
            limit.cancel()
            self._socket = None
        if 200 <= status < 300:
            return None
        if 300 <= status < 400:
            return f"it answers {status} and leads to {where}: alerts are sent to the address in the file only"
        if 400 <= status < 500 and status not in _AGAIN:
            log.warning("the webhook refuses an alert with %d; it is not sent again: %s", status, event_id)
            return None
        return f"it answers {status}"

    def _post(self, body: bytes, headers: dict[str, str]) -> tuple[int, str]:
        url = self._url
        host, port = url.hostname or "", url.port
        connection: http.client.HTTPConnection
        if url.scheme == "https":
            context = ssl.create_default_context()
            connection = http.client.HTTPSConnection(host, port, timeout=self._timeout_s, context=context)
            connection.sock = self._connect(host, port or http.client.HTTPS_PORT, context)
        else:
            connection = http.client.HTTPConnection(host, port, timeout=self._timeout_s)
            connection.sock = self._connect(host, port or http.client.HTTP_PORT)
        try:
            path = (url.path or "/") + (f"?{url.query}" if url.query else "")
            connection.request("POST", path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.getheader("location", "elsewhere")[:200]
        finally:
            connection.close()

    def _connect(self, host: str, port: int, context: ssl.SSLContext | None = None) -> socket.socket:
        """Return a connection by the first address that takes it; at each moment `_hang_up` can end what goes on."""
        fault = OSError(f"{host} has no address")
        for family, kind, protocol, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
            sock = self._held(socket.socket(family, kind, protocol))
            try:
                sock.settimeout(self._timeout_s)
                sock.connect(address)
                if context is not None:
                    # Not at once: a handshake that drips has to be ours to end.
                    sock = self._held(context.wrap_socket(sock, server_hostname=host, do_handshake_on_connect=False))
                    sock.do_handshake()
            except OSError as error:
                sock.close()
                fault = error
            else:
                return sock
        raise fault

    def _held(self, sock: S) -> S:
        """Let `_hang_up` know what to end; raise if it came before."""
        self._socket = sock
        if self._over.is_set() or self._stop.is_set():
            sock.close()
            raise TimeoutError
        return sock

    def _hang_up(self) -> None:
        """End a POST that takes too long."""
        self._over.set()
        sock = self._socket
        if sock is not None:
            try:
                socket.socket.shutdown(sock, socket.SHUT_RDWR)  # a TLS socket's own would pull its state away meanwhile
            except OSError:
                log.debug("the webhook's connection had ended already")
