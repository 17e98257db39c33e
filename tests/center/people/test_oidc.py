"""Who somebody is here by what a provider says; a login that took too long; what a provider may say of itself."""

import asyncio
import ssl
from pathlib import Path
from typing import Any

import pytest

from center.config import Oidc, read
from center.errors import ConfigError
from center.people.model import PeopleError
from center.people.oidc import AWAY_S, FRESH_S, Provider, identity
from tests.center.conftest import TestClock
from tests.center.test_config import WHOLE
from tests.center.web.idp import CLIENT, Idp
from tests.support.certificates import Office

SETTINGS = """
[people.oidc]
issuer = "https://sso.example.vn/realms/bentre"
client_id = "motcua"
label = "Cổng Bến Tre"
roles = { chiefs = "administrator", desk = "officer" }
"""


def oidc(**settings: Any) -> Oidc:
    """Return settings with the roles that these tests use."""
    whole = {"issuer": "https://sso.example.vn", "client_id": CLIENT, "label": "SSO", **settings}
    return Oidc(**{"roles": {"chiefs": "administrator", "desk": "officer"}, **whole})


@pytest.mark.parametrize(
    ("claim", "claims", "role"),
    [
        ("groups", {"groups": ["staff", "desk"]}, "officer"),
        ("groups", {"groups": ["desk", "chiefs"]}, "administrator"),
        ("groups", {"groups": "desk"}, "officer"),
        ("groups", {"groups": ["desk2", 7, None]}, None),
        ("groups", {"groups": {"desk": True}}, None),
        ("groups", {}, None),
        ("realm_access.roles", {"realm_access": {"roles": ["desk"]}}, "officer"),
        ("realm_access.roles", {"realm_access": ["desk"]}, None),
        ("https://motcua.vn/roles", {"https://motcua.vn/roles": ["desk"]}, "officer"),
    ],
)
def test_a_role_is_the_first_line_that_fits(claim: str, claims: dict[str, Any], role: str | None) -> None:
    """A claim is one word or several, at the top or inside others; what is no line of the file is no role."""
    assert identity({"sub": "x", **claims}, oidc(role_claim=claim)).role == role


@pytest.mark.parametrize(
    ("claims", "name", "full"),
    [
        ({"preferred_username": "Đỗ.Bình@bentre.vn", "name": " Đỗ  Bình "}, "do.binh", "Đỗ Bình"),
        ({"email": "an@bentre.vn"}, "an", "an"),
        ({"preferred_username": "x" * 50, "name": "y" * 99}, "x" * 32, "y" * 60),
        ({"preferred_username": "../Lê An/..", "name": "\u202eevil"}, "le.an", "le.an"),
        ({"preferred_username": "李"}, None, None),
        ({"preferred_username": ["a", "list"], "name": {"a": 1}}, "a.list", "{'a': 1}"),
    ],
)
def test_names_are_as_ours_are(claims: dict[str, Any], name: str | None, full: str | None) -> None:
    """Whatever a provider calls somebody becomes a name of ours, on one line and without tricks."""
    found = identity({"sub": "x", **claims}, oidc())
    assert (found.name, found.full_name) == (name or f"oidc-{found.subject[:12]}", full or found.name)


def test_the_same_subject_of_another_issuer_is_somebody_else() -> None:
    """An account belongs to issuer and subject together."""
    one, other = (identity({"sub": "x"}, oidc(issuer=f"https://{host}")) for host in ("a.vn", "b.vn"))
    assert one.subject != other.subject


def test_a_login_has_ten_minutes(clock: TestClock) -> None:
    """Whoever stays at the provider for longer begins again."""

    async def late_by(seconds: float) -> str:
        idp = Idp()
        provider = Provider(oidc(issuer=idp.issuer), origin="http://127.0.0.1", path="/back", clock=clock)
        try:
            url, cookie = await provider.leave("/")
            state = url.partition("&state=")[2].partition("&")[0]
            clock.advance(AWAY_S + seconds)
            with pytest.raises(PeopleError) as error:
                await provider.back(cookie, {"state": state, "error": "access_denied"})
            return error.value.code
        finally:
            provider.close()
            idp.stop()

    assert asyncio.run(late_by(1)) == "oidc_stale"
    assert asyncio.run(late_by(-1)) == "oidc_refused"


