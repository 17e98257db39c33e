"""The way to the center's HTTP address, for whatever a camera sends there, and one clear line for each way it fails.

`http.client` and `ssl` are 7 MB (half of them shared): they are imported when something is sent, not when a camera
starts.
"""

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from firmware.devices.camera.config import CameraConfig
from firmware.errors import ConfigError

if TYPE_CHECKING:
    from http.client import HTTPConnection
    from socket import socket

TIMEOUT_S = 15.0
"""Nothing that is asked of the center takes longer, from word to word."""

_NO_CHECK_TIME = 0x200000  # X509_V_FLAG_NO_CHECK_TIME of OpenSSL; Python's ssl does not name it
_BEGIN = b"-----BEGIN CERTIFICATE-----"

# X509_V_ERR_… of OpenSSL, by number
_NOT_TRUSTED = {
    7: "its certificate is of another authority than {ca}, which has the same name",
    9: "its certificate is not valid yet: is this device's clock right?",
    10: "its certificate has expired, or this device's clock is wrong",
    18: "its certificate is not one of {ca}",
    19: "its certificate is of another authority than {ca}",
    20: "its certificate is of another authority than {ca}",
    62: "its certificate is not good for the name {host}",
    64: "its certificate is not good for the address {host}",
}


def check_authority(config: CameraConfig) -> None:
    """Raise ConfigError where `center_ca` is no file with certificates."""
    if config.center_ca is None:
        return
    try:
        content = Path(config.center_ca).read_bytes()
    except OSError as error:
        raise ConfigError(f"center_ca: {config.center_ca}: {_strerror(error)}") from error
    if _BEGIN not in content:
        raise ConfigError(f"center_ca: {config.center_ca}: a file with PEM certificates, got one without any")


def connect(config: CameraConfig, *, clock_is_set: bool = True, timeout_s: float = TIMEOUT_S) -> "HTTPConnection":
    """Return a connection to the center, made just now; raise OSError, which `explain` puts into words.

    The authority's file is read anew each time. While the clock was never set the times in a certificate mean
    nothing: a Pi boots in the past.
    """
    import http.client

    address = urlsplit(config.center or "")
    host = address.hostname or ""
    connection: http.client.HTTPConnection
    if address.scheme == "https":
        import ssl

        context = ssl.create_default_context(cafile=config.center_ca)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if config.center_ca is not None:
            context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # it may be the center's own certificate
        if not clock_is_set:
            context.verify_flags |= ssl.VerifyFlags(_NO_CHECK_TIME)
        connection = http.client.HTTPSConnection(host, address.port, timeout=timeout_s, context=context)
    else:
        connection = http.client.HTTPConnection(host, address.port, timeout=timeout_s)
    try:
        connection.connect()
    except BaseException:
        connection.close()
        raise
    return connection


def cut(link: "socket | None") -> None:
    """End what another thread waits for on a socket; it may be closed."""
    import socket

    if link is not None:
        with suppress(OSError):
            socket.socket.shutdown(link, socket.SHUT_RDWR)  # of the socket itself: TLS stays as it is


def explain(error: Exception, config: CameraConfig) -> str:
    """Return in a few words why there is no talking to the center, and which key or file it is about."""
    host = urlsplit(config.center or "").hostname
    code = getattr(error, "verify_code", None)
    if code is not None:
        ca = f"{config.center_ca} (center_ca)" if config.center_ca else "those this machine trusts: set center_ca"
        meaning = _NOT_TRUSTED.get(code, f"its certificate is not accepted: {error}")
        return f"{config.center}: {meaning.format(ca=ca, host=host)}"
    if getattr(error, "reason", None) in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST"):
        return f"{config.center}: what answers there does not speak TLS: check the port of center"
    if isinstance(error, TimeoutError):
        return f"{config.center}: no answer"
    if isinstance(error, OSError):
        return f"{config.center}: {_strerror(error)}"
    return f"{config.center}: what answers there is not the center: {type(error).__name__}"


def _strerror(error: OSError) -> str:
    text = error.strerror or str(error) or type(error).__name__
    return text[:1].lower() + text[1:]
