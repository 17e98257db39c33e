"""Alerts on their way to another program: a real HTTP server that takes, refuses, dawdles, redirects and dies."""

import base64
import hashlib
import hmac
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from center.config import Alerts as AlertsConfig
from center.config import Config
from center.errors import ConfigError
from center.fleet.alerts import Alert
from center.fleet.book import ALL, BEGAN, NOTHING
from center.fleet.fleet import Fleet
from center.fleet.webhook import Webhook, make_webhook, read_secret
from center.hall import Hall
from center.keys import papers
from tests.center.conftest import TestClock
from tests.center.fleet.test_fleet import report, rows
from tests.support.keys import in_days
from tests.support.waiting import wait_for

ALERT = Alert(id="a1", station="q01", device="rating", kind="hot", detail="81 °C", begun_at=1_795_395_600_000)
SECRET = b"0123456789abcdef"


class Receiver:
    """An HTTP server of another program. `answers` says what it does with each POST, then with all others."""

    def __init__(self) -> None:
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.answers: list[Callable[[BaseHTTPRequestHandler], None]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                receiver.got.append((headers | {":path": self.path}, body))
                answer = receiver.answers.pop(0) if receiver.answers else status(204)
                answer(self)

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/alerts?center=1"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def speak_tls(self, context: ssl.SSLContext) -> None:
        """Take what comes from now on over TLS only."""
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)

    def ids(self) -> list[str]:
        """Return the ids of what came, in order."""
        return [json.loads(body)["id"] for _, body in self.got]

    def close(self) -> None:
        """Die."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def status(code: int, **headers: str) -> Callable[[BaseHTTPRequestHandler], None]:
    """Answer with a status."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(code)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.end_headers()

    return answer


def dawdle(handler: BaseHTTPRequestHandler) -> None:
    """Send a byte now and then: no single wait is long."""
    try:
        for byte in b"HTTP/1.1 204 No Content\r\n\r\n":
            handler.wfile.write(bytes((byte,)))
            handler.wfile.flush()
            time.sleep(0.1)
    except OSError:
        return


