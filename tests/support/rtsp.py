"""An RTSP camera as a process of its own: it can be killed, stand still and come back at its port."""

import signal
import subprocess
from pathlib import Path

import pytest

_SERVER = Path(__file__).with_name("rtsp_server.py")
_PYTHON = "/usr/bin/python3"
_NEEDS = "import gi; gi.require_version('GstRtspServer', '1.0')"
_MISSING = "GStreamer's RTSP server is missing: sudo make system-packages"


class RtspCamera:
    """A network camera on loopback that shows a moving ball; skips the test where GStreamer is missing."""

    def __init__(
        self,
        *,
        width: int = 320,
        height: int = 240,
        fps: int = 15,
        key_every: int = 15,
        password: tuple[str, str] | None = None,
    ) -> None:
        try:
            subprocess.run([_PYTHON, "-c", _NEEDS], check=True, capture_output=True, timeout=60)
        except (OSError, subprocess.SubprocessError):
            pytest.skip(_MISSING)
        self._arguments = [str(width), str(height), str(fps), str(key_every), *(password or ())]
        self._process: subprocess.Popen[str] | None = None
        self._port = "0"
        self._start()

    @property
    def host(self) -> str:
        """Where it listens: `127.0.0.1:port`."""
        return f"127.0.0.1:{self._port}"

    @property
    def address(self) -> str:
        """Its stream."""
        return f"rtsp://{self.host}/live"

    def stand_still(self) -> None:
        """Say nothing more on a connection that stays."""
        self._signal(signal.SIGSTOP)

    def kill(self) -> None:
        """Lose its power; a second time is as good as once."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()

    def come_back(self) -> None:
        """Have its power again."""
        self._start()

    def _start(self) -> None:
        self._process = subprocess.Popen(
            [_PYTHON, str(_SERVER), self._port, *self._arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        if not (port := self._process.stdout.readline().strip()):
            _, why = self._process.communicate()
            if "no element" in why:
                pytest.skip(_MISSING)
            raise AssertionError(f"the RTSP camera does not start: {why}")
        self._port = port

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)
