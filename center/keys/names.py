"""The names and addresses by which devices may reach this machine: what the broker's certificate has to say."""

import fcntl
import ipaddress
import socket
import struct
from pathlib import Path

_SIOCGIFADDR = 0x8915  # netdevice(7)


def of_this_machine(*, if_inet6: Path = Path("/proc/net/if_inet6")) -> tuple[str, ...]:
    """Return loopback, the host's name (also as `.local`) and every address of it but link-local ones."""
    name = socket.gethostname().split(".")[0]
    found = {"localhost", "127.0.0.1", "::1", *addresses(), *_addresses_6(if_inet6)}
    if name and name.isascii():
        found |= {name, f"{name}.local"}
    return tuple(sorted(found))


def addresses() -> tuple[str, ...]:
    """Return the IPv4 addresses of this machine, loopback left out."""
    found = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for _, interface in socket.if_nameindex():
            try:
                answer = fcntl.ioctl(sock, _SIOCGIFADDR, struct.pack("256s", interface.encode()[:15]))
            except OSError:
                continue  # it has none
            found.append(ipaddress.IPv4Address(answer[20:24]))
    return tuple(str(one) for one in found if not one.is_loopback)


def _addresses_6(if_inet6: Path) -> list[str]:
    try:
        lines = if_inet6.read_text(encoding="ascii").splitlines()
    except OSError:
        return []
    found = [ipaddress.IPv6Address(bytes.fromhex(line.split()[0])) for line in lines]
    return [str(one) for one in found if not one.is_link_local and not one.is_loopback]
