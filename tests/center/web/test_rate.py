"""The rating tablet in a real browser."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.center.web.site import Center, Visitor, violations
from tests.support.waiting import wait_for

pytestmark = pytest.mark.browser


def tablet(visitor: Visitor, center: Center, *, clock: bool = False) -> Page:
    """Open the tablet of counter 1; with `clock` the test decides how fast time goes."""
    page = visitor.page(touch=True)
    if clock:
        page.clock.install()
    return visitor.go(page, f"{center.url}/rate/q01")


def serve(center: Center, service: str = "dat-dai") -> str:
    """Let counter 1 serve somebody; returns the ticket's id."""
    center.issue(service)
    center.at("q01", "open")
    center.at("q01", "call_next")
    center.at("q01", "start")
    return str(center.at("q01", "finish")["ticket"]["id"])


def stored(center: Center) -> list[tuple[str, int]]:
    """Return the ratings in the center's database."""
    with sqlite3.connect(Path(center.config.data_dir) / "center.db") as database:
        return database.execute("SELECT ticket, level FROM rating").fetchall()


def wait_until_stored(center: Center, ticket: str, level: int) -> None:
    """Wait until the press has come from the tablet, which thanks as soon as it keeps it, into the database, once."""
    assert wait_for(lambda: stored(center)) == [(ticket, level)]


def press(page: Page, name: str) -> None:
    """Touch a face, once the faces have been there for a moment."""
    face = page.get_by_role("button", name=name)
    expect(face).to_be_visible()
    page.wait_for_timeout(400)
    face.tap()


def test_one_tap_is_a_rating(center: Center, visitor: Visitor) -> None:
    """After a service the faces appear with counter and number; one tap is stored and thanked for, for 4 s."""
    page = tablet(visitor, center, clock=True)
    expect(page.get_by_text("Kính chào ông/bà")).to_be_visible()
    ticket = serve(center)
    expect(page.locator("header")).to_contain_text("Quầy 1 · Số A001")
    page.clock.run_for(400)
    page.get_by_role("button", name="Rất hài lòng").tap()
    expect(page.get_by_text("Xin cảm ơn ông/bà")).to_be_visible()
    page.clock.run_for(4100)
    expect(page.get_by_text("Kính chào ông/bà")).to_be_visible()
    wait_until_stored(center, ticket, 3)


def test_a_second_tap_and_a_reload_change_nothing(center: Center, visitor: Visitor) -> None:
    """Who has rated is not asked again: not by tapping on, not after a reload."""
    ticket = serve(center)
    page = tablet(visitor, center)
    press(page, "Không hài lòng")
    page.touchscreen.tap(400, 400)
    page.touchscreen.tap(800, 400)
    expect(page.locator(".faces")).to_be_hidden()
    page.reload()
    expect(page.locator('[data-id="idle"]')).to_be_visible()
    wait_for(lambda: page.evaluate("localStorage.getItem('ratings:q01')") == "[]")
    wait_until_stored(center, ticket, 1)


def test_a_press_outlives_the_center(center: Center, visitor: Visitor) -> None:
    """A press while the center is away is kept with its key, over a reload too, and counted once when it is back."""
    ticket = serve(center)
    page = tablet(visitor, center)
    expect(page.get_by_role("button", name="Rất hài lòng")).to_be_visible()
    center.stop()
    expect(page.locator(".badge-offline")).to_be_visible()
    press(page, "Hài lòng Satisfied")
    expect(page.get_by_text("Xin cảm ơn ông/bà")).to_be_visible()
    kept = page.evaluate("localStorage.getItem('ratings:q01')")
    assert ticket in kept
    center.start()
    expect(page.locator(".badge-offline")).to_be_hidden()
    page.reload()
    wait_for(lambda: page.evaluate("localStorage.getItem('ratings:q01')") == "[]")
    wait_until_stored(center, ticket, 2)


def test_the_window_closes(center: Center, visitor: Visitor) -> None:
    """When the time to rate is over, the faces go, and nothing is stored."""
    page = tablet(visitor, center, clock=True)
    serve(center)
    expect(page.locator(".faces")).to_be_visible()
    page.clock.run_for(25_000)
    expect(page.locator(".faces")).to_be_visible()
    page.clock.run_for(6_000)
    expect(page.locator(".faces")).to_be_hidden()
    assert stored(center) == []


def test_a_rating_elsewhere_ends_the_question(center: Center, visitor: Visitor) -> None:
    """A rating pressed on another tablet of the counter ends the question here; so does the next citizen."""
    page = tablet(visitor, center)
    ticket = serve(center)
    expect(page.locator(".faces")).to_be_visible()
    center.ask("/api/counters/q01/rating", ticket=ticket, level=2)
    expect(page.locator(".faces")).to_be_hidden()
    serve(center)
    expect(page.locator(".faces")).to_be_visible()
    center.issue()
    center.at("q01", "call_next")
    center.at("q01", "start")
    expect(page.locator(".faces")).to_be_hidden()


@pytest.mark.parametrize("scale", ["vn-3", "vn-5"])
def test_the_faces_are_large_and_labelled(make_center: Callable[..., Center], visitor: Visitor, scale: str) -> None:
    """Every level of the scale has a face of at least 120 px with words in two languages, and hinders nobody."""
    center = make_center(scale=scale)
    page = tablet(visitor, center)
    assert violations(page) == []
    serve(center)
    faces = page.locator(".faces button")
    expect(faces).to_have_count(int(scale[-1]))
    expect(faces.first).to_contain_text("Rất hài lòng Very satisfied")
    for face in faces.all():
        drawing = face.locator("svg").bounding_box()
        assert drawing
        assert min(drawing["width"], drawing["height"]) >= 120
    assert page.evaluate("document.body.scrollWidth <= innerWidth && document.body.scrollHeight <= innerHeight")
    assert violations(page) == []
    page.get_by_role("button", name="English").tap()
    expect(page.get_by_role("heading", name="How satisfied are you with the service?")).to_be_visible()
    assert violations(page) == []
    press(page, "Very satisfied")
    expect(page.get_by_text("Thank you")).to_be_visible()
    assert violations(page) == []
