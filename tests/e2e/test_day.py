"""A short day through the whole real path: nothing lost, nothing twice, on both brokers, also under kill -9."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.e2e

VISITS = 16
VISITS_UNDER_KILLS = 30  # a shorter day might end before much was killed
WITHIN_S = 110
KEYS = {
    "issued", "called", "served", "no_show", "calls_duplicated", "numbers_duplicated", "ratings_pressed",
    "ratings_stored", "ratings_lost", "ratings_duplicated", "call_to_panel_ms", "press_to_stored_ms",
    "press_to_light_ms",
}  # fmt: skip
MOSQUITTO = pytest.param("mosquitto", marks=pytest.mark.mosquitto)


def play(data: Path, broker: str, visits: int, *options: str) -> tuple[int, dict[str, Any], str]:
    """Play a day; return the exit code, its account and what it said."""
    if broker == "mosquitto" and not shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin"):
        pytest.skip("mosquitto is missing: sudo make system-packages")
    command = [
        sys.executable,
        "-m",
        "motcua.cli",
        "demo",
        "--day",
        "--json",
        "--visits",
        str(visits),
        "--data",
        str(data),
    ]
    command += ["--http-port", "0", "--mqtt-port", "0", "--broker", broker, *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=WITHIN_S, check=False)
    (line,) = done.stdout.splitlines()
    return done.returncode, json.loads(line), done.stderr


@pytest.mark.parametrize("broker", [MOSQUITTO, pytest.param("amqtt", marks=pytest.mark.long)])
def test_a_day_is_whole(tmp_path: Path, broker: str) -> None:
    """A day of some visits ends by itself with one JSON object, every visit ended, every rating stored once."""
    code, account, said = play(tmp_path, broker, VISITS)
    assert code == 0, said
    assert account.keys() >= KEYS
    assert account["issued"] == account["called"] == account["served"] + account["no_show"] == VISITS
    # A hand that saw no light in time (a busy machine) was promised nothing: its rating may be stored or not.
    confirmed, stored, unconfirmed = (account[f"ratings_{word}"] for word in ("pressed", "stored", "unconfirmed"))
    assert 5 < confirmed <= stored <= confirmed + unconfirmed
    assert account["press_to_light_ms"]["p50"] < account["press_to_stored_ms"]["p50"]


@pytest.mark.parametrize("broker", [MOSQUITTO, pytest.param("amqtt", marks=pytest.mark.long)])
def test_a_day_is_whole_when_everything_is_killed(tmp_path: Path, broker: str) -> None:
    """Killing broker, center and devices all day long loses nothing, and nothing happens twice."""
    code, account, said = play(tmp_path, broker, VISITS_UNDER_KILLS, "--chaos", "--seed", "4")
    assert code == 0, said
    assert account["issued"] == account["served"] + account["no_show"] == VISITS_UNDER_KILLS
    wrong = ("calls_duplicated", "numbers_duplicated", "ratings_lost", "ratings_duplicated")
    assert [account[key] for key in wrong] == [0, 0, 0, 0]
    assert sum(account["kills"].values()) >= 2  # seeded, but how long a short day lasts is the machine's business


@pytest.mark.long
@pytest.mark.mosquitto
@pytest.mark.parametrize("options", [(), ("--chaos", "--seed", "5")], ids=["calm", "killed"])
def test_a_day_is_whole_over_mutual_tls(tmp_path: Path, options: tuple[str, ...]) -> None:
    """With a key for everybody at the broker the same day is as whole, also when everything is killed."""
    code, account, said = play(tmp_path, "mosquitto", VISITS_UNDER_KILLS if options else VISITS, "--keys", *options)
    assert code == 0, said
    wrong = ("calls_duplicated", "numbers_duplicated", "ratings_lost", "ratings_duplicated")
    assert [account[key] for key in wrong] == [0, 0, 0, 0]
