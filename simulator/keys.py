"""Keys for a simulated center: its authority, its broker's files, a key for every device and for the ear of a day."""

from pathlib import Path

from center.broker import BrokerKeys
from center.keys.access import mosquitto_acl
from center.keys.authority import Authority
from center.keys.keeper import broker_keys
from contract.topics import DEFAULT_ROOT, Channel, center_filter
from simulator.ports import HOST
from simulator.premises import CENTER_ID, Premises

DEVICES = ("rating", "callpad", "display")
EAR = "center/ear"
"""Who listens to acknowledgements and takes no part."""


def make_keys(premises: Premises) -> None:
    """Make what is missing: the authority in the center's folder, and each station's keys in one of their own."""
    authority = _authority(premises)
    authority.prepare([HOST, "localhost"])
    premises.keys_dir.mkdir(parents=True, exist_ok=True)
    (premises.keys_dir / "root.pem").write_bytes(authority.root_pem())
    wanted = [*(f"{counter.id}/{device}" for counter in premises.counters for device in DEVICES), EAR]
    if premises.camera is not None:
        wanted.append(f"{premises.camera.counter}/camera")
    missing = [identity for identity in wanted if not _file(premises, identity).exists()]
    for identity, pair in authority.issue(missing).items():
        _file(premises, identity).parent.mkdir(exist_ok=True)
        _file(premises, identity).write_bytes(pair)
    identities = [identity for identity in authority.index().identities() if identity != EAR]
    acl = mosquitto_acl(identities, center=CENTER_ID, root=DEFAULT_ROOT)
    hears = center_filter(CENTER_ID, Channel.ACK)
    keys_of_broker(premises).acl_file.write_text(f"{acl}\nuser {EAR}\ntopic read {hears}\n", encoding="utf-8")


def keys_of_broker(premises: Premises) -> BrokerKeys:
    """Return the files that the broker reads."""
    return broker_keys(_authority(premises))


def ear_file(premises: Premises) -> Path:
    """Return the key by which a day's acknowledgements are heard."""
    return _file(premises, EAR)


def _authority(premises: Premises) -> Authority:
    return Authority(premises.center_data / "keys", center=CENTER_ID)


def _file(premises: Premises, identity: str) -> Path:
    return premises.keys_dir / f"{identity}.pem"
