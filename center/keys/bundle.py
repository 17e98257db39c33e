"""What one station needs, in one file: its configuration, its keys, and whom to trust. Pure: texts in, bytes out.

```
station.toml                a beginning; the wiring of the guide, to be adapted
keys/root.pem               whom the devices trust
keys/<station>/<device>.pem a device's key and certificate, one text
keys/<station>/keys.pem     by which the station asks for new ones
```
"""

import io
import json
import tarfile
from collections.abc import Mapping, Sequence

KEYS_DIR = "/var/lib/motcua/keys"
"""Beside the outboxes and not in /etc: keys are renewed while the station runs, and /etc may be read-only."""

SECTIONS = {
    "rating": """[device.rating]
scale = "{scale}"
buttons = [
{buttons}
]
buzzer = 18
""",
    "callpad": """[device.callpad]
next = {{pin = 23, led = 12}}
recall = {{pin = 24, led = 16}}
no_show = {{pin = 25, led = 20}}
pause = {{pin = 8, led = 21}}
""",
    "display": """[device.display]
codec = "modbus-led"             # or cd5220, or screen
port = "/dev/ttyUSB0"
unit = 1
""",
    "camera": """[device.camera]
source = "v4l2"                  # or picamera2, rtsp; docs/guide/devices/camera.md has zones, masks, and the rest
address = "/dev/video0"
""",
}
"""How each device is wired in the guide."""

_BUTTONS = ((17, 5), (27, 6), (22, 13), (10, 19), (9, 26))


def station_toml(
    *, center: str, root: str, station: str, host: str, port: int, devices: Sequence[str], scale: str, levels: int
) -> str:
    """Return the beginning of a station's file, wired as in the guide."""
    buttons = "\n".join(
        f"    {{level = {level}, pin = {pin}, led = {led}}},"
        for level, (pin, led) in enumerate(_BUTTONS[:levels], start=1)
    )
    lines = [
        "# station.toml: made by motcua provision; adapt the wiring to yours.",
        f"center = {_text(center)}",
        f"station = {_text(station)}",
        *([f"root = {_text(root)}"] if root != "motcua" else []),
        "",
        "[broker]",
        f"host = {_text(host)}",
        f"port = {port}",
        f"keys_dir = {_text(KEYS_DIR)}",
    ]
    sections = [
        SECTIONS[device].format(scale=scale, buttons=buttons)
        if device in SECTIONS
        else f"[device.{device}]\n# kind = … and its settings: docs/guide/devices\n"
        for device in devices
    ]
    return "\n".join(lines) + "\n\n" + "\n".join(sections)


def pack(toml: str, root: bytes, pairs: Mapping[str, bytes], *, made_at: int) -> bytes:
    """Return the bundle; `pairs` by identity, `made_at` in seconds of the epoch."""
    files = {"station.toml": toml.encode(), "keys/root.pem": root}
    return _archive(files | {f"keys/{identity}.pem": pair for identity, pair in pairs.items()}, made_at=made_at)


def pack_for_reader(root: bytes, pair: bytes, *, made_at: int) -> bytes:
    """Return what another program is given: the authority, its certificate and its key, each in a file of its own."""
    key, begin, certificate = pair.partition(b"-----BEGIN CERTIFICATE-----")
    return _archive({"root.pem": root, "client.pem": begin + certificate, "client.key": key}, made_at=made_at)


def _archive(files: Mapping[str, bytes], *, made_at: int) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode, member.mtime = len(content), 0o600, made_at
            archive.addfile(member, io.BytesIO(content))
    return out.getvalue()


def _text(value: str) -> str:
    """A TOML basic string: JSON's escapes are a subset of its own."""
    return json.dumps(value, ensure_ascii=False)
