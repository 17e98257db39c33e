"""A call until it stands on the hall board, in a real Chromium.

From the moment before the officer's request is sent to the moment at which the page has put the number into the
document, both on this machine's clock. Officers call at three counters in turn, four times a second.
"""

import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any

import httpx
from playwright.sync_api import Page, sync_playwright

from benchmarks.brokers import mosquitto
from benchmarks.figures import Row, at_most, median, percentile
from simulator.ports import free_port
from simulator.premises import SERVICES, Premises, plan_counters
from simulator.sign_in import sign_in

CALLS = 60
EVERY_S = 0.25
SEEN_WITHIN_MS = 10_000
START_TIMEOUT_S = 60.0
CHROMIUM = "/usr/bin/chromium"
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
_WATCH = """() => {
  window.seen = {};
  const look = () => {
    const at = performance.timeOrigin + performance.now();
    for (const node of document.querySelectorAll("[data-id=number], [data-id=calls] b"))
      window.seen[node.textContent.trim()] ??= at;
  };
  new MutationObserver(look).observe(document.body, {subtree: true, childList: true, characterData: true});
}"""


def run(rounds: int) -> list[Row]:
    """Measure and return medians of the rounds."""
    seen = [_round() for _ in range(rounds)]
    return [
        Row("call → hall board, p50", median([percentile(each, 0.5) for each in seen]), "ms"),
        at_most("call → hall board, p99", median([percentile(each, 0.99) for each in seen]), "ms", 100),
    ]


def _round() -> list[float]:
    with tempfile.TemporaryDirectory() as name, mosquitto() as broker, sync_playwright() as playwright:
        folder = Path(name)
        premises = Premises(
            folder=folder, run=folder, http_port=free_port(), mqtt_port=broker.port, counters=plan_counters(3)
        )
        premises.write()
        command = [sys.executable, "-m", "motcua.cli", "center", "serve", "--config", str(premises.center_config)]
        with (folder / "center.log").open("wb") as log:
            center = subprocess.Popen(command, stderr=log)
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        try:
            with httpx.Client(base_url=premises.base_url) as officer:
                _until_live(officer)
                officer.headers["Cookie"] = sign_in(premises.http_port, (folder / "center.log").read_text("utf-8"))
                for each in range(CALLS * 2):
                    _post(officer, "/api/tickets", {"service": SERVICES[each % len(SERVICES)].id})
                for counter in premises.counters:
                    _post(officer, f"/api/counters/{counter.id}/open", {})
                page = browser.new_page(viewport={"width": 1920, "height": 1080})
                page.goto(f"{premises.base_url}/board")
                page.evaluate(_WATCH)
                return _call(page, officer, [counter.id for counter in premises.counters])
        finally:
            browser.close()
            center.terminate()
            center.wait(20)


def _call(page: Page, officer: httpx.Client, counters: list[str]) -> list[float]:
    asked: dict[str, float] = {}
    began = time.monotonic()
    for turn in range(CALLS):
        page.wait_for_timeout(max(0.0, (began + turn * EVERY_S - time.monotonic()) * 1000))
        at_ms = time.time() * 1000
        answer = _post(officer, f"/api/counters/{counters[turn % len(counters)]}/call_next", {})
        asked[answer["ticket"]["number"]] = at_ms
    page.wait_for_function(
        "numbers => numbers.every(each => each in window.seen)", arg=list(asked), timeout=SEEN_WITHIN_MS
    )
    seen: dict[str, float] = page.evaluate("() => window.seen")
    return [seen[number] - at_ms for number, at_ms in asked.items()]


def _post(officer: httpx.Client, path: str, body: dict[str, Any]) -> dict[str, Any]:
    response = officer.post(path, json=body, headers={"Idempotency-Key": str(uuid.uuid4())})
    response.raise_for_status()
    answer: dict[str, Any] = response.json()
    return answer


def _until_live(officer: httpx.Client) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        try:
            officer.get("/healthz").raise_for_status()
        except httpx.HTTPError:
            time.sleep(0.1)
        else:
            return
    sys.exit(f"the center did not answer within {START_TIMEOUT_S:.0f} s")