def hang_up(handler: BaseHTTPRequestHandler) -> None:
    """Close the connection without an answer."""
    handler.connection.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A server that takes everything."""
    one = Receiver()
    yield one
    one.close()


@pytest.fixture
def make(clock: TestClock) -> Iterator[Callable[..., Webhook]]:
    """Start webhooks; they are stopped after the test."""
    made: list[Webhook] = []

    def one(url: str, **settings: Any) -> Webhook:
        webhook = Webhook(url, center="bentre", clock=clock, first_retry_s=0.02, **{"timeout_s": 20, **settings})
        webhook.start()
        made.append(webhook)
        return webhook

    yield one
    for webhook in made:
        webhook.stop()
        assert not webhook._thread.is_alive()


def test_an_alert_is_told_as_a_signed_cloudevent(
    receiver: Receiver, make: Callable[..., Webhook], clock: TestClock
) -> None:
    """What arrives is a CloudEvent in structured JSON whose signature the receiver can check with the secret alone."""
    make(receiver.url, secret=SECRET).put(ALERT, NOTHING)
    wait_for(lambda: receiver.got)
    headers, body = receiver.got[0]
    assert headers[":path"] == "/alerts?center=1"
    assert headers["content-type"] == "application/cloudevents+json; charset=utf-8"
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.new(SECRET, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    assert int(headers["webhook-timestamp"]) == clock.wall_ms // 1000
    assert json.loads(body) == {
        "specversion": "1.0",
        "id": "a1-began",
        "type": "vn.motcua.alert.began.v1",
        "source": "/bentre",
        "subject": "q01/rating",
        "time": "2026-11-23T01:00:00.000Z",
        "datacontenttype": "application/json",
        "data": {
            "alert": "a1",
            "kind": "hot",
            "detail": "81 °C",
            "station": "q01",
            "device": "rating",
            "begun_at": "2026-11-23T01:00:00.000Z",
            "ended_at": None,
        },
    }


def test_beginning_and_end_arrive_in_order(receiver: Receiver, make: Callable[..., Webhook]) -> None:
    """An alert that ended before anybody was told is told whole, the beginning first; what was told is not repeated."""
    webhook = make(receiver.url)
    told: list[tuple[str, int]] = []
    webhook.told = lambda alert, what: told.append((alert, what))
    ended = Alert(**{**{name: getattr(ALERT, name) for name in ALERT.__struct_fields__}, "ended_at": ALERT.begun_at})
    webhook.put(ended, NOTHING)
    webhook.put(ended, BEGAN)
    webhook.put(ended, ALL)
    wait_for(lambda: len(told) == 3)
    assert receiver.ids() == ["a1-began", "a1-ended", "a1-ended"]
    assert told == [("a1", BEGAN), ("a1", ALL), ("a1", ALL)]


@pytest.mark.parametrize(
    "answer", [status(500), status(503), status(429), status(401), hang_up, dawdle], ids=lambda one: one.__qualname__
)
def test_what_was_not_taken_is_sent_again(
    receiver: Receiver, make: Callable[..., Webhook], answer: Callable[[BaseHTTPRequestHandler], None]
) -> None:
    """A server that fails, hangs up, or never comes to an end of its answer gets the same message again, in order."""
    receiver.answers = [answer, answer]
    webhook = make(receiver.url, timeout_s=0.8 if answer is dawdle else 20)
    webhook.put(ALERT, NOTHING)
    webhook.put(Alert(id="a2", station="q02", device="rating", kind="lost", detail="", begun_at=0), NOTHING)
    wait_for(lambda: "a2-began" in receiver.ids())
    told = receiver.ids()
    tries = told.index("a2-began")
    assert told[:tries] == ["a1-began"] * tries
    assert tries == 3 or (answer is dawdle and tries > 3)  # a busy machine may dawdle, too


class Mute:
    """A server that takes connections and never ends a handshake: it says nothing, or a byte of one now and then."""

    def __init__(self, *, drips: bool) -> None:
        self.came, self.gone, self._drips = 0, 0, drips
        self._end = threading.Event()
        self._server = socket.create_server(("127.0.0.1", 0))
        self._server.settimeout(0.05)
        self.url = f"https://127.0.0.1:{self._server.getsockname()[1]}/"
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Mute":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()
        self._server.close()

    def _run(self) -> None:
        while not self._end.is_set():
            try:
                sock, _ = self._server.accept()
            except TimeoutError:
                continue
            self.came += 1
            with sock:
                sock.settimeout(0.05)
                self._bear(sock)
            self.gone += 1

    def _bear(self, sock: socket.socket) -> None:
        """Stay until the other side hangs up."""
        record = iter(b"\x16\x03\x03\x40\x00")  # a handshake of 16 kB begins
        while not self._end.is_set():
            try:
                if self._drips:
                    sock.sendall(bytes([next(record, 0)]))
                if not sock.recv(4096):
                    return
            except TimeoutError:
                continue
            except OSError:
                return


@pytest.mark.parametrize("drips", [False, True])
def test_a_handshake_that_never_ends_is_ended(make: Callable[..., Webhook], drips: bool) -> None:
    """A server that says nothing over TLS, or a byte now and then, is left after the limit, and tried again."""
    with Mute(drips=drips) as server:
        webhook = make(server.url, timeout_s=0.5)
        webhook.put(ALERT, NOTHING)
        wait_for(lambda: server.came >= 3 and server.gone >= 2)
        assert webhook.waiting() == 1


def test_stopping_does_not_wait_for_a_handshake(clock: TestClock) -> None:
    """A center stops at once, although its webhook is in the middle of a handshake."""
    with Mute(drips=True) as server:
        webhook = Webhook(server.url, center="bentre", clock=clock, timeout_s=20)
        webhook.start()
        webhook.put(ALERT, NOTHING)
        wait_for(lambda: server.came)
        began = time.monotonic()
        webhook.stop()
        assert not webhook._thread.is_alive()
        assert time.monotonic() - began < 10


def test_an_alert_goes_over_tls(
    receiver: Receiver, make: Callable[..., Webhook], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server whose certificate is vouched for gets alerts by https; one with another name gets none."""
    authority, certificate = make_authority(tmp_path), tmp_path / "localhost.pem"
    pair = papers.make(authority, "localhost", use="server", until=in_days(9), names=["localhost"])
    certificate.write_bytes(pair.pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    receiver.speak_tls(context)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "root.pem"))
    make(f"https://localhost:{receiver.port}/").put(ALERT, NOTHING)
    wait_for(lambda: receiver.ids() == ["a1-began"])
    stranger = make(f"https://127.0.0.1:{receiver.port}/")
    stranger.put(ALERT, NOTHING)
    wait_for(lambda: stranger._failing)
    assert receiver.ids() == ["a1-began"]


