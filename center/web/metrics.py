"""Figures for Prometheus at `GET /metrics`: counted as events pass, or read off the pages' mirror when asked.

No figure tells of a single rating: there is one count of all ratings, without level, counter or officer. A figure that
grows by one just after a citizen has left a counter would tell how that citizen rated.
"""

import hmac
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, version
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from litestar import Request, Response, get
from litestar.datastructures import State as AppState
from litestar.handlers import HTTPRouteHandler
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from center.answers import Change
from center.config import Config
from center.errors import ConfigError
from center.fleet.fleet import Fleet
from center.hall import Hall
from center.queue.model import (
    ServingStarted,
    Ticket,
    TicketCalled,
    TicketIssued,
    TicketNoShow,
    TicketServed,
)
from center.web.gate import Problem, RefusedError
from center.web.stream import Hub

_MINUTE = 60
WAITS = tuple(_MINUTE * minutes for minutes in (1, 2, 5, 10, 15, 20, 30, 45, 60, 90, 120))
COMMITS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
SECRET_BYTES = 16


class Metrics:
    """All figures of one center, in a registry of its own."""

    def __init__(self, config: Config, hall: Hall, hub: Hub, fleet: Fleet) -> None:
        self._hall = hall
        self.registry = registry = CollectorRegistry()

        def counter(name: str, words: str, *labels: str) -> Counter:
            return Counter(f"motcua_{name}", words, labels, registry=registry)

        self._issued = counter("tickets_issued", "Numbers given out.", "service")
        self._called = counter("tickets_called", "Numbers called, without calls again.", "counter")
        self._served = counter("tickets_served", "Visits that ended.", "counter")
        self._no_show = counter("tickets_no_show", "Numbers at whose call nobody came.", "counter")
        self._ratings = counter("ratings", "Ratings counted; how anybody rated is no figure.")
        self._ingested = counter("events_ingested", "Events of devices stored.")
        self._wait = Histogram(
            "motcua_ticket_wait_seconds", "From number to call.", ["service"], buckets=WAITS, registry=registry
        )
        self._service = Histogram(
            "motcua_ticket_service_seconds", "From start to end.", ["service"], buckets=WAITS, registry=registry
        )
        self._commit = Histogram(
            "motcua_store_commit_seconds", "One durable commit.", buckets=COMMITS, registry=registry
        )
        for service in config.service:
            for by_service in (self._issued, self._wait, self._service):
                by_service.labels(service.id)
        for place in config.counter:
            for by_counter in (self._called, self._served, self._no_show):
                by_counter.labels(place.id)
        registry.register(_Now(config, hall, hub, fleet))
        ProcessCollector(registry=registry)
        self._token = _token(config.metrics.token_file)

    def start(self) -> None:
        """Begin to count."""
        self._hall.subscribe(self._count)

    def stop(self) -> None:
        """Stop counting."""
        if self._hall.alive():
            self._hall.unsubscribe(self._count)

    def allows(self, address: str, authorization: str, *, forwarded: bool) -> bool:
        """Whether somebody may read: from this machine itself, not through a proxy on it, or by the token."""
        if self._token is not None and hmac.compare_digest(authorization.encode(), b"Bearer " + self._token):
            return True
        try:
            return ip_address(address).is_loopback and not forwarded
        except ValueError:
            return False

    def text(self) -> bytes:
        """Return everything in Prometheus's text format."""
        return generate_latest(self.registry)

    def _count(self, change: Change) -> None:
        """Take in a commit, in the hall's thread."""
        self._commit.observe(change.commit_s)
        self._ratings.inc(len(change.ratings))
        self._ingested.inc(change.stored)
        for event in change.events:
            if isinstance(event, TicketIssued):
                self._issued.labels(event.service).inc()
            elif isinstance(event, TicketCalled | ServingStarted | TicketServed | TicketNoShow):
                ticket = change.state.tickets.get(event.ticket)
                if ticket is not None:
                    self._visit(event, ticket)

    def _visit(self, event: TicketCalled | ServingStarted | TicketServed | TicketNoShow, ticket: Ticket) -> None:
        where = event.counter or ""
        if isinstance(event, TicketCalled):
            self._called.labels(where).inc()
            self._wait.labels(ticket.service).observe(max(0, event.at - ticket.issued_at) / 1000)
        elif isinstance(event, TicketNoShow):
            self._no_show.labels(where).inc()
        elif isinstance(event, TicketServed):
            self._served.labels(where).inc()
            if ticket.started_at is not None:
                self._service.labels(ticket.service).observe(max(0, event.at - ticket.started_at) / 1000)


