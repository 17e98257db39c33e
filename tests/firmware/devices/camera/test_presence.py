import math
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.camera_scenes import MISSING, VIDEO
from contract.states import Zone
from firmware.devices.camera import model
from firmware.devices.camera.frames import Plane
from firmware.devices.camera.presence import Face, People, count, decode
from firmware.errors import ConfigError

NETWORK = model.FOLDER / model.MODEL
FACES = VIDEO.parent

needs_network = pytest.mark.skipif(not NETWORK.exists(), reason=f"no {model.MODEL}: .venv/bin/motcua camera model")
needs_pictures = pytest.mark.skipif(not VIDEO.exists(), reason=MISSING)

LEFT = Zone(name="citizen", points=((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0)))
RIGHT = Zone(name="officer", points=((0.5, 0.0), (1.0, 0.0), (1.0, 1.0), (0.5, 1.0)))


@pytest.fixture(scope="module")
def people() -> People:
    """Return what counts with the network of this machine, in both halves of the picture."""
    return People(NETWORK, [LEFT, RIGHT])


def _answer(
    *faces: tuple[int, int, float], size: tuple[float, float] = (3.0, 2.0), off: tuple[float, float] = (0.0, 0.0)
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Return a network's maps of 8 × 10 cells, with faces (row, column, sure) of a height and width in cells."""
    heat, sizes, offsets = np.zeros((8, 10)), np.zeros((2, 8, 10)), np.zeros((2, 8, 10))
    for row, column, sure in faces:
        heat[row, column] = sure
        sizes[:, row, column] = [math.log(edge) for edge in size]
        offsets[:, row, column] = off
    return heat.astype(np.float32), sizes.astype(np.float32), offsets.astype(np.float32)


def _boxes(faces: list[Face]) -> list[tuple[float, ...]]:
    return [
        tuple(round(value, 4) for value in (face.x * 10, face.y * 8, face.width * 10, face.height * 8, face.sure))
        for face in faces
    ]


def test_a_warm_cell_is_a_face_around_its_middle() -> None:
    """A cell in row 4 and column 6 with height 3 and width 2 is a box around (6.5, 4.5), in fractions."""
    assert _boxes(decode(*_answer((4, 6, 0.9)))) == [(5.5, 3.0, 2.0, 3.0, 0.9)]
    assert decode(*_answer((4, 6, 0.9)))[0].middle == pytest.approx((0.65, 4.5 / 8))


def test_an_offset_is_down_and_right() -> None:
    """The offsets move the middle by parts of a cell: the first one down, the second one to the right."""
    assert _boxes(decode(*_answer((4, 6, 0.9), off=(0.25, 0.5)))) == [(6.0, 3.25, 2.0, 3.0, 0.9)]


def test_a_lukewarm_cell_is_no_face() -> None:
    """What the network is less sure of than the limit is nobody."""
    assert decode(*_answer((4, 6, 0.44))) == []
    assert len(decode(*_answer((4, 6, 0.46)))) == 1
    assert decode(*_answer()) == []


def test_a_face_is_counted_once() -> None:
    """Neighbouring cells of one face are one, the surest; a face next to it is another, and the surest comes first."""
    found = _boxes(decode(*_answer((4, 6, 0.7), (4, 7, 0.6), (3, 6, 0.65), (4, 2, 0.9))))
    assert found == [(1.5, 3.0, 2.0, 3.0, 0.9), (5.5, 3.0, 2.0, 3.0, 0.7)]


def test_a_face_at_the_edge_ends_there() -> None:
    """Of a face that the picture cuts, only what is in the picture counts: its middle is seen."""
    assert _boxes(decode(*_answer((0, 0, 0.9)))) == [(0.0, 0.0, 1.5, 2.0, 0.9)]


def test_people_are_counted_in_the_zone_of_their_middle() -> None:
    """Two on the left and one on the right are two citizens and one officer; zones may overlap."""
    faces = [Face(0.1, 0.2, 0.1, 0.1, 0.9), Face(0.3, 0.5, 0.3, 0.2, 0.8), Face(0.7, 0.2, 0.1, 0.1, 0.7)]
    zones = {zone.name: zone.points for zone in (LEFT, RIGHT)} | {"hall": ((0, 0), (1, 0), (1, 1), (0, 1))}
    assert count(faces, zones) == {"citizen": 2, "officer": 1, "hall": 3}
    assert count([], zones) == {"citizen": 0, "officer": 0, "hall": 0}


def test_a_missing_network_is_said_with_what_to_do(tmp_path: Path) -> None:
    """Where there is no network, the message names the file and the command that gets it."""
    with pytest.raises(ConfigError, match=r"there is no file .*centerface.onnx; get it with: motcua camera model"):
        People(tmp_path / "centerface.onnx", [LEFT])


def test_another_file_is_said_with_what_to_do(tmp_path: Path) -> None:
    """A file that is no network is refused in one line with the command that gets the right one."""
    other = tmp_path / "network.onnx"
    other.write_bytes(b"no network at all")
    with pytest.raises(ConfigError, match=r"network.onnx is not a network .*motcua camera model"):
        People(other, [LEFT])


@needs_network
def test_in_the_dark_nobody_knows(people: People) -> None:
    """In a picture without light it is not known who is there, which is another thing than nobody."""
    assert people.look(np.full((240, 320), 18, np.uint8)) is None
    busy = np.random.default_rng(1).integers(60, 200, (240, 320)).astype(np.uint8)
    assert people.look(busy) == {"citizen": 0, "officer": 0}


@needs_network
@needs_pictures
@pytest.mark.parametrize(
    ("picture", "counted"),
    [
        ("left06.jpg", {"citizen": 1, "officer": 0}),  # a man in an office, from the side
        ("right06.jpg", {"citizen": 1, "officer": 0}),
        ("basketball1.png", {"citizen": 1, "officer": 1}),  # one of them shows half of his back
        ("left02.jpg", {"citizen": 0, "officer": 0}),  # the same office, its man behind his board
        ("squirrel_cls.jpg", {"citizen": 0, "officer": 0}),
        ("building.jpg", {"citizen": 0, "officer": 0}),
        ("fruits.jpg", {"citizen": 0, "officer": 0}),
    ],
)
@pytest.mark.parametrize("size", [(640, 480), (320, 240)])
def test_real_faces_are_found_where_they_are(
    people: People, picture: str, counted: dict[str, int], size: tuple[int, int]
) -> None:
    """In real pictures as many people are counted in each half as anybody would, and a squirrel is none."""
    seen = cv2.imread(str(FACES / picture), cv2.IMREAD_GRAYSCALE)
    assert seen is not None
    looked_at: Plane = cv2.resize(seen, size, interpolation=cv2.INTER_AREA).astype(np.uint8)
    assert people.look(looked_at) == counted
