"""The way to the broker, step by step: name, port, TLS, login, and who is heard there.

The visitor has a client id of its own, so nobody is thrown off; it subscribes and publishes nothing.
"""

import contextlib
import os
import socket
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from host.doctor import certificates
from host.doctor.finding import Finding, ok, problem

TIMEOUT_S = 4.0
HEAR_S = 7.0
"""The center speaks every 5 s."""

GOODBYE_S = 0.5

_NOT_YET_VALID, _EXPIRED = 9, 10  # X509_V_ERR_CERT_* of OpenSSL
_WRONG_NAME = (62, 64)  # host name, IP address


@dataclass(frozen=True, slots=True)
class Door:
    """Where the broker is and how one comes in."""

    host: str
    port: int
    username: str | None = None
    password: str | None = None
    mqtt_5: bool = False
    context: ssl.SSLContext | None = None
    explain: Callable[[OSError], str | None] = lambda _: None
    """Says what a TLS that failed means, for who knows more of the keys."""
    needs_new_keys: Callable[[OSError], bool] = lambda _: False
    new_keys: str = ""
    """What to do about keys that are refused for good."""


@dataclass(slots=True)
class Word:
    """What was heard on a topic; `live` when it was said while we listened."""

    payload: bytes
    live: bool


@dataclass(slots=True)
class VisitFacts:
    """How far the visit came. A fault ends it, so at most one of them is set."""

    addresses: Sequence[str] = ()
    name_fault: str = ""
    port_fault: str = ""
    tls_fault: str = ""
    tls_code: int = 0
    key_refused: bool = False
    login_fault: str = ""
    certificate: dict[str, Any] = field(default_factory=dict)
    refused_topics: Sequence[str] = ()
    heard: dict[str, Word] = field(default_factory=dict)
    let_in: bool = False


def probe(door: Door, topics: Sequence[str], *, enough: Callable[[dict[str, Word]], bool]) -> VisitFacts:
    """Visit the broker and listen until `enough` was heard, or for a while."""
    facts = VisitFacts()
    try:
        found = socket.getaddrinfo(door.host, door.port, type=socket.SOCK_STREAM)
    except OSError as error:
        facts.name_fault = error.strerror or str(error)
        return facts
    facts.addresses = sorted({str(each[4][0]) for each in found})
    try:
        with socket.create_connection((door.host, door.port), timeout=TIMEOUT_S) as sock:
            if door.context is not None:
                _shake_hands(door, sock, facts)
    except OSError as error:
        facts.port_fault = error.strerror or str(error)
    if not facts.port_fault and not facts.tls_fault:
        _listen(door, topics, enough, facts)
    return facts


def judge(facts: VisitFacts, door: Door, *, now: datetime, clock_is_set: bool) -> Sequence[Finding]:
    """Judge the way to the broker; what was heard there is the caller's business."""
    where = f"{door.host}:{door.port}"
    if facts.name_fault:
        return [
            problem(
                "broker-name",
                f"the name {door.host} leads nowhere: {facts.name_fault}",
                "correct host under [broker], or give the address itself, as 192.168.10.2",
            )
        ]
    if facts.port_fault:
        return [
            problem(
                "broker-silent",
                f"nobody answers at {where}: {facts.port_fault}",
                "check cable and network (ping), that the center runs, and host and port under [broker]",
            )
        ]
    if facts.tls_fault:
        return [_explain_tls(facts, door, clock_is_set=clock_is_set)]
    found = [ok("broker-answers", f"{where} answers" + (" over TLS" if door.context is not None else ""))]
    if facts.certificate:
        found.append(
            certificates.judge_dates(
                f"its certificate ({_name_in(facts.certificate)})",
                certificates.instant(facts.certificate.get("notBefore")),
                certificates.instant(facts.certificate.get("notAfter")),
                now=now,
                renew="renew it at the center (docs/guide/operator.md)",
            )
        )
    if facts.login_fault:
        found.append(
            problem(
                "broker-refused",
                f"{where} does not let us in: {facts.login_fault}",
                "check username, password_file, cert_file and protocol under [broker]; the broker's log has its side",
            )
        )
    else:
        found.append(ok("broker-login", "it lets us in"))
    return found


