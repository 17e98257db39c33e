"""The first minute of a demo: counters are open and a few people wait, so that the first button does something."""

from contract.ids import uuid7
from simulator.premises import SERVICES
from simulator.world import World

FIRST_TICKETS = 4
PATIENCE_S = 10.0


async def set_the_scene(world: World) -> None:
    """Open the counters that are closed, and give out a few numbers where nobody waits."""
    browser = world.browser
    hall = (await browser.get("/api/state")).body
    for counter in hall["counters"]:
        if counter["state"] == "closed":
            officer, seen = world.officers[counter["id"]], {"seen": counter["revision"]}
            await officer.ask(f"/api/counters/{counter['id']}/open", seen, key=uuid7(), patience_s=PATIENCE_S)
    if any(hall["waiting"].values()):
        return
    for service in SERVICES[:FIRST_TICKETS]:
        await browser.ask("/api/tickets", {"service": service.id}, key=uuid7(), patience_s=PATIENCE_S)
