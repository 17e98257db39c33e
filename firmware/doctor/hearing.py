"""Who is heard at the broker: the center, and this station's own devices."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from contract.codec import decode
from contract.errors import ContractError
from contract.states import Status
from contract.topics import Address, Channel, center_address
from host.doctor.broker import Word
from host.doctor.finding import Finding, ok, problem, warning
from host.doctor.holders import Holder


@dataclass(frozen=True, slots=True)
class Expected:
    """A device that is configured here, and its daemon if that runs on this machine."""

    address: Address
    holder: Holder | None

    @property
    def topic(self) -> str:
        """Where it says whether it is there."""
        return self.address.topic(Channel.STATUS)


def center_topic(address: Address) -> str:
    """Return where the center of a device says whether it is there."""
    return center_address(address.center, root=address.root).topic(Channel.STATUS)


def judge_center(heard: Mapping[str, Word], topic: str, *, center: str) -> Finding:
    """Judge what the center said of itself."""
    word = heard.get(topic)
    status = _status(word)
    if word is None or status is None:
        return problem(
            "center-unheard",
            f"nothing is heard of the center {center} at this broker",
            "check center and root in the file, that the center uses this broker, and that its access list lets "
            f"{topic} be read",
        )
    if status.state != "online":
        how = "it was stopped" if status.state == "offline" else "the broker has lost it"
        return problem(
            "center-gone", f"the center {center} is not there: {how}", "at the server: systemctl status motcua-center"
        )
    if not word.live:
        return warning(
            "center-silent",
            f"the center {center} was online, but has said nothing for several seconds",
            "at the server: sudo motcua doctor",
        )
    return ok("center-online", f"the center {center} says online, version {status.version}")


def judge_devices(heard: Mapping[str, Word], expected: Sequence[Expected], *, version: str) -> Sequence[Finding]:
    """Judge what our own devices are known as; one that does not run here is a matter of its unit."""
    found: list[Finding] = []
    for each in expected:
        status = _status(heard.get(each.topic))
        name = each.address.device
        if status is None or each.holder is None:
            continue
        if status.state != "online":
            found.append(
                warning(
                    "device-offline",
                    f"{name} runs here, but the broker knows it as {status.state}",
                    f"if it stays so: journalctl -u motcua-device@{name} -n 20",
                )
            )
        elif status.version != version:
            found.append(
                warning(
                    "device-version",
                    f"{name} runs as version {status.version}, installed is {version}",
                    f"sudo systemctl restart motcua-device@{name}",
                )
            )
        else:
            found.append(ok("device-online", f"{name} is online, version {status.version}"))
    return found


def judge_connection(daemon: Holder, connected: bool | None) -> Sequence[Finding]:
    """Judge whether a daemon has a connection to the broker; None: this user may not see."""
    if connected is None:
        return []
    if connected:
        return [ok("device-connected", f"{daemon} is connected to it")]
    return [
        warning(
            "device-unconnected",
            f"{daemon} runs and is not connected: what is pressed waits in its outbox",
            f"if the lines above are well: journalctl -u motcua-device@{daemon.device} -n 20",
        )
    ]


def _status(word: Word | None) -> Status | None:
    try:
        return decode(word.payload, Status) if word is not None else None
    except ContractError:
        return None
