"""What is said when a message is not one of the contract's."""

import re

import msgspec

_WHERE = re.compile(r" - at (?:`key` in )?`\$(?P<path>[^`]*)`$")
_NAMED = re.compile(r"(?:required|unknown) field `(?P<name>.*)`$", re.DOTALL)
_LONGEST_FIELD = 128
_LONGEST_REASON = 300


class ContractError(ValueError):
    """A message breaks the contract; `field` says where (dotted, `""` for the whole), `reason` says why.

    Both come from a stranger's bytes, so both are cut to a length and free of control characters: safe in a log line.
    """

    def __init__(self, field: str, reason: str) -> None:
        """Name the field and the reason, both readable by the person who looks into a quarantine."""
        self.field = _printable(field, _LONGEST_FIELD)
        self.reason = _printable(reason, _LONGEST_REASON)
        super().__init__(f"{self.field}: {self.reason}" if self.field else self.reason)


def explain(error: msgspec.MsgspecError, *, under: str = "") -> ContractError:
    """Turn msgspec's complaint into ours: ``Expected `int` <= 5 - at `$.level` `` becomes ``level: expected …``."""
    if not isinstance(error, msgspec.ValidationError):
        return ContractError(under, _malformed(str(error)))
    text = str(error)
    path = ""
    if where := _WHERE.search(text):
        path = where["path"].lstrip(".")
        text = text[: where.start()]
    if isinstance(error.__cause__, ContractError):  # one of our own structs refused its values together
        path = _join(path, error.__cause__.field)
        text = error.__cause__.reason
    elif named := _NAMED.search(text):
        path = _join(path, named["name"])
        text = "is missing" if "missing required" in text else "is not a field of the contract"
    # The patterns say "and no line break at the end" in a way that every regex dialect knows and no reader wants to.
    text = text.replace(r"(?!\\n)$", "$")
    return ContractError(_join(under, path), text if text.startswith("RFC") else text[:1].lower() + text[1:])


def _malformed(text: str) -> str:
    """Say that this is no JSON, for each of msgspec's two ways to put it."""
    return text if text.startswith("JSON is malformed") else f"JSON is malformed: {text[:1].lower()}{text[1:]}"


def _join(*parts: str) -> str:
    return ".".join(part for part in parts if part)


def _printable(text: str, longest: int) -> str:
    if not text.isprintable():
        text = "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
