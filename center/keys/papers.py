"""Keys and certificates: how they are made and signed. Pure but for chance; nothing here reads or writes a file.

ECDSA on P-256: every OpenSSL knows it, and a Pi signs with it in a millisecond.
"""

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from center.errors import KeysError

BEGINNING = datetime(2020, 1, 1, tzinfo=UTC)
"""From when on everything is valid: a machine may start with a clock that stands years back, and must still be let in.

systemd never lets a clock stand before its own release, which is later.
"""
ROOT_DAYS = 30 * 365
DAYS = 2 * 365
CRL_DAYS = 10 * 365
"""A list that has expired would shut everybody out; it is written anew at each start and each revocation."""
LONGEST_NAME = 64
"""X.509's upper bound of a common name."""

Use = Literal["client", "server"]


@dataclass(frozen=True, slots=True)
class Pair:
    """A private key and its certificate."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @property
    def pem(self) -> bytes:
        """Both in one text: a file of it can be replaced at one stroke, so that they always fit each other."""
        return self.key_pem + pem(self.certificate)

    @property
    def key_pem(self) -> bytes:
        """The key alone, without passphrase."""
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )


def make_root(center: str, *, now: datetime) -> Pair:
    """Return a new authority for one center."""
    key = _new_key()
    name = _name(f"Motcua {center}")
    builder = (
        _builder(name, key.public_key(), until=now + timedelta(days=ROOT_DAYS))
        .issuer_name(name)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_papers=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    return Pair(key, builder.sign(key, hashes.SHA256()))


def make(root: Pair, identity: str, *, use: Use, until: datetime, names: Sequence[str] = ()) -> Pair:
    """Return a new key, and a certificate for it that is good for one side of a connection only."""
    key = _new_key()
    return Pair(key, _certify(root, identity, key.public_key(), use=use, until=until, names=names))


def sign(root: Pair, request: bytes, identity: str, *, until: datetime) -> x509.Certificate:
    """Return a certificate for the key that a request (PEM) proves to have; raise KeysError for any other request.

    Only the key is taken from it: whose it is the caller must know better.
    """
    try:
        csr = x509.load_pem_x509_csr(request)
        proven = csr.is_signature_valid
        key = csr.public_key()
    except (ValueError, TypeError, InvalidSignature) as error:
        raise KeysError(f"the request for a certificate cannot be read: {error}") from error
    if not proven:
        raise KeysError("the request for a certificate is not signed by the key that it names")
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise KeysError("the request for a certificate names another kind of key than ECDSA on P-256")
    return _certify(root, identity, key, use="client", until=until)


def revocations(root: Pair, revoked: Iterable[tuple[int, datetime]], *, now: datetime) -> bytes:
    """Return the list (PEM) of certificates that are not to be accepted any more: serial number and since when."""
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(root.certificate.subject)
        .last_update(BEGINNING)
        .next_update(now + timedelta(days=CRL_DAYS))
    )
    for serial, at in revoked:
        builder = builder.add_revoked_certificate(
            x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(at).build()
        )
    return builder.sign(root.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def revoked_by(text: bytes) -> set[int]:
    """Return the serial numbers in a list of revocations (PEM); none where it cannot be read."""
    try:
        return {one.serial_number for one in x509.load_pem_x509_crl(text)}
    except ValueError:
        return set()


def load(text: bytes) -> Pair:
    """Return the pair of a text that `Pair.pem` made; raise KeysError."""
    try:
        key = serialization.load_pem_private_key(text, password=None)
        certificate = x509.load_pem_x509_certificate(text)
    except (ValueError, TypeError) as error:
        raise KeysError(f"no private key with its certificate, as PEM: {error}") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
        raise KeysError("the certificate and the key do not belong together")
    return Pair(key, certificate)


def pem(certificate: x509.Certificate) -> bytes:
    """Return a certificate as text."""
    return certificate.public_bytes(serialization.Encoding.PEM)


def names_of(certificate: x509.Certificate) -> tuple[str, ...]:
    """Return the host names and addresses a certificate is good for."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    return (
        *found.get_values_for_type(x509.DNSName),
        *(str(one) for one in found.get_values_for_type(x509.IPAddress)),
    )


def _certify(
    root: Pair, identity: str, key: ec.EllipticCurvePublicKey, *, use: Use, until: datetime, names: Sequence[str] = ()
) -> x509.Certificate:
    purpose = ExtendedKeyUsageOID.CLIENT_AUTH if use == "client" else ExtendedKeyUsageOID.SERVER_AUTH
    builder = (
        _builder(_name(identity), key, until=until)
        .issuer_name(root.certificate.subject)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_papers=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([purpose]), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(root.key.public_key()), critical=False)
    )
    if names:
        builder = builder.add_extension(
            x509.SubjectAlternativeName([_general_name(one) for one in names]), critical=False
        )
    return builder.sign(root.key, hashes.SHA256())


def _builder(name: x509.Name, key: ec.EllipticCurvePublicKey, *, until: datetime) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(BEGINNING)
        .not_valid_after(until)
    )


def _new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _key_usage(*, signs_papers: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_papers,
        key_cert_sign=signs_papers,
        crl_sign=signs_papers,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
