"""Certificates in files: whose they are and until when."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from host.doctor import certificates
from tests.support.certificates import Office

NOW = datetime.now(UTC)


@pytest.mark.parametrize(
    ("days", "code", "level"),
    [
        ((-1, 400), "certificate", "ok"),
        ((-1, 29), "certificate-ends", "warning"),
        ((-400, -1), "certificate-ended", "problem"),
        ((1, 400), "certificate-early", "problem"),
    ],
)
def test_how_long_a_certificate_is_good_for(tmp_path: Path, days: tuple[int, int], code: str, level: str) -> None:
    """A certificate is named with its owner; from a month before its end on it is a warning, then a problem."""
    paper = Office(tmp_path).paper("q01/rating", days=days)
    facts = certificates.probe(paper.certificate)
    (finding,) = certificates.judge(facts, key="broker.cert_file", now=NOW, renew="renew it")
    assert (finding.code, finding.level) == (code, level)
    assert f"{paper.certificate} (broker.cert_file, CN=q01/rating)" in finding.says


def test_a_certificate_is_read_whole(tmp_path: Path) -> None:
    """Owner, signer and both dates are read, also behind a key in the same file."""
    paper = Office(tmp_path).paper("q01/rating", days=(-1, 10))
    both = tmp_path / "both.pem"
    both.write_bytes(paper.key.read_bytes() + paper.certificate.read_bytes())
    facts = certificates.probe(both)
    assert (facts.subject, facts.issuer, facts.fault) == ("CN=q01/rating", "CN=Motcua bentre", "")
    assert facts.begins is not None
    assert facts.ends is not None
    assert abs(facts.ends - facts.begins - timedelta(days=11)) < timedelta(seconds=2)


def test_what_is_no_certificate_is_a_problem(tmp_path: Path) -> None:
    """A missing file, a text, and a machine without openssl are told apart."""
    text = tmp_path / "text.pem"
    text.write_text("hello")
    assert certificates.probe(tmp_path / "none.pem").fault == "no such file or directory"
    assert certificates.probe(text).fault == "is no certificate in PEM"
    assert certificates.probe(text, openssl="/none").fault == "cannot be read: the program openssl is missing"
    (finding,) = certificates.judge(certificates.probe(text), key="broker.ca_file", now=NOW, renew="")
    assert (finding.code, finding.level) == ("certificate-unread", "problem")
