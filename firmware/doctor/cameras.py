"""Cameras: those that there are, and whether a configured one has all that it needs.

Nothing is opened that a running camera has open: a USB camera gives its pictures to one program only.
"""

import hashlib
import importlib.util
import os
import shutil
import socket
import stat
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from contract.states import Hours
from firmware.devices.camera.config import CITIZEN, OFFICER, CameraConfig
from firmware.devices.camera.decisions import TOLD_KEY, told_zones
from firmware.devices.camera.http import check_authority, connect, explain
from firmware.devices.camera.model import MODEL_SHA256
from firmware.errors import ConfigError
from host.doctor import database, rights
from host.doctor.finding import Finding, ok, problem, warning
from host.doctor.rights import FileFacts, User
from host.doctor.roots import Roots, text_of

LIBRARIES = ("av", "cryptography", "cv2", "numpy")
SPARE_MB = 256
"""What a camera leaves free of the disk, whatever its quota."""
PATIENCE_S = 5.0
RTSP_PORT = 554
FEW_HOURS, MANY_HOURS = 5, 110
"""Opening hours in a week: with fewer or more, somebody has mixed up begin and end, or the days."""

_NO_CAMERAS = ("bcm2835-codec", "bcm2835-isp", "pispbe", "rpi-hevc", "rpivid", "hantro")
"""Video nodes of a Pi's own coders and image pipeline (their names' beginnings)."""
_MODULES = ("unicam", "rp1-cfe")
"""Video nodes of a camera module on a Pi 4 and on a Pi 5 (their names' beginnings)."""
_NEEDED = {"waiting_alone": {CITIZEN, OFFICER}, "officer_absent": {OFFICER}, "crowding": {CITIZEN}}
"""Incident → the zones without which it is never found."""
_EXTRA = "sudo /opt/motcua/bin/pip install 'motcua[camera]'"
_MIB = 1_000_000


def look(roots: Roots) -> Sequence[Finding]:
    """Name each camera once: one has several nodes, of which the first gives the picture."""
    return [ok("camera", f"/dev/{node} is {name}") for node, name in _nodes(roots).items()]


def _nodes(roots: Roots) -> dict[str, str]:
    found = {}
    for folder in sorted(roots.sys.glob("class/video4linux/video*"), key=lambda each: int(each.name[5:] or 0)):
        name = text_of(folder / "name")
        if name and not name.startswith(_NO_CAMERAS) and text_of(folder / "index") in (None, "0"):
            found[folder.name] = name
    return found


@dataclass(frozen=True, slots=True)
class CameraUse:
    """A camera that is configured."""

    station: str
    device: str
    config: CameraConfig
    state_dir: Path


@dataclass(frozen=True, slots=True)
class CameraFacts:
    """What there is for a camera."""

    use: CameraUse
    missing: tuple[str, ...] = ()
    """Libraries that are not installed."""
    x264: bool = True
    modules: tuple[str, ...] = ()
    """Camera modules that the kernel has found."""
    file: FileFacts | None = None
    """The device file or the video."""
    silent: str = ""
    """Why a network camera does not answer."""
    network: str | None = None
    """The hash of the network that finds people, None where its file is not there."""
    drawn: tuple[str, ...] | None = None
    """The zones that the center told it last, None where it told none: those of the file hold."""
    room_mb: int = 0
    """Free on the disk, with what the recordings have already."""
    authority: str = ""
    """What is wrong with the file that the center's certificate is held against."""
    center: str = ""
    """Why there is no talking to the center."""


def probe(use: CameraUse, roots: Roots, *, clock_is_set: bool) -> CameraFacts:
    """Look for what a camera needs, without touching the camera."""
    config = use.config
    missing = tuple(name for name in LIBRARIES if importlib.util.find_spec(name) is None)
    if config.source == "picamera2" and importlib.util.find_spec("picamera2") is None:
        missing += ("picamera2",)
    network = Path(config.model) if config.model else None
    authority = _wrong_authority(config)
    return CameraFacts(
        use=use,
        missing=missing,
        x264="av" in missing or _has_x264(),
        modules=tuple(name for name in _nodes(roots).values() if name.startswith(_MODULES)),
        file=rights.probe(Path(config.address)) if config.source in ("v4l2", "file") and config.address else None,
        silent=_silence(config.address) if config.source == "rtsp" and config.address else "",
        network=_hash(network) if network else None,
        drawn=_drawn(use.state_dir),
        room_mb=_room_mb(use.state_dir),
        authority=authority,
        center=_no_center(config, clock_is_set=clock_is_set) if config.center and not authority else "",
    )


