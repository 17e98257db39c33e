"""The center's authority: what it makes, what it signs, what it revokes, and what it refuses to do."""

import stat
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from center.errors import KeysError
from center.keys import papers
from center.keys.access import mosquitto_acl
from center.keys.authority import A_DAY, RENEW_DAYS, Authority
from center.keys.names import of_this_machine

NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
NAMES = ("127.0.0.1", "may-chu.local")


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        """Return the time that was set."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """A morning in November."""
    return Clock()


@pytest.fixture
def authority(tmp_path: Path, clock: Clock) -> Authority:
    """An authority that has just been made."""
    one = Authority(tmp_path / "keys", center="bentre", now=clock)
    assert one.prepare(NAMES)
    return one


def certificate(pair: bytes) -> x509.Certificate:
    """Return the certificate in a text."""
    return x509.load_pem_x509_certificate(pair)


def request(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    """Return a request to certify a key."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "center/hall")])
    made = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    return made.public_bytes(serialization.Encoding.PEM)


def test_what_is_there_is_not_made_again(authority: Authority) -> None:
    """A second start finds the keys of the first and changes nothing."""
    before = {file: file.read_bytes() for file in authority.folder.iterdir()}
    assert not authority.prepare(NAMES)
    assert {file: file.read_bytes() for file in authority.folder.iterdir()} == before
    assert {stat.S_IMODE(file.stat().st_mode) for file in before} == {0o600}
    assert stat.S_IMODE(authority.folder.stat().st_mode) == 0o700


