"""The display that is a page in a browser."""

from firmware.devices.display.codecs.screen import ScreenDriver
from firmware.devices.display.signs import Show, Shown, Sign


def test_a_screen_says_what_the_page_shows_and_proves_nothing() -> None:
    """The number, or the words of the page, with proof `none`."""
    heard: list[object] = []
    driver = ScreenDriver(monotonic_ms=lambda: 42)
    driver.open(heard.append)
    call = Show(7, Sign("calling", "3", "A007"), 40)
    pause = Show(8, Sign("paused", "3"), 41)
    driver.drive(call)
    driver.drive(pause)
    assert heard == [Shown(call, "A007", "none", 42), Shown(pause, "Tạm nghỉ", "none", 42)]


def test_a_closed_screen_is_silent() -> None:
    """After closing nothing is said, and closing twice does no harm."""
    heard: list[object] = []
    driver = ScreenDriver(monotonic_ms=lambda: 42)
    driver.open(heard.append)
    assert driver.alive()
    driver.close()
    driver.close()
    driver.drive(Show(7, Sign("idle", "3"), 40))
    assert heard == []