def judge(facts: CameraFacts, user: User | None) -> Sequence[Finding]:
    """Judge a camera; `user` is who the daemon runs as, None where that is not known."""
    device, config = facts.use.device, facts.use.config
    found = [*_judge_libraries(facts), *_judge_source(facts, user)]
    found += _judge_zones(facts)
    found.append(_judge_network(facts))
    found.append(_judge_room(facts))
    if config.hours:
        found.append(_judge_hours(device, config.hours))
    found.append(_judge_center(facts))
    return found


def _judge_libraries(facts: CameraFacts) -> list[Finding]:
    device = facts.use.device
    if facts.missing:
        own = "sudo apt install python3-picamera2, in an environment with --system-site-packages"
        advice = own if facts.missing == ("picamera2",) else _EXTRA
        return [problem("camera-library", f"{device} needs {', '.join(facts.missing)}, not installed here", advice)]
    if not facts.x264:
        return [
            problem(
                "camera-coder", f"{device}: this PyAV has no x264", "use a 64-bit operating system: 32 bit has none"
            )
        ]
    return [ok("camera-libraries", f"{device} has its libraries, with x264")]


def _judge_source(facts: CameraFacts, user: User | None) -> list[Finding]:
    device, config, file = facts.use.device, facts.use.config, facts.file
    if config.source == "picamera2":
        if facts.modules:
            return [ok("camera-source", f"{device} is the module that the kernel calls {facts.modules[0]}")]
        return [
            problem(
                "camera-missing",
                f"{device}: the kernel has found no camera module",
                "switch the Pi off and look at both ends of its ribbon; then rpicam-hello --list-cameras",
            )
        ]
    if config.source == "rtsp":
        if facts.silent:
            return [
                problem("camera-silent", f"{device}: {facts.silent}", "check the camera's power, cable and address")
            ]
        return [ok("camera-source", f"{device}: the network camera answers")]
    name = f"{config.address} ({device})"
    if file is None or file.mode is None:
        return [
            problem(
                "camera-missing",
                f"{name}: {file.reason if file else 'no address'}",
                "plug the camera in; ls -l /dev/v4l/by-id shows what is there"
                if config.source == "v4l2"
                else f"correct device.{device}.address: the path of a video",
            )
        ]
    if config.source == "v4l2" and not stat.S_ISCHR(file.mode):
        return [problem("camera-is-none", f"{name} is no camera", f"correct device.{device}.address")]
    if user is not None and not rights.may(user, file, want=6 if config.source == "v4l2" else 4):
        return [
            problem(
                "camera-denied",
                f"{name} may not be opened by the user {user.name}",
                "sudo motcua install-units --device --enable: a camera's unit has the group video",
            )
        ]
    return [ok("camera-source", f"{name} is there")]


def _judge_zones(facts: CameraFacts) -> list[Finding]:
    device, config = facts.use.device, facts.use.config
    there = {zone.name for zone in config.zones} if facts.drawn is None else set(facts.drawn)
    missing = [name for name in (CITIZEN, OFFICER) if name not in there]
    lost = [kind for kind, needed in _NEEDED.items() if kind in config.kinds and needed.intersection(missing)]
    if not lost:
        return []
    hidden = ""
    if CITIZEN not in there | {zone.name for zone in config.zones}:
        hidden = "the whole picture is shown in blocks, "
    return [
        warning(
            "camera-zones-none",
            f"{device} has no zone {' and none '.join(missing)}: {hidden}{', '.join(lost)} cannot happen",
            f"draw it on the center's page /cameras/{facts.use.station}, or as zones in device.{device}",
        )
    ]


