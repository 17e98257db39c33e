"""Serial ports: whether they are there, who has them open, and what is plugged in."""

import re
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from host.doctor import rights
from host.doctor.finding import Finding, ok, problem, warning
from host.doctor.holders import Held, Processes
from host.doctor.rights import FileFacts, User
from host.doctor.roots import Roots, text_of

KNOWN_DRIVERS = ("ch341", "ch341-uart", "cp210x", "ftdi_sio", "pl2303", "cdc_acm")
_BUILT_IN = re.compile(r"tty(AMA|S)\d+$")


@dataclass(frozen=True, slots=True)
class PortUse:
    """A port that a device is configured to use."""

    device: str
    path: Path
    shared: bool = False


@dataclass(frozen=True, slots=True)
class PortFacts:
    """A port as it is now."""

    use: PortUse
    file: FileFacts
    real: str
    """The node behind links, as ttyUSB0."""
    held: Held
    driver: str = ""
    adapter: str = ""
    """What an USB adapter calls itself, with its numbers."""
    others: int = 0
    """How many more USB adapters there are: names such as ttyUSB0 go by the order of plugging."""
    console: bool = False
    """Whether the kernel writes its own messages there."""


def judge_uses(uses: Sequence[PortUse]) -> Sequence[Finding]:
    """Judge the configuration alone: one port for two devices, unless both share it."""
    found = []
    taken: dict[Path, PortUse] = {}
    for use in uses:
        first = taken.setdefault(use.path, use)
        if first is not use and not (first.shared and use.shared):
            found.append(
                problem(
                    "port-twice",
                    f"{use.path} is the port of {first.device} and also of {use.device}",
                    "give each its own, or set shared = true for both where several panels hang on one RS-485 line",
                )
            )
    return found


def probe(use: PortUse, roots: Roots, processes: Processes) -> PortFacts:
    """Look at a port without opening it: opening would change its settings."""
    real = use.path.resolve()
    node = roots.sys / "class/tty" / real.name / "device"
    driver = (node / "driver").resolve().name if (node / "driver").exists() else ""
    words = (text_of(roots.proc / "cmdline") or "").split()
    consoles = {word.removeprefix("console=").partition(",")[0] for word in words if word.startswith("console=")}
    return PortFacts(
        use=use,
        file=rights.probe(use.path),
        real=real.name,
        held=processes.holding(use.path),
        driver=driver,
        adapter=_adapter(node),
        others=len({*roots.dev.glob("ttyUSB*"), *roots.dev.glob("ttyACM*")} - {roots.dev / real.name}),
        console=real.name in consoles or (real.name == "ttyAMA0" and "serial0" in consoles),
    )


def judge(facts: PortFacts, user: User | None) -> Sequence[Finding]:
    """Judge a port; `user` is who the daemon runs as, None where that is not known."""
    path, device = facts.use.path, facts.use.device
    name = f"{path} ({device})"
    if facts.file.mode is None:
        return [
            problem(
                "port-missing",
                f"{name}: {facts.file.reason}",
                "plug the panel's adapter in; ls -l /dev/serial/by-id shows what is there",
            )
        ]
    if not stat.S_ISCHR(facts.file.mode):
        return [problem("port-is-none", f"{name} is no serial port", f"correct device.{device}.port")]
    found = []
    if user is not None and not rights.may(user, facts.file, want=6):
        found.append(
            problem(
                "port-denied",
                f"{name} may not be opened by the user {user.name}",
                f"sudo usermod -aG {facts.file.group} {user.name}, and restart motcua-device@{device}",
            )
        )
    if facts.console:
        found.append(
            problem(
                "port-console",
                f"{name}: the kernel writes its own messages there",
                "sudo raspi-config, Interface Options, Serial Port: no login shell, hardware on; then restart",
            )
        )
    found.append(_judge_holder(facts, name))
    if facts.adapter or facts.driver:
        found.append(_judge_adapter(facts, name))
    return found


def _judge_holder(facts: PortFacts, name: str) -> Finding:
    strangers = [each for each in facts.held.by if each.device is None]
    if strangers:
        who = ", ".join(map(str, strangers))
        advice = "; it takes new adapters for modems: sudo apt purge modemmanager" if "odem" in who else ""
        return problem("port-busy", f"{name} is open in {who}", f"stop that program{advice}")
    if facts.held.by:
        return ok("port", f"{name} is open in {', '.join(map(str, facts.held.by))}")
    if not facts.held.all_seen:
        return warning("port-unseen", f"{name} is there; who uses it is not shown to this user", "run this with sudo")
    return ok("port-free", f"{name} is there, and free")


def _judge_adapter(facts: PortFacts, name: str) -> Finding:
    what = " ".join(part for part in (facts.adapter, f"(driver {facts.driver})" if facts.driver else "") if part)
    if facts.others and facts.use.path.name == facts.real and not _BUILT_IN.match(facts.real):
        return warning(
            "port-name",
            f"{name} is {what}; with more than one adapter these names change with the order of plugging",
            "use the name below /dev/serial/by-id as port",
        )
    if facts.adapter and facts.driver not in KNOWN_DRIVERS:
        return warning(
            "adapter-unknown", f"{name} is {what}, which Motcua was not tried with", "if the panel shows all, nothing"
        )
    return ok("adapter", f"{name} is {what}")


def _adapter(node: Path) -> str:
    """Return what the USB device above a port says of itself (Documentation/ABI/stable/sysfs-bus-usb)."""
    if not node.exists():
        return ""
    for folder in (node.resolve(), *node.resolve().parents[:4]):
        vendor, product = text_of(folder / "idVendor"), text_of(folder / "idProduct")
        if vendor and product:
            called = [text_of(folder / "manufacturer"), text_of(folder / "product"), f"{vendor}:{product}"]
            return " ".join(word for word in called if word)
    return ""
