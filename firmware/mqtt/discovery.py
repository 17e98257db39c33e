"""What Home Assistant is told of a device, so that it shows up there by itself (its MQTT device discovery). Pure.

Nothing of a rating: how a citizen rated is shown live nowhere. Imported only where the station's file asks for it.
"""

from typing import Any

import msgspec

from contract.events import NAMES, DeviceHealth
from contract.topics import Address, Channel, discovery_topic

_IS_ONLINE = "value_json.state == 'online'"
_IS_HEALTH = f"value_json.type == '{NAMES[DeviceHealth]}'"

_FIGURES: dict[str, dict[str, str]] = {
    "temperature_c": {"name": "Temperature", "device_class": "temperature", "unit_of_measurement": "°C"},
    "disk_free_mb": {"name": "Free disk", "device_class": "data_size", "unit_of_measurement": "MB"},
    "memory_mb": {"name": "Memory", "device_class": "data_size", "unit_of_measurement": "MB"},
    "outbox_depth": {"name": "Waiting to be sent"},
}
"""Fields of the health event, and what Home Assistant calls them."""


def announcement(address: Address, *, kind: str, version: str) -> tuple[str, bytes]:
    """Return the topic and the retained message that announce a device."""
    return discovery_topic(address), msgspec.json.encode(_document(address, kind=kind, version=version))


def _document(address: Address, *, kind: str, version: str) -> dict[str, Any]:
    identity = discovery_topic(address).split("/")[2]
    status, reported, event = (address.topic(one) for one in (Channel.STATUS, Channel.REPORTED, Channel.EVENT))
    # A status has three states and Home Assistant knows two; without this a lost device would keep its last figures.
    present = {"topic": status, "value_template": f"{{{{ 'online' if {_IS_ONLINE} else 'offline' }}}}"}

    def component(key: str, platform: str, *, category: str | None = "diagnostic", **more: Any) -> dict[str, Any]:
        made = {"platform": platform, "unique_id": f"{identity}_{key}", "entity_category": category, **more}
        if key != "connection":  # that one says itself whether the device is there, and must not vanish with it
            made["availability"] = [present]
        return {name: value for name, value in made.items() if value is not None}

    components = {
        "connection": component(
            "connection",
            "binary_sensor",
            name="Connection",
            device_class="connectivity",
            state_topic=status,
            value_template=f"{{{{ 'ON' if {_IS_ONLINE} else 'OFF' }}}}",
        ),
        "trouble": component(
            "trouble",
            "sensor",
            name="Trouble",
            state_topic=reported,
            value_template="{{ value_json.trouble or 'none' }}",
        ),
        "power": component(
            "power",
            "binary_sensor",
            name="Slowed by heat or low voltage",
            device_class="problem",
            state_topic=event,
            # What is no health event renders to nothing, and nothing changes nothing.
            value_template=f"{{{{ ('ON' if value_json.data.throttled else 'OFF') if {_IS_HEALTH} }}}}",
        ),
    }
    for field, figure in _FIGURES.items():
        components[field] = component(
            field,
            "sensor",
            state_class="measurement",
            state_topic=event,
            value_template=f"{{{{ value_json.data.{field} if {_IS_HEALTH} }}}}",
            **figure,
        )
    if kind == "display":
        components["text"] = component(
            "text", "sensor", category=None, name="Shown", state_topic=reported, value_template="{{ value_json.text }}"
        )
    return {
        "device": {
            "identifiers": [identity],
            "name": f"{address.station} {address.device}",
            "manufacturer": "Motcua",
            "model": kind,
            "sw_version": version,
        },
        "origin": {"name": "motcua", "sw_version": version},
        "components": components,
        "qos": 1,
    }