def make_authority(folder: Path) -> papers.Pair:
    """Return an authority whose certificate is in `root.pem`."""
    made = papers.make_root("test", now=in_days(0))
    (folder / "root.pem").write_bytes(papers.pem(made.certificate))
    return made


def test_a_message_that_is_refused_for_good_holds_nothing_up(
    receiver: Receiver, make: Callable[..., Webhook], caplog: pytest.LogCaptureFixture
) -> None:
    """A message that the other side cannot read is logged and left; the next one follows."""
    receiver.answers = [status(422)]
    webhook = make(receiver.url)
    webhook.put(ALERT, NOTHING)
    webhook.put(Alert(id="a2", station="q02", device="rating", kind="lost", detail="", begun_at=0), NOTHING)
    wait_for(lambda: len(receiver.got) == 2)
    assert receiver.ids() == ["a1-began", "a2-began"]
    assert "refuses an alert with 422" in caplog.text


def test_a_redirect_is_not_followed(
    receiver: Receiver, make: Callable[..., Webhook], caplog: pytest.LogCaptureFixture
) -> None:
    """Alerts go to the address in the file and nowhere else, whatever is answered there."""
    elsewhere = Receiver()
    try:
        receiver.answers = [status(307, Location=elsewhere.url)]
        make(receiver.url).put(ALERT, NOTHING)
        wait_for(lambda: len(receiver.got) == 2)
        assert elsewhere.got == []
        assert f"answers 307 and leads to {elsewhere.url}" in caplog.text
    finally:
        elsewhere.close()


