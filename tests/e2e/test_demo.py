"""The demo: pages are served, and what is pressed on the picture goes through the pins to the center and back."""

import contextlib
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page, expect

from tests.e2e.demo import Demo

pytestmark = pytest.mark.e2e
browser = pytest.mark.browser

PATIENCE_S = 30.0
PATIENCE_MS = PATIENCE_S * 1000


def eventually(true: Callable[[], object]) -> None:
    """Wait for what other processes bring about."""
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)


def rows(demo: Demo, query: str) -> list[tuple[object, ...]]:
    """Read the center's database."""
    with contextlib.closing(sqlite3.connect(f"file:{demo.data / 'center' / 'center.db'}?mode=ro", uri=True)) as db:
        return db.execute(query).fetchall()


def start_broker(page: Page, demo: Demo) -> None:
    """Start the broker again on the page, and wait until the center knows of every device that it connected since."""
    before = datetime.now(UTC).isoformat()
    page.locator("#broker").click()
    query = "SELECT json_extract(status, '$.since') FROM device"
    eventually(lambda: all(str(since) > before for (since,) in rows(demo, query)))


def key(page: Page, counter: str, button: str) -> Locator:
    """A button of a pad on the picture."""
    return page.locator(f"#counter-{counter} .key[data-button='{button}']")


def press(page: Page, counter: str, button: str) -> None:
    """Press as a finger does: down, a moment, up."""
    key(page, counter, button).hover()
    page.mouse.down()
    page.wait_for_timeout(100)
    page.mouse.up()


def glass(page: Page, counter: str) -> Locator:
    """What a panel shows, as it is told to people who cannot see it."""
    return page.locator(f"#counter-{counter} .glass svg")


def watch_lights(page: Page, counter: str) -> None:
    """Note from now on in `window.lights` which levels are lit together: a light may be out before a test looks."""
    page.evaluate(
        """(counter) => {
          const keys = [...document.querySelectorAll(`#counter-${counter} .rating .key`)];
          const lit = () => keys.filter((key) => key.classList.contains("lit")).map((key) => key.dataset.button);
          window.lights = [lit().sort().join("")];
          new MutationObserver(() => window.lights.push(lit().sort().join(""))).observe(
            document.querySelector(`#counter-${counter} .rating`), { subtree: true, attributeFilter: ["class"] },
          );
        }""",
        counter,
    )


def serve_one(page: Page, counter: str) -> str:
    """Take a number, call it by the pad, serve and finish it; return the number."""
    services = page.locator(f"#counter-{counter} .letters").inner_text()
    letter = re.findall(r"[A-F]", services)[0]
    page.locator("#services button", has=page.locator("b", has_text=letter)).click()
    expect(page.locator("#slip")).to_contain_text(letter)
    expect(key(page, counter, "next")).to_have_class(re.compile(r"\blit\b"), timeout=PATIENCE_MS)
    before = glass(page, counter).get_attribute("aria-label")
    press(page, counter, "next")
    expect(page.locator(f"#counter-{counter} .act")).to_have_attribute("data-action", "start", timeout=PATIENCE_MS)
    label = glass(page, counter)
    expect(label).not_to_have_attribute("aria-label", before or "", timeout=PATIENCE_MS)
    expect(label).to_have_attribute("aria-label", re.compile(r"[A-F]\d{3}"), timeout=PATIENCE_MS)
    found = re.search(r"[A-F]\d{3}", label.get_attribute("aria-label") or "")
    page.locator(f"#counter-{counter} .act").click()
    expect(page.locator(f"#counter-{counter} .act")).to_have_attribute("data-action", "finish", timeout=PATIENCE_MS)
    page.locator(f"#counter-{counter} .act").click()
    # The pad invites: all its lights.
    for level in "123":
        expect(key(page, counter, level)).to_have_class(re.compile(r"\blit\b"), timeout=PATIENCE_MS)
    return found[0] if found else ""