def _explain_tls(facts: VisitFacts, door: Door, *, clock_is_set: bool) -> Finding:
    where = f"{door.host}:{door.port}"
    if facts.tls_code in (_NOT_YET_VALID, _EXPIRED):
        do = "renew it at the center" if clock_is_set else "the clock here was not set: timedatectl"
        return problem("broker-certificate-time", f"{where}: {facts.tls_fault}", do)
    if facts.tls_code in _WRONG_NAME:
        return problem(
            "broker-certificate-name",
            f"the certificate of {where} is for another name: {facts.tls_fault}",
            "use as host under [broker] a name or address that is in the certificate",
        )
    if facts.tls_code:
        return problem(
            "broker-certificate",
            f"{where} is not vouched for by ca_file: {facts.tls_fault}",
            "put the center's own root certificate there; if it is the right one, this is not your center's broker",
        )
    if facts.key_refused:
        return problem("broker-key-refused", f"{where}: {facts.tls_fault}", door.new_keys)
    return problem(
        "broker-tls",
        f"{where} does not speak TLS with us: {facts.tls_fault}",
        "check port (8883 for TLS, 1883 without), cert_file and key_file under [broker]",
    )


def trusting(root: Path) -> ssl.SSLContext:
    """Return how to trust only what a root certificate vouches for; raise OSError.

    By TLS 1.2, in which a broker says why it refuses a certificate; with 1.3 it just ends.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(root)
    return context


def _shake_hands(door: Door, sock: socket.socket, facts: VisitFacts) -> None:
    assert door.context is not None  # noqa: S101 - the caller has looked
    try:
        with door.context.wrap_socket(sock, server_hostname=door.host) as wrapped:
            facts.certificate = dict(wrapped.getpeercert() or {})
            wrapped.settimeout(GOODBYE_S)
            with contextlib.suppress(OSError):
                wrapped.unwrap()  # else the broker complains of us in its log
    except ssl.SSLCertVerificationError as error:
        facts.tls_fault, facts.tls_code = door.explain(error) or error.verify_message, error.verify_code
    except OSError as error:
        reason = getattr(error, "reason", "") or error.strerror or str(error)
        facts.tls_fault = door.explain(error) or reason or "the connection was closed"
        facts.key_refused = door.needs_new_keys(error)


def _listen(door: Door, topics: Sequence[str], enough: Callable[[dict[str, Word]], bool], facts: VisitFacts) -> None:
    import paho.mqtt.client as paho
    from paho.mqtt.enums import CallbackAPIVersion

    said: list[str] = []
    subscribed: list[Sequence[Any]] = []
    client = paho.Client(
        CallbackAPIVersion.VERSION2,
        client_id=f"doctor-{os.urandom(4).hex()}",
        clean_session=None if door.mqtt_5 else True,
        protocol=paho.MQTTv5 if door.mqtt_5 else paho.MQTTv311,
        reconnect_on_failure=False,
    )
    client.connect_timeout = TIMEOUT_S
    if door.username is not None:
        client.username_pw_set(door.username, door.password)
    if door.context is not None:
        client.tls_set_context(door.context)

    def on_connect(client: paho.Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            said.append(str(reason))
        else:
            client.subscribe([(topic, 1) for topic in topics])

    def on_message(_client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        facts.heard[message.topic] = Word(bytes(message.payload), live=not message.retain)

    client.on_connect = on_connect
    client.on_subscribe = lambda _client, _data, _mid, reasons, _properties: subscribed.append(reasons)
    client.on_message = on_message
    client.on_log = lambda _client, _data, level, text: said.append(text) if level == paho.MQTT_LOG_ERR else None
    try:
        client.connect(door.host, door.port)
        deadline = time.monotonic() + TIMEOUT_S
        while not said and time.monotonic() < deadline and not (subscribed and enough(facts.heard)):
            if client.loop(0.1) != paho.MQTT_ERR_SUCCESS:
                break
            if len(subscribed) == 1:
                subscribed.append(())  # heard once: from here the time to listen counts
                deadline = time.monotonic() + HEAR_S
        if not subscribed:
            facts.login_fault = said[0] if said else "it does not answer as an MQTT broker"
    except OSError as error:
        facts.login_fault = error.strerror or str(error)
    finally:
        client.disconnect()
        client.loop(0.1)
    if subscribed:
        facts.let_in = True
        facts.refused_topics = [topic for topic, reason in zip(topics, subscribed[0], strict=True) if reason.is_failure]


def _name_in(certificate: dict[str, Any]) -> str:
    for part in certificate.get("subject", ()):
        for key, value in part:
            if key == "commonName":
                return str(value)
    return "without a name"
