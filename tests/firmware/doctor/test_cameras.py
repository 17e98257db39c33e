"""Cameras: named where there are some, and what one that is configured needs."""

import os
import socket
import stat
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from contract.ids import uuid7
from contract.states import CameraDesired, Hours, Zone
from firmware.clock import SystemClock
from firmware.devices.camera.config import CameraConfig
from firmware.devices.camera.decisions import CameraDecisions
from firmware.devices.camera.model import MODEL_SHA256
from firmware.doctor import cameras
from firmware.doctor.cameras import CameraFacts, CameraUse
from firmware.mqtt.outbox import Outbox
from firmware.ports import Remember
from host.doctor.finding import Finding, Level
from host.doctor.rights import FileFacts, User
from host.doctor.roots import Roots

NOBODY = User("motcua", 900, frozenset((900, 44)))
ZONES = tuple(Zone(name=name, points=((0.0, 0.0), (0.5, 0.0), (0.5, 1.0))) for name in ("citizen", "officer"))
VIDEO = FileFacts(Path("/dev/video0"), stat.S_IFCHR | 0o660, gid=44, group="video")


def video(sys: Path, number: int, name: str, index: int = 0) -> None:
    """Make a video node as the kernel shows it."""
    folder = sys / f"class/video4linux/video{number}"
    folder.mkdir(parents=True)
    (folder / "name").write_text(name + "\n")
    (folder / "index").write_text(f"{index}\n")


def configured(**given: Any) -> CameraConfig:
    """A camera's table: a USB camera with both zones, unless said."""
    usual = {"source": "v4l2", "address": "/dev/video0", "center": "https://motcua.local:8443", "zones": ZONES}
    return CameraConfig(**{**usual, **given})


def judged(config: CameraConfig | None = None, **facts: Any) -> dict[str, Finding]:
    """Judge a camera that has all it needs, but for what is given; by code."""
    use = CameraUse("q01", "camera", config or configured(model="/m.onnx"), Path("/var/lib/motcua/camera"))
    whole: dict[str, Any] = {"file": VIDEO, "network": MODEL_SHA256, "room_mb": 30_000}
    found = cameras.judge(CameraFacts(use, **(whole | facts)), NOBODY)
    assert len({each.code for each in found}) == len(found)
    return {each.code: each for each in found}


def wrong(found: dict[str, Finding]) -> Sequence[str]:
    """Return the codes of what is not well."""
    return [each.code for each in found.values() if each.level is not Level.OK]


def test_each_camera_is_named_once(tmp_path: Path) -> None:
    """A camera's second node and a Pi's own coders are no cameras."""
    video(tmp_path, 0, "UVC Camera (046d:0825)")
    video(tmp_path, 1, "UVC Camera (046d:0825)", index=1)
    video(tmp_path, 10, "bcm2835-codec-decode")
    video(tmp_path, 2, "unicam-image")
    found = cameras.look(Roots(sys=tmp_path))
    assert [each.says for each in found] == ["/dev/video0 is UVC Camera (046d:0825)", "/dev/video2 is unicam-image"]
    assert {each.code for each in found} == {"camera"}


def test_where_there_is_none_nothing_is_said(tmp_path: Path) -> None:
    """A station without a camera hears nothing of cameras."""
    assert cameras.look(Roots(sys=tmp_path)) == []


def test_a_camera_with_all_it_needs_is_well() -> None:
    """Libraries, source, network, room and center are each said once."""
    found = judged()
    assert wrong(found) == []
    assert list(found) == ["camera-libraries", "camera-source", "camera-network", "camera-room", "camera-center"]


@pytest.mark.parametrize(
    ("facts", "code"),
    [
        ({"missing": ("av", "cv2")}, "camera-library"),
        ({"x264": False}, "camera-coder"),
        ({"file": FileFacts(Path("/dev/video0"), None, reason="no such file")}, "camera-missing"),
        ({"file": FileFacts(Path("/dev/video0"), stat.S_IFREG | 0o666)}, "camera-is-none"),
        ({"file": FileFacts(Path("/dev/video0"), stat.S_IFCHR | 0o660, gid=0, group="root")}, "camera-denied"),
        ({"network": None}, "camera-network-missing"),
        ({"network": "0" * 64}, "camera-network-other"),
        ({"room_mb": 4100}, "camera-room-short"),
        ({"authority": "center_ca: /ca.pem: no such file or directory"}, "camera-authority"),
        ({"center": "https://motcua.local:8443: no answer"}, "camera-center-silent"),
    ],
)
def test_what_is_missing_is_said_with_what_to_do(facts: dict[str, Any], code: str) -> None:
    """One thing that is wrong is one line, and it says what helps."""
    found = judged(**facts)
    assert wrong(found) == [code]
    assert found[code].do


