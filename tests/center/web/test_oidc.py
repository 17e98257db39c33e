"""Logging in by another login of the office, at a provider on loopback that is honest or lies as a test wants."""

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from joserfc.jwk import ECKey
from msgspec.structs import replace
from playwright.sync_api import expect

from center.audit import newest
from center.config import Http, Oidc, PeopleConfig
from center.people.model import Account
from simulator.ports import free_port
from tests.center.web.idp import CLIENT, SECRET, Idp
from tests.center.web.site import PASSWORD, Center, Visitor, violations

ROLES = {"chiefs": "administrator", "watch": "supervisor", "desk": "officer"}
WAY = "/login/oidc?to=/counter/q02"


def center_with(folder: Path, issuer: str) -> Center:
    """Return a center at which that provider's people may log in."""
    folder.mkdir(parents=True, exist_ok=True)
    secret = folder / "secret"
    secret.write_text(f"{SECRET}\n", encoding="utf-8")
    oidc = Oidc(issuer=issuer, client_id=CLIENT, client_secret_file=str(secret), label="Cổng Bến Tre", roles=ROLES)
    center = Center(folder / "center", people=PeopleConfig(oidc=oidc))
    center.config = replace(center.config, http=Http(port=center.port))
    center.start()
    return center


@pytest.fixture(scope="module")
def provider() -> Iterator[Idp]:
    """One provider for all tests."""
    one = Idp()
    yield one
    one.stop()


@pytest.fixture(scope="module")
def shared(provider: Idp, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Center]:
    """A center that trusts it; every test comes as somebody of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("center.people.oidc._AT_ONCE", 1)
        patch.setattr("center.people.oidc.PATIENCE_S", 30.0)
        one = center_with(tmp_path_factory.mktemp("oidc"), provider.issuer)
        one.http.post("/api/login", json={"name": "hanh", "password": PASSWORD})  # starts a thread that stays, as next
        arrive(one)[0].close()
        yield one
        one.http.close()
        one.stop()


@pytest.fixture
def idp(provider: Idp) -> Idp:
    """The provider, honest."""
    provider.reset()
    return provider


def fetch(url: str, **cookies: str) -> httpx.Response:
    """Ask for an address as a browser that knows nothing but these cookies."""
    with httpx.Client(cookies=cookies, timeout=30, verify=False) as browser:  # noqa: S501 (plain; saves loading roots)
        return browser.get(url)


def sent_back(browser: httpx.Client) -> str:
    """Begin a login, log in at the provider; return the address to which it sends the browser back."""
    sent = browser.get(WAY)
    assert sent.status_code == 303, sent.text
    there = fetch(sent.headers["location"])
    assert there.status_code == 302
    return there.headers["location"]


def arrive(center: Center) -> tuple[httpx.Client, httpx.Response]:
    """Log in by the provider in a new browser."""
    browser = center.client()
    return browser, browser.get(sent_back(browser))


def account(center: Center, name: str) -> Account | None:
    """Return an account as the center has it."""
    return next((one for one in center.people.accounts() if one.name == name), None)


def audit(center: Center) -> list[tuple[str, str, str, str]]:
    """Return actor, action, object and detail of each line of the audit log, the newest first."""
    found = center.hall.transact(lambda rows: newest(rows, None, 50)).result(30)
    return [(one.actor, one.action, one.object, one.detail) for one in found]


def test_the_first_login_makes_an_account_and_each_one_brings_the_role(shared: Center, idp: Idp) -> None:
    """Name and role come from the provider; another role there is another role here, and ends what was open."""
    first, answer = arrive(shared)
    with closing(first):
        assert answer.status_code == 200, answer.text
        assert answer.headers["refresh"] == "0;url=/counter/q02"
        me = first.get("/api/me").json()
        assert me == {"name": "binh.tran", "full_name": "Trần Văn Bình", "role": "officer", "must_change": False}
        assert first.get("/counter/q02").status_code == 200
        assert ("oidc", "account_made", "binh.tran", "Trần Văn Bình, officer") in audit(shared)
        idp.claims = {"groups": "watch", "name": "Trần Thanh Bình", "preferred_username": "somebody"}
        second, _ = arrive(shared)
        with closing(second):
            assert second.get("/api/me").json()["role"] == "supervisor"
            assert second.get("/api/me").json()["name"] == "binh.tran"
            assert first.get("/api/me").status_code == 401
            assert ("oidc", "role_changed", "binh.tran", "officer -> supervisor") in audit(shared)
            assert audit(shared)[0] == ("person:binh.tran", "login", "binh.tran", "from 127.0.0.1, by oidc")
            mark = shared.people.sessions("binh.tran")[0].mark
            shared.http.post("/people", data={"do": "revoke", "session": mark})
            assert second.get("/api/me").status_code == 401


def test_the_cookies_are_as_strict_as_everybody_s(shared: Center, idp: Idp) -> None:  # noqa: ARG001 (honest again)
    """Only the cookie of a login on its way may come with another site's step, and it goes when it has served."""
    with shared.client() as browser:
        away = browser.get(WAY).headers["set-cookie"]
        assert all(word in away for word in ("SameSite=lax", "HttpOnly", "Path=/login/oidc", "Max-Age=600"))
        session, known, away = browser.get(sent_back(browser)).headers.get_list("set-cookie")
    assert session.startswith("motcua_session=")
    assert all("SameSite=strict" in cookie for cookie in (session, known))
    assert "Max-Age=0" in away


