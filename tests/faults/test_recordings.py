"""Recordings on their way while the network, the center and the camera fail, each at a byte that chance names."""

import hashlib
import random
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.brokers import Mosquitto
from tests.support.lens import Lens
from tests.support.program import Program
from tests.support.road import Road
from tests.support.waiting import wait_for

RECORDINGS = 3


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Program, Mosquitto]]:
    """A center as a program, and a broker that outlives it."""
    program = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin")
    if program is None:
        pytest.skip("mosquitto is missing: sudo make system-packages")
    folder = tmp_path_factory.mktemp("center")
    disk = shutil.disk_usage(folder)
    if disk.free < disk.total * 0.06:
        pytest.skip(f"{folder}: the center keeps a twentieth of the disk free; free some space")
    broker = Mosquitto(tmp_path_factory.mktemp("mosquitto"), program)
    broker.start()
    center = Program(folder, "external", broker=broker)
    with center.config.open("a", encoding="utf-8") as file:
        file.write("[clips]\nspare_gb = 0\n")
    center.start()
    yield center, broker
    center.end(signal.SIGKILL)
    broker.kill()


def _run(site: tuple[Program, Mosquitto], folder: Path, seed: int, *victims: str) -> None:
    center, broker = site
    chance = random.Random(seed)  # noqa: S311 - the same faults each time
    shown = {f"i-{seed}-{number}": chance.randbytes(chance.randint(1, 600_000)) for number in range(RECORDINGS)}
    sealed = {id_: chance.randbytes(chance.randint(1, 400_000)) for id_ in shown if chance.random() < 0.7}
    every = [*shown.values(), *sealed.values()]
    total = sum(len(each) for each in every)
    halts = sorted(chance.sample(range(total), len(victims)))
    cuts = [None, chance.randint(1, 600), *(chance.randint(600, 400_000) for _ in range(4))]
    chance.shuffle(cuts)
    following = iter(cuts)
    with Road(lambda: center.http_port, lambda: next(following, None), halts=halts) as road:
        lens = Lens(folder, broker, road.port)
        try:
            for id_, content in shown.items():
                lens.add(id_, content, sealed.get(id_, b""))
            lens.start()
            for victim in victims:
                wait_for(lambda: road.halted.is_set() or not lens.running(), timeout_s=30)
                assert road.halted.is_set(), lens.log()
                if victim == "center":
                    center.end(signal.SIGKILL)
                    road.go()
                    center.start()
                else:
                    lens.end(signal.SIGKILL)
                    road.go()
                    lens.start()
            wait_for(lambda: not list(lens.clips.iterdir()) or not lens.running(), timeout_s=60, every_s=0.05)
            assert lens.running(), lens.log()
        finally:
            lens.end(signal.SIGKILL)
    assert road.passed < 2 * total + sum(cut or 0 for cut in cuts) + 20_000, "what had come was not sent again"
    for content in every:
        sha256 = hashlib.sha256(content).hexdigest()
        file = center.folder / "data" / "clips" / sha256[:2] / sha256[2:4] / sha256
        assert file.read_bytes() == content
    rows = center.rows(f"SELECT name, arrived_at, sealed_at FROM clip WHERE name LIKE 'i-{seed}-%'")  # noqa: S608
    assert {name for name, *_ in rows} == set(shown)
    for name, arrived_at, sealed_at in rows:
        assert arrived_at is not None
        assert (sealed_at is not None) == (name in sealed)
    assert list((center.folder / "data" / "clips" / "uploads").iterdir()) == []


@pytest.mark.mosquitto
@pytest.mark.e2e
@pytest.mark.parametrize(("seed", "victim"), [(100, "center"), (101, "camera")])
def test_a_power_cut_loses_no_byte(site: tuple[Program, Mosquitto], tmp_path: Path, seed: int, victim: str) -> None:
    """One of the two is killed, connections break: the center has every file whole, the camera's folder is empty."""
    _run(site, tmp_path, seed, victim)


@pytest.mark.mosquitto
@pytest.mark.e2e
@pytest.mark.long
@pytest.mark.parametrize("seed", range(20))
def test_power_cuts_at_both_ends_lose_no_byte(site: tuple[Program, Mosquitto], tmp_path: Path, seed: int) -> None:
    """The same with both killed, the one after the other."""
    _run(site, tmp_path, seed, *(("center", "camera") if seed % 2 else ("camera", "center")))
