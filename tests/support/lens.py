"""A whole camera daemon as a process: the real program, with a small video to look at, sends what its folder holds."""

import hashlib
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import av
import msgspec
import numpy as np

from contract.topics import Address
from firmware.devices.camera.clips import Clip
from firmware.devices.camera.driver import CLIPS
from tests.support.brokers import Broker

ADDRESS = Address(center="bentre", station="q01", device="camera")

_STATION = """
center = "bentre"
station = "q01"
state_dir = "{folder}/state"
[broker]
port = {broker}
[device.camera]
source = "file"
address = "{folder}/still.avi"
loop = true
fps = 1
width = 160
height = 160
kinds = []
service_clips = false
center = "http://127.0.0.1:{center}"
{more}
"""


class Lens:
    """A camera that records nothing by itself. `add` puts recordings before it; `start` and `kill` are its power."""

    def __init__(self, folder: Path, broker: Broker, center: int, *, more: str = "") -> None:
        self.config = folder / "station.toml"
        self.config.write_text(_STATION.format(folder=folder, broker=broker.port, center=center, more=more))
        self.clips = folder / "state" / ADDRESS.device / CLIPS
        self.clips.mkdir(parents=True)
        self._log = folder / "camera.log"
        self._process: subprocess.Popen[bytes] | None = None
        with av.open(str(folder / "still.avi"), "w") as container:
            stream = container.add_stream("mjpeg", rate=1)
            stream.width, stream.height, stream.pix_fmt = 160, 160, "yuvj420p"
            for number in range(4):
                picture = np.full((240, 160), 100 + number, np.uint8)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="yuvj420p")))
            container.mux(stream.encode())

    @property
    def pid(self) -> int:
        """The process."""
        assert self._process is not None
        return self._process.pid

    def add(self, id_: str, shown: bytes, sealed: bytes = b"", *, why: str = "panic") -> None:
        """Put a recording there, as the recorder leaves it; before `start`."""
        (self.clips / f"{id_}.mp4").write_bytes(shown)
        if sealed:
            (self.clips / f"{id_}.sealed").write_bytes(sealed)
        clip = Clip(
            id=id_,
            why=why,
            held=True,
            start=datetime.now(UTC),
            boot="an earlier one",
            start_ms=0,
            seconds=20.0,
            bytes=len(shown),
            sha256=hashlib.sha256(shown).hexdigest(),
            sealed_bytes=len(sealed),
            sealed_sha256=hashlib.sha256(sealed).hexdigest() if sealed else "",
            recording=False,
        )
        (self.clips / f"{id_}.json").write_bytes(msgspec.json.encode(clip))

    def start(self) -> None:
        """Give it power."""
        command = [sys.executable, "-m", "motcua.cli", "device", "run", "camera", "--config", str(self.config)]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, env=dict(os.environ))

    def end(self, number: signal.Signals) -> int | None:
        """End it; return its exit code."""
        process, self._process = self._process, None
        if process is None:
            return None
        process.send_signal(number)
        return process.wait(30)

    def running(self) -> bool:
        """Whether it has not ended by itself."""
        return self._process is not None and self._process.poll() is None

    def log(self) -> str:
        """Return what it has said."""
        return self._log.read_text(encoding="utf-8") if self._log.exists() else ""
