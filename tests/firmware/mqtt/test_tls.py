"""A device and its keys at a real broker: who is let in, what is said when not, and that new files are taken."""

import logging
import os
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from center.keys import papers
from contract.topics import Address, Channel
from firmware.config import BrokerConfig
from firmware.errors import ConfigError
from firmware.mqtt.tls import tls_context
from firmware.mqtt.transport import LinkDown, LinkUp, Transport, refused_pause_s
from tests.support.brokers import Mosquitto
from tests.support.keys import Client, Site, in_days, put
from tests.support.waiting import wait_for

pytestmark = pytest.mark.mosquitto
ADDRESS = Address(center="bentre", station="q03", device="rating")


class Device:
    """A transport with what it posted."""

    def __init__(self, config: BrokerConfig, *, clock_is_set: bool = True) -> None:
        self.news: list[object] = []
        self.transport = Transport(
            ADDRESS,
            config,
            password=None,
            status=lambda presence: presence.encode(),
            post=self.news.append,
            clock_is_set=lambda: clock_is_set,
        )

    def __enter__(self) -> "Device":
        self.transport.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.transport.stop()

    def ups(self) -> int:
        """Return how often the link came up."""
        return sum(isinstance(one, LinkUp) for one in self.news)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A broker that asks for keys, and a station that has some."""
    one = Site(tmp_path)
    one.provision("q03/rating")
    with one:
        yield one


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the warnings so far."""
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def test_with_its_key_a_device_speaks_to_the_center(site: Site) -> None:
    """A device with a key of the center's authority is let in, and what it says reaches the center."""
    with (
        Client(site, site.authority.center_file, subscribe=["motcua/#"]) as center,
        Device(site.config(site.folder / "station")) as device,
    ):
        wait_for(device.ups)
        assert device.transport.publish(Channel.EVENT, b"press")
        wait_for(lambda: (ADDRESS.topic(Channel.EVENT), b"press") in center.heard)


@pytest.mark.parametrize(
    ("case", "line"),
    [
        ("revoked", "the certificate of this device was revoked: motcua provision makes new keys"),
        ("expired", "the certificate of this device has expired: motcua provision makes new keys"),
        ("stranger", "the broker does not know the authority of this device's certificate"),
        ("no key", "the broker asks for a certificate: set keys_dir"),
        ("other root", "the broker's certificate is of another authority than"),
        ("other name", "the broker's certificate is not good for 127.0.0.2: add that to names under [broker]"),
        ("no broker", "what answers there is no broker: its certificate is for devices"),
        ("plain", "check port"),
    ],
)
def test_each_refusal_is_one_line_that_says_why(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, case: str, line: str
) -> None:
    """Whatever is wrong with a key on either side, the device's one warning says what, and what to do."""
    site = Site(tmp_path)
    folder = site.provision("q03/rating")
    config = site.config(folder)
    other = papers.make_root("bentre", now=in_days(0))
    match case:
        case "revoked":
            site.authority.revoke("q03")
        case "expired":
            put(folder, "q03/rating", papers.make(site.root(), "q03/rating", use="client", until=in_days(-1)).pem)
        case "stranger":
            put(folder, "q03/rating", papers.make(other, "q03/rating", use="client", until=in_days(9)).pem)
        case "no key":
            config = BrokerConfig(host=site.host, port=site.port, ca_file=str(folder / "root.pem"))
        case "other root":
            (folder / "root.pem").write_bytes(papers.pem(other.certificate))
        case "other name":
            config = site.config(folder, host="127.0.0.2")
            site = _on_every_address(site)
        case "no broker":
            shutil.copy(folder / "q03" / "rating.pem", site.authority.broker_file)
            shutil.copy(folder / "q03" / "rating.pem", site.authority.center_file)
    if case == "no broker":
        _expect_from_an_impostor(site, config, line, caplog)
        return
    if case == "plain":
        _expect_from_a_plain_broker(site, config, line, caplog)
        return
    with site, Device(config) as device:
        wait_for(lambda: said(caplog))
        assert device.ups() == 0
    assert len(said(caplog)) == 1
    assert line in said(caplog)[0]


