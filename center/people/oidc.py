"""Logging in by another login of the office: OpenID Connect, authorization code with PKCE. Loaded only where it is set.

Nothing is kept here of whoever has left for the provider and not come back. What they need for it travels in a signed
cookie, and nonce and PKCE verifier are derived from its state by a key that only this process has: so a flood of logins
that nobody finishes fills nothing, and a restart costs whoever is on the way one more press.
"""

import asyncio
import base64
import hashlib
import hmac
import http.client
import json
import logging
import re
import secrets
import ssl
import time
import unicodedata
from collections import OrderedDict
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, urlencode, urlsplit

import msgspec
from joserfc import jwk, jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jws import JWSRegistry

from center.clock import Clock
from center.config import Oidc, keeps_secrets
from center.errors import ConfigError
from center.people.model import FULL_NAME_LENGTH, ROLES, Identity, PeopleError, account_name, full_name

log = logging.getLogger(__name__)

T = TypeVar("T")

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "Ed25519")
"""Signatures of a key that only the provider has: neither `none` nor those by a secret that is known here."""

AWAY_S = 600.0
"""So long somebody may stay at the provider."""

LEEWAY_S = 60
FRESH_S = 60.0
"""So long it is believed that the provider is there, and where its pages are."""
KEYS_S = 3600.0
PATIENCE_S = 5.0
"""For each step of one question to the provider; twice that for all of it."""

_AT_ONCE, _WAITING = 4, 16
_LARGEST = 256 * 1024
_USED = 4096
_REGISTRY = JWSRegistry(algorithms=ALGORITHMS, strict_check_header=False)


class UntrustedError(PeopleError):
    """The provider's answer cannot be believed; `reason` is for the operator."""

    def __init__(self, label: str, reason: str) -> None:
        super().__init__("oidc_failed", label=label)
        self.reason = reason


class _DownError(Exception):
    """The provider does not answer, or not as one."""