def test_a_video_that_is_missing_is_no_camera_to_plug_in() -> None:
    """Whoever reads a video instead of a camera is told to correct its path."""
    gone = FileFacts(Path("/srv/room.mp4"), None, reason="no such file")
    found = judged(configured(source="file", address="/srv/room.mp4", model="/m.onnx"), file=gone)
    assert found["camera-missing"].says == "/srv/room.mp4 (camera): no such file"
    assert found["camera-missing"].do == "correct device.camera.address: the path of a video"


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"model": None}, "camera-network-none"),
        ({"center": None}, "camera-center-none"),
        ({"zones": ()}, "camera-zones-none"),
        ({"hours": (Hours(days=(1,), begin="07:30", end="08:00"),)}, "camera-hours-odd"),
        ({"hours": (Hours(days=(1, 2, 3, 4, 5, 6, 7), begin="00:00", end="23:59"),)}, "camera-hours-odd"),
        ({"source": "picamera2", "address": None}, "camera-missing"),
    ],
)
def test_what_its_table_lacks_is_said(given: dict[str, Any], code: str) -> None:
    """A network, a center, hours that cannot be meant: each is named."""
    found = judged(configured(**{"model": "/m.onnx", **given}))
    assert wrong(found) == [code]


@pytest.mark.parametrize(
    ("given", "drawn", "says"),
    [
        (
            {"zones": ()},
            None,
            "camera has no zone citizen and none officer: the whole picture is shown in blocks, waiting_alone,"
            " officer_absent, crowding cannot happen",
        ),
        ({"zones": ZONES[:1]}, None, "camera has no zone officer: waiting_alone, officer_absent cannot happen"),
        ({}, ("officer",), "camera has no zone citizen: waiting_alone, crowding cannot happen"),
        ({"zones": ()}, ("citizen", "officer"), None),
        ({"zones": (), "kinds": ("tamper", "panic")}, None, None),
    ],
)
def test_what_cannot_happen_without_a_zone_is_said(
    given: dict[str, Any], drawn: tuple[str, ...] | None, says: str | None
) -> None:
    """The center's zones come before those of the file, where it told some."""
    found = judged(configured(**{"model": "/m.onnx", **given}), drawn=drawn).get("camera-zones-none")
    assert (found.says if found else None) == says
    assert found is None or "the center's page /cameras/q01" in found.do


def test_the_zones_that_the_center_drew_are_those_that_the_camera_remembers(tmp_path: Path) -> None:
    """Who draws on the center's page is not told to draw; before the first start the file counts."""
    use = CameraUse("q01", "camera", configured(center=None), tmp_path)

    def drawn() -> tuple[str, ...] | None:
        return cameras.probe(use, Roots(), clock_is_set=True).drawn

    assert drawn() is None
    with closing(Outbox(tmp_path, clock=SystemClock(), new_id=uuid7)) as outbox:
        outbox.open()
        assert drawn() is None
        decisions = CameraDecisions(use.config, new_id=uuid7, memory={})
        told = CameraDesired(revision=1, state="open", zones=ZONES[:1])
        for effect in decisions.on_desired(told, 0):
            if isinstance(effect, Remember):
                outbox.remember(effect.memory)
        assert drawn() == ("citizen",)


def test_usual_hours_are_added_up() -> None:
    """Hours that are well are said as hours a week, so that a slip shows."""
    morning = Hours(days=(1, 2, 3, 4, 5), begin="07:30", end="11:30")
    afternoon = Hours(days=(1, 2, 3, 4, 5), begin="13:30", end="17:00")
    found = judged(configured(model="/m.onnx", hours=(morning, afternoon)))
    assert found["camera-hours"].says == "camera: open 37.5 hours a week"