def test_openssl_accepts_what_is_made(authority: Authority) -> None:
    """OpenSSL's strictest check finds a device's certificate good for a client, and the broker's for a server only."""
    (authority.folder / "device.pem").write_bytes(authority.issue(["q03/rating"])["q03/rating"])
    chain = ["-x509_strict", "-CAfile", str(authority.root_file), "-CRLfile", str(authority.revoked_file), "-crl_check"]
    for file, purpose, good in (
        ("device.pem", "sslclient", True),
        ("device.pem", "sslserver", False),
        ("broker.pem", "sslserver", True),
        ("broker.pem", "sslclient", False),
        ("center.pem", "sslclient", True),
    ):
        command = ["openssl", "verify", *chain, "-purpose", purpose, str(authority.folder / file)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (done.returncode == 0) == good, (file, purpose, done.stderr)


def test_a_certificate_is_good_for_a_machine_whose_clock_is_years_behind(authority: Authority, clock: Clock) -> None:
    """Certificates and the list of revocations are valid from years before they were made, for two years from now."""
    made = certificate(authority.issue(["q03/rating"])["q03/rating"])
    revoked = x509.load_pem_x509_crl(authority.revoked_file.read_bytes())
    assert made.not_valid_before_utc == revoked.last_update_utc == datetime(2020, 1, 1, tzinfo=UTC)
    assert made.not_valid_after_utc == clock.now + timedelta(days=730)
    assert revoked.next_update_utc is not None
    assert revoked.next_update_utc > clock.now + timedelta(days=9 * 365)


def test_the_brokers_certificate_follows_names_and_time(authority: Authority, clock: Clock) -> None:
    """The broker gets a new certificate when the machine has a new address, and in the last third of its time."""
    first = certificate(authority.broker_file.read_bytes())
    assert set(papers.names_of(first)) == set(NAMES)
    assert authority.prepare([*NAMES, "192.168.10.2"])
    second = certificate(authority.broker_file.read_bytes())
    assert "192.168.10.2" in papers.names_of(second)
    clock.now += timedelta(days=730 - RENEW_DAYS - 1)
    assert not authority.prepare(NAMES)
    clock.now += timedelta(days=2)
    assert authority.prepare(NAMES)
    assert certificate(authority.broker_file.read_bytes()).not_valid_after_utc > second.not_valid_after_utc


def test_only_who_has_a_good_certificate_gets_the_next(authority: Authority, clock: Clock) -> None:
    """A device is given a certificate for the key it proves to have while its own is good, and in its own name."""
    key = ec.generate_private_key(ec.SECP256R1())
    with pytest.raises(KeysError, match="q03/rating has no certificate that could be renewed"):
        authority.sign(request(key), "q03/rating")
    authority.issue(["q03/rating"])
    signed = certificate(authority.sign(request(key), "q03/rating"))
    assert signed.subject.rfc4514_string() == "CN=q03/rating"
    assert signed.public_key() == key.public_key()
    assert [one.how for one in authority.index().of("q03")] == ["provisioned", "renewed"]
    authority.revoke("q03")
    with pytest.raises(KeysError, match="no certificate that could be renewed"):
        authority.sign(request(key), "q03/rating")
    authority.issue(["q03/rating"])
    clock.now += timedelta(days=731)
    with pytest.raises(KeysError, match="no certificate that could be renewed"):
        authority.sign(request(key), "q03/rating")


@pytest.mark.parametrize("wrong", ["garbage", "rsa", "other curve", "not proven"])
def test_a_request_that_proves_nothing_is_refused(authority: Authority, wrong: str) -> None:
    """A request that cannot be read, names another kind of key, or is not signed by its key gets no certificate."""
    authority.issue(["q03/rating"])
    good = request(ec.generate_private_key(ec.SECP256R1()))
    der = bytearray(x509.load_pem_x509_csr(good).public_bytes(serialization.Encoding.DER))
    der[-1] ^= 1
    asked = {
        "garbage": lambda: b"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n",
        "rsa": lambda: request(rsa.generate_private_key(65537, 2048)),
        "other curve": lambda: request(ec.generate_private_key(ec.SECP384R1())),
        "not proven": lambda: x509.load_der_x509_csr(bytes(der)).public_bytes(serialization.Encoding.PEM),
    }[wrong]()
    with pytest.raises(KeysError, match="the request for a certificate"):
        authority.sign(asked, "q03/rating")
    assert len(authority.index().issued) == 1


def test_revoking_names_the_certificates_and_takes_the_rights(authority: Authority) -> None:
    """What is revoked stands in the list that the broker reads, and its device no longer in the access list."""
    authority.issue(["q03/rating", "q03/callpad", "q04/rating"])
    gone = authority.revoke("q03", "rating")
    assert [one.identity for one in gone] == ["q03/rating"]
    revoked = x509.load_pem_x509_crl(authority.revoked_file.read_bytes())
    assert [f"{one.serial_number:x}" for one in revoked] == [gone[0].serial]
    rules = mosquitto_acl(authority.index().identities(), center="bentre", root="motcua")
    assert "user q03/callpad" in rules
    assert "q03/rating" not in rules
    assert authority.revoke("q03", "rating") == ()
    assert {one.identity for one in authority.revoke("q03")} == {"q03/callpad"}
    assert authority.index().identities() == ("q04/rating",)


def test_an_old_bundle_is_revoked_alone(authority: Authority) -> None:
    """After new keys were made, the older ones can be revoked without the new ones."""
    authority.issue(["q03/rating"])
    authority.issue(["q03/rating"])
    old, new = authority.index().of("q03")
    assert authority.revoke("q03", but_newest=True) == (old,)
    assert [one.serial for one in authority.index().issued if one.revoked_at is None] == [new.serial]


def cut_off(*_: object) -> None:
    """Stand in for what is not reached any more."""
    raise KeysError("revoked.pem: cannot be written: No space left on device")


def revoked_by_list(authority: Authority) -> set[str]:
    """Return the serial numbers that the broker's list has."""
    return {f"{one.serial_number:x}" for one in x509.load_pem_x509_crl(authority.revoked_file.read_bytes())}


def test_a_revocation_that_was_cut_off_is_finished_later(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk or a power cut between index and list: the next start, or the running center, makes up for it."""
    authority.issue(["q03/rating"])
    authority.issue(["q03/rating"])
    old = authority.index().of("q03")[0]
    with monkeypatch.context() as full:
        full.setattr(authority, "_write_revoked", cut_off)
        with pytest.raises(KeysError, match="No space left"):
            authority.revoke("q03", but_newest=True)
    assert revoked_by_list(authority) == set()
    assert authority.settle()
    assert revoked_by_list(authority) == {old.serial}
    assert not authority.settle()
    authority.revoked_file.write_bytes(b"half a l")
    assert authority.prepare(NAMES)
    assert revoked_by_list(authority) == {old.serial}


def test_a_stolen_key_cannot_fill_the_index(authority: Authority, clock: Clock) -> None:
    """A device gets some certificates within a day and no more; the next day it may ask again."""
    authority.issue(["q03/rating", "q03/callpad"])
    asked = request(ec.generate_private_key(ec.SECP256R1()))
    for _ in range(A_DAY - 1):
        authority.sign(asked, "q03/rating")
    with pytest.raises(KeysError, match="q03/rating has had 10 certificates within a day"):
        authority.sign(asked, "q03/rating")
    authority.sign(asked, "q03/callpad")
    clock.now += timedelta(days=1)
    authority.sign(asked, "q03/rating")


def test_no_keys_are_made_by_a_clock_that_cannot_be_right(tmp_path: Path, clock: Clock) -> None:
    """A center whose clock stands before this program was written says so, instead of making keys that soon end."""
    clock.now = datetime(2025, 12, 31, tzinfo=UTC)
    with pytest.raises(KeysError, match=r"the clock says 2025-12-31: set it"):
        Authority(tmp_path / "keys", center="bentre", now=clock).prepare(NAMES)


@pytest.mark.parametrize(
    ("file", "content", "line"),
    [
        ("index.json", None, r"index\.json: cannot be read: No such file or directory; restore it"),
        ("index.json", b"{", r"index\.json: damaged .* restore it from the last backup"),
        ("root.key", b"nothing", r"root\.key: no private key .* restore .* from the last backup"),
        ("root.pem", None, r"root\.pem: cannot be read: No such file or directory; restore it"),
    ],
)
def test_damage_is_one_line(authority: Authority, file: str, content: bytes | None, line: str) -> None:
    """A damaged or missing file is named, with the way out; nothing is made anew behind the technician's back."""
    path = authority.folder / file
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(KeysError, match=line):
        authority.issue(["q03/rating"])


def test_a_name_that_no_certificate_holds_is_refused(authority: Authority) -> None:
    """Station and device that are too long together are refused before anything is made."""
    with pytest.raises(KeysError, match="together may have 63 characters"):
        authority.issue(["q" * 32 + "/" + "r" * 32])
    assert authority.index().issued == ()


def test_what_ended_long_ago_is_forgotten(authority: Authority, clock: Clock) -> None:
    """The list of certificates does not grow for ever: one that ended more than a year ago goes."""
    authority.issue(["q03/rating"])
    clock.now += timedelta(days=730 + 367)
    authority.issue(["q04/rating"])
    assert [one.identity for one in authority.index().issued] == ["q04/rating"]


def test_this_machine_has_names() -> None:
    """The broker's certificate covers loopback and this machine's own name."""
    found = of_this_machine()
    assert {"localhost", "127.0.0.1", "::1"} <= set(found)
    assert all(name == name.strip() and name for name in found)
