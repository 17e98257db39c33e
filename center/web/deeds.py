"""The audit log for people: whose deed an entry tells of, and a sentence of what was done.

An entry itself is short English for good: its hash covers it. `motcua center audit list` prints it as it stands.
"""

import re
from collections.abc import Callable, Mapping

from center.audit import Written
from center.people.model import ROLES
from center.web.words import WORDS, Language, say

_ADDRESS = r"from (?P<address>[^ ,]*)"
_KEY = r"serial (?P<serial>[0-9a-f]+), until (?P<year>\d{4})-(?P<month>\d\d)-(?P<day>\d\d)"

SENTENCES: tuple[tuple[str, str, str], ...] = (
    ("login", _ADDRESS, "did_login"),
    ("login", f"{_ADDRESS}, by oidc", "did_login_by"),
    ("login_failed", r"(?P<times>\d+) in a row(?:, \d+ today)?", "did_login_failed"),
    ("login_failed", r"no such account(?:, \d+ today)?", "did_login_failed_nobody"),
    ("login_failed", r"oidc: (?P<reason>.*)", "did_login_failed_by"),
    ("login_refused", "disabled", "did_login_refused_disabled"),
    ("login_refused", r"(?P<name>.*): no role", "did_login_refused_role"),
    ("logout", "", "did_logout"),
    ("password_changed", "", "did_password_changed"),
    ("password_reset", "", "did_password_reset"),
    ("account_made", r".*, (?P<role>\w+)", "did_account_made"),
    ("account_renamed", r"(?P<old>.*) -> (?P<new>.*)", "did_account_renamed"),
    ("account_disabled", "", "did_account_disabled"),
    ("account_enabled", "", "did_account_enabled"),
    ("role_changed", r"(?P<old>\w+) -> (?P<new>\w+)", "did_role_changed"),
    ("session_revoked", _ADDRESS, "did_session_revoked"),
    ("desk_taken_over", r"from (?P<account>\S+)", "did_desk_taken_over"),
    ("refused", r"as (?P<role>\w+)", "did_refused"),
    ("key_issued", _KEY, "did_key_issued"),
    ("key_revoked", _KEY, "did_key_revoked"),
    ("alert_acknowledged", r"(?P<kind>\w+) \S+", "did_alert_acknowledged"),
    ("device_forgotten", "", "did_device_forgotten"),
    ("camera_set", r"(?P<changed>[a-z, ]+); \d+ -> \d+", "did_camera_set"),
    ("camera_outline", r"(?P<which>(zone|mask) \w+): (?P<old>[^>]*) -> (?P<new>.*)", "did_camera_outline"),
    ("clip_asked", r"(?P<before>\d+) s before, (?P<after>\d+) s after", "did_clip_asked"),
    ("sample_begun", r"(?P<most>\d+) of each officer, key [0-9a-f]{64}", "did_sample_begun"),
    ("incident_reviewed", "", "did_incident_reviewed"),
    ("review_listed", ".*", "did_review_listed"),
    ("clip_seen", "", "did_clip_seen"),
    ("clip_held", r"(?P<reason>.*)", "did_clip_held"),
    ("clip_released", "", "did_clip_released_plainly"),
    ("clip_released", r"(?P<reason>.*)", "did_clip_released"),
    ("clip_revealed", r"(?P<reason>.*)", "did_clip_revealed"),
    ("camera_looked", "live", "did_camera_live"),
    ("camera_looked", "still", "did_camera_still"),
    ("camera_left", r"(?P<seconds>\d+) s, (?P<pictures>\d+) pictures", "did_camera_left"),
)
"""Action, what its detail looks like, and the key of its sentence: the first that fits."""

_BY_ACTION: dict[str, list[tuple[re.Pattern[str], str]]] = {}
for _action, _pattern, _key in SENTENCES:
    _BY_ACTION.setdefault(_action, []).append((re.compile(_pattern), _key))


class Deeds:
    """Puts entries into words. `names`: full names by account; `label`: what is written on a counter."""

    def __init__(self, lang: Language, names: Mapping[str, str], label: Callable[[str], str], provider: str) -> None:
        self._lang = lang
        self._names = names
        self._label = label
        self._provider = provider

    def who(self, entry: Written) -> str:
        """Say who did it."""
        kind, _, rest = entry.actor.partition(":")
        match kind:
            case "person":
                return self._names.get(rest, rest)
            case "http" | "device" | "technician" | "center":
                return say(f"actor_{kind}", self._lang, what=rest.removesuffix("/keys")).strip()
            case "oidc":
                return self._provider
            case _:
                return entry.actor

    def what(self, entry: Written) -> str:
        """Say what was done; an entry of another version of this program is shown as it stands."""
        for pattern, key in _BY_ACTION.get(entry.action, ()):
            if found := pattern.fullmatch(entry.detail):
                return say(key, self._lang, **self._facts(entry, found.groupdict()))
        return " ".join(part for part in (entry.action, entry.object, entry.detail) if part)

    def _facts(self, entry: Written, detail: Mapping[str, str]) -> dict[str, str]:
        facts = {
            "object": entry.object,
            "whom": self._whom(entry.object),
            "counter": self._label(entry.object),
            "provider": self._provider,
        }
        for name, value in detail.items():
            if name == "account":
                facts[name] = self._whom(value)
            elif name == "kind":
                facts[name] = say(f"why_{value}", self._lang) if f"why_{value}" in WORDS else value
            else:
                facts[name] = say(f"role_{value}", self._lang) if value in ROLES else value
        return facts

    def _whom(self, account: str) -> str:
        return f"{self._names[account]} ({account})" if account in self._names else account
