"""Who gets through to what: rights, requests of other pages, foreign names, and floods."""

import datetime
import ipaddress
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from center.config import Http, Tickets
from center.errors import ConfigError
from center.web.gate import Hosts, TicketLimits
from center.web.server import web_server
from tests.center.web.site import PASSWORD, Center

TICKET = {"json": {"service": "dat-dai"}, "headers": {"Idempotency-Key": "k"}}
PAGES_FOR_ALL = ("/", "/board", "/kiosk", "/rate/q01", "/login", "/healthz", "/schema/openapi.json")
ROLES = ("hanh", "chi", "dung", "ha")  # administrator, director, supervisor, officer


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Center]:
    """A center for the tests that leave it as it was."""
    center = Center(tmp_path_factory.mktemp("shared") / "center")
    center.start()
    with center.client() as first:
        first.post("/api/login", json={"name": "hanh", "password": PASSWORD})  # starts a thread that stays
    yield center
    center.http.close()
    center.stop()


@pytest.mark.parametrize("path", PAGES_FOR_ALL)
def test_the_hall_needs_no_login(shared: Center, path: str) -> None:
    """Board, kiosk, rating tablet and the first page are for everybody."""
    with shared.client() as anybody:
        assert anybody.get(path).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/counter/q01", ROLES),
        ("GET", "/api/state", ROLES),
        ("GET", "/stream?view=officer&counter=q01", ROLES),
        ("POST", "/api/counters/q01/open", ROLES),
        ("POST", "/api/counters/q01/lease", ROLES),
        ("GET", "/devices", ("hanh", "chi")),
        ("GET", "/api/devices", ("hanh", "chi")),
        ("GET", "/stream?view=devices", ("hanh", "chi")),
        ("POST", "/api/devices/q09/rating/forget", ("hanh",)),
        ("GET", "/people", ("hanh",)),
        ("POST", "/people", ("hanh",)),
        ("GET", "/password", ROLES),
        ("GET", "/api/me", ROLES),
    ],
)
def test_each_right_belongs_to_its_roles(shared: Center, method: str, path: str, allowed: tuple[str, ...]) -> None:
    """Nobody without a login gets there, and of those with one the roles that it is for."""
    for who in ("", *ROLES):
        with shared.client(f"{who}-0" if who else "") as client:
            body = {"json": {}, "headers": {"Idempotency-Key": f"key-{who}"}} if method == "POST" else {}
            with client.stream(method, path, **body) as answer:  # type: ignore[arg-type]
                status = answer.status_code
        if who in allowed:
            assert status not in (303, 401, 403), (who, status)
        elif who:
            assert status == 403, who
        else:
            assert status in (303, 401), status


def test_a_page_without_a_login_leads_there_and_back(shared: Center) -> None:
    """Whoever opens a desk without being logged in comes to the login, and from there to the desk."""
    with shared.client() as browser:
        sent = browser.get("/counter/q01")
        assert (sent.status_code, sent.headers["location"]) == (303, "/login?to=/counter/q01")
        form = {"name": " HA ", "password": PASSWORD, "to": "/counter/q01"}
        let_in = browser.post("/login", data=form)
        assert (let_in.status_code, let_in.headers["location"]) == (303, "/counter/q01")
        assert browser.get("/counter/q01").status_code == 200
        browser.post("/logout")
        assert browser.get("/counter/q01").status_code == 303


@pytest.mark.parametrize("to", ["https://evil.example/", "//evil.example/", "/\\evil.example", "javascript:x", "/a\nb"])
def test_a_login_leads_to_no_other_site(shared: Center, to: str) -> None:
    """A link to the login cannot send whoever logs in to somebody else's page."""
    with shared.client() as browser:
        answer = browser.post("/login", data={"name": "ha", "password": PASSWORD, "to": to})
        assert answer.headers["location"] == "/"


