"""What a camera should do, by the state of the queue and by what is asked of it. Pure."""

from collections.abc import Callable, Sequence

import msgspec

from center.answers import RatingStored
from center.ingest.desired import happens
from center.queue.model import Counter
from center.queue.state import State
from contract.cameras import check_hours, check_kinds, check_names, fault
from contract.states import CameraDesired, Hours, Keep, Look, Zone

LOWEST = 1
"""The level of the least satisfied, on every scale."""

KEEPS = 32
"""So many recordings a camera is asked to keep at a time: the contract's bound."""


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """What a camera looks at and for, where the center has a say; null: what the station's own file says."""

    zones: tuple[Zone, ...] | None = None
    masks: tuple[Zone, ...] | None = None
    kinds: tuple[str, ...] | None = None
    hours: tuple[Hours, ...] | None = None


class SettingError(ValueError):
    """A setting cannot be meant; `field` is which, with the name of the zone."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


def camera(
    state: State,
    counter: Counter | None,
    *,
    setting: Setting,
    keep: Sequence[Keep] = (),
    panic: str | None = None,
    look: Look | None = None,
) -> CameraDesired:
    """Return what a camera should do, as revision 0. Where no counter is, it is closed to whoever comes."""
    here, ticket = ("closed", None) if counter is None else happens(state, counter)
    return CameraDesired(
        revision=0,
        state=here,
        ticket=ticket.id if ticket is not None else None,
        kinds=setting.kinds,
        hours=setting.hours,
        zones=setting.zones,
        masks=setting.masks,
        keep=tuple(keep[-KEEPS:]),
        panic=panic,
        look=look,
    )


def is_low(rating: RatingStored) -> bool:
    """Whether the service that a rating is about is kept: one of the lowest level, where it is known whose it was."""
    return rating.ticket is not None and rating.level == LOWEST


def check(setting: Setting) -> None:
    """Raise SettingError for what a camera would refuse: by the rules of its own file."""
    for field, zones in (("zones", setting.zones or ()), ("masks", setting.masks or ())):
        for zone in zones:
            if why := fault(zone.points):
                raise SettingError(f"{field}.{zone.name}", why)
    checks: dict[str, Callable[[], None]] = {
        "zones": lambda: check_names(setting.zones or ()),
        "kinds": lambda: check_kinds(setting.kinds or ()),
        "hours": lambda: check_hours(setting.hours or ()),
    }
    for field, check_one in checks.items():
        try:
            check_one()
        except ValueError as error:
            raise SettingError(field, str(error).removeprefix(f"{field} ")) from error
