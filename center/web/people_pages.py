"""The pages for people who work here: logging in, one's own password, the administrator's page. None has a script."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import quote

from litestar import Response

from center.audit import Written
from center.config import Config
from center.people.model import ROLES
from center.people.register import People
from center.web.deeds import Deeds
from center.web.drawing import Drawing, PageRequest, language_of_page, to_page
from center.web.gate import RefusedError
from center.web.stream import Hub

LOGIN = "/login"
OIDC = "/login/oidc"


class PeoplePages:
    """Draws them. `login_at` is where whoever is not logged in is sent."""

    def __init__(self, config: Config, hub: Hub, people: People, drawing: Drawing, *, login_at: str = LOGIN) -> None:
        self._config = config
        self._hub = hub
        self._people = people
        self._draw = drawing.draw
        self._login_at = login_at

    def login(
        self, request: PageRequest, *, to: str, name: str = "", fault: str = "", status: int = 200
    ) -> Response[bytes]:
        """Draw the login; `fault` says why the last try did not work."""
        other_way = ""
        if self._config.people.oidc is not None:
            other_way = f"{OIDC}?to={quote(to, safe='')}"
        return self._draw(
            request,
            "login",
            to=to,
            typed=name,
            fault=fault,
            other_way=other_way,
            provider=self._provider,
            status=status,
        )

    def arrived(self, request: PageRequest, to: str) -> Response[bytes]:
        """Draw the page on which somebody comes back from the office's other login; it opens `to` by itself."""
        return self._draw(request, "arrived", to=to)

    def password(self, request: PageRequest, *, to: str, fault: str = "", status: int = 200) -> Response[bytes]:
        """Draw the change of one's own password."""
        return self._draw(request, "password", to=to, fault=fault, provider=self._provider, status=status)

    def people(
        self,
        request: PageRequest,
        entries: Sequence[Written],
        *,
        before: int | None = None,
        said: str = "",
        fault: str = "",
        typed: Mapping[str, str] | None = None,
        wrong: str = "",
        new_password: str = "",
        status: int = 200,
    ) -> Response[bytes]:
        """Draw accounts, sessions and the audit log.

        `typed` is what somebody filled in for an account that was not made, and `wrong` the field that was to blame.
        """
        names = {one.name: one.full_name for one in self._people.accounts()}
        desks = {account: self._label(counter) for account, counter in self._hub.leases.places().items()}

        def at(ms: int) -> str:
            return f"{datetime.fromtimestamp(ms / 1000, self._config.zone):%d/%m/%Y %H:%M:%S}"

        return self._draw(
            request,
            "people",
            accounts=self._people.accounts(),
            last=self._people.last_administrator,
            roles=ROLES,
            sessions=self._people.sessions(),
            desks=desks,
            entries=entries,
            deeds=Deeds(language_of_page(request), names, self._label, self._provider),
            older=entries[-1].seq if entries and entries[-1].seq > 1 else None,
            before=before,
            names=names,
            said=said,
            fault=fault,
            refused=typed is not None,
            typed={field: (typed or {}).get(field, "") for field in ("full_name", "name", "role")},
            wrong=wrong,
            new_password=new_password,
            at=at,
            status=status,
        )

    def refused(self, request: PageRequest, error: RefusedError) -> Response[Any]:
        """Answer whoever may not see a page: with the login, with the change of the password, or with who may."""
        here = request.url.path
        if error.problem.code == "login_needed":
            return to_page(f"{self._login_at}?to={quote(here)}")
        if error.problem.code == "password_change_needed":
            return to_page(f"/password?to={quote(here)}")
        return self._draw(request, "refused", words=error.problem.message, status=error.status_code)

    def _label(self, counter: str) -> str:
        """Return what is written on a counter."""
        known = self._hub.mirror.state.counters.get(counter)
        return known.label if known is not None else counter

    @property
    def _provider(self) -> str:
        """How people call the office's other login."""
        return self._config.people.oidc.label if self._config.people.oidc is not None else "OIDC"