@pytest.mark.parametrize(
    "path", ["/", "/demo", "/board", "/kiosk", "/counter/q01", "/rate/q01", "/devices", "/healthz"]
)
def test_every_page_is_served(demo: Demo, path: str) -> None:
    """All pages of the center, and the demo's own, are there when the address is printed, without typing a password."""
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    with browser.open(f"{demo.url}{path}", timeout=PATIENCE_S) as answer:
        assert (answer.status, answer.url) == (200, f"{demo.url}{path}")


@browser
def test_a_number_called_on_the_pad_comes_up_on_its_panel(page: Page, demo: Demo) -> None:
    """A press on the call pad's picture calls the next number, and the panel beside it shows that number."""
    number = serve_one(page, "q02")
    query = f"SELECT state FROM ticket WHERE number = '{number}'"  # noqa: S608 - A007
    eventually(lambda: rows(demo, query) == [("served",)])


@browser
def test_a_press_on_the_pad_is_stored_and_lit(page: Page, demo: Demo) -> None:
    """A press on the rating pad's picture lights that level alone, and is a rating in the center's database."""
    number = serve_one(page, "q01")
    watch_lights(page, "q01")
    press(page, "q01", "3")
    eventually(lambda: "3" in page.evaluate("window.lights"))
    assert page.evaluate("window.lights")[0] == "123"  # it invited before
    query = f"SELECT level FROM rating JOIN ticket ON ticket.id = rating.ticket WHERE number = '{number}'"  # noqa: S608
    eventually(lambda: rows(demo, query) == [(3,)])


@browser
def test_a_rating_waits_in_the_pad_while_the_broker_is_stopped(page: Page, demo: Demo) -> None:
    """Without a broker a press is lit and kept, the page says so, and it is stored when the broker is back."""
    number = serve_one(page, "q02")
    page.locator("#broker").click()
    expect(page.locator("#broker")).to_have_attribute("aria-checked", "false", timeout=PATIENCE_MS)
    watch_lights(page, "q02")
    press(page, "q02", "2")
    eventually(lambda: "2" in page.evaluate("window.lights"))
    outbox = page.locator("#counter-q02 .rating .outbox")
    expect(outbox).to_have_class(re.compile(r"\bkept\b"), timeout=PATIENCE_MS)
    start_broker(page, demo)
    expect(outbox).not_to_have_class(re.compile(r"\bkept\b"), timeout=PATIENCE_MS)
    query = f"SELECT level FROM rating JOIN ticket ON ticket.id = rating.ticket WHERE number = '{number}'"  # noqa: S608
    eventually(lambda: rows(demo, query) == [(2,)])


@browser
def test_a_counter_says_why_a_call_does_nothing_without_the_broker(page: Page, demo: Demo) -> None:
    """While the broker is stopped, each call pad says that the center is out of reach; afterwards it says nothing."""
    said = page.locator("#counter-q01 .callpad .outbox")
    expect(said).to_be_hidden()
    page.locator("#broker").click()
    expect(said).to_have_text("Chưa liên lạc được với trung tâm", timeout=PATIENCE_MS)
    start_broker(page, demo)
    expect(said).to_be_hidden(timeout=PATIENCE_MS)


@browser
def test_the_quickest_tap_is_a_press(page: Page) -> None:
    """A click with no time between down and up reaches the program behind the pad."""
    expect(key(page, "q01", "pause")).to_be_enabled()
    key(page, "q01", "pause").click()
    expect(page.locator("#counter-q01 .now")).to_have_text("Quầy đang tạm dừng", timeout=PATIENCE_MS)
    page.locator("#counter-q01 .act").click()
    expect(page.locator("#counter-q01 .now")).not_to_have_text("Quầy đang tạm dừng", timeout=PATIENCE_MS)


