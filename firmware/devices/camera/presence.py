"""How many people are in each zone: a small network finds faces, and nothing about them but where they are.

The network is CenterFace (MIT licence), which `motcua camera model` puts in place; OpenCV's DNN runs it. It finds who
turns at least a cheek to the camera. Who shows the back of the head is not found: a camera looks from the side.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from contract.cameras import Points
from contract.states import Zone
from firmware.devices.camera import zones as areas
from firmware.devices.camera.frames import Plane
from firmware.errors import ConfigError

WIDTH = 320
"""Pixels that the network sees across. It finds faces from about 10 of them on; its time goes with their square."""

_OUTPUTS = ("537", "538", "539")  # heat, sizes, offsets; a fourth, where eyes, nose and mouth are, nobody looks at
_MULTIPLE = 32  # the network wants edges of
_SURE = 0.45
_OVERLAP = 0.3
_DARK = 6.0  # standard deviation in levels: with less there is nothing to be found, and nobody is not known

Map = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Face:
    """Where a face is: its upper left corner, width and height in fractions of the picture; and how sure, 0 to 1."""

    x: float
    y: float
    width: float
    height: float
    sure: float

    @property
    def middle(self) -> tuple[float, float]:
        """Its middle, in fractions."""
        return self.x + self.width / 2, self.y + self.height / 2


class People:
    """Counts people with the network of a file."""

    def __init__(self, model: Path, zones: Sequence[Zone]) -> None:
        """Load the network; raise ConfigError if the file has none."""
        self._zones = {zone.name: zone.points for zone in zones}
        get = "get it with: motcua camera model"
        if not model.is_file():
            raise ConfigError(f"model: there is no file {model}; {get}")
        try:
            self._network = cv2.dnn.readNetFromONNX(str(model))
            self._outputs = tuple(self._network.getUnconnectedOutLayersNames())
        except (cv2.error, OSError) as error:
            raise ConfigError(f"model: {model} is not a network that OpenCV can read; {get}") from error
        if not set(_OUTPUTS) <= set(self._outputs):
            raise ConfigError(f"model: {model} is another network than CenterFace; {get}")

    def look(self, picture: Plane) -> Mapping[str, int] | None:
        """Return zone → how many faces have their middle in it; None if it is too dark to tell.

        `picture` is a Y plane `(height, width)`: colour finds nobody more. It takes 18 ms on a PC, 200 ms on a Pi.
        """
        if float(cv2.meanStdDev(picture)[1][0, 0]) < _DARK:
            return None
        return count(self.faces(picture), self._zones)

    def faces(self, picture: Plane) -> list[Face]:
        """Return the faces in a Y plane, the surest first."""
        height, width = picture.shape
        size = (WIDTH, max(1, round(WIDTH * height / width / _MULTIPLE)) * _MULTIPLE)
        grey = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
        self._network.setInput(cv2.dnn.blobFromImage(cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR)))
        # OpenCV 5 gives all or none.
        answer = dict(zip(self._outputs, self._network.forward(self._outputs), strict=True))
        heat, sizes, offsets = (answer[name] for name in _OUTPUTS)
        return decode(heat[0, 0], sizes[0], offsets[0])


def decode(heat: Map, sizes: Map, offsets: Map, *, sure: float = _SURE) -> list[Face]:
    """Return the faces in the network's answer, the surest first, each once.

    `heat` `(rows, columns)` is how sure a face's middle is there; `sizes` `(2, rows, columns)` the logarithms of its
    height and width in cells, `offsets` `(2, rows, columns)` how far its middle is from the cell's, down and right.
    """
    rows, columns = heat.shape
    row, column = np.nonzero(heat >= sure)
    height, width = np.exp(sizes[:, row, column])
    down, right = offsets[:, row, column]
    top, left = row + down + 0.5 - height / 2, column + right + 0.5 - width / 2
    # Cut at the picture's edge: half a face has its middle where it can be seen.
    bottom, end = np.clip(top + height, 0, rows) / rows, np.clip(left + width, 0, columns) / columns
    top, left = np.clip(top, 0, rows) / rows, np.clip(left, 0, columns) / columns
    scores = heat[row, column]
    boxes = np.stack((left, top, end - left, bottom - top), axis=1).astype(np.float64)
    chosen = np.asarray(cv2.dnn.NMSBoxes(boxes.tolist(), scores.tolist(), sure, _OVERLAP)).reshape(-1)
    faces = [Face(*map(float, (*boxes[index], scores[index]))) for index in chosen]
    return sorted(faces, key=lambda face: face.sure, reverse=True)


def count(faces: Sequence[Face], zones: Mapping[str, Points]) -> dict[str, int]:
    """Return zone → how many faces have their middle in it; zones may overlap."""
    return {name: sum(areas.contains(points, *face.middle) for face in faces) for name, points in zones.items()}
