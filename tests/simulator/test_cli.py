"""The demo's command line: what it refuses, and what it says when the demo is live."""

from dataclasses import replace
from pathlib import Path

import pytest

from simulator import cli
from simulator.cli import addresses, main
from simulator.premises import CameraPlace, Premises, plan_counters


@pytest.mark.parametrize("option", [["--chaos"], ["--json"], ["--seed", "1"], ["--visits", "240"], ["--speed", "600"]])
def test_an_option_of_a_day_is_refused_without_a_day(capsys: pytest.CaptureFixture[str], option: list[str]) -> None:
    """What would silently do nothing is told, with exit code 2 and what is missing."""
    assert main(option) == 2
    assert capsys.readouterr().err.splitlines()[-1] == f"motcua demo: error: {option[0]} needs --day"


def test_all_desks_are_named_in_aligned_columns(tmp_path: Path) -> None:
    """What is printed at the start says what to open, then has every desk; all descriptions begin in one column."""
    premises = Premises(folder=tmp_path, run=tmp_path, http_port=8080, mqtt_port=1883, counters=plan_counters(12))
    said = addresses(premises)
    assert said.split()[:5] == ["Open", "http://127.0.0.1:8080/demo", "in", "a", "browser:"]
    lines = [line for line in said.splitlines() if line.startswith("  http://")]
    desks = [line.split()[0] for line in lines if "/counter/" in line]
    assert desks == [f"http://127.0.0.1:8080/counter/q{n:02d}" for n in range(1, 13)]
    columns = {line.index(line.split(maxsplit=1)[1]) for line in lines}
    assert len(columns) == 1


@pytest.mark.parametrize(
    ("camera", "lacking", "said"),
    [
        (CameraPlace(counter="q01"), False, "/demo/review"),
        (CameraPlace(counter="q01", video=Path("/x/street.avi")), False, "in street.avi"),
        (None, True, "pip install 'motcua[camera]'"),
    ],
)
def test_what_the_camera_shows_is_said(tmp_path: Path, camera: CameraPlace | None, lacking: bool, said: str) -> None:
    """The first words name what is to be watched; without its libraries, how to get a camera."""
    counters = plan_counters(1)
    place = Premises(folder=tmp_path, run=tmp_path, http_port=8080, mqtt_port=1883, counters=counters, camera=camera)
    assert said in addresses(place, lacking=lacking)
    without = addresses(replace(place, camera=None))
    assert "/demo/review" not in without
    assert "/cameras" not in without
    assert "pip install" not in without


def test_two_ports_that_the_demo_chooses_are_never_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """The system may name a free port twice, as nobody listens on it yet; pages and broker still get different ones."""
    named = iter([40001, 40001, 40002])
    monkeypatch.setattr(cli, "free_port", lambda: next(named))
    http_port = cli._port("--http-port", 0, 8080)
    assert (http_port, cli._port("--mqtt-port", 0, 1883, but=http_port)) == (40001, 40002)
