"""A camera's table: what cannot be meant is one line with file and key, before anything is opened."""

import subprocess
import sys
from pathlib import Path

import pytest

from firmware.config import load
from firmware.devices.camera.config import CameraConfig
from firmware.devices.registry import KINDS
from firmware.errors import ConfigError
from host.sealing import make_keys

STATION = 'center = "bentre"\nstation = "q03"\nstate_dir = "/nowhere"\n[device.camera]\n'
MODULE = 'source = "picamera2"\n'
BOW = "[[0.1, 0.1], [0.9, 0.9], [0.9, 0.1], [0.1, 0.9]]"


def refusal(folder: Path, table: str) -> str:
    """Return what is said about a camera's table, without the file's name before it."""
    file = folder / "station.toml"
    file.write_text(STATION + table)
    with pytest.raises(ConfigError) as caught:
        load(file, "camera", KINDS)
    return str(caught.value).removeprefix(f"{file}: device.camera")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (f'zones = [{{name = "citizen", points = {BOW}}}]', ": zones.citizen: its sides 1 and 3 cross; name the"),
        (f'masks = [{{name = "screen", points = {BOW}}}]', ": masks.screen: its sides 1 and 3 cross; name the"),
        (
            'zones = [{name = "officer", points = [[0, 0], [0.5, 0], [1, 0]]}]',
            ": zones.officer: it is 0.0000% of the picture, next to nothing; it needs 0.05%",
        ),
        *(
            (
                f'center_key = "{key}"',
                f': center_key must be the 44 characters that motcua center clips-key prints, got "{key}"',
            )
            for key in ("nonsense", "A" * 44, "khóa", "aklaRSBnrxNpiymTc7iNFh1TNe+vWsbsTN6dw8I3yiA")
        ),
    ],
)
def test_what_cannot_be_meant_is_refused_at_the_reading(tmp_path: Path, line: str, said: str) -> None:
    """Zones, masks and the center's key are judged with all other settings, before the outbox and the broker."""
    assert refusal(tmp_path, MODULE + line).startswith(said)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            'zones = [{name = "Bàn phím", points = [[0, 0], [1, 0], [1, 1]]}]',
            ".zones[0].name: 1 to 32 of a-z, 0-9 and _, a letter first; `citizen` and `officer` have a meaning,"
            ' got "Bàn phím"',
        ),
        (
            'masks = [{name = "screen", points = [[0, 0], [1, 1]]}]',
            ".masks[0].points: A polygon's corners (x, y) in turn, at least 3 and at most 16, got a list of 2",
        ),
        (
            'hours = [{days = [1], begin = "19:00", end = "24:00"}]',
            '.hours[0].end: Local time, later the same day; `23:59` is the latest and stands for midnight, got "24:00"',
        ),
    ],
)
def test_a_limit_is_said_with_what_is_allowed(tmp_path: Path, line: str, said: str) -> None:
    """How many corners, how a zone may be called and how a day ends stand in the line itself."""
    assert refusal(tmp_path, MODULE + line) == said


@pytest.mark.parametrize(
    "address",
    ["http://camera/live", "camera.local", "rtsp://", "/dev/video0", "rtsp://camera:port/live", "rtsp://u:secret@[::1"],
)
def test_an_address_that_is_no_rtsp_is_refused_at_the_reading(tmp_path: Path, address: str) -> None:
    """A slip in a network camera's address is said without the address: a password may be in it."""
    said = refusal(tmp_path, f'source = "rtsp"\naddress = "{address}"')
    assert said == ": address must be as rtsp://host/path for the source rtsp"


def test_the_key_that_the_center_made_is_taken() -> None:
    """A public key passes, with the space that copying may leave around it."""
    assert CameraConfig(source="picamera2", center_key=f" {make_keys()[1]} ").center_key is not None


def test_a_table_is_judged_without_the_camera_s_libraries() -> None:
    """What reads the file loads neither pictures nor ciphers: a doctor needs them as little."""
    script = (
        "import sys; from firmware.devices.camera.config import CameraConfig;"
        f"CameraConfig(source='picamera2', center_key={make_keys()[1]!r});"
        "print({'av', 'cv2', 'numpy', 'cryptography'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
