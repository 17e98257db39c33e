"""Whether a center is open at an instant. Pure: the time, its zone and the hours come in."""

from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from contract.cameras import LAST_MINUTE
from contract.settings import show
from contract.states import Hours


def is_open(now: datetime | None, timezone: str, hours: Sequence[Hours]) -> bool | None:
    """Return whether the center is open at `now` (UTC); None while the clock is not set. Without hours it always is.

    It opens with the first minute and closes with the last: 07:30 to 11:30 is open at 07:30:00 and closed at 11:30:00.
    """
    if now is None:
        return None
    if not hours:
        return True
    local = now.astimezone(time_zone(timezone))
    minute = f"{local:%H:%M}"  # as text: its order is the order of time
    return any(
        local.isoweekday() in each.days and each.begin <= minute and (minute < each.end or each.end == LAST_MINUTE)
        for each in hours
    )


def time_zone(name: str) -> ZoneInfo:
    """Return the zone of that name; raise ValueError."""
    try:
        return ZoneInfo(name)
    except (LookupError, ValueError, OSError):  # a folder's name is an OSError
        raise ValueError(
            f"timezone must be a name as Asia/Ho_Chi_Minh, got {show(name)}; if the name is right, this machine has no"
            " time zones: apt-get install tzdata"
        ) from None
