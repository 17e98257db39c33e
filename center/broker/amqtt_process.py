"""The built-in broker as a process of its own: `python -m center.broker.amqtt_process HOST PORT`.

Its own process, so that it may be killed and does not share a processor's time slice with the pages.
"""

import asyncio
import logging
import signal
import sys

from amqtt.broker import Broker

MAX_CONNECTIONS = 1_000


def main(argv: list[str]) -> int:
    """Run until a signal; returns the exit code."""
    host, port = argv
    logging.basicConfig(level=logging.ERROR, format="amqtt: %(message)s")
    return asyncio.run(_serve(host, int(port)))


async def _serve(host: str, port: int) -> int:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    name = f"[{host}]" if ":" in host else host
    broker = Broker(
        {
            "listeners": {"default": {"type": "tcp", "bind": f"{name}:{port}", "max_connections": MAX_CONNECTIONS}},
            # Without the plugin that publishes $SYS topics: nobody listens to them.
            "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
        }
    )
    try:
        await broker.start()
    except Exception:  # it wraps every cause in its own
        logging.getLogger(__name__).exception("cannot listen on %s:%d", name, port)
        return 1
    await stopped.wait()
    await broker.shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
