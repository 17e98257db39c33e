"""Topic names: `motcua/v1/<center>/<station>/<device>/<channel>`."""

import re
from enum import StrEnum
from functools import lru_cache

import msgspec

from contract.errors import ContractError

VERSION = "v1"
DEFAULT_ROOT = "motcua"
SEGMENT = r"^[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?$"
"""Lower case letters, digits and inner hyphens: dots and spaces break other brokers' own subjects."""

CENTER_STATION = "center"
"""The center's own place among the stations: no counter and no place in the hall may have this name."""

_segment = re.compile(SEGMENT)


class Channel(StrEnum):
    """The last segment of a topic: what kind of message travels there."""

    EVENT = "event"
    ACK = "ack"
    STATUS = "status"
    DESIRED = "desired"
    REPORTED = "reported"
    REQUEST = "request"
    REPLY = "reply"

    @property
    def retained(self) -> bool:
        """Whether the broker keeps the last message for whoever subscribes later."""
        return self in _RETAINED

    @property
    def from_device(self) -> bool:
        """Whether the device speaks here and the center hears, or the other way round."""
        return self in _FROM_DEVICE


QOS = 1
"""Of every message. What must not be lost is acknowledged by the center itself: the broker's word is not enough."""

_RETAINED = frozenset({Channel.STATUS, Channel.DESIRED, Channel.REPORTED})
_FROM_DEVICE = frozenset({Channel.EVENT, Channel.STATUS, Channel.REPORTED, Channel.REQUEST})

_channels = frozenset(channel.value for channel in Channel)


class Address(msgspec.Struct, frozen=True):
    """Where one device stands: the part of its topics that never changes."""

    center: str
    station: str
    device: str
    root: str = DEFAULT_ROOT

    def __post_init__(self) -> None:
        """Refuse a segment that a broker would read as something else."""
        for name in ("root", "center", "station", "device"):
            check_segment(name, getattr(self, name))

    @property
    def source(self) -> str:
        """The CloudEvents `source` of this device's events."""
        return f"/{self.center}/{self.station}/{self.device}"

    def topic(self, channel: Channel) -> str:
        """Return the topic on which this device speaks or hears `channel`."""
        return f"{self.root}/{VERSION}/{self.center}/{self.station}/{self.device}/{channel.value}"


def check_segment(name: str, value: str) -> None:
    """Raise ContractError unless `value` may stand between two slashes of a topic."""
    if not _segment.fullmatch(value):
        raise ContractError(name, f"must be 1 to 32 of a-z, 0-9 and inner hyphens, got {value!r}")


def center_address(center: str, *, root: str = DEFAULT_ROOT) -> Address:
    """Return where a center says its own `status`, the only channel it has there."""
    return Address(center=center, station=CENTER_STATION, device="hall", root=root)


def discovery_topic(address: Address) -> str:
    """Return where a device announces itself to Home Assistant, retained, if its station's file asks for that."""
    identity = "_".join((address.root, address.center, address.station, address.device))  # no segment has a _
    return f"homeassistant/device/{identity}/config"


def center_filter(center: str, channel: Channel, *, root: str = DEFAULT_ROOT) -> str:
    """Return the subscription that hears `channel` of every device of a center."""
    check_segment("root", root)
    check_segment("center", center)
    return f"{root}/{VERSION}/{center}/+/+/{channel.value}"


@lru_cache(maxsize=1024)
def parse(topic: str) -> tuple[Address, Channel]:
    """Return whose topic this is and its channel; raise ContractError for any other topic."""
    parts = topic.split("/")
    if len(parts) != 6 or parts[1] != VERSION:
        raise ContractError("topic", f"is not <root>/{VERSION}/<center>/<station>/<device>/<channel>: {topic!r}")
    root, _, center, station, device, channel = parts
    if channel not in _channels:
        raise ContractError("topic", f"ends in the unknown channel {channel!r}")
    return Address(center=center, station=station, device=device, root=root), Channel(channel)
