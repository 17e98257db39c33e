"""The center's configuration: read once, every fault one line that names file, key and what is allowed."""

from pathlib import Path

import pytest

from center.config import Config, read
from center.errors import ConfigError
from center.storage.store import Store

WHOLE = """\
id = "bentre"
name = "Trung tâm Phục vụ hành chính công tỉnh Bến Tre"
data_dir = "/var/lib/motcua-center"
timezone = "Asia/Ho_Chi_Minh"

[http]
port = 8081

[rating]
scale = "vn-4"

[rules]
max_recalls = 2

[[service]]
id = "dat-dai"
letter = "A"
vi = "Đất đai"
en = "Land"

[[service]]
id = "ho-tich"
letter = "B"
vi = "Hộ tịch"
en = "Civil status"

[[counter]]
id = "q01"
label = "1"
services = ["dat-dai", "ho-tich"]

[[counter]]
id = "q02"
label = "2"
services = ["ho-tich"]
"""


def parsed(folder: Path, text: str) -> Config:
    """Read a configuration from a file."""
    file = folder / "center.toml"
    file.write_text(text, encoding="utf-8")
    return read(file)


def test_a_whole_file_is_read(tmp_path: Path) -> None:
    """What the file says is what the center knows; the rest has defaults."""
    config = parsed(tmp_path, WHOLE)
    assert (config.http.port, config.http.host, config.rules.max_recalls, config.scale.name) == (
        8081, "127.0.0.1", 2, "vn-4",
    )  # fmt: skip
    assert [service.vi for service in config.services()] == ["Đất đai", "Hộ tịch"]
    assert [(one.id, one.state, one.services) for one in config.counters()][1] == ("q02", "closed", ("ho-tich",))
    assert config.store_url == "sqlite:////var/lib/motcua-center/center.db"


