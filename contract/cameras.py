"""What can be meant by a camera's settings: rules that its file and the center hold alike."""

from collections.abc import Sequence
from itertools import combinations

from contract.states import Hours, Zone

KINDS = ("waiting_alone", "officer_absent", "crowding", "after_hours", "tamper", "panic")
"""The incidents there are; `tamper` is covered, defocused, moved and frozen."""

LAST_MINUTE = "23:59"
"""As an end of hours it stands for midnight, which cannot be written: a center that never closes is never closed."""

SMALLEST = 0.0005
"""Of the picture; a zone with less is a slip of the hand. 12 × 12 pixels of 640 × 480."""

Points = Sequence[Sequence[float]]
"""A polygon's corners in turn, in fractions of the picture's width and height."""


def check_kinds(kinds: Sequence[str]) -> None:
    """Raise ValueError where an incident is wanted that there is not."""
    if unknown := [kind for kind in kinds if kind not in KINDS]:
        raise ValueError(f"kinds must be of {', '.join(KINDS)}, got {', '.join(unknown)}")


def check_hours(hours: Sequence[Hours], key: str = "hours") -> None:
    """Raise ValueError where hours end before they begin; it names the key."""
    for each in hours:
        if each.end <= each.begin:
            raise ValueError(
                f"{key} must end later on the day they begin, got {each.begin} to {each.end}: write a night as two, to"
                f" {LAST_MINUTE} and from 00:00"
            )


def check_names(zones: Sequence[Zone]) -> None:
    """Raise ValueError where two zones have one name."""
    names = [zone.name for zone in zones]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"zones must have a name each, got {', '.join(sorted(twice))} twice")


def check_zones(zones: Sequence[Zone], key: str = "zones") -> None:
    """Raise ValueError for what is no part of a picture, with its name; `key` is where it stands, zones or masks."""
    for zone in zones:
        if why := fault(zone.points):
            raise ValueError(f"{key}.{zone.name}: {why}")


def fault(points: Points) -> str | None:
    """Return why a polygon is no part of a picture; None for one that is."""
    if len(points) < 3:
        return f"{len(points)} points make no area; it needs 3 and more"
    for number, (x, y) in enumerate(points, 1):
        if not (0 <= x <= 1 and 0 <= y <= 1):
            return f"point {number} is [{x:g}, {y:g}], outside of the picture; x and y go from 0 to 1"
    for (first, one), (second, other) in combinations(enumerate(sides(points), 1), 2):
        if _cross(one, other):
            return f"its sides {first} and {second} cross; name the corners in turn"
    if (size := area(points)) < SMALLEST:
        return f"it is {size:.4%} of the picture, next to nothing; it needs {SMALLEST:.2%}"
    return None


def area(points: Points) -> float:
    """Return the polygon's share of the picture, 0 to 1 (the shoelace formula)."""
    return abs(sum(x * y2 - x2 * y for (x, y), (x2, y2) in sides(points))) / 2


Side = tuple[tuple[float, float], tuple[float, float]]


def sides(points: Points) -> list[Side]:
    """Return the polygon's sides, each from a corner to the next."""
    corners = [(x, y) for x, y in points]
    return list(zip(corners, [*corners[1:], corners[0]], strict=True))


def _cross(one: Side, other: Side) -> bool:
    """Tell whether two sides cross in a point that is a corner of neither."""
    (a, b), (c, d) = one, other
    return _turn(a, b, c) * _turn(a, b, d) < 0 and _turn(c, d, a) * _turn(c, d, b) < 0


def _turn(a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]) -> int:
    """Return 1 for a turn to the one side, -1 to the other, 0 for a straight line."""
    turn = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
    return (turn > 1e-12) - (turn < -1e-12)