def test_a_provider_is_asked_once_a_minute_where_its_pages_are(clock: TestClock) -> None:
    """A morning's logins cost the provider one question; after a minute it is asked again, and missed if it is away."""

    async def logins() -> None:
        idp = Idp()
        provider = Provider(oidc(issuer=idp.issuer), origin="http://127.0.0.1", path="/back", clock=clock)
        try:
            await asyncio.gather(*(provider.leave("/") for _ in range(5)))
            assert idp.heard == ["/.well-known/openid-configuration"]
            clock.advance(FRESH_S)
            await provider.leave("/")
            assert len(idp.heard) == 2
        finally:
            idp.stop()
        await provider.leave("/")
        clock.advance(FRESH_S)
        with pytest.raises(PeopleError, match="oidc_down"):
            await provider.leave("/")
        provider.close()

    asyncio.run(logins())


@pytest.mark.parametrize(
    "said",
    [{"issuer": "https://evil.example"}, {"token_endpoint": "http://10.0.0.9/token"}, {"jwks_uri": "ftp://x/"}],
)
def test_a_provider_that_is_not_who_it_should_be_is_not_used(
    clock: TestClock, said: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    """Metadata with another issuer, or with an address that anybody on the way can read, sends nobody there."""

    class Liar(Idp):
        def metadata(self) -> dict[str, Any]:
            return {**super().metadata(), **said}

    async def leave(idp: Idp) -> str:
        provider = Provider(oidc(issuer=idp.issuer), origin="http://127.0.0.1", path="/back", clock=clock)
        try:
            with pytest.raises(PeopleError) as error:
                await provider.leave("/")
            return error.value.code
        finally:
            provider.close()

    idp = Liar()
    try:
        assert asyncio.run(leave(idp)) == "oidc_down"
    finally:
        idp.stop()
    assert next(iter(said.values())) in caplog.text


def test_a_provider_shows_a_certificate_that_is_believed(tmp_path: Path, clock: TestClock) -> None:
    """Over HTTPS nobody is asked whose certificate is not of a known authority, or of the one in `ca_file`."""
    office = Office(tmp_path)
    paper = office.paper("sso", host="127.0.0.1")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(paper.certificate, paper.key)
    idp = Idp(tls)

    async def leave(ca_file: str | None) -> str:
        config = oidc(issuer=idp.issuer, ca_file=ca_file)
        provider = Provider(config, origin="http://127.0.0.1", path="/back", clock=clock)
        try:
            return (await provider.leave("/"))[0]
        finally:
            provider.close()

    try:
        assert asyncio.run(leave(str(office.root))).startswith(f"{idp.issuer}/authorize?")
        with pytest.raises(PeopleError, match="oidc_down"):
            asyncio.run(leave(None))
    finally:
        idp.stop()


def parsed(folder: Path, text: str) -> None:
    """Read a configuration from a file."""
    file = folder / "center.toml"
    file.write_text(text, encoding="utf-8")
    read(file)


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("https://sso", "http://sso", "people.oidc.issuer: an address that begins with https://"),
        ('"officer"', '"boss"', 'people.oidc.roles."desk": one of "officer", "supervisor"'),
        ("{ chiefs", "{} # ", "people.oidc.roles: at least one line"),
        ("client_id", 'scopes = ["email"]\nclient_id', 'people.oidc.scopes: "openid" and others, got "email"'),
        ("port = 8081", 'host = "192.168.10.2"', "http.names: the name by which browsers come back"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path: Path, old: str, new: str, fault: str) -> None:
    """One line names the file, the key and what is allowed."""
    text = WHOLE + SETTINGS
    assert old in text
    parsed(tmp_path, text)
    with pytest.raises(ConfigError) as error:
        parsed(tmp_path, text.replace(old, new))
    assert f"center.toml: {fault}" in str(error.value)


def test_a_secret_that_cannot_be_read_is_named(tmp_path: Path, clock: TestClock) -> None:
    """A missing or empty file stops the start with its name and its key."""
    (tmp_path / "empty").write_text("\n")
    for name in ("none", "empty"):
        path = str(tmp_path / name)
        with pytest.raises(ConfigError, match=rf"{name}: people\.oidc\.client_secret_file: "):
            Provider(oidc(client_secret_file=path), origin="http://127.0.0.1", path="/back", clock=clock)
    path = str(tmp_path / "empty")
    with pytest.raises(ConfigError, match=r"people\.oidc\.ca_file: certificates in PEM"):
        Provider(oidc(ca_file=path), origin="http://127.0.0.1", path="/back", clock=clock)