def _judge_network(facts: CameraFacts) -> Finding:
    device, config = facts.use.device, facts.use.config
    if config.model is None:
        return warning(
            "camera-network-none",
            f"{device} has no model: an officer's absence and a crowd are never found",
            'sudo motcua camera model, then model = "…" in its table',
        )
    if facts.network is None:
        return problem(
            "camera-network-missing", f"{device}.model: {config.model} cannot be read", "sudo motcua camera model"
        )
    if facts.network != MODEL_SHA256:
        return warning(
            "camera-network-other",
            f"{device}.model: {config.model} is another file than the one that Motcua was tried with",
            "sudo motcua camera model puts the right one in place",
        )
    return ok("camera-network", f"{device}: {config.model} is the network that finds people")


def _judge_room(facts: CameraFacts) -> Finding:
    device, quota_mb = facts.use.device, facts.use.config.quota_mb
    if facts.room_mb < quota_mb + SPARE_MB:
        return warning(
            "camera-room-short",
            f"{device} may take {quota_mb} MB of the disk, where {facts.room_mb} MB are left for it and all others",
            f"free some, use a larger card, or lower device.{device}.quota_mb",
        )
    return ok("camera-room", f"{device} has room for its {quota_mb} MB of recordings")


def _judge_hours(device: str, hours: Sequence[Hours]) -> Finding:
    minutes = sum(len(each.days) * (_minutes(each.end) - _minutes(each.begin)) for each in hours)
    says = f"{device}: open {minutes / 60:g} hours a week"
    if not FEW_HOURS * 60 <= minutes <= MANY_HOURS * 60:
        return warning("camera-hours-odd", says, f"look at device.{device}.hours: begin, end and days")
    return ok("camera-hours", says)


def _judge_center(facts: CameraFacts) -> Finding:
    device = facts.use.device
    if facts.use.config.center is None:
        return warning(
            "camera-center-none",
            f"{device} has no center: its recordings stay on this disk until they make room for newer ones",
            f'center = "https://…" in device.{device}: the address of the center\'s pages',
        )
    if facts.authority:
        return problem(
            "camera-authority",
            f"{device}.{facts.authority}",
            f"put it there, or correct device.{device}.center_ca: the camera does not start without it",
        )
    if facts.center:
        return problem(
            "camera-center-silent", f"{device}: {facts.center}", "correct it; recordings wait here meanwhile"
        )
    return ok("camera-center", f"{device}: {facts.use.config.center} takes its recordings")


# --- looking --------------------------------------------------------------------------------------------------------


def _has_x264() -> bool:
    import av

    try:
        av.codec.Codec("libx264", "w")
    except av.codec.codec.UnknownCodecError:
        return False
    return True


def _silence(address: str) -> str:
    """Return why nobody answers at a network camera's address; what it would show is not asked."""
    parts = urlsplit(address)
    host = parts.hostname or ""
    try:
        socket.create_connection((host, parts.port or RTSP_PORT), PATIENCE_S).close()
    except (OSError, ValueError) as error:
        return f"{host} does not answer: {getattr(error, 'strerror', None) or error}"
    return ""


def _hash(file: Path) -> str | None:
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError:
        return None


def _drawn(folder: Path) -> tuple[str, ...] | None:
    """Return the names of the zones that the camera remembers from its center."""
    question = f"SELECT value FROM memory WHERE key = '{TOLD_KEY}'"  # noqa: S608 - our own word
    told = told_zones(database.probe(folder / "outbox.db", {"told": question}, large_mb=-1).answers.get("told"))
    return None if told is None else tuple(zone.name for zone in told)


def _room_mb(folder: Path) -> int:
    """Return what is free, and what recordings have: those make room for newer ones."""
    there = next(each for each in (folder, *folder.parents) if os.path.exists(each))  # noqa: PTH110 - False where denied
    taken = 0
    with suppress(OSError):  # there is none yet, or it is not for this user
        for file in os.scandir(folder / "clips"):
            with suppress(OSError):  # it has just gone
                taken += file.stat().st_size
    return (shutil.disk_usage(there).free + taken) // _MIB


def _wrong_authority(config: CameraConfig) -> str:
    try:
        check_authority(config)
    except ConfigError as error:
        return str(error)
    return ""


def _no_center(config: CameraConfig, *, clock_is_set: bool) -> str:
    try:
        connect(config, clock_is_set=clock_is_set, timeout_s=PATIENCE_S).close()
    except (OSError, ValueError) as error:
        return explain(error, config)
    return ""


def _minutes(time: str) -> int:
    hours, _, minutes = time.partition(":")
    return int(hours) * 60 + int(minutes)
