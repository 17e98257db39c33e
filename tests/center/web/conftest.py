"""A whole center on a free port, and a real browser that looks at it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from tests.center.web.site import PATIENCE_MS, Center, Visitor
from tests.support.browser import FLAGS, chromium


@pytest.fixture
def make_center(tmp_path: Path) -> Iterator[Callable[..., Center]]:
    """Start centers; they are stopped after the test."""
    made: list[Center] = []

    def make(**settings: Any) -> Center:
        center = Center(tmp_path / f"center-{len(made)}", **settings)
        center.start()
        made.append(center)
        return center

    yield make
    for center in made:
        center.http.close()
        center.stop()


@pytest.fixture
def center(make_center: Callable[..., Center]) -> Center:
    """A running center, its counters closed, nobody waiting."""
    return make_center()


@pytest.fixture(scope="module")  # not longer: its event loop stays in this thread, where others want to run theirs
def browser() -> Iterator[Browser]:
    """Debian's Chromium."""
    program = chromium()
    with sync_playwright() as playwright:
        expect.set_options(timeout=PATIENCE_MS)
        started = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield started
        started.close()


@pytest.fixture
def visitor(browser: Browser) -> Iterator[Visitor]:
    """Somebody in front of screens; the test fails if a page's script did."""
    one = Visitor(browser)
    yield one
    one.close()
    assert not one.errors
