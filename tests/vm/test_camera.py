"""A camera on a real kernel and under its real unit: the kernel's own test camera, which moves, and is pulled out."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from tests.vm import software
from tests.vm.center import Center, wait_for
from tests.vm.machine import Machine
from tests.vm.pad import HOST
from tests.vm.software import PREFIX

pytestmark = [pytest.mark.vm, pytest.mark.mosquitto, pytest.mark.timeout(600)]

UNIT = "motcua-device@camera.service"
CLIPS = "/var/lib/motcua/camera/clips"
NOTICED_WITHIN_S = 5.0
START_WITHIN_S = 90.0
ZONE = "Asia/Ho_Chi_Minh"

STATION = """\
center = "bentre"
station = "q03"

[broker]
host = "{host}"
port = {port}

[device.camera]
source = "v4l2"
address = "/dev/video0"
width = 320
height = 180
fps = 5
pre_roll_s = 2
hours = [{{ days = [1, 2, 3, 4, 5, 6, 7], begin = "{begin}", end = "{end}" }}]
"""

MOVE = """\
import fcntl, struct
MOVEMENT = 0xF0F000 + 2  # VIVID_CID_HOR_MOVEMENT of the kernel's vivid-ctrls.c; 0 is fast to the left
with open("/dev/video0", "rb+", buffering=0) as camera:
    fcntl.ioctl(camera, 0xC008561C, struct.pack("Ii", MOVEMENT, 0))  # VIDIOC_S_CTRL
"""


@dataclass(frozen=True)
class Camera:
    """The daemon as its unit runs it."""

    machine: Machine

    def show(self, name: str, unit: str = UNIT) -> str:
        """Return a property of a unit."""
        return self.machine.run(f"systemctl show {unit} --property={name} --value").strip()

    def said(self) -> str:
        """Return the journal of the camera, each line after the machine's seconds since its boot."""
        return self.machine.run(f"journalctl --unit={UNIT} --output=short-monotonic --no-pager", check=False)

    def said_at(self, words: str, *, after_s: float = 0.0) -> float | None:
        """Return when it said something after an instant, in the machine's seconds since its boot."""
        lines = re.findall(r"^\[ *([\d.]+)\] (.*)$", self.said(), flags=re.MULTILINE)
        return next((float(at) for at, line in lines if words in line and float(at) >= after_s), None)

    def wait_said(self, words: str, *, after_s: float = 0.0, timeout_s: float) -> float:
        """Wait until it says something; return when that was."""
        wait_for(lambda: self.said_at(words, after_s=after_s), timeout_s=timeout_s, what=words, log=self.said)
        at_s = self.said_at(words, after_s=after_s)
        assert at_s is not None
        return at_s

    def uptime_s(self) -> float:
        """Return the machine's seconds since its boot."""
        return float(self.machine.run("cut -d' ' -f1 /proc/uptime"))


@pytest.fixture(scope="module")
def camera(machine: Machine, center: Center, request: pytest.FixtureRequest) -> Iterator[Camera]:
    """A counter with a camera whose center is closed at this hour; it runs."""
    request.getfixturevalue("installed")
    software.install_extra(machine, "camera")
    machine.run("modprobe vivid n_devs=1 node_types=0x1 input_types=0x0 && udevadm settle")
    machine.run("mkdir -p /run/systemd/timesync && touch /run/systemd/timesync/synchronized")  # as timesyncd says it
    other = datetime.now(ZoneInfo(ZONE)) + timedelta(hours=12)
    text = STATION.format(host=HOST, port=center.mqtt_port, begin=f"{other:%H}:00", end=f"{other:%H}:30")
    machine.put("/etc/motcua/station.toml", text)
    machine.run(f"{PREFIX}/bin/motcua install-units --device --enable", timeout_s=120)
    one = Camera(machine)
    try:
        yield one
    finally:
        print(one.said())
        machine.run(f"systemctl disable --now {UNIT}; rmmod vivid; rm -r {CLIPS} /run/systemd/timesync", check=False)


def test_a_camera_records_and_reports_under_its_unit(camera: Camera, center: Center, figures: list[str]) -> None:
    """Hardened as it is, it takes pictures from the kernel, finds who moves after hours, records that and says so."""
    began_s = camera.wait_said("Starting ", timeout_s=START_WITHIN_S)  # systemd's own word
    pictures_s = camera.wait_said("pictures come", timeout_s=START_WITHIN_S)
    camera.machine.put("/run/move.py", MOVE)
    camera.machine.run("python3 /run/move.py")
    incidents = "SELECT kind FROM incident WHERE station = 'q03'"
    wait_for(lambda: ("after_hours",) in center._query(incidents), timeout_s=60, what="the incident", log=camera.said)
    recorded = f"find {CLIPS} -name '*.mp4' -size +4k"
    wait_for(lambda: camera.machine.run(recorded).strip(), timeout_s=30, what="the recording", log=camera.said)
    memory = int(camera.machine.run(f"awk '/^VmRSS/ {{ print $2 }}' /proc/{camera.show('MainPID')}/status")) // 1024
    figures.append(f"camera at 320 × 180: first picture {pictures_s - began_s:.0f} s after its start; {memory} MB")
    assert camera.show("NRestarts") == "0"


def test_only_the_camera_may_use_cameras(camera: Camera) -> None:
    """The camera's unit has the video devices, a pad's has not; the pad comes first for processor and memory."""
    assert "char-video4linux" in camera.show("DeviceAllow")
    assert "char-video4linux" not in camera.show("DeviceAllow", "motcua-device@rating.service")
    assert camera.show("SupplementaryGroups") == "video"
    assert (camera.show("MemoryDenyWriteExecute"), camera.show("Nice"), camera.show("CPUWeight")) == ("yes", "10", "20")
    assert int(camera.show("MemoryMax")) == 600 * 2**20


def test_a_camera_that_is_pulled_out_is_noticed_and_comes_back(camera: Camera, figures: list[str]) -> None:
    """Unplugged, it is missed within 5 s and said once; plugged in again, pictures come, by the same process."""
    pid = camera.show("MainPID")
    driver = "/sys/bus/platform/drivers/vivid"
    pulled_s = camera.uptime_s()
    camera.machine.run(f"echo vivid.0 > {driver}/unbind")
    lost_s = camera.wait_said("trying again", after_s=pulled_s, timeout_s=30)
    camera.machine.run(f"echo vivid.0 > {driver}/bind && udevadm settle && test -c /dev/video0")
    back_s = camera.wait_said("pictures come again", after_s=lost_s, timeout_s=60)
    figures.append(f"camera: unplugged, missed after {lost_s - pulled_s:.1f} s; back {back_s - lost_s:.0f} s later")
    assert lost_s - pulled_s <= NOTICED_WITHIN_S
    assert camera.show("MainPID") == pid
