"""The configuration file: what a good one gives, and the one line a bad one gets."""

import re
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import pytest

from contract.topics import Address
from firmware.config import BrokerConfig, Station, load, read_secret, read_station
from firmware.devices.registry import KINDS
from firmware.errors import ConfigError

GOOD = """
center = "bentre"
station = "q03"
state_dir = "/var/lib/motcua"

[broker]
host = "10.0.0.2"

[device.rating]
scale = "vn-3"
buttons = [{level = 1, pin = 17, led = 5}, {level = 2, pin = 27, led = 6}, {level = 3, pin = 22, led = 13}]
buzzer = 18

[device.left]
kind = "lamp"
pin = 4
"""


class Lamp(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Options of a kind of device that only these tests know."""

    pin: Annotated[int, msgspec.Meta(ge=0, le=27)]
    colour: Literal["red", "green"] = "red"
    hours: tuple[int, ...] = ()
    note: Annotated[str, msgspec.Meta(max_length=5)] | None = None

    def __post_init__(self) -> None:
        """Refuse what only two fields together make wrong."""
        if self.pin == 4 and self.colour == "green":
            raise ValueError("pin 4 has no green lamp")


class LampKind(msgspec.Struct):
    """A kind as the loader needs it."""

    config: type[msgspec.Struct] = Lamp


KINDS_HERE = {"lamp": LampKind(), "rating": KINDS["rating"]}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where the file is; tests write it."""
    return tmp_path / "station.toml"


def complaint(path: Path, text: str, name: str = "left") -> str:
    """Return what is said about a text, without the file's name before it."""
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(path, name, KINDS_HERE, environment={})
    line = str(caught.value)
    assert "\n" not in line
    assert line.startswith(f"{path}: ")
    return line.removeprefix(f"{path}: ")


def test_a_good_file_gives_a_device_all_it_needs(path: Path) -> None:
    """Address, folder, broker and the kind's own options come out of one file."""
    path.write_text(GOOD)
    config = load(path, "rating", KINDS_HERE, environment={})
    assert (config.name, config.kind) == ("rating", "rating")
    assert config.address == Address(center="bentre", station="q03", device="rating")
    assert config.state_dir == Path("/var/lib/motcua/rating")
    assert config.broker == BrokerConfig(host="10.0.0.2")
    assert config.options.scale == "vn-3"


def test_a_device_may_have_another_name_than_its_kind(path: Path) -> None:
    """`kind` says what a device is when its name does not."""
    path.write_text(GOOD)
    config = load(path, "left", KINDS_HERE, environment={})
    assert (config.name, config.kind, config.options) == ("left", "lamp", Lamp(pin=4))


def test_the_service_manager_may_give_the_folder(path: Path) -> None:
    """Without `state_dir` the first of systemd's state directories is used."""
    path.write_text(GOOD.replace("state_dir", "# state_dir"))
    config = load(path, "left", KINDS_HERE, environment={"STATE_DIRECTORY": "/var/lib/motcua:/var/lib/other"})
    assert config.state_dir == Path("/var/lib/motcua/left")


def test_the_service_manager_may_give_keys_and_passwords(path: Path) -> None:
    """`$CREDENTIALS_DIRECTORY` at the beginning of a path is the folder that systemd names; without one it stays."""
    text = GOOD.replace('host = "10.0.0.2"', 'host = "10.0.0.2"\nkeys_dir = "$CREDENTIALS_DIRECTORY/keys"')
    assert text != GOOD
    path.write_text(text)
    broker = load(path, "left", KINDS_HERE, environment={"CREDENTIALS_DIRECTORY": "/run/credentials/x"}).broker
    station = read_station(path).station
    assert broker.ca_file == "/run/credentials/x/keys/root.pem"
    assert broker.cert_file == f"/run/credentials/x/keys/{station}/left.pem"
    without = load(path, "left", KINDS_HERE, environment={}).broker
    assert without.ca_file == "$CREDENTIALS_DIRECTORY/keys/root.pem"


def test_another_devices_section_is_not_judged(path: Path) -> None:
    """A pad runs although the display's section beside it is wrong: it must not need that one's libraries."""
    path.write_text(GOOD.replace('scale = "vn-3"', "scale = 7"))
    assert load(path, "left", KINDS_HERE, environment={}).name == "left"


def replaced(old: str, new: str) -> str:
    """Return the good file with one thing changed."""
    assert old in GOOD
    return GOOD.replace(old, new)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            replaced('center = "bentre"', 'center = "Bến Tre"'),
            'center: 1 to 32 of a-z, 0-9 and inner hyphens (it becomes a part of MQTT topics), got "Bến Tre"',
        ),
        (
            replaced('station = "q03"', ""),
            "station: 1 to 32 of a-z, 0-9 and inner hyphens (it becomes a part of MQTT topics), got nothing",
        ),
        (replaced("10.0.0.2", "á..b"), 'broker.host: a host name or an IP address, got "á..b"'),
        (replaced("10.0.0.2", "a b"), 'broker.host: a host name or an IP address, got "a b"'),
        (replaced("10.0.0.2", "a" * 64), f'broker.host: a host name or an IP address, got "{"a" * 64}"'),
        (replaced('host = "10.0.0.2"', "port = 0"), "broker.port: a TCP port from 1 to 65535, got 0"),
        (replaced('host = "10.0.0.2"', 'port = "1883"'), 'broker.port: a TCP port from 1 to 65535, got "1883"'),
        (replaced('host = "10.0.0.2"', "port = true"), "broker.port: a TCP port from 1 to 65535, got true"),
        (replaced('"q03"', '"center"'), 'station: any name but the center\'s own, got "center"'),
        (replaced('host = "10.0.0.2"', 'protocol = "4"'), 'broker.protocol: one of "3.1.1", "5", got "4"'),
        (replaced('host = "10.0.0.2"', "protocol = 5"), 'broker.protocol: one of "3.1.1", "5", got 5'),
        (replaced("host =", "hots ="), "broker.hots: unknown key, did you mean host?"),
        (replaced("[broker]", "[brokers]"), "brokers: unknown key, did you mean broker?"),
        (
            replaced('host = "10.0.0.2"', 'password_file = "/p"'),
            "broker: password_file needs a username beside it",
        ),
        (replaced('host = "10.0.0.2"', 'key_file = "/k"'), "broker: key_file needs a cert_file beside it"),
        (
            replaced('host = "10.0.0.2"', 'keys_dir = "/k"\nca_file = "/c"'),
            "broker: keys_dir stands for ca_file, cert_file and key_file: leave them out",
        ),
        (
            replaced('host = "10.0.0.2"', 'cert_file = "/c"\nkey_file = "/k"'),
            "broker: cert_file needs a ca_file beside it",
        ),
        (replaced("pin = 4", "pin = 40"), "device.left.pin: a whole number from 0 to 27, got 40"),
        (replaced("pin = 4", "pin = 4.5"), "device.left.pin: a whole number from 0 to 27, got 4.5"),
        (replaced("pin = 4", ""), "device.left.pin: a whole number from 0 to 27, got nothing"),
        (
            replaced("pin = 4", 'pin = 4\ncolour = "blue"'),
            'device.left.colour: one of "green", "red", got "blue"',
        ),
        (
            replaced("pin = 4", "pin = 4\nhours = [1, 'two']"),
            'device.left.hours[1]: a whole number, got "two"',
        ),
        (
            replaced("pin = 4", "pin = 4\nhours = 7"),
            "device.left.hours: a list of items, each a whole number, got 7",
        ),
        (
            replaced("pin = 4", 'pin = 4\nnote = "too long"'),
            'device.left.note: a text of at most 5 characters, got "too long"',
        ),
        (replaced("pin = 4", 'pin = 4\ncolour = "green"'), "device.left: pin 4 has no green lamp"),
        (
            replaced("pin = 4", "pin = 4\nzebra = 1"),
            "device.left.zebra: unknown key, allowed are pin, colour, hours, note",
        ),
        (replaced('kind = "lamp"', 'kind = "lmap"'), 'device.left.kind: one of lamp, rating, got "lmap"'),
        (replaced('kind = "lamp"', "kind = 3"), "device.left.kind: one of lamp, rating, got 3"),
        (
            replaced("[device.left]", "[device.right]"),
            "device.left: no such device in this file, it has: rating, right",
        ),
        ("center = 'a'\nstation = 'b'\ndevice = 7", "device: a table, got 7"),
        ("center = 'a'\nstation = 'b'\ndevice.left = 7", "device.left: a table, got 7"),
        (
            replaced('state_dir = "/var/lib/motcua"', ""),
            "state_dir: a folder for what must survive (or run under systemd with StateDirectory=), got none",
        ),
        ("center = \n", "line 1, column 10: valid TOML, got: invalid value"),
        ("center = 'a'\ncenter = 'b'\n", "line 2, column 13: valid TOML, got: cannot overwrite a value"),
    ],
)
def test_a_wrong_file_gets_one_line(path: Path, text: str, said: str) -> None:
    """A mistake is one line with file, key, what is allowed and what was found."""
    assert complaint(path, text) == said


