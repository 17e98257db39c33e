"""What a camera's table in the configuration says."""

import binascii
import re
from typing import Annotated, Literal
from urllib.parse import SplitResult, urlsplit

import msgspec

from contract.cameras import KINDS, check_hours, check_kinds, check_names, check_zones
from contract.settings import show
from contract.states import Hours, Zone
from firmware.devices.camera.hours import time_zone

CITIZEN, OFFICER = "citizen", "officer"

KEY_BYTES = 32
"""Of an X25519 public key."""
_LOOPBACK = re.compile(r"127(\.\d{1,3}){3}", re.ASCII)
_Size = Annotated[int, msgspec.Meta(ge=160, le=1920, multiple_of=2, description="an even number from 160 to 1920")]
_Seconds = Annotated[int, msgspec.Meta(ge=1, le=3600, description="1 to 3600 seconds")]


class CameraConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One camera. `source` is what it is; `address` is where: a device file, a URL or a video, by the source."""

    source: Literal["picamera2", "v4l2", "rtsp", "file"]
    address: str | None = None
    width: _Size = 640
    height: _Size = 480
    fps: Annotated[int, msgspec.Meta(ge=1, le=30, description="1 to 30 frames a second")] = 15
    zones: Annotated[tuple[Zone, ...], msgspec.Meta(max_length=16)] = ()
    masks: Annotated[tuple[Zone, ...], msgspec.Meta(max_length=16)] = ()
    hours: Annotated[tuple[Hours, ...], msgspec.Meta(max_length=21)] = ()
    timezone: str = "Asia/Ho_Chi_Minh"
    kinds: tuple[str, ...] = KINDS
    model: str | None = None
    """The network's file, as `motcua camera model` installs it; without it nobody is found in the picture."""
    pre_roll_s: Annotated[int, msgspec.Meta(ge=0, le=30, description="0 to 30 seconds")] = 10
    post_roll_s: Annotated[int, msgspec.Meta(ge=0, le=30, description="0 to 30 seconds")] = 10
    waiting_s: _Seconds = 30
    absent_s: _Seconds = 120
    crowd: Annotated[int, msgspec.Meta(ge=2, le=50, description="2 to 50 people")] = 5
    service_clips: bool = True
    service_kept_min: Annotated[int, msgspec.Meta(ge=1, le=1440, description="1 to 1440 minutes")] = 60
    quota_mb: Annotated[int, msgspec.Meta(ge=50, le=1_000_000, description="50 MB and more")] = 4000
    center_key: str | None = None
    """The center's public key for the clear version; without it there is none."""
    center: str | None = None
    """The center's HTTP address, where recordings go; without it they stay here."""
    center_ca: str | None = None
    """The certificates that the center's is held against; without it those that this machine trusts."""
    upload_kbit_s: (
        Annotated[int, msgspec.Meta(ge=64, le=1_000_000, description="64 to 1000000 kbit a second")] | None
    ) = None
    upload_hours: Annotated[tuple[Hours, ...], msgspec.Meta(max_length=21)] = ()
    """Recordings are sent within these hours only; without any, always."""
    as_fast_as_possible: bool = False
    loop: bool = False
    """A video begins again where it ends."""

    def __post_init__(self) -> None:
        """Check what only holds between fields."""
        if self.source == "picamera2" and self.address is not None:
            raise ValueError("address is for v4l2, rtsp and file: a picamera2 needs none")
        if self.source != "picamera2" and not self.address:
            raise ValueError(f"address is missing: the source {self.source} needs it")
        if self.as_fast_as_possible and self.source != "file":
            raise ValueError("as_fast_as_possible is for the source file")
        if self.loop and self.source != "file":
            raise ValueError("loop is for the source file")
        if self.source == "rtsp":
            _check_rtsp(self.address or "")
        check_names(self.zones)
        check_zones(self.zones)
        check_zones(self.masks, "masks")
        check_kinds(self.kinds)
        check_hours(self.hours)
        check_hours(self.upload_hours, "upload_hours")
        time_zone(self.timezone)
        if self.center_key:
            _check_key(self.center_key)
        if self.center is not None:
            _check_center(self.center)
        elif alone := next((key for key in ("center_ca", "upload_kbit_s", "upload_hours") if getattr(self, key)), None):
            raise ValueError(f"{alone} needs center beside it: the address where recordings go")


def _check_rtsp(address: str) -> None:
    """Raise ValueError for what is no network camera's address; it is not repeated: a password may be in it."""
    parts, host, _ = _split(address)
    if parts.scheme not in ("rtsp", "rtsps") or not host:
        raise ValueError("address must be as rtsp://host/path for the source rtsp")


def _check_key(text: str) -> None:
    """Raise ValueError for what cannot be a public key, without the library that reads one."""
    try:
        size = len(binascii.a2b_base64(text.strip(), strict_mode=True))
    except ValueError:
        size = 0
    if size != KEY_BYTES:
        raise ValueError(f"center_key must be the 44 characters that motcua center clips-key prints, got {show(text)}")


def _check_center(address: str) -> None:
    """Raise ValueError for what is no address, and for one that would carry recordings in the clear over a network."""
    parts, host, port = _split(address)
    if (
        parts.scheme not in ("https", "http")
        or not host
        or port == 0
        or parts.path not in ("", "/")
        or parts.query
        or parts.fragment
    ):
        raise ValueError(f"center must be an address such as https://motcua.local:8443, got {show(address)}")
    if "@" in parts.netloc:
        raise ValueError("center must be an address without a name or a password in it")
    if parts.scheme == "http" and not (host in ("localhost", "::1") or _LOOPBACK.fullmatch(host)):
        raise ValueError(f"center must begin with https:// unless it is this machine itself, got {show(address)}")


def _split(address: str) -> tuple[SplitResult, str | None, int | None]:
    """Return an address in parts, with its host and port; without any where it is none."""
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port
    except ValueError:
        return urlsplit(""), None, None
    return parts, host, port