@browser
@pytest.mark.parametrize(("width", "height"), [(390, 844), (1280, 800), (1920, 1080)])
def test_every_key_is_whole(page: Page, width: int, height: int) -> None:
    """No name on a key is cut off or runs into its neighbour, on a phone as on a large screen."""
    page.set_viewport_size({"width": width, "height": height})
    cut = page.evaluate(
        "[...document.querySelectorAll('.key, .key .name')].filter((one) => one.scrollWidth > one.clientWidth + 1)"
        ".map((one) => one.textContent)"
    )
    assert cut == []
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.evaluate(
        "[...document.querySelectorAll('.keys')].every((keys) =>"
        " keys.lastElementChild.getBoundingClientRect().right <= keys.getBoundingClientRect().right + 1)"
    )


@browser
def test_a_laptop_shows_the_call_pads_without_scrolling(page: Page) -> None:
    """At 1280 by 800 everything that is pressed in a visit is in sight."""
    page.set_viewport_size({"width": 1280, "height": 800})
    for pad in page.locator(".callpad").all():
        box = pad.bounding_box()
        assert box is not None
        assert box["y"] + box["height"] <= 800


@browser
def test_a_panel_shows_what_is_right_when_its_cable_is_back(page: Page) -> None:
    """A panel whose cable was pulled keeps its text, and shows the new state soon after it is plugged in again."""
    cable = page.locator("#counter-q01 .cable .switch")
    cable.click()
    expect(cable).to_have_attribute("aria-checked", "false", timeout=PATIENCE_MS)
    before = glass(page, "q01").get_attribute("aria-label") or ""
    press(page, "q01", "pause")
    expect(page.locator("#counter-q01 .now")).to_have_text("Quầy đang tạm dừng", timeout=PATIENCE_MS)
    expect(glass(page, "q01")).to_have_attribute("aria-label", before)
    cable.click()
    expect(glass(page, "q01")).to_have_attribute("aria-label", re.compile("NGHI"), timeout=PATIENCE_MS)
    page.locator("#counter-q01 .act").click()
    expect(glass(page, "q01")).not_to_have_attribute("aria-label", re.compile("NGHI"), timeout=PATIENCE_MS)


@browser
def test_keys_can_be_pressed_from_the_keyboard(page: Page) -> None:
    """Space closes a contact for as long as it is held."""
    key(page, "q01", "pause").focus()
    page.keyboard.down(" ")
    page.wait_for_timeout(100)
    page.keyboard.up(" ")
    expect(page.locator("#counter-q01 .now")).to_have_text("Quầy đang tạm dừng", timeout=PATIENCE_MS)
    page.locator("#counter-q01 .act").click()
    expect(page.locator("#counter-q01 .now")).not_to_have_text("Quầy đang tạm dừng", timeout=PATIENCE_MS)


@browser
def test_the_page_is_live_again_after_the_center_was_killed(page: Page, demo: Demo) -> None:
    """The center is restarted when it was killed, and the page finds it again by itself."""
    center = next(one for one in demo.programs() if "simulator.center_process" in one.cmdline())
    center.kill()
    expect(page.locator("#offline")).to_be_visible(timeout=PATIENCE_MS)
    expect(page.locator("#offline")).to_be_hidden(timeout=PATIENCE_MS)
    serve_one(page, "q01")


@browser
@pytest.mark.parametrize("language", ["vi", "en"])
def test_the_page_has_no_axe_violation(page: Page, demo: Demo, language: str) -> None:
    """The demo's page can be used by everybody, in both languages."""
    page.goto(f"{demo.url}/demo?lang={language}")
    page.wait_for_selector("#counter-q02 .glass svg")
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    assert page.locator("html").get_attribute("lang") == language


