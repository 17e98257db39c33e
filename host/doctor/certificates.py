"""Certificates in files: whose they are and until when. Read with the program openssl, which every Debian has."""

import ssl
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from host.doctor.finding import Finding, ok, problem, warning

SOON_DAYS = 30
_TIMEOUT_S = 5


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """A certificate; `fault` says why there is none to be read."""

    path: Path
    subject: str = ""
    issuer: str = ""
    begins: datetime | None = None
    ends: datetime | None = None
    fault: str = ""


def probe(path: Path, *, openssl: str = "openssl") -> CertificateFacts:
    """Read the first certificate of a PEM file."""
    command = [openssl, "x509", "-noout", "-subject", "-issuer", "-dates", "-nameopt", "RFC2253", "-in", str(path)]
    try:
        path.open("rb").close()
        done = subprocess.run(  # noqa: S603 - Debian's openssl
            command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )
    except OSError as error:
        missing = error.filename != str(path)
        reason = "cannot be read: the program openssl is missing" if missing else (error.strerror or str(error)).lower()
        return CertificateFacts(path, fault=reason)
    except subprocess.TimeoutExpired:
        return CertificateFacts(path, fault="openssl does not answer")
    if done.returncode:
        return CertificateFacts(path, fault="is no certificate in PEM")
    told = dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
    return CertificateFacts(
        path,
        subject=told.get("subject", "").strip(),
        issuer=told.get("issuer", "").strip(),
        begins=instant(told.get("notBefore")),
        ends=instant(told.get("notAfter")),
    )


def instant(text: str | None) -> datetime | None:
    """Return the time of a certificate's date, as OpenSSL and Python's ssl write it."""
    try:
        return datetime.fromtimestamp(ssl.cert_time_to_seconds(text or ""), UTC)
    except ValueError:
        return None


def judge(facts: CertificateFacts, *, key: str, now: datetime, renew: str) -> Sequence[Finding]:
    """Judge a certificate that setting `key` names; `renew` is what to do before it ends."""
    if facts.fault:
        return [
            problem("certificate-unread", f"{facts.path} ({key}): {facts.fault}", f"put it there, or correct {key}")
        ]
    return [judge_dates(f"{facts.path} ({key}, {facts.subject})", facts.begins, facts.ends, now=now, renew=renew)]


def judge_dates(what: str, begins: datetime | None, ends: datetime | None, *, now: datetime, renew: str) -> Finding:
    """Judge how long a certificate is still good for."""
    if begins is not None and now < begins:
        return problem(
            "certificate-early",
            f"{what} begins on {begins:%Y-%m-%d}, and here it is {now:%Y-%m-%d}",
            "the clock here is behind, or was ahead where it was made: timedatectl on both",
        )
    if ends is None:
        return warning("certificate-dates", f"{what} has no date that can be read", renew)
    days = (ends - now).days
    if now >= ends:
        return problem("certificate-ended", f"{what} ended on {ends:%Y-%m-%d}", renew)
    if days < SOON_DAYS:
        return warning("certificate-ends", f"{what} ends in {days} days, on {ends:%Y-%m-%d}", renew)
    return ok("certificate", f"{what} is good for {days} days")
