"""Whom a device trusts and who it is: the TLS of one connection, and one clear line for each way in which it fails.

`ssl` is imported in the functions: who talks without TLS does not pay for it.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from firmware.config import BrokerConfig
from firmware.errors import ConfigError

if TYPE_CHECKING:
    from ssl import SSLContext

_NO_CHECK_TIME = 0x200000  # X509_V_FLAG_NO_CHECK_TIME of OpenSSL; Python's ssl does not name it

# X509_V_ERR_… of OpenSSL, by number
_THEIR_CERTIFICATE = {
    9: "the broker's certificate is not valid yet: is this device's clock right?",
    10: "the broker's certificate has expired, or this device's clock is wrong",
    18: "the broker's certificate is of another authority than {ca}: was this device provisioned by another center?",
    19: "the broker's certificate is of another authority than {ca}: was this device provisioned by another center?",
    20: "the broker's certificate is of another authority than {ca}: was this device provisioned by another center?",
    26: "what answers there is no broker: its certificate is for devices",
    62: "the broker's certificate is not good for {host}: add that to names under [broker] of center.toml",
    64: "the broker's certificate is not good for {host}: add that to names under [broker] of center.toml",
}
_REFUSED = {
    "SSLV3_ALERT_CERTIFICATE_REVOKED": "the certificate of this device was revoked: motcua provision makes new keys",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "the certificate of this device has expired: motcua provision makes new keys",
    "TLSV1_ALERT_UNKNOWN_CA": "the broker does not know the authority of this device's certificate: was it provisioned"
    " by another center?",
}
"""Only new keys mend these."""
_OUR_CERTIFICATE = _REFUSED | {
    "SSLV3_ALERT_HANDSHAKE_FAILURE": "the broker asks for a certificate: set keys_dir under [broker]",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "the broker asks for a certificate: set keys_dir under [broker]",
    "WRONG_VERSION_NUMBER": "what answers there does not speak TLS: check port under [broker]",
}
_OUR_FILE = {
    "KEY_VALUES_MISMATCH": "the key does not fit the certificate",
    "NO_CERTIFICATE_OR_CRL_FOUND": "there is no certificate in it",
    "NO_START_LINE": "there is no certificate in it",
    "PEM lib": "there is no key, or no certificate, in it",
}


def tls_context(broker: BrokerConfig, *, clock_is_set: bool = True, oldest: bool = False) -> "SSLContext | None":
    """Return how to trust and be trusted, read anew from the files; raise ConfigError for one that cannot be used.

    While the clock was never set the times in the broker's certificate mean nothing: a Pi boots in the past. `oldest`
    keeps to TLS 1.2, by which a broker says why it refuses a certificate; 1.3 just ends.
    """
    if broker.ca_file is None:
        return None
    import ssl

    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    if oldest:
        made.maximum_version = ssl.TLSVersion.TLSv1_2
    if not clock_is_set:
        made.verify_flags |= ssl.VerifyFlags(_NO_CHECK_TIME)
    try:
        made.load_verify_locations(broker.ca_file)
    except OSError as error:
        raise ConfigError(
            f"{broker.ca_file}: broker.{_setting(broker, 'ca_file')}: a readable file with PEM certificates, got:"
            f" {_reason(error)}"
        ) from error
    if broker.cert_file is not None:
        try:
            # An empty passphrase: a key that wants one is an error here, and never a question at a terminal.
            made.load_cert_chain(broker.cert_file, broker.key_file, password="")
        except OSError as error:
            raise ConfigError(
                f"{broker.cert_file}: broker.{_setting(broker, 'cert_file, key_file')}: a PEM certificate and its key"
                f" without passphrase, got: {_reason(error)}{_others(broker)}"
            ) from error
    return made


def explain_tls(error: OSError, broker: BrokerConfig) -> str | None:
    """Return what a failed connection means for keys and certificates; None if it is no matter of theirs."""
    code = getattr(error, "verify_code", None)
    if code is not None:
        meaning = _THEIR_CERTIFICATE.get(code, f"the broker's certificate is not accepted: {error}")
        return meaning.format(ca=broker.ca_file, host=broker.host)
    return _OUR_CERTIFICATE.get(getattr(error, "reason", None) or "")


def needs_new_keys(error: OSError) -> bool:
    """Whether the broker has refused the certificate itself, which waiting does not mend."""
    return getattr(error, "reason", None) in _REFUSED


def _reason(error: OSError) -> str:
    known = _OUR_FILE.get(getattr(error, "reason", None) or "PEM lib" * ("PEM lib" in str(error)))
    return known or (error.strerror[:1].lower() + error.strerror[1:] if error.strerror else str(error))


def _setting(broker: BrokerConfig, otherwise: str) -> str:
    return otherwise if broker.keys_dir is None else "keys_dir"


def _others(broker: BrokerConfig) -> str:
    """Say whose keys there are, where a device's own are missing: most often the station has another name."""
    if broker.keys_dir is None or broker.cert_file is None or Path(broker.cert_file).exists():
        return ""
    found = sorted(f"{file.parent.name}/{file.stem}" for file in Path(broker.keys_dir).glob("*/*.pem"))
    return f"; there are keys for {', '.join(found) or 'nobody'} (motcua device install FILE)"