@browser
def test_a_hand_before_the_lens_is_an_incident(page: Page, demo: Demo) -> None:
    """The page shows what the camera sees; covered there, it tells the center so, and the page lists it."""
    camera = page.locator("#counter-q01 .camera")
    expect(camera.locator("img")).to_have_attribute("src", re.compile("^data:image/jpeg;base64,.{1000}"))
    before = camera.locator("img").get_attribute("src") or ""
    expect(camera.locator("img")).not_to_have_attribute("src", before)
    camera.locator(".lens").click()
    expect(camera.locator(".lens")).to_have_attribute("aria-checked", "true", timeout=PATIENCE_MS)
    expect(camera.locator(".incidents")).to_contain_text("Camera bị che", timeout=2 * PATIENCE_MS)
    eventually(lambda: ("q01", "covered") in rows(demo, "SELECT station, kind FROM incident"))
    camera.locator(".lens").click()
    expect(camera.locator(".lens")).to_have_attribute("aria-checked", "false", timeout=PATIENCE_MS)


@browser
def test_each_page_is_opened_by_who_may_see_it(page: Page, demo: Demo) -> None:
    """The demo's own ways lead to what the camera found and to the devices, which no role may both see."""
    for way, where in (("review", "/review"), ("devices", "/devices"), ("review", "/review")):
        page.goto(f"{demo.url}/demo/{way}")
        expect(page).to_have_url(f"{demo.url}{where}")
        expect(page.locator("main")).to_be_visible()
        assert page.locator("h1").inner_text() != "Trung tâm Phục vụ hành chính công phường Bến Tre"  # of a refusal


# --- beginning and end -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.long)])
def test_ctrl_c_ends_everything(tmp_path: Path, how: signal.Signals) -> None:
    """Ctrl-C ends the demo with exit code 0, and every program with it."""
    demo = Demo(tmp_path / "data", "--counters", "1")
    programs = demo.programs()
    assert len(programs) >= 5  # broker, center, rating pad, call pad, display
    assert demo.stop(how) == 0
    eventually(lambda: not [one for one in programs if one.is_running() and one.status() != psutil.STATUS_ZOMBIE])


def test_a_killed_demo_leaves_no_program_behind(tmp_path: Path) -> None:
    """Even a demo that was killed takes all its programs along."""
    demo = Demo(tmp_path / "data", "--counters", "1")
    programs = demo.programs()
    demo.stop(signal.SIGKILL)
    eventually(lambda: not [one for one in programs if one.is_running() and one.status() != psutil.STATUS_ZOMBIE])


def test_a_port_in_use_is_told_in_one_line(tmp_path: Path) -> None:
    """A port that was asked for and is taken ends the demo with one line that names it and says what to do."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        command = [sys.executable, "-m", "motcua.cli", "demo", "--http-port", port, "--data", str(tmp_path)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert port in line
    assert "--http-port" in line
    assert done.stdout == ""


@pytest.mark.parametrize("wrong", [["--counters", "0"], ["--speed", "x"], ["--broker", "rabbit"], ["--visits", "-1"]])
def test_a_wrong_option_is_refused(wrong: list[str]) -> None:
    """An option out of its range is told, with exit code 2."""
    command = [sys.executable, "-m", "motcua.cli", "demo", *wrong]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False, env=os.environ)
    assert done.returncode == 2
    assert wrong[0] in done.stderr


def test_a_day_does_not_mix_with_another_one(tmp_path: Path) -> None:
    """A day is refused in a folder that has a center already: its account would count foreign tickets."""
    (tmp_path / "center").mkdir()
    (tmp_path / "center" / "center.db").touch()
    command = [sys.executable, "-m", "motcua.cli", "demo", "--day", "--data", str(tmp_path)]
    command += ["--http-port", "0", "--mqtt-port", "0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert "empty folder" in done.stderr


@browser
def test_the_page_is_light(page: Page, demo: Demo) -> None:
    """The first load of the demo's page is at most 30 KB on the wire."""
    page.goto(f"{demo.url}/demo")
    page.wait_for_selector("#counter-q02 .glass svg")
    loaded = page.evaluate(
        "[...performance.getEntriesByType('resource'), ...performance.getEntriesByType('navigation')]"
        ".filter((one) => /demo(\\.css|\\.js|\\?|$)/.test(one.name)).map((one) => one.transferSize)"
    )
    assert len(loaded) == 3
    assert sum(loaded) <= 30_000
