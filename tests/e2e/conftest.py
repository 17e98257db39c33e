"""One demo for the tests that only look and press, and a real browser."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

from tests.e2e.demo import Demo
from tests.support import browser


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """A running demo of two counters: a seven-segment panel and a VFD."""
    running = Demo(tmp_path_factory.mktemp("demo") / "data", "--counters", "2")
    yield running
    running.stop()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Debian's Chromium."""
    program = browser.chromium()
    with sync_playwright() as playwright:
        expect.set_options(timeout=30_000)
        started = playwright.chromium.launch(executable_path=program, args=browser.FLAGS)
        yield started
        started.close()


@pytest.fixture
def page(chromium: Browser, demo: Demo) -> Iterator[Page]:
    """The demo's page, live; the test fails if its script did."""
    faults: list[str] = []

    def hear(message: ConsoleMessage) -> None:
        # A center that is away is told by the browser as a failed request, which the page is made for.
        if message.type == "error" and "Failed to load resource" not in message.text:
            faults.append(message.text)

    context = chromium.new_context(viewport={"width": 1500, "height": 1100})
    one = context.new_page()
    one.on("console", hear)
    one.on("pageerror", lambda error: faults.append(str(error)))
    one.goto(f"{demo.url}/demo")
    one.wait_for_selector("#counter-q02 .glass svg")
    yield one
    context.close()
    assert not faults
