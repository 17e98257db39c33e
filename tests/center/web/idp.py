"""An OpenID Connect provider for tests: its own keys, and HTTP on loopback. It lies where a test tells it to."""

import base64
import hashlib
import hmac
import json
import secrets
import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

from joserfc import jws
from joserfc.jwk import ECKey

CLIENT = "motcua"
SECRET = "a secret: with %, & and ü"  # noqa: S105 (of a provider that exists in tests only)


class Idp:
    """Everybody who comes is Trần Văn Bình, an officer; a test changes that in `claims`, and how it is signed."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.issuer = f"http://localhost:{self._server.server_port}"  # another site than the center's 127.0.0.1
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
            self.issuer = f"https://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), name="idp")
        self.key = ECKey.generate_key("P-256", {"kid": "first", "use": "sig", "alg": "ES256"})
        self._codes: dict[str, dict[str, str]] = {}
        self.heard: list[str] = []
        self.asks = False
        self.reset()
        self._thread.start()

    def reset(self) -> None:
        """Be honest again."""
        self.claims: dict[str, Any] = {}
        self.signed_by: Any = self.key
        self.header: dict[str, Any] = {"alg": "ES256", "kid": self.key.kid}
        self.error = ""
        self.asks = False

    def stop(self) -> None:
        """Go away."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def rotate(self) -> None:
        """Sign by a new key from now on; the old one is not published any more."""
        self.key = ECKey.generate_key("P-256", {"kid": secrets.token_hex(4), "use": "sig", "alg": "ES256"})
        self.reset()

    # --- what it answers -------------------------------------------------------------------------------------------

    def metadata(self) -> dict[str, Any]:
        """Say where everything is."""
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/jwks",
            "response_types_supported": ["code"],
        }

    def keys(self) -> dict[str, Any]:
        """Publish the key that signs, and two that are none of that."""
        strange = {"kty": "AKP", "kid": "of-tomorrow", "alg": "ML-DSA-44", "pub": "AA"}
        crypts = {**ECKey.generate_key("P-256").as_dict(private=False), "kid": "crypts", "use": "enc"}
        return {"keys": [strange, crypts, self.key.as_dict(private=False)]}

    def authorize(self, asked: dict[str, str]) -> str:
        """Return where to send somebody who has logged in here."""
        assert asked["client_id"] == CLIENT
        assert asked["response_type"] == "code"
        assert asked["code_challenge_method"] == "S256"
        assert "openid" in asked["scope"].split()
        answer = {"state": asked["state"], "iss": self.issuer}
        if self.error:
            answer["error"] = self.error
        else:
            answer["code"] = secrets.token_urlsafe(8)
            self._codes[answer["code"]] = asked
        return f"{asked['redirect_uri']}?{urlencode(answer)}"

    def redeem(self, form: dict[str, str], authorization: str) -> dict[str, Any] | None:
        """Return the tokens of a code: once, to who has its secret and its verifier; None for anybody else."""
        asked = self._codes.pop(form["code"], None)
        name_and_secret = urlencode([("", CLIENT)])[1:] + ":" + urlencode([("", SECRET)])[1:].replace("+", "%20")
        challenge = hashlib.sha256(form["code_verifier"].encode()).digest()
        if (
            asked is None
            or authorization != f"Basic {base64.b64encode(name_and_secret.encode()).decode()}"
            or _base64(challenge) != asked["code_challenge"]
            or form["redirect_uri"] != asked["redirect_uri"]
        ):
            return None
        return {"access_token": "unused", "token_type": "Bearer", "id_token": self.token(asked["nonce"])}

    def token(self, nonce: str) -> str:
        """Return an ID token as the test wants it."""
        now = int(time.time())
        claims = {
            "iss": self.issuer, "aud": CLIENT, "sub": "binh", "iat": now, "exp": now + 300, "nonce": nonce,
            "preferred_username": "Bình.Trần@bentre.example", "name": "Trần Văn Bình", "groups": ["staff", "desk"],
            **self.claims,
        }  # fmt: skip
        payload = json.dumps({key: value for key, value in claims.items() if value is not None}).encode()
        if self.header["alg"] == "none":
            return f"{_base64(json.dumps(self.header).encode())}.{_base64(payload)}."
        if self.header["alg"] == "HS256":  # as if the public key, which everybody knows, were a secret
            signed = ".".join(map(_base64, (json.dumps(self.header).encode(), payload)))
            known = self.key.as_pem(private=False)
            return f"{signed}.{_base64(hmac.digest(known, signed.encode(), 'sha256'))}"
        return jws.serialize_compact(self.header, payload, self.signed_by, [self.header["alg"]])


def _base64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _handler(idp: Idp) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            idp.heard.append(parts.path)
            match parts.path:
                case "/.well-known/openid-configuration":
                    self._json(200, idp.metadata())
                case "/jwks":
                    self._json(200, idp.keys())
                case "/authorize":
                    there = idp.authorize(dict(parse_qsl(parts.query)))
                    if not idp.asks:
                        self._send(302, b"", location=there)
                        return
                    page = '<!doctype html><title>SSO</title><form action="/in" method="post"><input type="hidden" '
                    page += f'name="to" value="{there.replace("&", "&amp;")}"><button>Bình</button></form>'
                    self._send(200, page.encode(), **{"content-type": "text/html; charset=utf-8"})
                case _:
                    self._send(404, b"")

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"])).decode()
            if self.path == "/in":
                self._send(302, b"", location=parse_qs(body)["to"][0])
                return
            tokens = idp.redeem(dict(parse_qsl(body)), self.headers.get("authorization", ""))
            self._json(*((400, {"error": "invalid_grant"}) if tokens is None else (200, tokens)))

        def _json(self, status: int, content: Any) -> None:
            self._send(status, json.dumps(content).encode(), **{"content-type": "application/json"})

        def _send(self, status: int, content: bytes, **headers: str) -> None:
            self.send_response(status)
            for name, value in {**headers, "content-length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    return Handler
