"""What a program says, for journald as entries with fields (systemd.journal-fields(7)), for a terminal as lines.

An entry is one datagram of the native protocol: whoever reads `journalctl -o json` gets the message, its priority,
where in the code it was said, and of which center, station and device it is. Sending never waits for journald.
"""

import logging
import os
import socket
import sys
from collections.abc import Mapping
from typing import TextIO

ADDRESS = "/run/systemd/journal/socket"
_IDENTIFIER = "motcua"
_LONGEST = 32_768
"""Bytes of one field; what is longer is cut. A datagram has room for six such fields."""

_PRIORITIES = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6), (0, 7))
_USUAL = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}
"""What every record has; anything else came by `extra=`."""


def start(level: int, environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Begin to log to the journal or to stderr; return the fields that every entry carries, to be filled in."""
    root = logging.getLogger()
    root.setLevel(level)
    handler = handler_for(sys.stderr, environment)
    if not root.handlers:  # whoever runs this program inside another has handlers of their own
        root.addHandler(handler)
    return handler.fields if isinstance(handler, JournalHandler) else {}


def complain(what: str, environment: Mapping[str, str] = os.environ) -> None:
    """Say on stderr why the program ends; in the journal it is an error, not just a line."""
    prefix = "<3>" if _is_the_journal(sys.stderr, environment) else ""
    sys.stderr.write(f"{prefix}motcua: {what}\n")


def handler_for(stderr: TextIO, environment: Mapping[str, str], address: str = ADDRESS) -> logging.Handler:
    """Return what suits this stderr: entries for the journal, its lines where it has no socket, else a terminal's."""
    lines = logging.StreamHandler(stderr)
    if not _is_the_journal(stderr, environment):
        lines.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s"))
        return lines
    lines.setFormatter(_PrefixFormatter("%(name)s: %(message)s"))
    return JournalHandler(address, otherwise=lines) if os.path.exists(address) else lines  # noqa: PTH110 - no pathlib for this


class JournalHandler(logging.Handler):
    """Sends entries to journald. `otherwise` takes what finds no journald; what finds it busy is counted and lost."""

    def __init__(self, address: str, *, otherwise: logging.Handler) -> None:
        super().__init__()
        self.fields: dict[str, str] = {}
        """What every entry carries beside its own."""
        self._address = address
        self._otherwise = otherwise
        self._lost = 0
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)

    def emit(self, record: logging.LogRecord) -> None:
        """Send a record as one entry, its traceback in it."""
        try:
            if self._lost and self._sent(
                {"MESSAGE": f"{self._lost} lines were lost: journald was busy"}, logging.WARNING
            ):
                self._lost = 0
            if not self._sent({"MESSAGE": self.format(record), **_origin(record), **_extra(record)}, record.levelno):
                self._lost += 1
        except OSError:
            self._otherwise.handle(record)
        except Exception:  # noqa: BLE001 - a slip in a log line must not end the program; logging says where it is
            self.handleError(record)

    def close(self) -> None:
        """Let the socket go."""
        self._sock.close()
        super().close()

    def _sent(self, fields: Mapping[str, str], level: int) -> bool:
        """Send one entry; return False where journald is busy, raise OSError where there is none."""
        every = {"SYSLOG_IDENTIFIER": _IDENTIFIER, "PRIORITY": str(_priority(level)), **self.fields, **fields}
        try:
            self._sock.sendto(b"".join(_field(name, value) for name, value in every.items()), self._address)
        except BlockingIOError:
            return False
        return True


class _PrefixFormatter(logging.Formatter):
    """Lines for journald: it has the time already, and reads the priority from the prefix (sd-daemon(3))."""

    def format(self, record: logging.LogRecord) -> str:
        prefix = f"<{_priority(record.levelno)}>"
        return "\n".join(prefix + line for line in super().format(record).splitlines())


def _is_the_journal(stderr: TextIO, environment: Mapping[str, str]) -> bool:
    """Whether stderr is the very stream that systemd connected to the journal, not what was put there since."""
    try:
        now = os.fstat(stderr.fileno())
    except (OSError, ValueError):  # closed, or no file at all
        return False
    return environment.get("JOURNAL_STREAM") == f"{now.st_dev}:{now.st_ino}"


def _priority(level: int) -> int:
    return next(priority for least, priority in _PRIORITIES if level >= least)


def _origin(record: logging.LogRecord) -> dict[str, str]:
    return {
        "LOGGER": record.name,
        "CODE_FILE": record.pathname,
        "CODE_LINE": str(record.lineno),
        "CODE_FUNC": record.funcName or "",
    }


def _extra(record: logging.LogRecord) -> dict[str, str]:
    given = ((name, value) for name, value in vars(record).items() if name not in _USUAL)
    return {f"MOTCUA_{name.upper()}": str(value) for name, value in given if name.isascii() and name.isidentifier()}


def _field(name: str, value: str) -> bytes:
    """Return a field as journald reads it: `=` after its name, or a line break and its length if it has several lines.

    ```
    NAME = value LF
    NAME LF length, 8 bytes, little endian  value LF
    ```
    """
    data = value.encode(errors="replace")
    if len(data) > _LONGEST:
        data = data[:_LONGEST].decode(errors="ignore").encode() + " … (cut)".encode()
    if b"\n" in data:
        return name.encode() + b"\n" + len(data).to_bytes(8, "little") + data + b"\n"
    return name.encode() + b"=" + data + b"\n"
