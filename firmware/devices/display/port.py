"""The serial port: opened exclusively, every wait bounded, every failure told in words that an operator can act on."""

import errno
import fcntl
import logging
import os
import select
import termios
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

import serial

from firmware.devices.display.faults import PanelError

_log = logging.getLogger(__name__)

WRITE_TIMEOUT_S = 2.0
TURN_WITHIN_S = 2.0
_TURN_TRY_S = 0.002
_DRAIN_TRY_S = 0.002


class Port(Protocol):
    """What a panel is written through. Every method raises PanelError when the port fails."""

    def fileno(self) -> int:
        """Return the descriptor to poll for a hang-up."""
        ...

    def turn(self) -> AbstractContextManager[None]:
        """Have the line alone while this is open; a line of our own always is."""
        ...

    def write(self, data: bytes) -> None:
        """Write, and return when the last byte has left the port."""
        ...

    def read(self, timeout_s: float) -> bytes:
        """Return what has come, waiting for the first byte; empty when nothing came in time."""
        ...

    def discard(self) -> None:
        """Forget what came unasked."""
        ...

    def close(self) -> None:
        """Let the port go."""
        ...


class SerialPort:
    """A port of pyserial, 8N1: ours alone, or `shared` by daemons whose panels hang on the same RS-485 line.

    Alone, it is locked from opening to closing, so that no other program's bytes get between; shared, it is locked for
    one turn, a request and its answer.
    """

    def __init__(self, path: str, baud: int, *, shared: bool = False):
        self._path = path
        self._shared = shared
        self._pause = threading.Event()  # never set: a bounded wait
        with self._faults():
            if shared:
                # Opening sets the line up and empties its queues: not in the middle of another daemon's turn.
                with open(path, "rb", buffering=0, opener=_quietly) as line, self._locked(line.fileno()):
                    self._serial = self._opened(path, baud, exclusive=None)
            else:
                self._serial = self._opened(path, baud, exclusive=True)

    @staticmethod
    def _opened(path: str, baud: int, *, exclusive: bool | None) -> serial.Serial:
        return serial.Serial(path, baud, exclusive=exclusive, timeout=0, write_timeout=WRITE_TIMEOUT_S)

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._serial.fileno()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for the line, for as long as a few turns of others may take."""
        if not self._shared:
            yield
            return
        with self._faults(), self._locked(self._serial.fileno()):
            yield

    def write(self, data: bytes) -> None:
        """Write, and wait for the wire, but not for ever: what stops the line may never let it go."""
        with self._faults():
            self._serial.write(data)
            for _ in range(round(WRITE_TIMEOUT_S / _DRAIN_TRY_S)):
                if not self._serial.out_waiting:
                    break
                self._pause.wait(_DRAIN_TRY_S)
            else:
                raise serial.SerialTimeoutException
            self._serial.flush()  # what is in the chip itself, a few bytes

    def read(self, timeout_s: float) -> bytes:
        """Return what has come within the time."""
        with self._faults():
            ready, _, _ = select.select([self._serial.fileno()], [], [], max(0.0, timeout_s))
            return self._serial.read(256) if ready else b""

    def discard(self) -> None:
        """Drop the input queue."""
        with self._faults():
            self._serial.reset_input_buffer()

    def close(self) -> None:
        """Close, whatever state the device behind it is in."""
        try:
            self._serial.reset_output_buffer()  # the kernel would wait half a minute for bytes that nobody takes
        except (OSError, termios.error) as error:
            _log.debug("%s: %s", self._path, error)  # unplugged, as a rule
        try:
            self._serial.close()
        except (OSError, termios.error) as error:
            raise PanelError("port_failed", f"{self._path} did not close: {error}") from error

    @contextmanager
    def _locked(self, descriptor: int) -> Iterator[None]:
        for _ in range(round(TURN_WITHIN_S / _TURN_TRY_S)):
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                self._pause.wait(_TURN_TRY_S)
        else:
            raise PanelError(
                "port_busy", f"{self._path} is kept by a program that does not share it: `fuser {self._path}`"
            )
        try:
            yield
        finally:
            fcntl.flock(descriptor, fcntl.LOCK_UN)

    @contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except serial.SerialTimeoutException as error:
            raise PanelError(
                "port_failed", f"{self._path} takes no bytes: unplug its adapter and plug it in"
            ) from error
        except (OSError, termios.error) as error:  # SerialException is an OSError
            raise explain(self._path, error, was_open=hasattr(self, "_serial")) from error


def _quietly(path: str, flags: int) -> int:
    """Open a terminal without waiting for a modem, and without becoming its session's."""
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY)


def explain(path: str, error: Exception, *, was_open: bool) -> PanelError:
    """Return the fault that a failure of the port is, with what to do about it."""
    number = getattr(error, "errno", None)
    if was_open and number in (None, errno.EIO, errno.ENXIO, errno.ENODEV, errno.EBADF):
        # A hang-up: by EIO from the kernel, or by pyserial's own words without a number.
        return PanelError("port_missing", f"{path} was unplugged: plug it in again ({error})")
    if number in (errno.ENOENT, errno.ENXIO, errno.ENODEV):
        return PanelError(
            "port_missing", f"{path} is not there: plug the panel's cable in; `ls /dev/serial/by-id` shows what is"
        )
    if number in (errno.EACCES, errno.EPERM):
        return PanelError("port_denied", f"{path} may not be opened: add the service's user to the group `dialout`")
    if number in (errno.EAGAIN, errno.EBUSY):
        return PanelError("port_busy", f"{path} is held by another program: `fuser {path}` shows it; stop that one")
    return PanelError(
        "port_failed", f"{path} does not work as a serial port, check `port` in the configuration: {error}"
    )
