"""Clear versions: whether the center's key is there and opens what its cameras send. Only looks."""

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import sqlalchemy as sa

from center.cameras.uploads import make_vault
from center.cameras.vault import VaultError
from center.config import Config
from center.errors import ConfigError, StoreError
from center.storage.reading import read_only
from center.storage.tables import clip
from contract.settings import explain_os_error
from host.doctor.finding import Finding, ok, problem, warning
from host.sealing import SealError, key_id, public_text, read_private_key, sealed_for


def judge(config: Config) -> Sequence[Finding]:
    """Hold the key against the newest clear version of each camera, by its first bytes; opens none."""
    file = Path(config.clips.reveal_key_file or "")
    back = "bring it back from the copy in the safe; where there never was one, motcua center clips-key makes it"
    try:
        private = read_private_key(file.read_text())
    except OSError as error:
        return [problem("reveal-key", f"{file} (clips.reveal_key_file): {explain_os_error(error)}", back)]
    except ValueError as error:
        return [problem("reveal-key", f"{file} (clips.reveal_key_file): {error}", back)]
    own, public = key_id(private.public_key()), public_text(private)
    others = []
    try:
        vault = make_vault(config)
        for camera, sha256 in _newest(config).items():
            # What is missing or damaged is told by `motcua center fsck`.
            with contextlib.suppress(FileNotFoundError, SealError), vault.open(sha256) as sealed:
                others += [camera] if sealed_for(sealed) != own else []
    except (ConfigError, StoreError, VaultError) as error:
        return [warning("reveal-unseen", f"no clear version can be looked at: {error}", "mend that first")]
    if others:
        says = f"{', '.join(others)}: seals clear versions for another key than {file}; nobody can open them with it"
        return [problem("reveal-other", says, f'center_key = "{public}" in [device.camera] of its station.toml')]
    return [ok("reveal-key", f"{file}: stations seal for center_key = {public}")]


def _newest(config: Config) -> Mapping[str, str]:
    """Return the hash of each camera's newest clear version."""
    newest = sa.func.max(clip.c.sealed_at).label("at")
    places = (clip.c.station, clip.c.device)
    here = sa.and_(clip.c.sealed_at.is_not(None), clip.c.wiping_at.is_(None), clip.c.wiped_at.is_(None))
    last = sa.select(*places, newest).where(here).group_by(*places).subquery()
    same = sa.and_(clip.c.station == last.c.station, clip.c.device == last.c.device, clip.c.sealed_at == last.c.at)
    with read_only(config.store_url) as connection:
        found = connection.execute(sa.select(*places, clip.c.sealed_sha256).join(last, same)).all()
    return {f"{row.station}/{row.device}": row.sealed_sha256 for row in found}
