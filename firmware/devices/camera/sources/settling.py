"""When a camera may choose its exposure, and when it must hold still.

Automatic exposure and focus look like motion: the picture brightens because somebody walked past. So the camera
chooses for a few seconds, then keeps what it chose. It chooses again when the hall's light has changed for good.
"""

from collections.abc import Collection, Mapping
from typing import Any

from firmware.devices.camera.frames import Frame

SETTLE_MS = 3_000
CHANGED_BY = 40
"""So many grey levels of the mean, of 256: lamps, dusk. People who walk past change less, or not for long."""
CHANGED_FOR_MS = 10_000

_AF_MODE_MANUAL = 0
_AF_MODE_CONTINUOUS = 2
_LOOK_EVERY_MS = 1_000


class Settling:
    """Decides from pictures and their metadata which controls to set. `offered` are the names of those there are."""

    def __init__(self, offered: Collection[str]) -> None:
        self._offered = offered
        self._free_since_ms: int | None = None
        self._mean = 0.0  # of the picture when the camera had chosen
        self._changed_since_ms: int | None = None
        self._look_at_ms = 0
        self._holds = False

    def begin(self) -> Mapping[str, Any]:
        """Return the controls that let the camera choose."""
        return self._only_offered({"AeEnable": True, "AwbEnable": True, "AfMode": _AF_MODE_CONTINUOUS})

    def controls(self, frame: Frame, metadata: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the controls to set now; none, nearly always."""
        if self._free_since_ms is None:
            self._free_since_ms = frame.at_ms
        if frame.at_ms < self._look_at_ms:
            return {}
        self._look_at_ms = frame.at_ms + _LOOK_EVERY_MS
        if not self._holds:
            return self._hold(frame, metadata) if frame.at_ms - self._free_since_ms >= SETTLE_MS else {}
        if abs(float(frame.small.mean()) - self._mean) < CHANGED_BY:
            self._changed_since_ms = None
        elif self._changed_since_ms is None:
            self._changed_since_ms = frame.at_ms
        elif frame.at_ms - self._changed_since_ms >= CHANGED_FOR_MS:
            self._holds, self._changed_since_ms, self._free_since_ms = False, None, frame.at_ms
            return self.begin()
        return {}

    def _hold(self, frame: Frame, metadata: Mapping[str, Any]) -> Mapping[str, Any]:
        """Keep what the camera chose, as far as it says what that is."""
        self._holds = True
        self._mean = float(frame.small.mean())
        chosen: dict[str, Any] = {}
        if "ExposureTime" in metadata and "AnalogueGain" in metadata:
            chosen |= {"AeEnable": False} | {name: metadata[name] for name in ("ExposureTime", "AnalogueGain")}
        if "ColourGains" in metadata:
            chosen |= {"AwbEnable": False, "ColourGains": metadata["ColourGains"]}
        if "LensPosition" in metadata:
            chosen |= {"AfMode": _AF_MODE_MANUAL, "LensPosition": metadata["LensPosition"]}
        return self._only_offered(chosen)

    def _only_offered(self, controls: Mapping[str, Any]) -> Mapping[str, Any]:
        return {name: value for name, value in controls.items() if name in self._offered}