def test_a_name_that_no_topic_may_have_is_refused(path: Path) -> None:
    """A device's name becomes a part of topics, so it obeys their rule."""
    said = complaint(path, GOOD.replace("[device.left]", '[device."Left Lamp"]'), "Left Lamp")
    assert said == 'device.Left Lamp: a name is 1 to 32 of a-z, 0-9 and inner hyphens, got "Left Lamp"'


def test_a_missing_file_is_one_line(path: Path) -> None:
    """A file that is not there is named."""
    with pytest.raises(ConfigError) as caught:
        load(path, "left", KINDS_HERE)
    assert str(caught.value) == f"{path}: cannot be read: no such file or directory"


def test_a_file_that_is_no_text_is_one_line(path: Path) -> None:
    """Bytes that are not UTF-8 are named with their place."""
    path.write_bytes(b"center = '\xff'")
    with pytest.raises(ConfigError, match=r"byte 10: text in UTF-8, got 0xff"):
        load(path, "left", KINDS_HERE)


def test_a_secret_is_the_line_of_its_file(tmp_path: Path) -> None:
    """A password is read from its own file without the line's end; a missing file names the setting."""
    secret = tmp_path / "password"
    secret.write_text("bí mật\n")
    assert read_secret(str(secret), "broker.password_file") == "bí mật"
    with pytest.raises(ConfigError, match=r"broker\.password_file: a readable file .*no such file"):
        read_secret(str(tmp_path / "none"), "broker.password_file")


@pytest.mark.docs
def test_every_key_is_documented() -> None:
    """Each key that every station's file may have stands in the reference."""
    page = (Path(__file__).parents[2] / "docs/ref/station.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`([a-z_.]+)`", page))
    stated = {field.name for kind in (BrokerConfig, Station) for field in msgspec.structs.fields(kind)}
    assert stated - named - {"broker", "device"} == set()
    assert "[broker]" in page
    assert "`device.NAME`" in page


@pytest.mark.docs
def test_the_documented_example_is_valid(tmp_path: Path) -> None:
    """The file that the reference shows can be used as it is."""
    page = (Path(__file__).parents[2] / "docs/ref/station.md").read_text(encoding="utf-8")
    found = re.search(r"```toml\n(.*?)```", page, flags=re.DOTALL)
    assert found
    (tmp_path / "station.toml").write_text(found[1])
    assert load(tmp_path / "station.toml", "rating", KINDS).address.source == "/bentre/q03/rating"