def test_a_server_that_is_away_is_said_once(
    make: Callable[..., Webhook], receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    """A server that is not there is one line in the log until it is back, and then gets all that waited."""
    port = receiver.port
    receiver.close()
    caplog.set_level("INFO")
    webhook = make(f"http://127.0.0.1:{port}/")
    for number in range(3):
        webhook.put(Alert(id=f"a{number}", station="q", device="d", kind="hot", detail="", begun_at=0), NOTHING)
    wait_for(lambda: "does not take alerts" in caplog.text)
    wait_for(lambda: webhook._thread.is_alive() and caplog.text.count("does not take alerts") == 1)
    back = ThreadingHTTPServer(("127.0.0.1", port), _Taker)
    _Taker.ids.clear()
    thread = threading.Thread(target=back.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        wait_for(lambda: len(_Taker.ids) == 3)
        assert [f"a{number}-began" for number in range(3)] == _Taker.ids
        wait_for(lambda: "takes alerts again" in caplog.text)
        assert caplog.text.count("does not take alerts") == 1
    finally:
        back.shutdown()
        back.server_close()
        thread.join()


class _Taker(BaseHTTPRequestHandler):
    ids: list[str] = []  # noqa: RUF012 – one server at a time

    def do_POST(self) -> None:
        self.ids.append(json.loads(self.rfile.read(int(self.headers["content-length"])))["id"])
        status(200)(self)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def test_stopping_does_not_wait_for_a_slow_server(receiver: Receiver, clock: TestClock) -> None:
    """A center stops at once, although its webhook is in the middle of a POST that is never answered."""
    held = threading.Event()

    def hold(_handler: BaseHTTPRequestHandler) -> None:
        held.wait(20)

    receiver.answers = [hold]
    webhook = Webhook(receiver.url, center="bentre", clock=clock, timeout_s=20)
    webhook.start()
    webhook.put(ALERT, NOTHING)
    wait_for(lambda: receiver.got)
    began = time.monotonic()
    webhook.stop()
    took_s = time.monotonic() - began
    held.set()
    assert not webhook._thread.is_alive()
    assert took_s < 10


def test_a_full_queue_lets_the_oldest_go(make: Callable[..., Webhook], monkeypatch: pytest.MonkeyPatch) -> None:
    """However long nobody takes alerts, no more than a thousand wait in memory."""
    monkeypatch.setattr("center.fleet.webhook.FIRST_RETRY_S", 60)
    webhook = make("http://127.0.0.1:1/")
    for number in range(1_100):
        webhook.put(Alert(id=f"a{number}", station="q", device="d", kind="hot", detail="", begun_at=0), NOTHING)
    assert webhook.waiting() == 1_000


def test_what_was_not_told_is_told_after_a_restart(
    hall: Hall, config: Config, clock: TestClock, receiver: Receiver
) -> None:
    """An alert that the receiver did not take before the center stopped is told after it started, and only once."""
    fleet = Fleet(hall, config, webhook=Webhook("http://127.0.0.1:1/", center="bentre", clock=clock))
    fleet.begin()
    report(hall, "q01", "rating", "lost")
    for _ in range(8):
        clock.advance(10)
        fleet.look()
    fleet.stop()
    for expected in (1, 1):
        again = Fleet(hall, config, webhook=Webhook(receiver.url, center="bentre", clock=clock))
        again.begin()
        wait_for(lambda: rows(config, "SELECT told FROM alert") == [(BEGAN,)])
        again.stop()
        assert len(receiver.got) == expected


def test_who_listens_later_hears_what_is_open(hall: Hall, config: Config, clock: TestClock, receiver: Receiver) -> None:
    """A webhook that is set up while an alert is open is told of it, and not of those that were over before."""
    fleet = Fleet(hall, config)
    fleet.begin()
    report(hall, "q01", "rating", "lost")
    report(hall, "q02", "rating", "lost")
    for _ in range(8):
        clock.advance(10)
        fleet.look()
    for _ in range(15):
        clock.advance(10)
        report(hall, "q02", "rating")
        fleet.look()
    fleet.stop()
    assert [one.ended_at is None for one in fleet.board.alerts] == [True, False]
    again = Fleet(hall, config, webhook=Webhook(receiver.url, center="bentre", clock=clock))
    again.begin()
    wait_for(lambda: receiver.got)
    wait_for(lambda: again._webhook is not None and not again._webhook.waiting())
    again.stop()
    assert [json.loads(body)["subject"] for _, body in receiver.got] == ["q01/rating"]


def test_a_secret_is_read_in_both_forms(tmp_path: Path, clock: TestClock) -> None:
    """A secret is a line as it is, or base64 after whsec_; one that is short, or not there, is refused in a line."""
    file = tmp_path / "secret"
    file.write_text("0123456789abcdef\n")
    assert read_secret(str(file)) == SECRET
    file.write_text(f"whsec_{base64.b64encode(SECRET).decode()}")
    assert read_secret(str(file)) == SECRET
    for wrong, words in (("short", "at least 16 bytes"), ("whsec_%%%", "base64")):
        file.write_text(wrong)
        with pytest.raises(ConfigError, match=words):
            read_secret(str(file))
    config = AlertsConfig(webhook="https://x.example/", secret_file=str(tmp_path / "none"))
    with pytest.raises(ConfigError, match=r"alerts\.secret_file"):
        make_webhook(config, center="bentre", clock=clock)
    assert make_webhook(AlertsConfig(), center="bentre", clock=clock) is None
