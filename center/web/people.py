"""Logging in and out, one's own password, the administrator's page: forms without a script; JSON for programs."""

from typing import Annotated, Any
from urllib.parse import parse_qsl, quote

import msgspec
from litestar import Request, Response, get, post
from litestar.datastructures import Cookie
from litestar.datastructures import State as AppState
from litestar.handlers import HTTPRouteHandler
from litestar.params import JSONBody
from litestar.types import Scope

from center.errors import StoreError
from center.people.model import PeopleError, Person, Role, role
from center.people.register import Admitted, People
from center.web.drawing import PageRequest, language_of_page, to_page
from center.web.gate import (
    COOKIE,
    KNOWN,
    KNOWN_S,
    RefusedError,
    address_of,
    known,
    language_of,
    needs,
    people_of,
    person_of,
    refused,
    unstored,
)
from center.web.people_pages import PeoplePages
from center.web.words import Language, say

LINES = 30
"""So many lines of the audit log stand on a page."""

ApiRequest = Request[None, None, AppState]

_FIELD_AT_FAULT = {"name_unusable": "name", "account_exists": "name", "full_name_unusable": "full_name"}


class LoginBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Who wants to come in."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    password: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class PasswordBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The password that was, and the one that shall be."""

    old: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    new: Annotated[str, msgspec.Meta(min_length=1, max_length=400)]


class Me(msgspec.Struct, frozen=True, kw_only=True):
    """Who is logged in; `must_change`: nothing else is possible before the password has been changed."""

    name: str
    full_name: str
    role: Role
    must_change: bool


# --- for programs --------------------------------------------------------------------------------------------------


@post("/api/login", status_code=200, summary="Log in", tags=["people"])
async def api_login(data: JSONBody[LoginBody], request: ApiRequest) -> Response[Me]:
    """Open a session; its cookie comes with the answer. Too many wrong passwords have to wait (429, `Retry-After`)."""
    try:
        found = await people_of(request).log_in(
            data.name, data.password, address=address_of(request), known=request.cookies.get(KNOWN, "")
        )
    except (PeopleError, StoreError) as error:
        raise refusal(error, language_of(request)) from error
    return Response(_me(found.person), cookies=session_cookies(found, request.scope), headers=_NO_STORE)


@post("/api/logout", status_code=200, summary="Log out", tags=["people"], guards=[known])
async def api_logout(request: ApiRequest) -> Response[dict[str, str]]:
    """End the session that asks."""
    await _leave(request)
    return Response({}, cookies=_no_cookies(request.scope), headers=_NO_STORE)


@get("/api/me", summary="Who is logged in", tags=["people"], guards=[known])
async def api_me(request: ApiRequest) -> Response[Me]:
    """Return the account of the session that asks."""
    return Response(_me(_who(request)), headers=_NO_STORE)


@post("/api/me/password", status_code=200, summary="Change the password", tags=["people"], guards=[known])
async def api_password(data: JSONBody[PasswordBody], request: ApiRequest) -> Response[Me]:
    """Choose another password; every other session of the account ends, this one gets another cookie."""
    try:
        found = await people_of(request).change_password(_who(request), data.old, data.new, address=address_of(request))
    except (PeopleError, StoreError) as error:
        raise refusal(error, language_of(request)) from error
    return Response(_me(found.person), cookies=session_cookies(found, request.scope), headers=_NO_STORE)


# --- for people ----------------------------------------------------------------------------------------------------


