"""Cameras: named where there are some. A station without one hears nothing of them."""

from collections.abc import Sequence

from host.doctor.finding import Finding, ok
from host.doctor.roots import Roots, text_of

_NO_CAMERAS = ("bcm2835-codec", "bcm2835-isp", "pispbe", "rpi-hevc", "rpivid", "hantro")
"""Video nodes of a Pi's own coders and image pipeline (their names' beginnings)."""


def look(roots: Roots) -> Sequence[Finding]:
    """Name each camera once: one has several nodes, of which the first gives the picture."""
    found = {}
    for folder in sorted(roots.sys.glob("class/video4linux/video*"), key=lambda each: int(each.name[5:] or 0)):
        name = text_of(folder / "name")
        if name and not name.startswith(_NO_CAMERAS) and text_of(folder / "index") in (None, "0"):
            found[folder.name] = name
    return [ok("camera", f"/dev/{node} is {name}") for node, name in found.items()]