class Metadata(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider says of itself, as far as it is needed."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)


class Tokens(msgspec.Struct, frozen=True, kw_only=True):
    """What a code is worth; nothing but the ID token is used."""

    id_token: str


class Provider:
    """One OpenID Connect provider. Its methods belong to the event loop; whatever waits for it does so in a thread."""

    def __init__(self, config: Oidc, *, origin: str, path: str, clock: Clock) -> None:
        self._config, self._clock = config, clock
        self.origin, self._redirect_to = origin, f"{origin}{path}"
        self._secret = _read_secret(config.client_secret_file)
        self._tls = _tls(config.ca_file)
        self._threads = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="oidc")
        self._asked = 0
        self._key = secrets.token_bytes(32)
        self._used: OrderedDict[str, None] = OrderedDict()
        self._asking = asyncio.Lock()
        self._metadata: tuple[Metadata | None, float] = None, 0.0  # until when it is believed
        self._keys: tuple[jwk.KeySet | None, float] = None, 0.0
        self._down = False

    @property
    def label(self) -> str:
        """How people call it."""
        return self._config.label

    def close(self) -> None:
        """Let the threads go."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    # --- there and back --------------------------------------------------------------------------------------------

    async def leave(self, to: str) -> tuple[str, str]:
        """Return the provider's address to go to, and the cookie to come back with; afterwards it goes on to `to`."""
        metadata = await self._ask_metadata()
        state = secrets.token_urlsafe(32)
        asked = {
            "response_type": "code",
            "client_id": self._config.client_id,
            "redirect_uri": self._redirect_to,
            "scope": " ".join(self._config.scopes),
            "state": state,
            "nonce": self._derived("nonce", state),
            "code_challenge": _base64(hashlib.sha256(self._derived("verifier", state).encode()).digest()),
            "code_challenge_method": "S256",
        }
        mark = "&" if "?" in metadata.authorization_endpoint else "?"
        until_s = self._clock.monotonic_s() + AWAY_S
        body = _base64(json.dumps([state, until_s, to]).encode())
        return f"{metadata.authorization_endpoint}{mark}{urlencode(asked)}", f"{body}.{self._derived('cookie', body)}"

    async def back(self, cookie: str, answer: Mapping[str, str]) -> tuple[Identity, str]:
        """Return who has come back and where they wanted to go; raise PeopleError where it is not to be believed."""
        state, to = self._opened(cookie, answer.get("state", ""))
        if answer.get("iss", self._config.issuer) != self._config.issuer:
            raise self._untrusted("the answer is of another issuer")
        if "code" not in answer:
            error = answer.get("error", "")
            raise PeopleError(
                "oidc_refused", label=self.label, reason=error if re.fullmatch("[a-z_]{1,40}", error) else "?"
            )
        metadata = await self._ask_metadata()
        token = await self._redeem(metadata, answer["code"], self._derived("verifier", state))
        nonce = self._derived("nonce", state)
        try:
            claims = self._checked(token, await self._ask_keys(metadata), nonce)
        except InvalidKeyIdError:  # the provider may have changed its keys since
            try:
                claims = self._checked(token, await self._ask_keys(metadata, anew=True), nonce)
            except JoseError as error:
                raise self._untrusted(f"the token's key is unknown: {error}") from error
        except JoseError as error:
            raise self._untrusted(f"the token is no good: {error}") from error
        return identity(claims, self._config), to

    def _opened(self, cookie: str, state: str) -> tuple[str, str]:
        """Return state and destination of a cookie that is ours, of this very login, and used for the first time."""
        body, _, signature = cookie.partition(".")
        stale = PeopleError("oidc_stale")
        if not hmac.compare_digest(signature.encode(), self._derived("cookie", body).encode()):
            raise stale
        ours, until_s, to = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        good = hmac.compare_digest(ours.encode(), state.encode())
        if not good or self._clock.monotonic_s() > until_s or state in self._used:
            raise stale
        self._used[state] = None
        if len(self._used) > _USED:
            self._used.popitem(last=False)
        return state, to

    def _checked(self, token: str, keys: jwk.KeySet, nonce: str) -> dict[str, Any]:
        """Return the claims of an ID token that the provider made for us, now, and for this very login."""
        claims = jwt.decode(token, keys, registry=_REGISTRY).claims
        jwt.JWTClaimsRegistry(
            now=self._clock.now_ms() // 1000,
            leeway=LEEWAY_S,
            iss={"essential": True, "value": self._config.issuer},
            aud={"essential": True, "value": self._config.client_id},
            sub={"essential": True},
            exp={"essential": True},
            iat={"essential": True},
            nonce={"essential": True, "value": nonce},
        ).validate(claims)
        several = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
        if claims.get("azp", None if several else self._config.client_id) != self._config.client_id:
            raise self._untrusted("the token is for another program")
        return claims

    def _derived(self, purpose: str, of: str) -> str:
        return _base64(hmac.digest(self._key, f"{purpose} {of}".encode(), "sha256"))

    def _untrusted(self, reason: str) -> UntrustedError:
        reason = "".join(one if one.isprintable() else "?" for one in reason[:200])  # part of it comes from outside
        log.warning("a login by %s was refused: %s", self._config.issuer, reason)
        return UntrustedError(self.label, reason)

    # --- what is asked of the provider -----------------------------------------------------------------------------

    async def _ask_metadata(self) -> Metadata:
        async with self._asking:
            known, until_s = self._metadata
            if self._clock.monotonic_s() >= until_s:
                url = f"{self._config.issuer.rstrip('/')}/.well-known/openid-configuration"
                try:
                    known = self._sound(await self._get(url, Metadata))
                except _DownError as error:
                    self._metadata = None, self._clock.monotonic_s() + PATIENCE_S  # who waits here hears it at once
                    raise self._away(error) from error
                self._metadata = known, self._clock.monotonic_s() + FRESH_S
                if self._down:
                    log.info("%s answers again", self._config.issuer)
                self._down = False
            if known is None:
                raise PeopleError("oidc_down", label=self.label)
            return known

    def _sound(self, found: Metadata) -> Metadata:
        if found.issuer != self._config.issuer:
            raise _DownError(
                f"it calls itself {found.issuer[:200]}: set people.oidc.issuer to exactly that if it is right"
            )
        for url in (found.authorization_endpoint, found.token_endpoint, found.jwks_uri):
            if not keeps_secrets(url):
                raise _DownError(f"it names an address that does not begin with https://: {url[:200]}")
        return found

    async def _ask_keys(self, metadata: Metadata, *, anew: bool = False) -> jwk.KeySet:
        known, until_s = self._keys
        if known is None or anew or self._clock.monotonic_s() >= until_s:
            try:
                known = _key_set(await self._get(metadata.jwks_uri, dict[str, Any]))
            except _DownError as error:
                raise self._away(error) from error
            self._keys = known, self._clock.monotonic_s() + KEYS_S
        return known

    async def _redeem(self, metadata: Metadata, code: str, verifier: str) -> str:
        """Return the ID token that a code is worth."""
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._redirect_to,
            "code_verifier": verifier,
        }
        headers = {"content-type": "application/x-www-form-urlencoded"}
        ways = metadata.token_endpoint_auth_methods_supported
        if self._secret and ("client_secret_basic" in ways or "client_secret_post" not in ways):
            both = f"{quote(self._config.client_id, safe='')}:{quote(self._secret, safe='')}"
            headers["authorization"] = f"Basic {base64.b64encode(both.encode()).decode()}"
        else:
            form["client_id"] = self._config.client_id
            if self._secret:
                form["client_secret"] = self._secret
        try:
            status, content = await self._fetch(metadata.token_endpoint, urlencode(form).encode(), headers)
        except _DownError as error:
            raise self._away(error) from error
        if status >= 500:
            raise self._away(_DownError(f"{metadata.token_endpoint} answers {status}"))
        if status != 200:
            raise self._untrusted(f"it does not redeem its code: {status} {_word(content)}")
        try:
            return msgspec.json.decode(content, type=Tokens).id_token
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise self._untrusted(f"no ID token: {error}") from error

    def _away(self, error: _DownError) -> PeopleError:
        if not self._down:
            log.warning("%s: no login by it: %s; passwords of this center work", self._config.issuer, error)
        self._down = True
        return PeopleError("oidc_down", label=self.label)

    async def _get(self, url: str, kind: type[T]) -> T:
        status, content = await self._fetch(url, None, {})
        if status != 200:
            raise _DownError(f"{url} answers {status}")
        try:
            return msgspec.json.decode(content, type=kind)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise _DownError(f"{url}: {error}") from error

    async def _fetch(self, url: str, body: bytes | None, headers: dict[str, str]) -> tuple[int, bytes]:
        if self._asked >= _AT_ONCE + _WAITING:
            raise PeopleError("logins_busy", seconds=2)
        self._asked += 1
        try:
            asked = asyncio.get_running_loop().run_in_executor(self._threads, fetch, url, body, headers, self._tls)
            return await asyncio.wait_for(asked, 2 * PATIENCE_S)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise _DownError(f"{url}: {str(error) or type(error).__name__}") from error
        finally:
            self._asked -= 1