def test_the_cookies_are_closed_to_scripts_and_other_sites(shared: Center) -> None:
    """Both cookies are HttpOnly, SameSite=Strict and for the whole site; the session's ends with the browser."""
    with shared.client() as browser:
        answer = browser.post("/login", data={"name": "ha", "password": PASSWORD})
    session, known = answer.headers.get_list("set-cookie")
    for cookie in (session, known):
        assert all(word in cookie for word in ("HttpOnly", "SameSite=strict", "Path=/"))
        assert "Secure" not in cookie
    assert session.startswith("motcua_session=")
    assert "Max-Age" not in session
    assert "Max-Age=34560000" in known


FOREIGN = [
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Origin": "http://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://127.0.0.1:1"},
]


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
def test_a_page_of_another_site_changes_nothing(shared: Center, headers: dict[str, str]) -> None:
    """What another site's page sends in an officer's browser is refused, also a stream that would reserve a desk."""
    with shared.client("hanh-0") as officer:
        answer = officer.post("/api/counters/q04/open", json={}, headers={"Idempotency-Key": "k", **headers})
        assert (answer.status_code, answer.json()["code"]) == (403, "from_elsewhere")
        for path, form in (
            ("/people", {"do": "reset", "name": "ha"}),
            ("/login", {"name": "ha", "password": PASSWORD}),
        ):
            assert officer.post(path, data=form, headers=headers).status_code == 403
        for path in ("/stream?claim=1", "/stream?cl%61im=1", "/stream/?claim", "//stream?claim=1", "/stream?a&claim=1"):
            assert officer.get(f"{path}&view=officer&counter=q04", headers=headers).status_code == 403
        assert shared.hub.leases.holder("q04") is None
        assert officer.get("/api/state").json()["counters"][3]["state"] == "closed"


@pytest.mark.parametrize("headers", [{"Sec-Fetch-Site": "same-origin"}, {"Origin": "self"}, {}], ids=str)
def test_our_own_pages_and_programs_are_let_through(shared: Center, headers: dict[str, str]) -> None:
    """A page of the center, by whichever header its browser sends, and a program that sends none."""
    sent = {name: value.replace("self", shared.url) for name, value in headers.items()}
    with shared.client("hanh-0") as officer:
        asked = {"Idempotency-Key": str(headers), **sent}
        assert officer.post("/api/counters/q03/open", json={}, headers=asked).is_success


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "localhost.evil.example"]
)
def test_a_name_that_was_turned_to_our_address_is_refused(shared: Center, host: str) -> None:
    """A page under a foreign name is refused, whatever it asks: its script could read what it gets (DNS rebinding)."""
    with shared.client("hanh-0") as officer:
        for path in ("/api/state", "/counter/q01", "/board", "/stream?view=board"):
            answer = officer.get(path, headers={"Host": host})
            assert (answer.status_code, answer.json()["code"]) == (421, "host_unknown")


@pytest.mark.parametrize(
    ("host", "known"),
    [
        ("127.0.0.1:8080", True), ("[::1]:8080", True), ("192.168.10.2", True), ("localhost", True),
        ("LOCALHOST:80", True), ("motcua.bentre.example", True), ("Motcua.BenTre.example.:443", True), ("", True),
        ("bentre.example", False), ("x.motcua.bentre.example", False), ("[evil]:80", False),
        ("[::1", False), ("[::1]evil.example", False), ("127.0.0.1:evil", False), ("127.0.0.1:99999", False),
        ("localhost:80@evil.example", False), ("evil.example/localhost:80", False),
    ],
)  # fmt: skip
def test_addresses_and_configured_names_are_ours(host: str, known: bool) -> None:
    """Every address, this machine's name and what `[http] names` lists, in any case and with any port."""
    assert Hosts(Http(names=("motcua.bentre.example",))).knows(host) is known


def test_a_flood_of_numbers_is_refused_with_a_word_and_a_time(make_center: Callable[..., Center]) -> None:
    """One address takes a burst and then waits; whoever has logged in, and other addresses, are not concerned."""
    center = make_center(tickets=Tickets(burst=5, per_minute=60, per_hour=120))
    with center.client() as visitor:
        answers = [visitor.post("/api/tickets", **TICKET) for _ in range(30)]  # type: ignore[arg-type]
        good = [answer for answer in answers if answer.is_success]
        assert 5 <= len(good) <= 8
        refused = answers[-1]
        assert (refused.status_code, refused.json()["code"]) == (429, "tickets_wait")
        assert refused.headers["retry-after"] in ("1", "2")
        assert "Xin chờ" in refused.json()["message"]
        assert visitor.get("/board").is_success
    assert center.issue()


