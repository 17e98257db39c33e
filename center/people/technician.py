"""The technician's way in: a Unix socket in the center's data folder, for whoever may log in on the server itself.

The hall is the only writer of the database, so `motcua center people` asks the running center instead of writing.
One JSON line each way. The socket is the center's user's and root's alone; the kernel says who is at the other end.
"""

import asyncio
import contextlib
import json
import logging
import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from center.errors import CenterError, StoreError
from center.people.messages import explain
from center.people.model import PeopleError, role
from center.people.register import People

log = logging.getLogger(__name__)

NAME = "people.sock"
_LINE = 4096
_PATIENCE_S = 30.0


class Technician:
    """Listens on the socket and does what is asked."""

    def __init__(self, people: People, data_dir: Path) -> None:
        self._people = people
        self._data_dir = data_dir
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Begin to listen; a center that cannot goes on without."""
        try:
            sock = _listening(self._data_dir)
        except OSError as error:
            log.warning("%s: %s; motcua center people will not reach this center", self._data_dir / NAME, error)
            return
        self._server = await asyncio.start_unix_server(self._serve, sock=sock, limit=_LINE)

    async def stop(self) -> None:
        """Listen no more."""
        if self._server is not None:
            self._server.close()
            (self._data_dir / NAME).unlink(missing_ok=True)
            self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            answer = await asyncio.wait_for(self._answer(reader, writer), _PATIENCE_S)
            writer.write(json.dumps(answer).encode() + b"\n")
            await writer.drain()
        except (OSError, TimeoutError, ValueError):
            log.debug("a technician's command was cut off", exc_info=True)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> dict[str, Any]:
        line = await reader.readline()  # before any answer: who still writes would not read it
        peer = _uid(writer.get_extra_info("socket"))
        if peer not in (0, os.geteuid()):
            return {"error": "only root and the center's own user may do this"}
        asked = json.loads(line)
        try:
            return {"done": await self._do(asked, f"technician:uid {peer}")}
        except PeopleError as error:
            return {"error": explain(error, "en")}
        except StoreError as error:
            return {"error": str(error)}
        except (KeyError, TypeError, AttributeError):
            return {"error": "this command is of another version of motcua than the center"}

    async def _do(self, asked: dict[str, Any], actor: str) -> Any:
        people = self._people
        match asked["do"]:
            case "list":
                return [
                    [
                        one.name,
                        one.full_name,
                        one.role,
                        "disabled" if one.disabled else "",
                        len(people.sessions(one.name)),
                    ]
                    for one in people.accounts()
                ]
            case "add":
                return await people.add(asked["name"], asked["full_name"], role(asked["role"]), actor=actor)
            case "reset":
                return await people.reset(asked["name"], actor=actor)
            case "disable" | "enable":
                return await people.set_disabled(asked["name"], asked["do"] == "disable", actor=actor)
            case _:
                raise KeyError(asked["do"])


def ask(data_dir: Path, asked: dict[str, Any]) -> Any:
    """Ask the running center; raise CenterError with what to do."""
    path = data_dir / NAME
    try:
        with _short(data_dir) as short, socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(_PATIENCE_S)
            sock.connect(short)
            sock.sendall(json.dumps(asked).encode() + b"\n")
            with sock.makefile("rb") as answers:
                answer = json.loads(answers.readline())
    except (FileNotFoundError, ConnectionRefusedError) as error:
        raise CenterError(
            f"{path}: no center runs on this folder; start it first (systemctl start motcua-center)"
        ) from error
    except PermissionError as error:
        raise CenterError(f"{path}: only root and the center's own user may do this; use sudo") from error
    except (OSError, ValueError) as error:
        raise CenterError(f"{path}: the center does not answer: {error}") from error
    if "error" in answer:
        raise CenterError(answer["error"])
    return answer["done"]


def _listening(folder: Path) -> socket.socket:
    """Return the bound socket; one that a killed center left there is removed: this one holds the folder's lock."""
    with _short(folder) as path:
        Path(path).unlink(missing_ok=True)
        sock = socket.socket(socket.AF_UNIX)
        try:
            sock.bind(path)
            Path(path).chmod(0o600)
        except OSError:
            sock.close()
            raise
        return sock


@contextlib.contextmanager
def _short(folder: Path) -> Iterator[str]:
    """Give the socket's path by way of its open folder: a socket's own path may have no more than 107 bytes."""
    opened = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{opened}/{NAME}"
    finally:
        os.close(opened)


def _uid(sock: socket.socket) -> int:
    """Return whose process is at the other end, as the kernel has it."""
    _pid, uid, _gid = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
    return int(uid)