def fetch(url: str, body: bytes | None, headers: dict[str, str], tls: ssl.SSLContext) -> tuple[int, bytes]:
    """GET an address, or POST to it; follows nothing, and reads neither forever nor without end."""
    parts = urlsplit(url)
    host, give_up_s = parts.hostname or "", time.monotonic() + 2 * PATIENCE_S
    connection: http.client.HTTPConnection
    if parts.scheme == "https":
        connection = http.client.HTTPSConnection(host, parts.port, timeout=PATIENCE_S, context=tls)
    else:
        connection = http.client.HTTPConnection(host, parts.port, timeout=PATIENCE_S)
    try:
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        every = {"accept": "application/json", "user-agent": "motcua", **headers}
        connection.request("GET" if body is None else "POST", path, body, every)
        answer = connection.getresponse()
        content = b""
        while chunk := answer.read1(65_536):
            content += chunk
            if len(content) > _LARGEST or time.monotonic() > give_up_s:
                raise ValueError("the answer is too long")
        return answer.status, content
    finally:
        connection.close()


# --- pure ----------------------------------------------------------------------------------------------------------


def identity(claims: Mapping[str, Any], config: Oidc) -> Identity:
    """Return who somebody is here, by what a checked ID token says of them."""
    said = json.dumps([config.issuer, claims["sub"]])
    subject = hashlib.sha256(said.encode()).hexdigest()
    name = _name(claims.get("preferred_username") or claims.get("email"), subject)
    return Identity(
        subject=subject, name=name, full_name=_full_name(claims.get("name"), name), role=_role(claims, config)
    )


def _role(claims: Mapping[str, Any], config: Oidc) -> Any:
    """Return the role of the first line of the file that fits; a claim inside others is named with dots."""
    found: Any = claims.get(config.role_claim)
    if found is None:
        found = claims
        for part in config.role_claim.split("."):
            found = found.get(part) if isinstance(found, dict) else None
    given = [found] if isinstance(found, str) else found if isinstance(found, list) else []
    meant = next((role for value, role in config.roles.items() if value in given), None)
    return next((role for role in ROLES if role == meant), None)


def _name(said: Any, subject: str) -> str:
    """Return a name as ours are, made of what the provider calls somebody; else of the subject."""
    letters = unicodedata.normalize("NFD", str(said or "").partition("@")[0].lower().replace("đ", "d"))
    plain = "".join(one for one in letters if not unicodedata.combining(one))
    try:
        return account_name(re.sub(r"[^a-z0-9._-]+", ".", plain)[:32].strip("._-"))
    except PeopleError:
        return f"oidc-{subject[:12]}"


def _full_name(said: Any, name: str) -> str:
    try:
        return full_name(" ".join(str(said or "").split())[:FULL_NAME_LENGTH])
    except PeopleError:
        return name


def _key_set(found: dict[str, Any]) -> jwk.KeySet:
    """Return the keys that may sign; what is no such key is not ours to understand."""
    keys = []
    for one in found.get("keys") or []:
        if isinstance(one, dict) and one.get("kty") in ("RSA", "EC", "OKP") and one.get("use", "sig") == "sig":
            try:
                keys.append(jwk.import_key(one))
            except (JoseError, ValueError, TypeError, KeyError) as error:
                log.debug("a key of the provider is not understood: %s", error)
    if not keys:
        raise _DownError("it names no key that signs")
    return jwk.KeySet(keys)


def _word(content: bytes) -> str:
    """Return the error that a token endpoint names, if it is a plain word."""
    found = re.search(rb'"error"\s*:\s*"([a-z_]{1,40})"', content)
    return found[1].decode() if found else ""


def _base64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


# --- what the file names -------------------------------------------------------------------------------------------


def _read_secret(path: str | None) -> str:
    if path is None:
        return ""
    try:
        secret = Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise ConfigError(
            f"{path}: people.oidc.client_secret_file: a file with the secret on one line: {reason}"
        ) from error
    if not secret:
        raise ConfigError(f"{path}: people.oidc.client_secret_file: a secret, got an empty file")
    return secret


def _tls(ca_file: str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:  # ssl.SSLError is one
        reason = error.strerror or error
        raise ConfigError(f"{ca_file}: people.oidc.ca_file: certificates in PEM: {reason}") from error
