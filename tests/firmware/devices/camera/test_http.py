"""The way to the center: only to whom it may go, only in the clear on this machine, and one line for what is wrong."""

import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from firmware.config import load
from firmware.devices.camera.config import CameraConfig
from firmware.devices.camera.http import check_authority, connect, explain
from firmware.errors import ConfigError
from simulator.ports import free_port
from tests.support.certificates import Office, Paper

TABLE = 'center = "bentre"\nstation = "q03"\nstate_dir = "/nowhere"\n[device.camera]\nsource = "picamera2"\n'


def config(center: str, **more: str | None) -> CameraConfig:
    """Return a camera that sends to this address."""
    return CameraConfig(source="picamera2", center=center, **more)  # type: ignore[arg-type]


@contextmanager
def answering(paper: Paper | None, answer: bytes = b"HTTP/1.1 204 No Content\r\n\r\n") -> Iterator[int]:
    """Answer everybody the same on a port of this machine, with TLS if there is a certificate."""
    door = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH) if paper else None
        if context is not None and paper is not None:
            context.load_cert_chain(paper.certificate, paper.key)
        while True:
            try:
                link, _ = door.accept()
            except OSError:
                return
            try:
                with context.wrap_socket(link, server_side=True) if context else link as talk:
                    talk.recv(65536)
                    talk.sendall(answer)
            except OSError:
                link.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield door.getsockname()[1]
    finally:
        door.shutdown(socket.SHUT_RDWR)
        door.close()
        thread.join(30)


def refusal(one: CameraConfig, **more: bool) -> str:
    """Return what is said where there is no connection."""
    with pytest.raises(OSError) as caught:  # noqa: PT011 - every way in which a connection fails
        connect(one, **more)
    said = explain(caught.value, one)
    assert "\n" not in said
    return said.replace(one.center or "", "CENTER")


def test_a_center_of_the_right_authority_is_talked_to(tmp_path: Path) -> None:
    """With `center_ca` the center's certificate is held against its authority's, or against itself."""
    office = Office(tmp_path / "office")
    paper = office.paper("center")
    with answering(paper) as port:
        for trusted in (office.root, paper.certificate):
            one = config(f"https://127.0.0.1:{port}", center_ca=str(trusted))
            check_authority(one)
            connection = connect(one)
            connection.request("HEAD", "/api/uploads/x")
            assert connection.getresponse().status == 204
            connection.close()


def test_a_center_that_is_not_trusted_gets_nothing(tmp_path: Path) -> None:
    """A certificate of somebody else, for another name or out of its time is one line that names file or clock."""
    office, other = Office(tmp_path / "office"), Office(tmp_path / "other", "Motcua other")
    root = str(office.root)
    with answering(other.paper("center")) as port:
        said = refusal(config(f"https://127.0.0.1:{port}", center_ca=root))
        assert said == f"CENTER: its certificate is of another authority than {root} (center_ca)"
        twin = str(Office(tmp_path / "twin", "Motcua other").root)
        said = refusal(config(f"https://127.0.0.1:{port}", center_ca=twin))
        assert (
            said == f"CENTER: its certificate is of another authority than {twin} (center_ca), which has the same name"
        )
        said = refusal(config(f"https://127.0.0.1:{port}"))
        assert said.endswith("its certificate is of another authority than those this machine trusts: set center_ca")
    with answering(office.paper("elsewhere", host="10.9.8.7")) as port:
        said = refusal(config(f"https://127.0.0.1:{port}", center_ca=root))
        assert said == "CENTER: its certificate is not good for the address 127.0.0.1"
    with answering(office.paper("late", days=(-30, -1))) as port:
        one = config(f"https://127.0.0.1:{port}", center_ca=root)
        assert refusal(one) == "CENTER: its certificate has expired, or this device's clock is wrong"
    with answering(office.paper("early", days=(5, 30))) as port:
        one = config(f"https://127.0.0.1:{port}", center_ca=root)
        assert refusal(one) == "CENTER: its certificate is not valid yet: is this device's clock right?"
        connect(one, clock_is_set=False).close()


