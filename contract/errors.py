"""What the contract says when a message is not one of its own."""

import re

import msgspec

_WHERE = re.compile(r" - at `(?:key in )?\$(?P<path>[^`]*)`$")
_NAMED = re.compile(r"(?:required|unknown) field `(?P<name>[^`]+)`")


class ContractError(ValueError):
    """A message breaks the contract; `field` says where (dotted, `""` for the whole), `reason` says why."""

    def __init__(self, field: str, reason: str) -> None:
        """Name the field and the reason, both readable by the person who looks into a quarantine."""
        super().__init__(f"{field}: {reason}" if field else reason)
        self.field = field
        self.reason = reason


def explain(error: msgspec.MsgspecError, *, under: str = "") -> ContractError:
    """Turn msgspec's complaint into ours: `Expected int - at $.data.level` becomes field `data.level`."""
    text = str(error)
    path = ""
    if where := _WHERE.search(text):
        path = where["path"].lstrip(".")
        text = text[: where.start()]
    if named := _NAMED.search(text):
        path = f"{path}.{named['name']}" if path else named["name"]
    full = ".".join(part for part in (under, path) if part)
    return ContractError(full, text[:1].lower() + text[1:])
