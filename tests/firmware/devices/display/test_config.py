"""The display's table in the configuration file."""

import subprocess
import sys
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from firmware.config import load
from firmware.devices.display.config import DisplayConfig
from firmware.devices.display.signs import Trouble
from firmware.devices.registry import KINDS
from firmware.errors import ConfigError


def _error(tmp_path: Path, text: str) -> str:
    file = tmp_path / "motcua.toml"
    file.write_text(
        f'center = "bentre"\nstation = "q03"\nstate_dir = "{tmp_path}"\n[device.display]\n{text}\n', encoding="utf-8"
    )
    with pytest.raises(ConfigError) as caught:
        load(file, "display", KINDS)
    line = str(caught.value)
    assert "\n" not in line
    return line.removeprefix(f"{file}: ")


def test_a_panel_needs_only_its_codec_and_its_port() -> None:
    """The smallest table of each codec is enough."""
    assert msgspec.convert({"codec": "screen"}, DisplayConfig) == DisplayConfig(codec="screen")
    for codec in ("modbus-led", "cd5220"):
        config = msgspec.convert({"codec": codec, "port": "/dev/ttyUSB0"}, DisplayConfig)
        assert config.port == "/dev/ttyUSB0"
        assert config.stale_after_s == 120


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "device.display.codec: "),
        ('codec = "morse"', 'device.display.codec: one of "cd5220", "modbus-led", "screen", got "morse"'),
        ('codec = "cd5220"', "device.display: codec 'cd5220' needs `port`"),
        ('codec = "cd5220"\nport = "ttyUSB0"', "device.display.port: the path of a port, as /dev/ttyUSB0, got"),
        ('codec = "cd5220"\nport = "/dev/ttyUSB0"\nunit = 2', "device.display: `unit` is only for codec 'modbus-led'"),
        ('codec = "screen"\nport = "/dev/ttyUSB0"', "device.display: `port` is only for codec"),
        ('codec = "modbus-led"\nport = "/dev/x"\nunit = 300', "device.display.unit: a whole number from 1 to 247"),
        ('codec = "modbus-led"\nport = "/dev/x"\nbaud = 9601', "device.display.baud: one of 1200, 2400"),
        ('codec = "cd5220"\nport = "/dev/x"\nbrightnes = 3', "device.display.brightnes: unknown key, did you mean"),
    ],
)
def test_a_wrong_table_is_refused_in_one_line(tmp_path: Path, text: str, said: str) -> None:
    """What cannot work is refused with the key and what is allowed."""
    assert _error(tmp_path, text).startswith(said)


def test_a_panel_too_short_for_its_numbers_is_refused_at_start(tmp_path: Path) -> None:
    """Four digits cannot show A1000: the operator chooses what is left out, before the thousandth citizen comes."""
    four = 'codec = "modbus-led"\nport = "/dev/x"\ndigits = 4'
    assert "a panel of 4 digits cannot show A1000: set overflow" in _error(tmp_path, four)
    config = {"codec": "modbus-led", "port": "/dev/x", "digits": 4}
    assert msgspec.convert({**config, "overflow": "cut"}, DisplayConfig).overflow == "cut"
    assert msgspec.convert({**config, "letters": False}, DisplayConfig).letters is False


def test_every_key_and_every_trouble_is_in_the_guide() -> None:
    """The guide names each key of the table and each trouble that a display reports."""
    guide = (Path(__file__).parents[4] / "docs/guide/devices/display.md").read_text(encoding="utf-8")
    for word in (*DisplayConfig.__struct_fields__, *get_args(Trouble), "no_contact"):
        assert f"| `{word}` |" in guide, word


@pytest.mark.parametrize(("codec", "code"), [("modbus-led", 2), ("cd5220", 0), ("screen", 0)])
def test_a_missing_library_is_named_with_the_command_that_installs_it(codec: str, code: int) -> None:
    """Only the codec that speaks Modbus needs pymodbus; without it the display ends with one line that says so."""
    program = f"""
import sys
sys.modules["pymodbus"] = None
from firmware.devices.display.config import DisplayConfig
from firmware.devices.registry import KINDS, DeviceContext
from firmware.errors import ConfigError
config = DisplayConfig(codec={codec!r}, port={"/dev/null" if codec != "screen" else None!r})
try:
    KINDS["display"].build(config, DeviceContext("q03", "display", lambda: "id", {{}}))
except ConfigError as error:
    sys.exit(print(error) or 2)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == code, done.stderr
    assert done.stdout == ("codec 'modbus-led' needs pymodbus: pip install 'motcua[modbus]'\n" if code else "")