def test_what_is_no_center_is_said_in_a_few_words(tmp_path: Path) -> None:
    """Nobody there, no such name, no TLS and no HTTP are a line each."""
    assert refusal(config(f"http://127.0.0.1:{free_port()}")) == "CENTER: connection refused"
    assert "not known" in refusal(config("https://motcua.invalid"))
    with answering(None, b"220 mail.example ESMTP\r\n") as port:
        said = refusal(config(f"https://127.0.0.1:{port}", center_ca=str(Office(tmp_path / "office").root)))
        assert said == "CENTER: what answers there does not speak TLS: check the port of center"
        one = config(f"http://127.0.0.1:{port}")
        connection = connect(one)
        connection.request("HEAD", "/")
        with pytest.raises(Exception) as caught:  # noqa: PT011 - http.client's own
            connection.getresponse()
        connection.close()
        assert explain(caught.value, one).endswith("what answers there is not the center: BadStatusLine")


def test_an_authority_s_file_that_is_none_is_said_at_the_start(tmp_path: Path) -> None:
    """A file that is missing, or that holds no certificate, ends the program with one line that names it."""
    missing = str(tmp_path / "missing.pem")
    with pytest.raises(ConfigError, match=f"center_ca: {missing}: no such file or directory"):
        check_authority(config("https://a.example", center_ca=missing))
    file = tmp_path / "key.pem"
    file.write_text("-----BEGIN PRIVATE KEY-----")
    with pytest.raises(ConfigError, match="PEM certificates, got one without any"):
        check_authority(config("https://a.example", center_ca=str(file)))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('center = "motcua.local:8443"', "center must be an address such as https://motcua.local:8443, got"),
        ('center = "https://"', "center must be an address such as https://motcua.local:8443, got"),
        ('center = "https://[::1"', "center must be an address such as https://motcua.local:8443, got"),
        ('center = "https://a.example:99999"', "center must be an address such as https://motcua.local:8443, got"),
        ('center = "https://a.example/motcua"', "center must be an address such as https://motcua.local:8443, got"),
        ('center = "https://anna:pass@a.example"', "center must be an address without a name or a password in it"),
        ('center = "http://a.example"', "center must begin with https:// unless it is this machine itself, got"),
        ('center = "http://127.evil.example"', "center must begin with https:// unless it is this machine itself, got"),
        ('center_ca = "/etc/ca.pem"', "center_ca needs center beside it: the address where recordings go"),
        ("upload_kbit_s = 500", "upload_kbit_s needs center beside it: the address where recordings go"),
        ('center = "https://a.example"\nupload_hours = [{days = [1], begin = "22:00", end = "05:00"}]',
         "upload_hours must end later on the day they begin, got 22:00 to 05:00"),
    ],
)  # fmt: skip
def test_an_address_that_cannot_be_meant_is_refused_at_the_start(tmp_path: Path, line: str, said: str) -> None:
    """What is no address, or would carry recordings in the clear over a network, ends the program with one line."""
    file = tmp_path / "station.toml"
    file.write_text(TABLE + line)
    with pytest.raises(ConfigError) as caught:
        load(file, "camera", {"camera": SimpleNamespace(config=CameraConfig)})
    assert str(caught.value).startswith(f"{file}: device.camera: {said}")


@pytest.mark.parametrize("center", ["https://motcua.local:8443", "https://10.0.0.2/", "http://[::1]:8080"])
def test_an_address_of_a_center_is_taken(tmp_path: Path, center: str) -> None:
    """A name or an address, with a port or without; plain HTTP on this machine itself."""
    file = tmp_path / "station.toml"
    file.write_text(TABLE + f'center = "{center}"')
    assert load(file, "camera", {"camera": SimpleNamespace(config=CameraConfig)}).options.center == center


def test_a_camera_that_sends_nothing_has_not_loaded_http() -> None:
    """The libraries of HTTP and TLS are not in the memory of a camera that never sent anything."""
    script = "import sys, firmware.devices.camera.driver; print({'ssl', 'http.client'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