def _on_every_address(site: Site) -> Site:
    from center.broker import make_broker
    from center.config import Broker

    broker = make_broker(Broker(kind="mosquitto", host="0.0.0.0", port=site.port), site.folder, site.keys)  # noqa: S104 – in a test
    assert broker is not None
    site.broker.stop()
    site.broker = broker
    return site


def _expect_from_an_impostor(site: Site, config: BrokerConfig, line: str, caplog: pytest.LogCaptureFixture) -> None:
    """Let a program with a device's key play the broker."""
    import socket
    import ssl
    import threading

    site.broker.stop()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(site.folder / "station" / "q03" / "rating.pem")
    with socket.create_server((site.host, site.port)) as server:
        server.settimeout(30)

        def answer() -> None:
            sock, _ = server.accept()
            with sock:
                try:
                    context.wrap_socket(sock, server_side=True).close()
                except OSError:
                    return

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        with Device(config) as device:
            wait_for(lambda: said(caplog))
            assert device.ups() == 0
        thread.join(30)
    assert line in said(caplog)[0]


def _expect_from_a_plain_broker(site: Site, config: BrokerConfig, line: str, caplog: pytest.LogCaptureFixture) -> None:
    """Let something answer that does not speak TLS."""
    import socket
    import threading

    site.broker.stop()
    with socket.create_server((site.host, site.port)) as server:
        server.settimeout(30)

        def answer() -> None:
            sock, _ = server.accept()
            with sock:
                sock.recv(1)
                sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                sock.recv(4096)

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        with Device(config):
            wait_for(lambda: said(caplog))
        thread.join(30)
    assert line in said(caplog)[0]