@pytest.mark.parametrize(("proxies", "taken"), [((), 5), (("127.0.0.1",), 12)], ids=["nobody", "a proxy"])
def test_only_a_proxy_that_is_known_speaks_for_others(
    make_center: Callable[..., Center], proxies: tuple[str, ...], taken: int
) -> None:
    """Whoever names another address with each request is one and the same, unless it is a proxy that is configured."""
    center = make_center(tickets=Tickets(burst=5, per_minute=1, per_hour=5), http=Http(proxies=proxies))
    with center.client() as one:
        good = 0
        for number in range(12):
            headers = {"Idempotency-Key": f"k{number}", "X-Forwarded-For": f"9.9.9.9, 203.0.113.{number}"}
            good += one.post("/api/tickets", json={"service": "dat-dai"}, headers=headers).is_success
        let_in = one.post(
            "/login", data={"name": "ha", "password": PASSWORD},
            headers={"X-Forwarded-For": "9.9.9.9, 203.0.113.7", "X-Forwarded-Proto": "https"},
        )  # fmt: skip
    assert good == taken
    assert ("Secure" in let_in.headers["set-cookie"]) is bool(proxies)
    (login,) = [one for one in center.people.sessions("ha") if one.address != "127.0.0.1"] or [None]
    assert (login.address if login else "127.0.0.1") == ("203.0.113.7" if proxies else "127.0.0.1")


def test_what_no_browser_sends_is_no_fault_of_the_program(shared: Center, caplog: pytest.LogCaptureFixture) -> None:
    """A senseless host or cookie, an odd address after the login, and a WebSocket are answered without a trace."""
    upgrade = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "eA",
    }
    caplog.set_level("WARNING")
    with shared.client() as anybody:
        assert anybody.get("/board", headers={"Host": "127.0.0.1:evil"}).status_code == 421
        cookie = {"Cookie": "a{b=1; motcua_session=dung-1"}
        with anybody.stream("GET", "/stream?view=officer&counter=q01", headers=cookie) as stream:
            assert stream.status_code == 200
        assert anybody.get("/board", headers=upgrade).status_code == 200
        assert anybody.get("/board", headers={**upgrade, "Host": "evil.example"}).status_code == 421
        sent = anybody.post("/login", data={"name": "dung", "password": PASSWORD, "to": "/quầy?số=1&a=%20"})
        assert sent.headers["location"] == "/qu%E1%BA%A7y?s%E1%BB%91=1&a=%20"
    assert not caplog.records


def test_a_kiosk_has_no_hour_and_others_have() -> None:
    """An address that is listed as a kiosk goes on past the hour's limit; any other one stops there."""
    limits = TicketLimits(Tickets(burst=20, per_minute=60, per_hour=30, kiosks=("192.168.10.20",)))
    taken = {
        address: sum(limits.take(address, float(second)) == 0 for second in range(100))
        for address in ("192.168.10.20", "192.168.10.66")
    }
    assert taken == {"192.168.10.20": 100, "192.168.10.66": 30}


def test_wrong_passwords_get_429_and_the_owner_gets_in_from_elsewhere(center: Center) -> None:
    """Too many tries are told to wait, in the page and in the API; a browser that was here before is not concerned."""
    with center.client() as owner, center.client() as guesser:
        assert owner.post("/login", data={"name": "ha", "password": PASSWORD}).status_code == 303
        for _ in range(3):
            assert guesser.post("/login", data={"name": "ha", "password": "x"}).status_code == 401
        page = guesser.post("/login", data={"name": "ha", "password": PASSWORD})
        assert (page.status_code, page.headers["retry-after"] in ("1", "2")) == (429, True)
        assert "Đã thử quá nhiều lần" in page.text
        api = guesser.post("/api/login", json={"name": "ha", "password": PASSWORD})
        assert (api.status_code, api.json()["code"]) == (429, "login_wait")
        owner.cookies.delete("motcua_session")
        assert owner.post("/login", data={"name": "ha", "password": PASSWORD}).status_code == 303


