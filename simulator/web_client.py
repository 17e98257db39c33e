"""What the people's browsers do: JSON over HTTP, repeated with the same idempotency key until there is an answer."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from simulator.ports import HOST

TRY_S = 3.0
"""A browser's patience with one attempt."""
PAUSE_S = 0.1


class NoAnswerError(ConnectionError):
    """The center could not be reached, or did not answer in time."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A status and what came with it (None where it was not JSON); `cookie` is what to send from now on."""

    status: int
    body: Any
    cookie: str = ""

    @property
    def ok(self) -> bool:
        """Whether the ask was carried out."""
        return 200 <= self.status < 300


class Browser:
    """Speaks to one center; a new connection each time, as the pages of many people do."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._cookie = ""
        self.retries = 0

    async def enter(self, path: str, body: Mapping[str, Any]) -> None:
        """Ask for a login, and be that person from now on; raise NoAnswerError."""
        answer = await self._once("POST", path, body, {})
        if not answer.ok:
            raise NoAnswerError(f"POST {path}: {answer.status} {answer.body}")
        self._cookie = answer.cookie

    async def get(self, path: str) -> Answer:
        """Read once; raise NoAnswerError."""
        return await self._once("GET", path, None, {})

    async def post(self, path: str, body: Mapping[str, Any], *, key: str) -> Answer:
        """Ask once; raise NoAnswerError, after which it is unknown whether it was done."""
        return await self._once("POST", path, body, {"Idempotency-Key": key})

    async def ask(self, path: str, body: Mapping[str, Any], *, key: str, patience_s: float) -> Answer:
        """Ask until there is an answer, always with the same key; raise NoAnswerError when the patience is over."""
        deadline = asyncio.get_running_loop().time() + patience_s
        while True:
            try:
                answer = await self.post(path, body, key=key)
            except NoAnswerError:
                if asyncio.get_running_loop().time() >= deadline:
                    raise
            else:
                if answer.status < 500:
                    return answer
                if asyncio.get_running_loop().time() >= deadline:
                    raise NoAnswerError(f"POST {path}: {answer.status} {answer.body}")
            self.retries += 1
            await asyncio.sleep(PAUSE_S)

    async def _once(self, method: str, path: str, body: Mapping[str, Any] | None, headers: Mapping[str, str]) -> Answer:
        payload = b"" if body is None else msgspec.json.encode(body)
        lines = [f"{method} {path} HTTP/1.1", f"Host: {HOST}:{self._port}", "Connection: close", "Accept: */*"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        if self._cookie:
            lines.append(f"Cookie: {self._cookie}")
        if body is not None:
            lines += ["Content-Type: application/json", f"Content-Length: {len(payload)}"]
        request = ("\r\n".join(lines) + "\r\n\r\n").encode() + payload
        try:
            async with asyncio.timeout(TRY_S):
                raw = await self._exchange(request)
        except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
            raise NoAnswerError(f"{method} {path}: {str(error) or 'no answer in time'}") from error
        if raw.ok and raw.body is None and method == "POST":
            raise NoAnswerError(f"{method} {path}: the answer was cut off")
        return raw

    async def _exchange(self, request: bytes) -> Answer:
        reader, writer = await asyncio.open_connection(HOST, self._port)
        try:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            status_line, *header_lines = head.decode("latin-1").split("\r\n")
            length: int | None = None
            cookies = []
            for line in header_lines:
                name, _, value = line.partition(":")
                if name.strip().lower() == "content-length":
                    length = int(value)
                elif name.strip().lower() == "set-cookie":
                    cookies.append(value.partition(";")[0].strip())
            content = await (reader.read() if length is None else reader.readexactly(length))
        finally:
            writer.close()
        return Answer(int(status_line.split()[1]), _json(content), "; ".join(cookies))


def _json(content: bytes) -> Any:
    try:
        return msgspec.json.decode(content) if content else None
    except msgspec.DecodeError:
        return None
