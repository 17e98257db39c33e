"""What a browser of the day does when the center does not answer: the same ask again, with the same key."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from simulator.ports import HOST
from simulator.web_client import Answer, Browser, NoAnswerError

OK = b'HTTP/1.1 201 Created\r\nContent-Length: 15\r\n\r\n{"ticket":"t1"}'
BROKEN = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\n{}"
REFUSED = b'HTTP/1.1 409 Conflict\r\nContent-Length: 16\r\n\r\n{"code":"stale"}'


async def with_server(answers: list[bytes], act: Callable[[Browser], Awaitable[Answer]]) -> tuple[Answer, list[str]]:
    """Answer one connection after the other with these bytes and hang up; return the answer and the keys that came."""
    keys: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        keys.extend(line.partition(": ")[2] for line in head.split("\r\n") if line.startswith("Idempotency-Key"))
        writer.write(answers.pop(0))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, HOST, 0)
    try:
        return await act(Browser(server.sockets[0].getsockname()[1])), keys
    finally:
        server.close()
        await server.wait_closed()


def test_an_ask_is_repeated_with_its_key_until_there_is_an_answer() -> None:
    """After a cut connection, a cut answer and a fault of the center the same key is sent again."""
    answer, keys = asyncio.run(
        with_server(
            [b"", OK[:-3], BROKEN, OK], lambda browser: browser.ask("/api/tickets", {}, key="k1", patience_s=10)
        )
    )
    assert answer == Answer(201, {"ticket": "t1"})
    assert keys == ["k1"] * 4


def test_a_refusal_is_an_answer() -> None:
    """What the center refuses is not asked again."""
    answer, keys = asyncio.run(
        with_server([REFUSED], lambda browser: browser.ask("/api/x", {}, key="k1", patience_s=10))
    )
    assert (answer.status, answer.ok, answer.body, len(keys)) == (409, False, {"code": "stale"}, 1)


def test_patience_ends() -> None:
    """Where nobody listens, an ask ends when the patience does."""

    async def run() -> None:
        browser = Browser(1)  # a port that nobody may listen on
        with pytest.raises(NoAnswerError, match="/api/x"):
            await browser.ask("/api/x", {}, key="k", patience_s=0.3)
        assert browser.retries >= 1

    asyncio.run(run())