def test_a_refused_attempt_of_a_person_is_in_the_audit_log(center: Center) -> None:
    """An officer who asks for the administrator's page is named in the log, however often they ask."""
    with center.client("ha-0") as officer:
        for _ in range(20):
            assert officer.get("/people").status_code == 403
    text = center.http.get("/people").text
    assert text.count("Bị từ chối vì Cán bộ không có quyền: /people") == 3
    assert '<th scope="row">Trần Thu Hà</th><td class="wide">Bị từ chối' in text


def test_an_officer_acts_at_one_counter_by_whatever_way(center: Center) -> None:
    """While a page of theirs is open at a counter, neither a second computer nor a program acts for them at another."""
    with center.client("ha-0") as desk, center.client("ha-1") as program:

        def act(counter: str) -> tuple[int, str]:
            answer = program.post(f"/api/counters/{counter}/open", json={}, headers={"Idempotency-Key": counter})
            return answer.status_code, answer.json().get("message", "")

        with desk.stream("GET", "/stream?view=officer&counter=q01&claim=1", timeout=30) as stream:
            lines = stream.iter_lines()  # held: letting go of it would close the page
            next(lines)
            status, said = act("q03")
            assert (status, said.partition(".")[0]) == (409, "Anh/chị đang làm việc ở quầy 1")
            assert act("q01")[0] == 200
            assert program.post("/api/counters/q03/lease", json={}).status_code == 200
            assert act("q03")[0] == 200
        assert [one["state"] for one in center.state()["counters"]] == ["open", "closed", "open", "closed"]


def test_the_stream_of_a_session_that_ends_is_closed(center: Center) -> None:
    """A desk that is open when its officer is disabled goes dark at once, and its counter is free."""
    with center.client("ha-0") as officer:
        with officer.stream("GET", "/stream?view=officer&counter=q01&claim=1", timeout=30) as stream:
            lines = stream.iter_lines()
            next(lines)
            assert center.hub.leases.places() == {"ha": "q01"}
            assert center.http.post("/people", data={"do": "disable", "name": "ha"}).is_success
            for _ in lines:
                pass
        assert center.hub.leases.places() == {}
        assert officer.get("/api/me").status_code == 401


def certificate(folder: Path) -> Http:
    """Make a certificate for loopback."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(
            name, name, key.public_key(), x509.random_serial_number(), now, now.replace(year=now.year + 1)
        )
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "cert.pem").write_bytes(made.public_bytes(pem))
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "key.pem").write_bytes(private)
    return Http(cert_file=str(folder / "cert.pem"), key_file=str(folder / "key.pem"))


def test_over_https_the_cookies_are_secure(make_center: Callable[..., Center], tmp_path: Path) -> None:
    """With certificate and key the pages are HTTPS, and a cookie never travels in the clear."""
    http = certificate(tmp_path)
    center = make_center(http=http)
    context = ssl.create_default_context(cafile=str(tmp_path / "cert.pem"))
    with httpx.Client(base_url=center.url.replace("http:", "https:"), verify=context) as browser:
        answer = browser.post("/login", data={"name": "ha", "password": PASSWORD})
        assert answer.status_code == 303
        assert all("Secure" in cookie for cookie in answer.headers.get_list("set-cookie"))
        assert browser.get("/counter/q01").is_success


def test_a_certificate_that_does_not_work_is_told_at_the_start(tmp_path: Path) -> None:
    """A missing or wrong file ends the start with a line that names both keys."""
    wrong = Http(cert_file=str(tmp_path / "none.pem"), key_file=str(tmp_path / "none.pem"))
    with pytest.raises(ConfigError, match=r"^http\.cert_file, http\.key_file: "):
        web_server(None, None, http=wrong)  # type: ignore[arg-type]
