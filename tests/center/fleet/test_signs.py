"""How a device is, by its last words."""

import json
from typing import Any

import pytest
from msgspec.structs import replace

from center.answers import Device
from center.fleet.signs import Center, center_clock, center_signs, level, signs
from center.namesakes import Machines
from contract.events import DeviceHealth
from contract.states import Status

NOW = 1_795_395_600_000


TWINS = Machines("a", NOW - 1000).hear("7c1d8b9e-0000", NOW - 900).hear("a", NOW - 880)


def device(state: str | None = "online", *, ago_s: int = 5, trouble: str | None = None, **figures: Any) -> Device:
    """Return a device as it was seen a while ago."""
    ahead_ms = figures.pop("ahead_ms", 0)
    health = {"outbox_depth": 0, "uptime_s": 60, "clocksynced": True, "version": "0.1.0", **figures}
    status = Status(state=state, version="0.1.0", bootid="b", since="2026-11-23T01:00:00Z") if state else None  # type: ignore[arg-type]
    return Device(
        station="q01",
        device="rating",
        seen_at=NOW - ago_s * 1000,
        status=status,
        health=DeviceHealth(**health),
        reported=json.dumps({"revision": 1, "trouble": trouble}) if trouble else None,
        ahead_ms=ahead_ms,
    )


def test_trouble_is_read_from_any_state_whatever_else_is_in_it() -> None:
    """The trouble is found in what a device reports; what is nested too deeply, or no text, is none."""
    assert device(trouble="panel").trouble == "panel"
    for reported in (None, "{}", '{"trouble":[7]}', '{"x":' + "[" * 7_000 + "]" * 7_000 + "}"):
        assert replace(device(), reported=reported).trouble == ""


def bad(known: Device) -> dict[str, str]:
    """Return the bad signs of a device with their details."""
    found = signs(known, NOW)
    assert found is not None
    return {kind: sign.detail for kind, sign in found.items() if sign.condition == "bad"}


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        (device(), {}),
        (device(temperature_c=75.0), {"hot": "75 °C"}),
        (device(temperature_c=74.9), {}),
        (device(ago_s=-89), {}),
        # The center was set back a year, and it has not spoken since.
        (device(ago_s=-365 * 86_400), {"silent": ""}),
        (device(disk_free_mb=499), {"disk": "499 MB"}),
        (device(disk_free_mb=500), {}),
        (device(outbox_depth=100), {"outbox": "100"}),
        (device(outbox_depth=99), {}),
        (device(throttled=True), {"throttled": ""}),
        (device(ago_s=91), {"silent": ""}),
        (device(ago_s=90), {}),
        (device(clocksynced=False), {"clock": ""}),
        (device(ahead_ms=121_000), {"clock_off": "+121 s"}),
        (device(ahead_ms=-121_000), {"clock_off": "-121 s"}),
        (device(trouble="stuck:2"), {"trouble": "stuck:2"}),
        (replace(device(), machines=TWINS), {"twins": "7c1d8b9e"}),
        (replace(device("lost"), machines=TWINS), {"lost": ""}),
        (device("lost"), {"lost": ""}),
        (device("offline", temperature_c=90), {}),
    ],
)
def test_a_device_is_judged_by_its_figures(known: Device, expected: dict[str, str]) -> None:
    """A figure beyond its bound is a sign, one at the bound is judged as the guide says, and nothing else is."""
    assert bad(known) == expected


def test_between_two_bounds_nothing_changes() -> None:
    """What is no longer bad and not yet well is neither, so that an alert stays as it is."""
    found = signs(device(temperature_c=72, disk_free_mb=550, outbox_depth=50, ahead_ms=90_000), NOW)
    assert found is not None
    assert {found[kind].condition for kind in ("hot", "disk", "outbox", "clock_off")} == {"between"}


def test_what_waited_is_no_wrong_clock() -> None:
    """A report that is old because it waited in the outbox says nothing of the device's clock."""
    assert "clock_off" not in bad(device(ahead_ms=-600_000, outbox_depth=50))
    assert "clock_off" in bad(device(ahead_ms=600_000, outbox_depth=50))


def test_one_word_for_a_device() -> None:
    """A device that never said that it is there is not known; a clock that was never set is no problem."""
    for known, word in (
        (device(), "ok"),
        (device(clocksynced=False), "ok"),
        (device(temperature_c=80), "warn"),
        (device("lost"), "lost"),
        (device("offline"), "offline"),
        (device(None), "unknown"),
    ):
        assert level(known, signs(known, NOW)) == word


@pytest.mark.parametrize(("state", "told"), [("online", {"revoked"}), ("lost", {"revoked"}), ("offline", set())])
def test_a_device_whose_key_was_revoked_is_called_so(state: str, told: set[str]) -> None:
    """Whatever a device said last: without a good key it is called revoked; one that was off alarms nobody."""
    known = device(state, temperature_c=90)
    found = signs(known, NOW, revoked=True)
    assert found is not None
    assert level(known, found) == "revoked"
    assert {kind for kind, sign in found.items() if sign.condition == "bad"} == told
    assert found["hot"].condition == "between"
    assert signs(device(None), NOW, revoked=True) is None


def test_when_most_devices_disagree_it_is_the_centers_clock() -> None:
    """If most devices with a set clock say another time, the center's clock is wrong, and no device is blamed."""
    off, right = device(ahead_ms=-3_600_000), device()
    unset = replace(off, ahead_ms=None)
    assert center_clock([off, off, right])
    assert not center_clock([off, right, right])
    assert not center_clock([off, off, right, right, right])
    assert not center_clock([off, unset, unset])
    found = signs(off, NOW, center_is_off=True)
    assert found is not None
    assert "clock_off" not in found


def test_the_center_is_judged_too() -> None:
    """A store that fails, a broker that is away or starts again and again, a full disk and a wrong clock are signs."""
    well = center_signs(Center(disk_free_mb=10_000, restarts=2))
    assert {sign.condition for sign in well.values()} == {"well"}
    ill = center_signs(Center(storing=False, reached=False, disk_free_mb=100, restarts=3, clock_is_off=True))
    assert {sign.condition for sign in ill.values()} == {"bad"}
    assert (ill["restarts"].detail, ill["center_disk"].detail) == ("3", "100 MB")