def people_routes(book: PeoplePages) -> list[HTTPRouteHandler]:
    """Return all routes about people."""

    @get("/login", include_in_schema=False, sync_to_thread=False)
    def login(request: PageRequest) -> Response[Any]:
        to = inside(request.query_params.get("to", ""))
        return to_page(to) if person_of(request) else book.login(request, to=to)

    @post("/login", include_in_schema=False, status_code=200)
    async def do_login(request: PageRequest) -> Response[Any]:
        form = await _form(request)
        to, name = inside(form.get("to", "")), form.get("name", "")
        try:
            found = await people_of(request).log_in(
                name, form.get("password", ""), address=address_of(request), known=request.cookies.get(KNOWN, "")
            )
        except (PeopleError, StoreError) as error:
            fault = refusal(error, language_of_page(request))
            answer = book.login(request, to=to, name=name, fault=fault.problem.message, status=fault.status_code)
            answer.headers.update(fault.headers or {})
            return answer
        return _let_in(found, request, f"/password?to={quote(to)}" if found.person.must_change else to)

    @post("/logout", include_in_schema=False, status_code=200)
    async def do_logout(request: PageRequest) -> Response[Any]:
        await _leave(request)
        answer = to_page("/login")
        answer.cookies.extend(_no_cookies(request.scope))
        return answer

    @get("/password", include_in_schema=False, sync_to_thread=False, guards=[known])
    def password(request: PageRequest) -> Response[Any]:
        return book.password(request, to=inside(request.query_params.get("to", "")))

    @post("/password", include_in_schema=False, status_code=200, guards=[known])
    async def do_password(request: PageRequest) -> Response[Any]:
        form = await _form(request)
        to = inside(form.get("to", ""))
        if form.get("new", "") != form.get("again", ""):
            fault = refused(PeopleError("password_differs"), language_of_page(request))
            return book.password(request, to=to, fault=fault.problem.message, status=fault.status_code)
        try:
            found = await people_of(request).change_password(
                _who(request), form.get("old", ""), form.get("new", ""), address=address_of(request)
            )
        except (PeopleError, StoreError) as error:
            fault = refusal(error, language_of_page(request))
            return book.password(request, to=to, fault=fault.problem.message, status=fault.status_code)
        return _let_in(found, request, to)

    @get("/people", include_in_schema=False, guards=[needs("govern")])
    async def people(request: PageRequest) -> Response[Any]:
        typed = request.query_params.get("before", "")
        before = int(typed) if typed.isdecimal() and len(typed) < 16 else None
        return book.people(request, await people_of(request).entries(before, LINES), before=before)

    @post("/people", include_in_schema=False, status_code=200, guards=[needs("govern")])
    async def do_people(request: PageRequest) -> Response[Any]:
        register, lang = people_of(request), language_of_page(request)
        form, said, new_password = await _form(request), "", ""
        why: RefusedError | None = None
        wrong = ""
        try:
            said, new_password = await _govern(register, form, _who(request).actor, lang)
        except (PeopleError, StoreError) as error:
            why = refusal(error, lang)
            wrong = _FIELD_AT_FAULT.get(why.problem.code, "")
        if person_of(request) is None:  # of one's own account, or one's own session
            return to_page("/login")
        return book.people(
            request,
            await register.entries(None, LINES),
            said=said,
            fault=why.problem.message if why else "",
            typed=form if why and form.get("do") == "add" else None,
            wrong=wrong,
            new_password=new_password,
            status=why.status_code if why else 200,
        )

    return [
        login, do_login, do_logout, password, do_password, people, do_people,
        api_login, api_logout, api_me, api_password,
    ]  # fmt: skip


async def _govern(people: People, form: dict[str, str], actor: str, lang: Language) -> tuple[str, str]:
    """Do what the administrator's page asks; returns what to say, and a new password to show once."""
    name = form.get("name", "").strip().lower()
    given = ""
    match form.get("do"):
        case "add":
            given = await people.add(name, form.get("full_name", ""), role(form.get("role", "")), actor=actor)
        case "reset":
            given = await people.reset(name, actor=actor)
        case "disable":
            await people.set_disabled(name, True, actor=actor)
        case "enable":
            await people.set_disabled(name, False, actor=actor)
        case "role":
            await people.set_role(name, role(form.get("role", "")), actor=actor)
        case "revoke":
            if not await people.revoke(form.get("session", ""), actor=actor):
                return say("done_revoke_unwritten", lang), ""
        case _:
            raise PeopleError("account_unknown", name=name[:32])
    who = people.called(f"person:{name}")
    return say("people_new_password" if given else f"done_{form['do']}", lang, who=who), given


# --- between the two -----------------------------------------------------------------------------------------------

_NO_STORE = {"cache-control": "no-store"}


def _me(person: Person) -> Me:
    return Me(name=person.name, full_name=person.full_name, role=person.role, must_change=person.must_change)


def _who(request: Request[Any, Any, AppState]) -> Person:
    person = person_of(request)
    if person is None:  # logged out since the guard looked
        raise refused(PeopleError("login_needed"), language_of(request))
    return person


async def _leave(request: Request[Any, Any, AppState]) -> None:
    if person := person_of(request):
        await people_of(request).log_out(person)


def refusal(error: PeopleError | StoreError, lang: Language) -> RefusedError:
    """Return why somebody was not let in, or nothing was changed, as it goes to the client."""
    return refused(error, lang) if isinstance(error, PeopleError) else unstored(error, lang)


def _let_in(found: Admitted, request: PageRequest, to: str) -> Response[Any]:
    answer = to_page(to)
    answer.cookies.extend(session_cookies(found, request.scope))
    return answer


def session_cookies(found: Admitted, scope: Scope) -> list[Cookie]:
    """Return what a browser gets at a login: the session's cookie, and the one that says it has been here."""
    return [_cookie(COOKIE, found.token, scope), _cookie(KNOWN, found.known, scope, max_age=KNOWN_S)]


def _no_cookies(scope: Scope) -> list[Cookie]:
    return [_cookie(COOKIE, "", scope, max_age=0)]


def _cookie(name: str, value: str, scope: Scope, max_age: int | None = None) -> Cookie:
    return Cookie(
        key=name,
        value=value,
        max_age=max_age,
        path="/",
        httponly=True,
        samesite="strict",
        secure=scope.get("scheme") == "https",
    )


async def _form(request: PageRequest) -> dict[str, str]:
    """Read a form as a browser posts it; what is no such form has no fields."""
    try:
        return dict(parse_qsl((await request.body()).decode(), keep_blank_values=True, max_num_fields=20))
    except ValueError:
        return {}


def inside(to: str) -> str:
    """Return where to go after a login: a page of this center, whatever a link may say."""
    good = to.startswith("/") and not to.startswith(("//", "/\\")) and to.isprintable() and len(to) < 200
    return to if good and "\\" not in to else "/"
