"""The serial port: opened exclusively, every wait bounded, every failure told in words that an operator can act on."""

import errno
import select
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import serial

from firmware.devices.display.faults import PanelError

WRITE_TIMEOUT_S = 2.0


class Port(Protocol):
    """What a panel is written through. Every method raises PanelError when the port fails."""

    def fileno(self) -> int:
        """Return the descriptor to poll for a hang-up."""
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
    """A port of pyserial, 8N1."""

    def __init__(self, path: str, baud: int):
        self._path = path
        with self._faults():
            self._serial = serial.Serial(
                path, baud, exclusive=True, timeout=0, write_timeout=WRITE_TIMEOUT_S, rtscts=False, xonxoff=False
            )

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._serial.fileno()

    def write(self, data: bytes) -> None:
        """Write, and wait for the wire."""
        with self._faults():
            self._serial.write(data)
            self._serial.flush()

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
            self._serial.close()
        except (OSError, termios.error) as error:
            raise PanelError("port_failed", f"{self._path} did not close: {error}") from error

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
