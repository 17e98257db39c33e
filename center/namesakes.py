"""Two machines with one device's name, as the center hears it: boot ids that take turns. Pure.

A machine that boots again or is replaced has another boot id, and the one before is never heard again. Where two run,
the newcomer asks and the incumbent answers at once (`docs/design/architecture.md`): the earlier boot id comes back.
"""

import msgspec

ANSWERS_WITHIN_MS = 10_000
TELL_FOR_MS = 150_000
"""A refused machine asks again every 45 to 75 s: after two rounds without it, it is gone."""


class Machines(msgspec.Struct, frozen=True):
    """Whose words were heard under one name. All times are the center's, in milliseconds."""

    boot: str
    since: int
    former: str | None = None
    refused: str | None = None
    refused_at: int = 0

    def hear(self, boot: str, at: int) -> "Machines":
        """Return what is known after a live word of a machine."""
        if boot == self.boot:
            return self
        if boot == self.former and at - self.since <= ANSWERS_WITHIN_MS:
            return Machines(boot, at, former=self.boot, refused=self.boot, refused_at=at)
        return Machines(boot, at, former=self.boot, refused=self.refused, refused_at=self.refused_at)

    def other(self, now_ms: int) -> str | None:
        """Return the boot id of a machine that uses the name as well; None if there is none lately."""
        return self.refused if self.refused is not None and now_ms - self.refused_at <= TELL_FOR_MS else None
