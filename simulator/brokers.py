"""Which broker the world runs, and how: a program of its own, so that it can be stopped and killed alone."""

import shutil
from pathlib import Path
from typing import Literal

from center.broker import BrokerKeys
from center.broker.process import AmqttStarter, MosquittoStarter
from center.config import Broker as BrokerConfig
from simulator.premises import BrokerKind
from simulator.processes import Program

Broker = Literal["mosquitto", "amqtt"]


def choose_broker(kind: BrokerKind) -> Broker:
    """Return the broker to run: `auto` takes mosquitto where it is installed."""
    if kind != "auto":
        return kind
    return "mosquitto" if mosquitto() else "amqtt"


def mosquitto() -> str | None:
    """The path of Debian's mosquitto, which is not on everybody's PATH."""
    return shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")


def broker_program(
    broker: Broker, *, name: str, host: str, port: int, folder: Path, keys: BrokerKeys | None = None
) -> Program:
    """Return the program, configured as the center itself would; it writes what it needs into `folder`."""
    config = BrokerConfig(kind=broker, host=host, port=port)
    if broker == "mosquitto":
        return Program(name=name, argv=MosquittoStarter(mosquitto() or "mosquitto", config, folder, keys).command())
    return Program(name=name, argv=AmqttStarter(config).command())
