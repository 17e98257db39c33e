"""The unit and the timer by which a counter renews its keys."""

from pathlib import Path

import pytest

from tests.systemd.test_units import PROGRAM, SYSTEMD, analyze, installed, needs

pytestmark = needs("systemd-analyze")


def test_systemd_understands_unit_and_timer(tmp_path: Path) -> None:
    """The service manager has nothing to say against either."""
    service = installed("motcua-renew.service", tmp_path)
    timer = tmp_path / "motcua-renew.timer"
    timer.write_text((SYSTEMD / "motcua-renew.timer").read_text(encoding="utf-8"), encoding="utf-8")
    done = analyze("verify", service, timer)
    assert (done.returncode, done.stderr) == (0, "")


def test_it_is_exposed_little(tmp_path: Path) -> None:
    """The exposure of the unit, as systemd judges it, is at most 1.5 of 10."""
    done = analyze("security", "--offline=yes", "--threshold=15", installed("motcua-renew.service", tmp_path))
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("key", ["User", "StateDirectory"])
def test_it_works_in_the_devices_own_folder(key: str) -> None:
    """It writes keys where the devices read them, as the same user."""
    lines = [
        next(line for line in (SYSTEMD / unit).read_text(encoding="utf-8").splitlines() if line.startswith(f"{key}="))
        for unit in ("motcua-renew.service", "motcua-device@.service")
    ]
    assert lines[0] == lines[1]
    assert PROGRAM in (SYSTEMD / "motcua-renew.service").read_text(encoding="utf-8")
