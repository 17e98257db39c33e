"""Who may say and read what at the broker. Pure: names in, rules out.

An identity is `station/device`, the common name of a certificate and so the broker's name for whoever holds its key.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from contract.topics import CENTER_STATION, VERSION, Address, Channel, center_address, center_filter, discovery_topic

CENTER = f"{CENTER_STATION}/hall"
KEYS_DEVICE = "keys"
"""The name under which a station asks for new certificates: no device may have it."""
READER = "reader"
"""In a station's place, which no station may have: `reader/NAME` is a program that only hears, as Home Assistant."""
_ANNOUNCEMENTS = "homeassistant/device/+/config"
READABLE = (Channel.STATUS, Channel.REPORTED, Channel.EVENT)


@dataclass(frozen=True, slots=True)
class Rights:
    """Topics of one identity, as MQTT filters."""

    writes: tuple[str, ...]
    reads: tuple[str, ...]


def identity(address: Address) -> str:
    """Return the name that a device's certificate has."""
    return f"{address.station}/{address.device}"


def rights(who: str, *, center: str, root: str) -> Rights:
    """Return what an identity may do.

    A device its own side of its own topics, the center everything of its own, a reader hears what devices say.
    """
    if who == CENTER:
        whole = f"{root}/{VERSION}/{center}/#"
        return Rights(writes=(whole,), reads=(whole,))
    station, device = who.split("/")
    if station == READER:
        said = tuple(center_filter(center, channel, root=root) for channel in READABLE)
        return Rights(writes=(), reads=(*said, _ANNOUNCEMENTS))
    own = Address(center=center, station=station, device=device, root=root)
    presence = center_address(center, root=root).topic(Channel.STATUS)
    if device == KEYS_DEVICE:
        return Rights(writes=(own.topic(Channel.REQUEST),), reads=(own.topic(Channel.REPLY), presence))
    return Rights(
        writes=(*(own.topic(channel) for channel in Channel if channel.from_device), discovery_topic(own)),
        reads=(
            *(own.topic(channel) for channel in Channel if not channel.from_device),
            own.topic(Channel.STATUS),
            presence,
        ),
    )


def mosquitto_acl(identities: Iterable[str], *, center: str, root: str) -> str:
    """Return mosquitto's access list: who is not in it may do nothing."""
    lines = ["# Made by motcua center serve from keys/index.json; written anew at each change."]
    for who in sorted({CENTER, *identities}):
        own = rights(who, center=center, root=root)
        lines += ["", f"user {who}"]
        lines += [f"topic write {topic}" for topic in own.writes]
        lines += [f"topic read {topic}" for topic in own.reads]
    return "\n".join(lines) + "\n"
