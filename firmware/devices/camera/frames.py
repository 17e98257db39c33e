"""A picture with its number and its time, and where pictures come from."""

from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.uint8]
"""One byte a pixel, `(height, width)`."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture, its masks drawn.

    `main` is I420, `(height * 3 // 2, width)`: all of Y, then U and V at half the size; height and width are even.
    `small` is the Y plane of the picture as it is analysed. `number` counts the source's frames: a gap is a frame that
    was lost. `at_ms` is when it came, on the clock that never steps.
    """

    number: int
    at_ms: int
    main: Plane
    small: Plane

    @property
    def y(self) -> Plane:
        """The brightness of the whole picture: a view, `(height, width)`."""
        return self.main[: self.main.shape[0] * 2 // 3]


class Source(Protocol):
    """Where pictures come from. One thread uses it, from `open` to `close`.

    Masks are its business: no frame leaves it before they are drawn into both pictures.
    """

    def __enter__(self) -> Self:
        """Take the camera; raise HardwareError (may come back) or ConfigError (will not)."""
        ...

    def __exit__(self, *_: object) -> None:
        """Let the camera go."""
        ...

    def read(self, timeout_s: float) -> Frame | None:
        """Return the next picture, None at the end of a file; raise HardwareError when none came in time."""
        ...
