"""The demo as its user starts it: a process, its address, its end."""

import re
import signal
import subprocess
import sys
from pathlib import Path

import psutil

START_WITHIN_S = 60.0
STOP_WITHIN_S = 60.0
ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+(?=/demo)")


class Demo:
    """`motcua demo`, running."""

    def __init__(self, data: Path, *options: str) -> None:
        self.data = data
        self._log = (data.parent / f"{data.name}.stderr").open("w+")
        ports = ("--http-port", "0", "--mqtt-port", "0")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "motcua.cli", "demo", *ports, "--data", str(data), *options],
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )
        self.url = self._address()

    def _address(self) -> str:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if found := ADDRESS.search(line):
                return found[0]
        raise AssertionError(f"the demo ended before it was live:\n{self.said()}")

    def said(self) -> str:
        """What it told on stderr so far."""
        self._log.flush()
        return Path(self._log.name).read_text("utf-8")

    def programs(self) -> list[psutil.Process]:
        """Every program that it started, directly or not."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def stop(self, how: signal.Signals = signal.SIGINT) -> int:
        """End it by a signal; return its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        try:
            code = self.process.wait(STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        finally:
            if self.process.stdout is not None:
                self.process.stdout.close()
            self._log.close()
        return code
