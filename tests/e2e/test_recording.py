"""A recording's whole way with all programs real: asked for on a page, recorded, sent, and there to be looked at."""

import io
import signal
from pathlib import Path

import av
import pytest

from contract.topics import Channel
from host.sealing import make_keys, read_private_key, unseal
from tests.support.brokers import Broker
from tests.support.center import CenterSide
from tests.support.lens import ADDRESS, Lens
from tests.support.program import Program
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.mosquitto, pytest.mark.e2e]


def test_what_a_supervisor_wants_to_keep_is_at_the_center_soon(mosquitto_broker: Broker, tmp_path: Path) -> None:
    """The stretch that was asked for comes, plays, opens with the center's key, and is no longer on the camera."""
    for name in ("center", "camera"):
        (tmp_path / name).mkdir()
    pem, public = make_keys()
    center = Program(tmp_path / "center", "external", broker=mosquitto_broker)
    with center.config.open("a", encoding="utf-8") as file:
        file.write("[clips]\nspare_gb = 0\n")
    lens = Lens(tmp_path / "camera", mosquitto_broker, center.http_port, more=f'center_key = "{public}"')
    center.start()
    try:
        lens.start()
        with CenterSide(mosquitto_broker, ADDRESS) as wire:
            wait_for(lambda: wire.heard(Channel.REPORTED), timeout_s=30)
        asked = {"before_s": 0, "after_s": 3, "note": "a loud word"}
        wait_for(lambda: center.refusal("/api/cameras/q01/keep", "key-1", asked) is None, timeout_s=30, every_s=0.2)
        query = "SELECT name, why, arrived_at, sealed_at, sha256, sealed_sha256, thumbnail FROM clip"
        wait_for(lambda: [row for row in center.rows(query) if row[3]], timeout_s=30, every_s=0.1)
        ((name, why, arrived_at, _, *hashes, thumbnail),) = center.rows(query)
        assert (why, arrived_at is not None) == ("asked", True)
        assert thumbnail.startswith(b"\xff\xd8\xff"), "a picture for the list of what is to be reviewed"
        wait_for(lambda: not list(lens.clips.iterdir()))
        assert lens.running()
    finally:
        lens.end(signal.SIGTERM)
        center.end(signal.SIGTERM)
    shown, sealed = (
        (tmp_path / "center" / "data" / "clips" / each[:2] / each[2:4] / each).read_bytes() for each in hashes
    )
    clear = b"".join(unseal(io.BytesIO(sealed), read_private_key(pem), name))
    for content in (shown, clear):
        with av.open(io.BytesIO(content)) as container:
            assert 2 <= sum(1 for _ in container.decode(video=0)) <= 5
    assert "cannot" not in lens.log()
