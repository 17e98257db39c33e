"""Figures for Prometheus: readable by its own parser, right, closed to strangers, and silent about single ratings."""

from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from msgspec.structs import replace
from prometheus_client.parser import text_string_to_metric_families

from center.config import Metrics as MetricsConfig
from center.errors import ConfigError
from center.web.metrics import Metrics
from tests.center.web.site import Center
from tests.center.web.test_pages import report

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def scrape(client: httpx.Client, **headers: str) -> Samples:
    """Read the figures as Prometheus would, strictly."""
    answer = client.get("/metrics", headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/plain")
    found: Samples = {}
    names = set()
    for family in text_string_to_metric_families(answer.text):
        assert family.documentation, family.name
        assert family.type != "unknown", family.name
        assert family.name not in names
        names.add(family.name)
        for sample in family.samples:
            key = (sample.name, frozenset(sample.labels.items()))
            assert key not in found
            found[key] = sample.value
    return found


def one(samples: Samples, name: str, **labels: str) -> float:
    """Return one figure."""
    return samples[f"motcua_{name}", frozenset(labels.items())]


def test_a_visit_is_counted_where_it_happened(center: Center) -> None:
    """Numbers, calls, visits, waits and events are counted, from zero, for each service and counter."""
    before = scrape(center.http)
    assert one(before, "tickets_issued_total", service="dat-dai") == 0
    assert one(before, "tickets_served_total", counter="q01") == 0
    center.issue(count=3)
    for action in ("open", "call_next", "start", "finish", "call_next", "no_show"):
        center.at("q01", action)
    after = scrape(center.http)
    assert one(after, "tickets_issued_total", service="dat-dai") == 3
    assert one(after, "tickets_called_total", counter="q01") == 2
    assert one(after, "tickets_served_total", counter="q01") == 1
    assert one(after, "tickets_no_show_total", counter="q01") == 1
    assert one(after, "tickets_waiting", service="dat-dai") == 1
    assert one(after, "ticket_wait_seconds_count", service="dat-dai") == 2
    assert one(after, "ticket_wait_seconds_bucket", service="dat-dai", le="60.0") == 2
    assert one(after, "ticket_service_seconds_count", service="dat-dai") == 1
    assert one(after, "store_commit_seconds_count") >= 9
    assert one(after, "store_commit_seconds_sum") > 0
    assert one(after, "store_bytes") > 50_000
    assert one(after, "storing") == one(after, "broker_connected") == 1
    assert after["process_resident_memory_bytes", frozenset()] > 1e6


def test_devices_and_alerts_have_figures(center: Center) -> None:
    """Each device has its figures in base units; of one that is away from the broker it is not said that it is up."""
    report(center, "q01", "rating", outbox_depth=7, temperature_c=51.5, disk_free_mb=1000, memory_mb=24.5)
    report(center, "q02", "display", state="lost")
    found = scrape(center.http)
    q01 = {"station": "q01", "device": "rating"}
    assert one(found, "device_up", **q01) == 1
    assert one(found, "device_up", station="q02", device="display") == 0
    assert one(found, "device_outbox_events", **q01) == 7
    assert one(found, "device_temperature_celsius", **q01) == 51.5
    assert one(found, "device_disk_free_bytes", **q01) == 1000 * 2**20
    assert one(found, "device_memory_bytes", **q01) == 24.5 * 2**20
    assert one(found, "device_info", version="0.1.0", **q01) == 1
    center.hub.reached = lambda: False
    assert not [key for key in scrape(center.http) if key[0] == "motcua_device_up"]


def test_no_figure_tells_how_anybody_rated(center: Center) -> None:
    """Ratings are one count for the whole center: no level, no counter, no officer is a label beside it."""
    ticket = center.ask("/api/tickets", service="dat-dai")["ticket"]["id"]
    for action in ("open", "call_next", "start", "finish"):
        center.at("q01", action)
    center.ask("/api/counters/q01/rating", ticket=ticket, level=1)
    found = scrape(center.http)
    assert one(found, "ratings_total") == 1
    assert [key for key in found if "rating" in key[0] and not key[0].endswith("_created")] == [
        ("motcua_ratings_total", frozenset())
    ]
    labels = {name for _, pairs in found for name, _ in pairs}
    assert labels <= {"service", "counter", "le", "station", "device", "version", "kind"}


def test_strangers_read_nothing(make_center: Callable[..., Center], tmp_path: Path) -> None:
    """This machine reads; through a proxy on it, or from elsewhere, it takes the token, and another one does not do."""
    file = tmp_path / "token"
    file.write_text("0123456789abcdef\n")
    center = make_center(metrics=MetricsConfig(token_file=str(file)))
    with center.client() as nobody:
        assert scrape(nobody)
        through = {"x-forwarded-for": "192.168.1.9"}
        assert nobody.get("/metrics", headers=through).status_code == 403
        assert nobody.get("/metrics", headers=through | {"authorization": "Bearer wrong"}).status_code == 403
        assert scrape(nobody, **through, authorization="Bearer 0123456789abcdef")


@pytest.mark.parametrize(
    ("address", "allowed"),
    [("127.0.0.1", True), ("::1", True), ("192.168.1.9", False), ("::ffff:192.168.1.9", False), ("", False)],
)
def test_only_loopback_needs_no_token(center: Center, address: str, *, allowed: bool) -> None:
    """Where a request comes from decides, by the address of its connection; no token is set unless there is a file."""
    metrics = Metrics(center.config, center.hall, center.hub, center.fleet)
    assert metrics.allows(address, "Bearer ", forwarded=False) is allowed
    assert not metrics.allows(address, "Bearer ", forwarded=True)


def test_a_token_that_cannot_be_read_is_said(center: Center, tmp_path: Path) -> None:
    """A token that is missing or short stops the start with a line that names the key."""
    short = tmp_path / "short"
    short.write_text("abc")
    for path, words in ((tmp_path / "none", "one line"), (short, "at least 16 bytes")):
        config = replace(center.config, metrics=MetricsConfig(token_file=str(path)))
        with pytest.raises(ConfigError, match=words):
            Metrics(config, center.hall, center.hub, center.fleet)
