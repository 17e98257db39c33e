"""What was issued, and what of it is still good. Pure; kept as keys/index.json."""

from datetime import datetime
from typing import Literal

import msgspec

from center.keys.access import CENTER

How = Literal["provisioned", "renewed"]


class Issued(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """One certificate of a device. `renewed`: the device asked for it by itself."""

    identity: str
    serial: str
    made_at: datetime
    expires_at: datetime
    how: How = "provisioned"
    revoked_at: datetime | None = None

    def good(self, now: datetime) -> bool:
        """Whether it is accepted."""
        return self.revoked_at is None and now < self.expires_at


class Index(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Every certificate that was ever issued to a device, oldest first."""

    issued: tuple[Issued, ...] = ()

    def identities(self) -> tuple[str, ...]:
        """Return who has a certificate that was not revoked. The time is the broker's business."""
        return tuple(sorted({one.identity for one in self.issued if one.revoked_at is None}))

    def revoked(self) -> frozenset[str]:
        """Return who had a certificate and has none that was not revoked."""
        return frozenset(one.identity for one in self.issued).difference(self.identities())

    def of(self, station: str, device: str | None = None) -> tuple[Issued, ...]:
        """Return the certificates of a station, or of one device there."""
        return tuple(
            one
            for one in self.issued
            if (device is None and one.identity.startswith(f"{station}/")) or one.identity == f"{station}/{device}"
        )

    def add(self, one: Issued) -> "Index":
        """Return the index with one more certificate."""
        if one.identity == CENTER:
            raise ValueError("the center's own certificate is not a device's")
        return Index(issued=(*self.issued, one))

    def revoke(self, serials: frozenset[str], at: datetime) -> "Index":
        """Return the index with these certificates revoked; those that were keep their time."""
        return Index(
            issued=tuple(
                msgspec.structs.replace(one, revoked_at=at) if one.serial in serials and one.revoked_at is None else one
                for one in self.issued
            )
        )

    def forget_expired(self, now: datetime) -> "Index":
        """Return the index without what nobody would accept any more: a certificate that expired a year ago."""
        return Index(issued=tuple(one for one in self.issued if (now - one.expires_at).days < _REMEMBERED_DAYS))


_REMEMBERED_DAYS = 366
