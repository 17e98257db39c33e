"""The supervisor keeps real programs running, and leaves none behind."""

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from simulator.processes import Program, Supervisor

SLEEPER = (sys.executable, "-c", "import time; print('up', flush=True); time.sleep(600)")
PATIENCE_S = 30.0


async def until(true: Callable[[], bool]) -> None:
    """Wait for something that takes a moment."""
    async with asyncio.timeout(PATIENCE_S):
        while not true():  # noqa: ASYNC110 - another process does it, which sets no event here
            await asyncio.sleep(0.02)


def test_a_killed_program_is_started_again(tmp_path: Path) -> None:
    """A program that was killed has a new process soon, and the kill is counted."""

    async def run() -> None:
        supervisor = Supervisor(tmp_path)
        await supervisor.start(Program(name="one", argv=SLEEPER))
        before = supervisor.pid("one")
        assert supervisor.kill("one")
        await until(lambda: supervisor.pid("one") not in (None, before))
        assert supervisor.kills == {"one": 1}
        assert supervisor.crashes == {}
        await supervisor.close()

    asyncio.run(run())


def test_a_stopped_program_stays_stopped(tmp_path: Path) -> None:
    """A program that was stopped ends in good order and is not restarted."""

    async def run() -> None:
        supervisor = Supervisor(tmp_path)
        await supervisor.start(Program(name="one", argv=SLEEPER))
        pid = supervisor.pid("one")
        await supervisor.stop("one")
        assert not supervisor.running("one")
        assert pid is not None
        assert not psutil.pid_exists(pid)
        assert not supervisor.kill("one")
        await supervisor.close()

    asyncio.run(run())


def test_a_program_that_ignores_the_signal_is_killed(tmp_path: Path) -> None:
    """A stop ends even a program that does not want to end."""
    stubborn = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
    )

    async def run() -> None:
        supervisor = Supervisor(tmp_path)
        await supervisor.start(Program(name="one", argv=(sys.executable, "-c", stubborn)))
        await until(lambda: "up" in supervisor.last_words("one"))
        pid = supervisor.pid("one")
        await supervisor.stop("one", grace_s=0.3)
        assert pid is not None
        assert not psutil.pid_exists(pid)

    asyncio.run(run())


@pytest.mark.parametrize(("code", "words"), [(2, "q01.toml: device.rating: is missing"), (1, "boom")])
def test_a_program_that_cannot_run_is_reported_in_its_own_words(tmp_path: Path, code: int, words: str) -> None:
    """A program that is configured wrongly, or ends again and again, is given up with its last words."""
    broken = f"import sys; print({words!r}); sys.exit({code})"

    async def run() -> str:
        supervisor = Supervisor(tmp_path)
        await supervisor.start(Program(name="one", argv=(sys.executable, "-c", broken)))
        error = await asyncio.wait_for(supervisor.failure, PATIENCE_S)
        await supervisor.close()
        return str(error)

    assert words in asyncio.run(run())


def test_nothing_is_left_behind_when_the_supervisor_is_killed(tmp_path: Path) -> None:
    """Programs end with the process that supervises them, also when that is killed."""
    script = textwrap.dedent(f"""
        import asyncio, sys
        from pathlib import Path
        from simulator.processes import Program, Supervisor

        async def main():
            supervisor = Supervisor(Path({str(tmp_path)!r}))
            await supervisor.start(Program(name="one", argv={SLEEPER!r}))
            while "up" not in supervisor.last_words("one"):
                await asyncio.sleep(0.02)
            print(supervisor.pid("one"), flush=True)
            await asyncio.sleep(600)

        asyncio.run(main())
    """)
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        os.kill(parent.pid, signal.SIGKILL)
        parent.wait()
    deadline = time.monotonic() + PATIENCE_S
    while psutil.pid_exists(child) and psutil.Process(child).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, "the program outlived its supervisor"
        time.sleep(0.02)