NOW = int(time.time())
LIES: dict[str, tuple[dict[str, Any], str]] = {
    "of another login": ({"nonce": "another"}, "nonce"),
    "without a nonce": ({"nonce": None}, "nonce"),
    "for another program": ({"aud": "mail"}, "aud"),
    "for several, none named": ({"aud": ["mail", CLIENT]}, "another program"),
    "for several, made for another": ({"aud": ["mail", CLIENT], "azp": "mail"}, "another program"),
    "too old": ({"exp": NOW - 120}, "expired"),
    "without an end": ({"exp": None}, "exp"),
    "of tomorrow": ({"iat": NOW + 86_400}, "in the future"),
    "of another issuer": ({"iss": "https://evil.example"}, "iss"),
    "of nobody": ({"sub": None}, "sub"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_token_that_is_not_for_this_login_lets_nobody_in(shared: Center, idp: Idp, lie: str) -> None:
    """A token of another login, program, time or issuer opens nothing, and the audit log says what was wrong."""
    claims, why = LIES[lie]
    idp.claims = {"sub": "liar", "preferred_username": "liar", **claims}
    refused_as_untrusted(shared, why)


def test_a_token_without_a_signature_lets_nobody_in(shared: Center, idp: Idp) -> None:
    """`alg: none` is no signature."""
    idp.header = {"alg": "none"}
    refused_as_untrusted(shared, "none")


def test_a_token_signed_by_what_everybody_knows_lets_nobody_in(shared: Center, idp: Idp) -> None:
    """A public key is no secret, whatever the token's header says."""
    idp.header = {"alg": "HS256", "kid": idp.key.kid}
    refused_as_untrusted(shared, "HS256")


@pytest.mark.parametrize(("kid", "why"), [("strange", "unknown"), (None, "bad_signature")])
def test_a_token_of_a_foreign_key_lets_nobody_in(shared: Center, idp: Idp, kid: str | None, why: str) -> None:
    """A key that the provider has not published signs nothing, under its own name or under the provider's."""
    idp.signed_by = ECKey.generate_key("P-256")
    idp.header = {"alg": "ES256", "kid": kid or idp.key.kid}
    refused_as_untrusted(shared, why)


def refused_as_untrusted(center: Center, why: str) -> None:
    """Log in, and see that nobody is in, nothing was made, and the reason is kept."""
    before = [one.name for one in center.people.accounts()]
    browser, answer = arrive(center)
    with closing(browser):
        assert answer.status_code == 401
        assert "Cổng Bến Tre trả lời không hợp lệ" in answer.text
        assert browser.get("/api/me").status_code == 401
    assert [one.name for one in center.people.accounts()] == before
    actor, action, what, detail = audit(center)[0]
    assert (actor, action, what) == ("http:127.0.0.1", "login_failed", "")
    assert detail.startswith("oidc: ")
    assert why in detail


def test_a_provider_may_change_its_keys(shared: Center, idp: Idp) -> None:
    """The first token of a new key makes the center look for it."""
    arrive(shared)[0].close()
    idp.rotate()
    browser, answer = arrive(shared)
    browser.close()
    assert answer.status_code == 200


def test_an_answer_is_good_once_and_in_the_browser_that_asked(shared: Center, idp: Idp) -> None:
    """A used answer, one of another browser, one with a forged cookie or another issuer's opens nothing."""
    with shared.client() as browser, shared.client() as other:
        there = sent_back(browser)
        cookie = browser.cookies["motcua_away"]
        sent_back(other)
        forged = f"{cookie[:-2]}{'AA' if cookie[-2:] != 'AA' else 'BB'}"
        for cookies in ({}, {"motcua_away": forged}, {"motcua_away": "x"}):
            answer = fetch(there, **cookies)
            assert (answer.status_code, "hết hạn hoặc đã dùng" in answer.text) == (401, True)
        assert other.get(there).status_code == 401  # its own cookie, the other's answer
        assert other.get("/api/me").status_code == 401
        assert browser.get(there).status_code == 200
        replayed = fetch(there, motcua_away=cookie)
        assert (replayed.status_code, "hết hạn hoặc đã dùng" in replayed.text) == (401, True)
    with shared.client() as browser:
        there = sent_back(browser)
        mixed = browser.get(there.replace("iss=http", "iss=https"))
        assert (mixed.status_code, audit(shared)[0][3]) == (401, "oidc: the answer is of another issuer")
    idp.error = "access_denied"
    browser, denied = arrive(shared)
    browser.close()
    assert (denied.status_code, "access_denied" in denied.text) == (401, True)


def test_whoever_has_no_role_there_is_out_here(shared: Center, idp: Idp) -> None:
    """No group that means a role: refused with a clear word and a line in the audit log; what was open ends."""
    idp.claims = {"sub": "lan", "preferred_username": "lan"}
    first, _ = arrive(shared)
    with closing(first):
        assert first.get("/api/me").status_code == 200
        idp.claims["groups"] = ["staff", "desks"]
        browser, answer = arrive(shared)
        browser.close()
        assert answer.status_code == 403
        assert "Cổng Bến Tre chưa cấp cho anh/chị vai trò nào" in answer.text
        assert first.get("/api/me").status_code == 401
    assert audit(shared)[0] == ("http:127.0.0.1", "login_refused", "lan", "Trần Văn Bình: no role")
    idp.claims["sub"] = "never seen"
    arrive(shared)[0].close()
    assert account(shared, "lan-2") is None


def test_a_disabled_account_stays_out(shared: Center, idp: Idp) -> None:
    """What the administrator has disabled here stays disabled, whatever the provider says."""
    idp.claims = {"sub": "son", "preferred_username": "son"}
    arrive(shared)[0].close()
    shared.http.post("/people", data={"do": "disable", "name": "son"})
    browser, answer = arrive(shared)
    browser.close()
    assert (answer.status_code, "Tài khoản của anh/chị đã bị khóa." in answer.text) == (403, True)
    assert audit(shared)[0][1:] == ("login_refused", "son", "disabled")


def test_nobody_becomes_somebody_else_by_a_name(shared: Center, idp: Idp) -> None:
    """A name there that is an account's here gets another name here, also if it is another provider account's."""
    idp.claims = {"sub": "not-hanh", "preferred_username": "hanh"}
    browser, _ = arrive(shared)
    with closing(browser):
        assert browser.get("/api/me").json()["name"] == "hanh-2"
        assert browser.get("/people").status_code == 403
    idp.claims["sub"] = "nor-she"
    arrive(shared)[0].close()
    local, second, third = (account(shared, name) for name in ("hanh", "hanh-2", "hanh-3"))
    assert local is not None
    assert second is not None
    assert third is not None
    assert (local.role, local.subject) == ("administrator", None)
    assert second.subject != third.subject


def test_such_an_account_has_no_password_here(shared: Center, idp: Idp) -> None:
    """Nobody can give it one, change it or its role, or log in by one."""
    idp.claims = {"sub": "mai", "preferred_username": "mai"}
    browser, _ = arrive(shared)
    with closing(browser):
        assert "Mật khẩu được đổi ở đó" in browser.get("/password").text
        body = {"old": PASSWORD, "new": "năm từ không liên quan"}
        assert browser.post("/api/me/password", json=body).json()["code"] == "password_elsewhere"
    for form in ({"do": "reset"}, {"do": "role", "role": "administrator"}):
        assert shared.http.post("/people", data={"name": "mai", **form}).status_code == 409
    found = account(shared, "mai")
    assert found is not None
    assert found.role == "officer"
    with shared.client() as other:
        for password in (found.password, PASSWORD):
            assert other.post("/api/login", json={"name": "mai", "password": password}).status_code == 401


def test_the_last_administrator_has_a_password_here(shared: Center, idp: Idp) -> None:
    """An administrator by the provider does not count as the last: without the provider nobody else could help."""
    idp.claims = {"sub": "boss", "preferred_username": "boss", "groups": ["chiefs"]}
    browser, _ = arrive(shared)
    with closing(browser):
        assert browser.get("/people").status_code == 200
        answer = browser.post("/people", data={"do": "disable", "name": "hanh"})
        assert (answer.status_code, "quản trị viên cuối cùng" in answer.text) == (409, True)


def test_a_login_begins_where_it_ends(shared: Center, idp: Idp) -> None:  # noqa: ARG001 (honest again)
    """Under another of its names the center first sends a browser to the one that the provider knows."""
    with shared.client() as browser:
        sent = browser.get(WAY, headers={"Host": f"localhost:{shared.port}"})
        assert sent.headers["location"] == f"{shared.url}/login/oidc?again=1&to=%2Fcounter%2Fq02"
        asked = parse_qs(urlsplit(browser.get(sent.headers["location"]).headers["location"]).query)
        assert asked["redirect_uri"] == [f"{shared.url}/login/oidc/callback"]


def test_without_the_provider_passwords_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A provider that is away is named on the page, and everybody with a password here gets in, also in a flood."""
    monkeypatch.setattr("center.web.oidc.TRIES", (2, 0.001))
    center = center_with(tmp_path, f"http://localhost:{free_port()}")
    try:
        with center.client() as browser:
            answer = browser.get(WAY)
            assert (answer.status_code, "Chưa nối được Cổng Bến Tre" in answer.text) == (503, True)
            assert browser.get(WAY).status_code == 503
            flood = browser.get(WAY)
            assert (flood.status_code, int(flood.headers["retry-after"]) > 100) == (429, True)
            form = {"name": "ha", "password": PASSWORD, "to": "/counter/q02"}
            assert browser.post("/login", data=form).headers["location"] == "/counter/q02"
    finally:
        center.http.close()
        center.stop()


@pytest.mark.browser
def test_an_officer_comes_to_the_desk_by_the_provider(shared: Center, idp: Idp, visitor: Visitor) -> None:
    """In a browser: from the desk to the login, to the provider on another site, and back to the open desk."""
    idp.asks = True
    idp.claims = {"sub": "van", "preferred_username": "van"}
    page = visitor.page(person="")
    page.goto(f"{shared.url}/counter/q03")
    assert violations(page) == []
    page.get_by_role("link", name="Đăng nhập bằng Cổng Bến Tre").click()
    with page.expect_response(lambda response: "/stream" in response.url):
        page.get_by_role("button", name="Bình").click()
    page.get_by_role("button", name="Mở quầy").click()
    expect(page.locator(".pill")).to_have_text("Đang mở")
    assert page.url == f"{shared.url}/counter/q03"
    page.goto(f"{shared.url}/password")
    assert violations(page) == []
    admin = visitor.page()
    admin.goto(f"{shared.url}/people")
    expect(admin.locator(".accounts li", has_text="van")).to_contain_text("Đăng nhập qua hệ thống khác")
    assert violations(admin) == []