class _Now(Collector):
    """What is read when somebody asks; only in the event loop, whose mirror it reads."""

    def __init__(self, config: Config, hall: Hall, hub: Hub, fleet: Fleet) -> None:
        self._database = Path(config.data_dir) / "center.db"
        self._hall, self._hub, self._fleet = hall, hub, fleet

    def describe(self) -> Iterable[Metric]:
        """Say nothing beforehand: there may be no mirror yet."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Return the gauges."""
        hub, board = self._hub, self._fleet.board
        hub.catch_up()
        yield InfoMetricFamily("motcua_build", "The program.", {"version": _version()})
        yield _gauge("storing", "Whether the store took what was last given to it.", self._hall.storing())
        yield _gauge("broker_connected", "Whether there is contact to the broker.", hub.reached())
        yield CounterMetricFamily(
            "motcua_broker_ends", "How often the broker ended by itself.", self._fleet.broker_ends()
        )
        parts = [path for suffix in ("", "-wal") if (path := Path(f"{self._database}{suffix}")).exists()]
        if parts:
            size = sum(path.stat().st_size for path in parts)
            yield _gauge("store_bytes", "How large the database is, with what is not merged into it yet.", size)
        waiting = GaugeMetricFamily("motcua_tickets_waiting", "Who waits now.", labels=["service"])
        for service in hub.mirror.state.services:
            waiting.add_metric([service], hub.mirror.waiting[service])
        yield waiting
        alerts = GaugeMetricFamily("motcua_alerts_firing", "Alerts that are open.", labels=["kind"])
        kinds = [one.kind for one in board.alerts if one.ended_at is None]
        for kind in sorted(set(kinds)):
            alerts.add_metric([kind], kinds.count(kind))
        yield alerts
        yield from self._devices()

    def _devices(self) -> Iterator[Metric]:
        def family(name: str, words: str, *more: str) -> GaugeMetricFamily:
            return GaugeMetricFamily(f"motcua_device_{name}", words, labels=["station", "device", *more])

        up = family("up", "Whether the device is there; nothing is known while the broker is away.")
        seen = family("last_seen_timestamp_seconds", "When it last said anything.")
        depth = family("outbox_events", "Events that wait at the device.")
        heat = family("temperature_celsius", "Its processor.")
        disk = family("disk_free_bytes", "Where its outbox is.")
        memory = family("memory_bytes", "What its program uses.")
        info = family("info", "Its version.", "version")
        reached = self._hub.reached()
        for one in self._hub.mirror.devices.values():
            name = [one.station, one.device]
            seen.add_metric(name, one.seen_at / 1000)
            if reached and one.status is not None:
                up.add_metric(name, one.status.state == "online")
                info.add_metric([*name, one.status.version], 1)
            if one.health is not None:
                depth.add_metric(name, one.health.outbox_depth)
                for figure, value, factor in (
                    (heat, one.health.temperature_c, 1),
                    (disk, one.health.disk_free_mb, 1 << 20),
                    (memory, one.health.memory_mb, 1 << 20),
                ):
                    if value is not None:
                        figure.add_metric(name, value * factor)
        yield from (up, seen, depth, heat, disk, memory, info)


def _gauge(name: str, words: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"motcua_{name}", words, float(value))


def _version() -> str:
    try:
        return version("motcua")
    except PackageNotFoundError:  # run from a folder that was never installed
        return "unknown"


def _token(path: str | None) -> bytes | None:
    if path is None:
        return None
    try:
        token = Path(path).read_bytes().strip()
    except OSError as error:
        raise ConfigError(f"{path}: metrics.token_file: a file with the token on one line: {error.strerror}") from error
    if len(token) < SECRET_BYTES:
        raise ConfigError(f"{path}: metrics.token_file: a token of at least {SECRET_BYTES} bytes, got {len(token)}")
    return token


def route(metrics: Metrics) -> HTTPRouteHandler:
    """Return the route of a center's figures."""

    @get("/metrics", include_in_schema=False, sync_to_thread=False)
    def read(request: Request[Any, Any, AppState]) -> Response[bytes]:
        address = request.client.host if request.client else ""
        forwarded = "x-forwarded-for" in request.headers or "forwarded" in request.headers
        if not metrics.allows(address, request.headers.get("authorization", ""), forwarded=forwarded):
            words = "metrics are read on this machine, or with the token of [metrics] token_file"
            raise RefusedError(403, Problem(code="forbidden", message=words))
        return Response(metrics.text(), headers={"content-type": CONTENT_TYPE_LATEST, "cache-control": "no-store"})

    return read