def test_the_database_stands_in_data_dir_whatever_its_name(tmp_path: Path) -> None:
    """A folder's name may hold what has a meaning in a URL."""
    folder = tmp_path / "dữ liệu 100%41?a=b#c"
    text = WHOLE.replace("/var/lib/motcua-center", str(folder))
    Store(parsed(tmp_path, text).store_url).close()
    assert {each.name for each in folder.iterdir()} == {"center.db", "center.db.lock"}


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("port = 8081", "port = 80810", "http.port: a TCP port from 1 to 65535, got 80810"),
        ("port = 8081", 'proxies = ["*"]', 'http.proxies[0]: an IP address, got "*"'),
        ("port = 8081", "prot = 8081", "http.prot: unknown key, did you mean port?"),
        ('id = "q01"', 'id = "Q 01"', 'counter[0].id: 1 to 32 of a-z, 0-9 and inner hyphens, got "Q 01"'),
        ('letter = "A"', 'letter = "Đ"', 'service[0].letter: one letter of A to Z, got "Đ"'),
        ('letter = "B"', 'letter = "A"', 'service[1].letter: different from every other, got "A" again'),
        ('id = "q02"', 'id = "q01"', 'counter[1].id: different from every other, got "q01" again'),
        ('id = "q02"', 'id = "center"', 'counter[1].id: any name but the center\'s own, got "center"'),
        ('label = "2"', 'label = "1"', 'counter[1].label: different from every other, got "1" again'),
        ('label = "2"', 'label = "mười hai"', None),
        ('label = "2"', 'label = "số mười hai"', "counter[1].label: a text of 1 to 8 characters, not only spaces, got"),
        ('label = "2"', 'label = "  "', 'counter[1].label: a text of 1 to 8 characters, not only spaces, got "  "'),
        ('["ho-tich"]', '["thue"]', 'counter[1].services: services of "dat-dai", "ho-tich", got "thue"'),
        (
            '["ho-tich"]',
            "[]",
            "counter[1].services: a list of at least 1 item, each 1 to 32 of a-z",
        ),
        ('["ho-tich"]', '["ho-tich", "ho-tich"]', "counter[1].services: each service once, got"),
        ('name = "Trung', '# name = "Trung', "name: a text of 1 to 100 characters, not only spaces, got nothing"),
        ("max_recalls = 2", "max_recalls = true", "rules.max_recalls: a whole number from 0 to 20, got true"),
        ("Asia/Ho_Chi_Minh", "Asia/Ben_Tre", 'timezone: a time zone such as Asia/Ho_Chi_Minh, got "Asia/Ben_Tre"'),
        ("Asia/Ho_Chi_Minh", "../etc/passwd", "timezone: a time zone such as Asia/Ho_Chi_Minh, got"),
        ("vn-4", "vn-9", 'rating.scale: one of "vn-3", "vn-4", "vn-5", got "vn-9"'),
        ("[http]", "[http", "line 6, column 6: valid TOML, got: "),
    ],
)
def test_a_fault_is_one_line_with_file_key_and_what_is_allowed(
    tmp_path: Path, old: str, new: str, line: str | None
) -> None:
    """Whoever mistypes the file reads one line that says where and what would be right."""
    text = WHOLE.replace(old, new, 1)
    assert text != WHOLE
    if line is None:
        parsed(tmp_path, text)
        return
    with pytest.raises(ConfigError) as error:
        parsed(tmp_path, text)
    assert str(error.value).startswith(f"{tmp_path / 'center.toml'}: {line}")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("broker", "line"),
    [
        ('kind = "mosquito"', 'broker.kind: one of "amqtt", "auto", "external", "mosquitto", got "mosquito"'),
        ('host = "0.0.0.0"\nkeys = false', "broker.keys: true, because"),
        ('kind = "amqtt"\nhost = "192.168.1.2"', 'broker.kind: "mosquitto", because'),
        ('kind = "amqtt"\nkeys = true', 'broker.kind: "mosquitto", because'),
        ('username = "center"\npassword_file = "p"', 'broker.username: left out, because only kind = "external"'),
        ('ca_file = "root.pem"', 'broker.ca_file: left out, because only kind = "external"'),
        ('kind = "external"\ncert_file = "c"', "broker.ca_file: a file, because cert_file or key_file is set"),
        ('kind = "external"\nca_file = "r"\nkey_file = "k"', "broker.cert_file: a file, because key_file is set"),
        ('kind = "external"\nkeys = true', "broker.keys: left out, because an external broker has keys of its own"),
        ('names = ["máy chủ"]', "broker.names[0]: a host name or an IP address"),
        ('kind = "external"\nusername = "center"', "broker: username and password_file together"),
        ('kind = "external"\nhost = "192.168.1.2"', None),
        ('kind = "external"\nca_file = "r"\ncert_file = "c"', None),
        ('host = "0.0.0.0"\nnames = ["may-chu.local", "192.168.10.2"]', None),
    ],
)
def test_a_broker_without_keys_stays_on_loopback(tmp_path: Path, broker: str, line: str | None) -> None:
    """A broker of our own that other machines can reach asks for keys, and only another's for anything else."""
    text = f"{WHOLE}\n[broker]\n{broker}\n"
    if line is None:
        parsed(tmp_path, text)
        return
    with pytest.raises(ConfigError) as error:
        parsed(tmp_path, text)
    assert str(error.value).startswith(f"{tmp_path / 'center.toml'}: {line}")


@pytest.mark.parametrize(
    ("broker", "port", "secured"),
    [
        ("", 1883, False),
        ('host = "0.0.0.0"', 8883, True),
        ('host = "0.0.0.0"\nport = 1884', 1884, True),
        ("keys = true", 8883, True),
        ('kind = "external"\nhost = "192.168.1.2"', 1883, False),
    ],
)
def test_the_port_follows_the_keys(tmp_path: Path, broker: str, port: int, secured: bool) -> None:
    """A broker that asks for keys listens on 8883 unless it is told otherwise, one on loopback on 1883."""
    config = parsed(tmp_path, f"{WHOLE}\n[broker]\n{broker}\n")
    assert (config.broker.port, config.broker.secured) == (port, secured)


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    """A wrong path is one line, too."""
    with pytest.raises(ConfigError, match=r"nowhere\.toml: cannot be read: no such file"):
        read(tmp_path / "nowhere.toml")


def test_a_file_in_another_encoding_says_so(tmp_path: Path) -> None:
    """A file that an old editor saved in another code page is refused with the place."""
    (tmp_path / "center.toml").write_bytes('name = "Bến Tre"'.encode("cp1258", errors="replace") + b"\xff")
    with pytest.raises(ConfigError, match=r"byte \d+: text in UTF-8, got 0x"):
        read(tmp_path / "center.toml")
