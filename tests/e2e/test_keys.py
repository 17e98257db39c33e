"""Keys from one end to the other, by the commands that a technician gives, while a citizen presses."""

import json
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.request
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.support.pad import LEDS, Pad
from tests.support.program import Program
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.long, pytest.mark.mosquitto]


def motcua(*arguments: str, folder: Path) -> str:
    """Give a command; it must succeed. Return what it said."""
    command = [sys.executable, "-m", "motcua.cli", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def stored(folder: Path) -> int:
    """Return how many presses the center has."""
    with closing(sqlite3.connect(f"file:{folder / 'data' / 'center.db'}?mode=ro", uri=True)) as database:
        (count,) = database.execute(
            "SELECT count(*) FROM device_event WHERE type = 'vn.motcua.rating.given.v1'"
        ).fetchone()
        return int(count)


def called(program: Program) -> str:
    """Return what the devices page calls the pad."""
    asked = urllib.request.Request(f"http://127.0.0.1:{program.http_port}/api/devices")
    asked.add_header("Cookie", program.cookie())
    with urllib.request.urlopen(asked, timeout=30) as answer:  # noqa: S310 (loopback)
        (one,) = json.load(answer)["devices"]
        return str(one["level"])


def press(pad: Pad, level: int) -> None:
    """Press until it is confirmed by the light, and let the pad's lock-out pass."""
    pad.wait_lit(LEDS[level], since_ns=pad.push(level))
    time.sleep(0.7)


def test_presses_go_on_while_keys_are_made_renewed_and_revoked(tmp_path: Path) -> None:
    """Keys are made, renewed and the old ones revoked, which restarts the broker: no press is lost or doubled."""
    program = Program(tmp_path, "mosquitto")
    program.config.write_text(
        program.config.read_text(encoding="utf-8").replace('kind = "mosquitto"', 'kind = "mosquitto"\nkeys = true'),
        encoding="utf-8",
    )
    center = ("--config", str(program.config))
    program.start()
    try:
        motcua("provision", "q03", "--place", "--devices", "rating", *center, folder=tmp_path)
        motcua("device", "install", "motcua-q03.tar.gz", "--root", str(tmp_path / "root"), folder=tmp_path)
        keys = tmp_path / "root/var/lib/motcua/keys"
        before = (keys / "q03/rating.pem").read_bytes()
        pad = Pad(
            tmp_path,
            SimpleNamespace(port=program.mqtt_port),  # type: ignore[arg-type] - as much of a broker as it needs
            broker_lines=f'keys_dir = "{keys}"',
            rating='mode = "open"\nlockout_ms = 500\nthanks_ms = 300',
        )
        with pad:
            press(pad, 1)
            wait_for(lambda: stored(tmp_path) == 1, timeout_s=30)
            motcua("device", "renew", "--force", "--config", str(pad.config), folder=tmp_path)
            press(pad, 2)
            assert (keys / "q03/rating.pem").read_bytes() != before
            motcua("provision", "revoke", "q03", "--old", *center, folder=tmp_path)
            for level in (3, 1, 2, 3):
                press(pad, level)
            wait_for(lambda: stored(tmp_path) == 6, timeout_s=30)
            assert pad.log.read_text(encoding="utf-8").count("connected to the broker") == 2
            listed = motcua("provision", "list", *center, folder=tmp_path)
            assert listed.count("revoked") == listed.count("good") == 2
            motcua("provision", "revoke", "q03", *center, folder=tmp_path)
            wait_for(lambda: "was revoked" in pad.log.read_text(encoding="utf-8"), timeout_s=30)
            wait_for(lambda: called(program) == "revoked", timeout_s=30)
            press(pad, 1)
        assert stored(tmp_path) == 6
    finally:
        assert program.end(signal.SIGTERM)[0] == 0