def test_a_camera_module_is_the_kernels(tmp_path: Path) -> None:
    """A Pi's own module is looked for among what the kernel has found."""
    video(tmp_path, 0, "rp1-cfe-csi2_ch0")
    use = CameraUse("q01", "camera", CameraConfig(source="picamera2"), tmp_path)
    facts = cameras.probe(use, Roots(sys=tmp_path), clock_is_set=True)
    assert facts.modules == ("rp1-cfe-csi2_ch0",)
    (found,) = [each for each in cameras.judge(facts, None) if each.code in ("camera-source", "camera-missing")]
    assert found.level is Level.OK


def test_it_is_all_looked_at_for_real(tmp_path: Path) -> None:
    """A video that is there, a network that is another file, and a center that nobody is."""
    for name in ("room.mp4", "m.onnx"):
        (tmp_path / name).write_bytes(b"something")
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "a.mp4").write_bytes(bytes(3_000_000))
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        config = configured(
            source="file",
            address=str(tmp_path / "room.mp4"),
            model=str(tmp_path / "m.onnx"),
            center=f"http://127.0.0.1:{nobody.getsockname()[1]}",
        )
        facts = cameras.probe(CameraUse("q01", "camera", config, tmp_path), Roots(sys=tmp_path), clock_is_set=True)
    free_mb = os.statvfs(tmp_path).f_bavail * os.statvfs(tmp_path).f_frsize // 1_000_000
    assert facts.room_mb == pytest.approx(free_mb + 3, abs=2000)
    assert (facts.missing, facts.x264) == ((), True)
    found = {each.code for each in cameras.judge(facts, None) if each.level is not Level.OK}
    assert found - {"camera-room-short"} == {"camera-network-other", "camera-center-silent"}


def test_a_folder_that_the_asker_may_not_read_ends_no_doctor(tmp_path: Path) -> None:
    """Who is not root hears what room the disk has; a recording that goes meanwhile is no fault."""
    if os.geteuid() != 0:
        pytest.skip("to be somebody else needs root: sudo make test")
    state = tmp_path / "state"
    (state / "camera" / "clips").mkdir(parents=True)
    (state / "camera" / "clips" / "gone.mp4").symlink_to("nowhere")
    config = configured(center=None)

    def room_mb() -> int:
        return cameras.probe(CameraUse("q01", "camera", config, state / "camera"), Roots(), clock_is_set=True).room_mb

    assert room_mb() > 0
    state.chmod(0o700)
    os.seteuid(65534)
    try:
        assert room_mb() > 0
    finally:
        os.seteuid(0)


def test_a_center_that_is_there_is_well(tmp_path: Path) -> None:
    """Its address answers."""
    with socket.create_server(("127.0.0.1", 0)) as center:
        address = f"http://127.0.0.1:{center.getsockname()[1]}"
        config = configured(center=address)
        facts = cameras.probe(CameraUse("q01", "camera", config, tmp_path), Roots(sys=tmp_path), clock_is_set=True)
    assert facts.center == ""


def test_a_certificate_file_that_is_missing_is_named_with_its_key(tmp_path: Path) -> None:
    """Nobody is sent to look at the center's address for a file that is not here."""
    use = CameraUse("q01", "camera", configured(center_ca=f"{tmp_path}/none.pem"), tmp_path)
    facts = cameras.probe(use, Roots(sys=tmp_path), clock_is_set=True)
    (found,) = [each for each in cameras.judge(facts, None) if each.code.startswith(("camera-cen", "camera-auth"))]
    assert (found.code, found.says) == (
        "camera-authority",
        f"camera.center_ca: {tmp_path}/none.pem: no such file or directory",
    )


def test_a_network_camera_is_asked_for_nothing(tmp_path: Path) -> None:
    """Its port is tried; one that nobody listens on is named without the password."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        config = configured(
            source="rtsp", address=f"rtsp://u:secret@127.0.0.1:{nobody.getsockname()[1]}/1", center=None
        )
        facts = cameras.probe(CameraUse("q01", "camera", config, tmp_path), Roots(sys=tmp_path), clock_is_set=True)
    (found,) = [each for each in cameras.judge(facts, None) if each.code == "camera-silent"]
    assert "127.0.0.1 does not answer" in found.says
    assert "secret" not in found.says
