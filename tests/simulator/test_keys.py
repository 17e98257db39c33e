"""The keys of a demo: made by the same code as a site's, good for the same brokers."""

from pathlib import Path

from center.config import read
from contract.topics import Address, Channel
from firmware.config import load
from firmware.devices.registry import KINDS
from firmware.mqtt.tls import tls_context
from simulator.keys import DEVICES, ear_file, keys_of_broker, make_keys
from simulator.premises import CameraPlace, Premises, plan_counters


def premises(folder: Path) -> Premises:
    """Return a center in a box that asks for keys."""
    return Premises(
        folder=folder,
        run=folder / "run",
        http_port=1,
        mqtt_port=2,
        counters=plan_counters(2),
        keys=True,
        camera=CameraPlace(counter="q02"),
    )


def test_every_program_of_a_demo_has_its_key(tmp_path: Path) -> None:
    """Center, devices and the ear of a day find their keys where their files say, and the access list knows them."""
    one = premises(tmp_path)
    one.write()
    make_keys(one)
    center = read(one.center_config).broker
    assert (center.ca_file, center.cert_file) == (
        str(keys_of_broker(one).root_file),
        str(keys_of_broker(one).center_file),
    )
    acl = keys_of_broker(one).acl_file.read_text(encoding="utf-8")
    for counter in one.counters:
        for device in (*DEVICES, *(["camera"] if counter.id == "q02" else [])):
            broker = load(one.station_config(counter.id), device, KINDS).broker
            assert tls_context(broker) is not None
            own = Address(center="bentre", station=counter.id, device=device)
            assert f"user {counter.id}/{device}\ntopic write {own.topic(Channel.EVENT)}\n" in acl
    assert ear_file(one).exists()
    assert acl.endswith("user center/ear\ntopic read motcua/v1/bentre/+/+/ack\n")


def test_a_demo_that_goes_on_keeps_its_keys(tmp_path: Path) -> None:
    """A demo in a folder that has keys makes no others."""
    one = premises(tmp_path)
    one.write()
    make_keys(one)
    before = {file: file.read_bytes() for file in one.keys_dir.rglob("*.pem")}
    make_keys(one)
    assert {file: file.read_bytes() for file in one.keys_dir.rglob("*.pem")} == before
