"""Alerts: one for each thing that needs somebody, however often it comes and goes."""

import itertools
from collections.abc import Mapping
from typing import get_args

from hypothesis import given
from hypothesis import strategies as st

from center.fleet.alerts import OPEN, PATIENCE, Alert, Alerts, News, Subject
from center.fleet.signs import Kind, Sign, Signs

PAD: Subject = ("q01", "rating")
START_MS = 1_795_395_600_000


class Watch:
    """Alerts on a clock that moves by ten seconds with each look."""

    def __init__(self, open_before: tuple[Alert, ...] = ()) -> None:
        numbers = itertools.count(1)
        self.alerts = Alerts(open_before, new_id=lambda: f"a{next(numbers)}", steady_s=0.0)
        self.second = 0

    def look(self, seen: Mapping[Subject, Signs | None]) -> list[News]:
        """Look once, ten seconds after the last look."""
        self.second += 10
        return self.alerts.look(seen, now_ms=START_MS + self.second * 1000, steady_s=float(self.second))

    def go(self, seconds: int, kind: Kind, condition: str, detail: str = "") -> list[News]:
        """Look for a while at one device with one sign."""
        sign = Sign(condition, detail)  # type: ignore[arg-type]
        return [news for _ in range(seconds // 10) for news in self.look({PAD: {kind: sign}})]


def words(news: list[News]) -> list[str]:
    """Return what became of the alerts."""
    return [word for word, _ in news]


def test_what_passes_soon_is_no_alert() -> None:
    """A device that is lost for less than a minute alarms nobody."""
    watch = Watch()
    assert watch.go(50, "lost", "bad") == []
    assert watch.go(300, "lost", "well") == []


def test_what_stays_is_an_alert_from_its_beginning_to_its_end() -> None:
    """An alert begins when the thing began, not when the patience was over, and ends when it was well again."""
    watch = Watch()
    ((word, alert),) = watch.go(120, "lost", "bad")
    assert (word, alert.station, alert.device, alert.kind) == ("began", "q01", "rating", "lost")
    assert alert.begun_at == START_MS + 10_000
    ((word, ended),) = watch.go(180, "lost", "well")
    assert (word, ended.id, ended.ended_at) == ("ended", alert.id, START_MS + 130_000)
    assert watch.alerts.open() == []


def test_a_flapping_device_is_one_alert() -> None:
    """A device that is lost for half a minute of every minute is one alert for as long as it does that."""
    watch = Watch()
    news = [one for _ in range(60) for condition in ("bad", "well") for one in watch.go(30, "lost", condition)]
    assert words(news) == ["began"]
    assert words(watch.go(300, "lost", "well")) == ["ended"]


def test_a_figure_about_its_bound_is_one_alert() -> None:
    """A processor that goes between the two bounds keeps its alert until it is cool."""
    watch = Watch()
    assert words(watch.go(200, "hot", "bad", "76 °C")) == ["began"]
    assert watch.go(3600, "hot", "between") == []
    assert words(watch.go(400, "hot", "well")) == ["ended"]


def test_alerts_outlive_a_restart() -> None:
    """An alert that was open when the center stopped is the same one after it, and ends like any other."""
    before = Watch()
    ((_, alert),) = before.go(120, "disk", "bad", "300 MB")
    after = Watch((alert,))
    assert after.go(120, "disk", "bad", "290 MB") == []
    assert after.alerts.open() == [alert]
    ((word, ended),) = after.go(600, "disk", "well")
    assert (word, ended.id) == ("ended", alert.id)


def test_nothing_known_changes_nothing() -> None:
    """While the broker is away, a device's alerts neither begin nor end."""
    watch = Watch()
    assert words(watch.go(120, "lost", "bad")) == ["began"]
    assert [news for _ in range(100) for news in watch.look({PAD: None})] == []
    assert len(watch.alerts.open()) == 1


def test_a_forgotten_device_leaves_no_alert() -> None:
    """With a device that was taken off the list its alerts end."""
    watch = Watch()
    watch.go(120, "lost", "bad")
    ((word, alert),) = watch.look({})
    assert (word, alert.kind) == ("ended", "lost")
    assert watch.look({}) == []


def test_another_trouble_is_the_same_alert_with_other_words() -> None:
    """When a device's own trouble becomes another one, its alert says so, without beginning anew."""
    watch = Watch()
    watch.go(120, "trouble", "bad", "stuck:2")
    ((word, alert),) = watch.go(10, "trouble", "bad", "not_stored")
    assert (word, alert.detail) == ("changed", "not_stored")


def test_who_has_seen_an_alert_stands_in_it() -> None:
    """An acknowledgement stays with the alert to its end."""
    watch = Watch()
    ((_, alert),) = watch.go(120, "lost", "bad")
    watch.alerts.acknowledge(alert.id, at=5, by="person:an")
    ((_, ended),) = watch.go(300, "lost", "well")
    assert (ended.acknowledged_at, ended.acknowledged_by) == (5, "person:an")


def test_a_hall_full_of_trouble_has_a_bound() -> None:
    """However many devices claim to be in trouble, so many alerts are open and no more."""
    watch = Watch()
    crowd: dict[Subject, Signs | None] = {(f"q{n}", "rating"): {"lost": Sign("bad")} for n in range(OPEN + 50)}
    for _ in range(20):
        watch.look(crowd)
    assert len(watch.alerts.open()) == OPEN


def test_every_kind_has_a_patience() -> None:
    """There is no kind of alert for which it is not said how long it takes."""
    assert set(PATIENCE) == set(get_args(Kind))


@given(st.lists(st.tuples(st.sampled_from(["bad", "between", "well"]), st.integers(1, 40)), max_size=30))
def test_beginnings_and_ends_take_turns(story: list[tuple[str, int]]) -> None:
    """Whatever a device goes through, an alert never begins twice, never ends before it began, and ends in time."""
    watch = Watch()
    news: list[News] = []
    for condition, looks in story:
        news += watch.go(10 * looks, "lost", condition)
    news += watch.go(300, "lost", "well")
    assert words(news) == ["began", "ended"] * (len(news) // 2)
    for (_, began), (_, ended) in zip(news[::2], news[1::2], strict=True):
        assert began.id == ended.id
        assert ended.ended_at is not None
        assert ended.ended_at > began.begun_at
