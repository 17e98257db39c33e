"""The pages' own files: read once, packed once, named by their content so that browsers may keep them for ever."""

import gzip
import hashlib
from pathlib import Path

import msgspec

_TYPES = {".css": b"text/css; charset=utf-8", ".js": b"text/javascript; charset=utf-8", ".svg": b"image/svg+xml"}
_HERE = Path(__file__).parent


class Asset(msgspec.Struct, frozen=True, kw_only=True):
    """One file as it is sent."""

    media_type: bytes
    plain: bytes
    packed: bytes


class Assets:
    """All files below `static/`; `version` changes when one of them or a template does."""

    def __init__(self, folder: Path = _HERE / "static", templates: Path = _HERE / "templates") -> None:
        self._files: dict[str, Asset] = {}
        digest = hashlib.sha256()
        for path in sorted(folder.iterdir()):
            if path.suffix not in _TYPES:
                continue
            content = path.read_bytes()
            digest.update(content)
            self._files[path.name] = Asset(
                media_type=_TYPES[path.suffix], plain=content, packed=gzip.compress(content, 9, mtime=0)
            )
        for path in sorted(templates.iterdir()):
            digest.update(path.read_bytes())
        self.version = digest.hexdigest()[:12]

    def get(self, name: str) -> Asset | None:
        """Return a file by its name."""
        return self._files.get(name)

    @property
    def root(self) -> str:
        """Where pages find the files of this version."""
        return f"/static/{self.version}"