def test_a_key_that_is_revoked_while_it_is_used_is_said(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """A device that is thrown off says why, though it has said already that the connection broke."""
    with Device(site.config(site.folder / "station")) as device:
        wait_for(device.ups)
        site.authority.revoke("q03")
        site.broker.restart()
        wait_for(lambda: any("was revoked" in line for line in said(caplog)), timeout_s=30)
    assert isinstance(device.news[1], LinkDown)
    assert len([line for line in said(caplog) if "was revoked" in line]) == 1


def test_new_keys_are_taken_at_the_next_connection(site: Site) -> None:
    """A key that was replaced in its file is used from the next connection on, without a restart of the device."""
    folder = site.folder / "station"
    with Device(site.config(folder)) as device:
        wait_for(device.ups)
        site.provision("q03/rating")
        site.authority.revoke("q03", "rating", but_newest=True)
        site.broker.restart()
        wait_for(lambda: device.ups() == 2, timeout_s=30)


def test_new_keys_for_refused_ones_are_taken_within_seconds(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """A device whose key was revoked tries a new one soon after it was installed, however long its pause still is."""
    folder = site.folder / "station"
    site.authority.revoke("q03")
    site.broker.restart()
    wait_for(lambda: site.broker.pid is not None)
    with Device(site.config(folder)) as device:
        wait_for(lambda: any("was revoked" in line for line in said(caplog)))
        site.provision("q03/rating")
        site.broker.reload()
        wait_for(device.ups, timeout_s=30)


def test_a_refused_key_knocks_ever_more_seldom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each refusal of a key doubles the pause, to ten minutes; who has none at all knocks every half a minute."""
    assert all(22 <= refused_pause_s(0) <= 38 for _ in range(100))
    assert all(90 <= refused_pause_s(2) <= 150 for _ in range(100))
    assert all(450 <= refused_pause_s(times) <= 750 for times in (5, 6, 10_000))
    assert len({refused_pause_s(9) for _ in range(20)}) > 1
    for case, expected in (("revoked", [0, 1, 2]), ("no key", [0, 0, 0])):
        (tmp_path / case).mkdir()
        site = Site(tmp_path / case)
        folder = site.provision("q03/rating")
        config = site.config(folder)
        if case == "revoked":
            site.authority.revoke("q03")
        else:
            config = BrokerConfig(host=site.host, port=site.port, ca_file=str(folder / "root.pem"))
        asked: list[int] = []

        def pause_s(refusals: int, asked: list[int] = asked) -> float:
            asked.append(refusals)
            return 0.0

        monkeypatch.setattr("firmware.mqtt.transport.refused_pause_s", pause_s)
        with site, Device(config):
            wait_for(lambda asked=asked: len(asked) >= 3)
        assert asked[:3] == expected


@pytest.mark.parametrize("clock_is_set", [False, True])
def test_an_unset_clock_shuts_no_device_out(
    make_mosquitto: Callable[..., Mosquitto], tmp_path: Path, caplog: pytest.LogCaptureFixture, clock_is_set: bool
) -> None:
    """While a device's clock was never set, it does not judge the broker's certificate by its times; later it does."""
    site = Site(tmp_path)
    folder = site.provision("q03/rating")
    expired = papers.make(site.root(), "broker", use="server", until=in_days(-1), names=["127.0.0.1"])
    put(tmp_path, "old/broker", expired.pem)
    file = tmp_path / "old" / "broker.pem"
    broker = make_mosquitto(options=f"allow_anonymous true\ncafile {folder}/root.pem\ncertfile {file}\nkeyfile {file}")
    site.port = broker.port
    with Device(site.config(folder), clock_is_set=clock_is_set) as device:
        if clock_is_set:
            wait_for(lambda: said(caplog))
            assert "the broker's certificate has expired, or this device's clock is wrong" in said(caplog)[0]
        else:
            wait_for(device.ups)
    site.broker.stop()


@pytest.mark.parametrize(
    ("wrong", "line"),
    [
        ("missing", "no such file or directory; there are keys for q03/callpad"),
        ("unreadable", "is a directory"),
        ("garbage", "there is no key, or no certificate, in it"),
        ("other key", "the key does not fit the certificate"),
    ],
)
def test_a_file_that_cannot_be_used_is_told_before_anything_begins(tmp_path: Path, wrong: str, line: str) -> None:
    """A key that is missing, unreadable, no key at all or another's is one line with file, setting and reason."""
    root = papers.make_root("bentre", now=in_days(0))
    pair, other = (papers.make(root, "q03/rating", use="client", until=in_days(9)) for _ in range(2))
    put(tmp_path, "q03/callpad", pair.pem)
    (tmp_path / "root.pem").write_bytes(papers.pem(root.certificate))
    file = tmp_path / "q03" / "rating.pem"
    match wrong:
        case "unreadable":
            file.mkdir()
        case "garbage":
            file.write_text("not a key\n")
        case "other key":
            file.write_bytes(other.key_pem + papers.pem(pair.certificate))
    config = BrokerConfig(keys_dir=str(tmp_path), ca_file=str(tmp_path / "root.pem"), cert_file=str(file))
    with pytest.raises(ConfigError) as error:
        tls_context(config)
    assert str(error.value).startswith(f"{file}: broker.keys_dir: a PEM certificate and its key")
    assert line in str(error.value)
    assert "\n" not in str(error.value)


def test_making_ready_for_a_connection_costs_a_few_milliseconds(tmp_path: Path) -> None:
    """Reading the keys anew at each connection is cheap enough to be done at each."""
    folder = tmp_path / "station"
    root = papers.make_root("bentre", now=in_days(0))
    put(folder, "q03/rating", papers.make(root, "q03/rating", use="client", until=in_days(9)).pem)
    (folder / "root.pem").write_bytes(papers.pem(root.certificate))
    config = BrokerConfig(ca_file=str(folder / "root.pem"), cert_file=str(folder / "q03" / "rating.pem"))
    began = time.process_time()
    for _ in range(20):
        tls_context(config)
    assert (time.process_time() - began) / 20 < 0.05


def test_keys_are_for_their_owner_alone(tmp_path: Path) -> None:
    """What the authority writes nobody else on the machine can read."""
    site = Site(tmp_path)
    os.umask(os.umask(0))
    for file in site.authority.folder.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
    assert stat.S_IMODE(site.authority.folder.stat().st_mode) == 0o700
    site.broker.stop()
