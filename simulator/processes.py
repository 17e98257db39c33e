"""Keeps programs running as systemd does on a site: each in a session of its own, restarted when it dies."""

import asyncio
import contextlib
import logging
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

log = logging.getLogger(__name__)

RESTART_AFTER_S = 0.1
"""systemd's own default (RestartSec=)."""
START_LIMIT = 8
START_LIMIT_S = 10.0
"""A program that ends by itself so often in so short a time is not going to come up."""
GRACE_S = 5.0
"""An orderly stop may take this long, then the program is killed."""
EXIT_CONFIG = 2

_LEASH = str(Path(__file__).with_name("leash.py"))


class ProgramError(RuntimeError):
    """A program cannot run; the message says why in its own words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What to run."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)


def python(module: str, *args: str) -> tuple[str, ...]:
    """Return the command line that runs a module with this very Python."""
    return (sys.executable, "-m", module, *args)


class _Child:
    """One program and the process it has at the moment."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.process: asyncio.subprocess.Process | None = None
        self.keeper: asyncio.Task[None] | None = None
        self.killed = 0
        self.ended_alone = 0
        self.crashes: list[float] = []
        self.expected = False  # we killed it ourselves: not a crash


class Supervisor:
    """Starts, restarts, kills and stops programs. All methods belong to one event loop."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._children: dict[str, _Child] = {}
        self.failure: asyncio.Future[ProgramError] = asyncio.get_running_loop().create_future()

    async def start(self, program: Program) -> None:
        """Start a program, and again whenever it dies, until `stop`."""
        if program.name in self._children:
            raise ValueError(f"{program.name} runs already")
        child = _Child(program)
        self._children[program.name] = child
        process = await self._spawn(child)
        child.keeper = asyncio.create_task(self._keep(child, process), name=f"keep {program.name}")

    def running(self, name: str) -> bool:
        """Whether the program has a process now."""
        child = self._children.get(name)
        return child is not None and child.process is not None and child.process.returncode is None

    @property
    def crashes(self) -> dict[str, int]:
        """How often each program ended by itself, where it did."""
        return {name: child.ended_alone for name, child in self._children.items() if child.ended_alone}

    @property
    def kills(self) -> dict[str, int]:
        """How often each program was killed."""
        return {name: child.killed for name, child in self._children.items() if child.killed}

    def pid(self, name: str) -> int | None:
        """The process id of a running program."""
        child = self._children.get(name)
        return child.process.pid if child and child.process and child.process.returncode is None else None

    def kill(self, name: str) -> bool:
        """Kill -9; the program is restarted. False when it was not running just now."""
        child = self._children.get(name)
        if child is None or not self.running(name):
            return False
        child.expected = True
        child.killed += 1
        _signal(child, signal.SIGKILL)
        return True

    async def stop(self, name: str, *, grace_s: float = GRACE_S) -> None:
        """Stop a program in good order, or else by force; it is not restarted."""
        child = self._children.pop(name, None)
        if child is None:
            return
        if child.keeper is not None:
            child.keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await child.keeper
        await _end(child, grace_s)

    async def close(self) -> None:
        """Stop everything, the last started first to be told, all at once to be waited for."""
        await asyncio.gather(*(self.stop(name) for name in reversed(list(self._children))))

    def last_words(self, name: str, lines: int = 3) -> str:
        """The end of a program's log."""
        try:
            text = self._log_path(name).read_text("utf-8", "replace")
        except OSError:
            return ""
        return "\n".join(text.strip().splitlines()[-lines:])

    async def _spawn(self, child: _Child) -> asyncio.subprocess.Process:
        program = child.program
        env = {**os.environ, "PYTHONUNBUFFERED": "1", **program.env}
        with self._log_path(program.name).open("ab") as output:
            child.process = await asyncio.create_subprocess_exec(
                sys.executable, "-I", "-S", _LEASH, str(os.getpid()), *program.argv,
                stdin=asyncio.subprocess.DEVNULL, stdout=output, stderr=output, env=env, start_new_session=True,
            )  # fmt: skip
        return child.process

    async def _keep(self, child: _Child, process: asyncio.subprocess.Process) -> None:
        while True:
            code = await process.wait()
            _signal(child, signal.SIGKILL)  # what it started itself and left behind
            if child.expected:
                child.expected = False
            elif not self._may_restart(child, code):
                return
            await asyncio.sleep(RESTART_AFTER_S)
            process = await self._spawn(child)

    def _may_restart(self, child: _Child, code: int) -> bool:
        now = time.monotonic()
        child.crashes = [at for at in child.crashes if now - at < START_LIMIT_S] + [now]
        child.ended_alone += 1
        name = child.program.name
        if code == EXIT_CONFIG or len(child.crashes) >= START_LIMIT:
            if not self.failure.done():
                self.failure.set_result(
                    ProgramError(f"{name} ended with code {code}: {self.last_words(name) or 'it said nothing'}")
                )
            return False
        log.warning("%s ended by itself with code %s and is restarted; see %s", name, code, self._log_path(name))
        return True

    def _log_path(self, name: str) -> Path:
        return self._logs / f"{name}.log"


def _signal(child: _Child, what: signal.Signals) -> None:
    """Signal the whole session of a child: what it started goes with it."""
    if child.process is not None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.process.pid, what)


async def _end(child: _Child, grace_s: float) -> None:
    if child.process is None:
        return
    if child.process.returncode is None:
        _signal(child, signal.SIGTERM)
        try:
            await asyncio.wait_for(child.process.wait(), grace_s)
        except TimeoutError:
            log.warning("%s did not stop within %.0f s and is killed", child.program.name, grace_s)
    _signal(child, signal.SIGKILL)
    await child.process.wait()
