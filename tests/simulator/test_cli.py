"""The demo's command line: what it refuses, and what it says when the demo is live."""

from pathlib import Path

import pytest

from simulator.cli import addresses, main
from simulator.premises import Premises, plan_counters


@pytest.mark.parametrize("option", [["--chaos"], ["--json"], ["--seed", "1"], ["--visits", "240"], ["--speed", "600"]])
def test_an_option_of_a_day_is_refused_without_a_day(capsys: pytest.CaptureFixture[str], option: list[str]) -> None:
    """What would silently do nothing is told, with exit code 2 and what is missing."""
    assert main(option) == 2
    assert capsys.readouterr().err.splitlines()[-1] == f"motcua demo: error: {option[0]} needs --day"


def test_all_desks_are_named_in_aligned_columns(tmp_path: Path) -> None:
    """What is printed at the start has the desk of every counter, and all descriptions begin in one column."""
    premises = Premises(folder=tmp_path, run=tmp_path, http_port=8080, mqtt_port=1883, counters=plan_counters(12))
    said = addresses(premises)
    lines = [line for line in said.splitlines() if "http://" in line]
    desks = [line.split()[0] for line in lines if "/counter/" in line]
    assert desks == [f"http://127.0.0.1:8080/counter/q{n:02d}" for n in range(1, 13)]
    columns = {line.index(line.split(maxsplit=1)[1]) for line in lines}
    assert len(columns) == 1
