"""An officer's page, as far as an officer reads it: the counter, its ticket, who waits; and the buttons on it."""

import asyncio
from dataclasses import dataclass
from typing import Any

from contract.ids import uuid7
from simulator.web_client import Answer, Browser, NoAnswerError

PATIENCE_S = 30.0
"""The center is never away for longer than a restart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeskView:
    """What the page shows. `waiting` counts those for this counter's services."""

    state: str
    revision: int
    waiting: int
    ticket: str | None = None
    number: str | None = None
    ticket_state: str | None = None


class Desk:
    """One counter's page. It answers or it waits: a page reconnects by itself."""

    def __init__(self, browser: Browser, counter: str) -> None:
        self._browser = browser
        self._counter = counter

    async def look(self) -> DeskView:
        """Return what is, from the center; wait while it is away."""
        hall = await self._get("/api/state")
        here = next(counter for counter in hall["counters"] if counter["id"] == self._counter)
        waiting = sum(hall["waiting"].get(service, 0) for service in here["services"])
        view = DeskView(state=here["state"], revision=here["revision"], waiting=waiting)
        if here["ticket"] is None:
            return view
        ticket = (await self._get(f"/api/tickets/{here['ticket']}"))["ticket"]
        return DeskView(
            state=view.state,
            revision=view.revision,
            waiting=waiting,
            ticket=ticket["id"],
            number=ticket["number"],
            ticket_state=ticket["state"],
        )

    async def do(self, action: str, view: DeskView, **args: Any) -> Answer:
        """Press a button of the page, acting on `view`; repeated with the same key until there is an answer."""
        body = {"seen": view.revision, **args}
        return await self._browser.ask(
            f"/api/counters/{self._counter}/{action}", body, key=uuid7(), patience_s=PATIENCE_S
        )

    async def _get(self, path: str) -> Any:
        deadline = asyncio.get_running_loop().time() + PATIENCE_S
        while True:
            try:
                answer = await self._browser.get(path)
            except NoAnswerError:
                if asyncio.get_running_loop().time() >= deadline:
                    raise
            else:
                if answer.ok and answer.body is not None:
                    return answer.body
                if asyncio.get_running_loop().time() >= deadline:
                    raise NoAnswerError(f"GET {path}: {answer.status} {answer.body}")
            await asyncio.sleep(0.1)
