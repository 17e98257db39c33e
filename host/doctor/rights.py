"""Who may read and write: judged by a file's owner and mode, for the user that a unit runs as."""

import grp
import os
import pwd
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from host.doctor.finding import Finding, ok, problem, warning


@dataclass(frozen=True, slots=True)
class User:
    """Who a program runs as."""

    name: str
    uid: int
    gids: frozenset[int]


@dataclass(frozen=True, slots=True)
class FileFacts:
    """A file, folder or device node; `mode` is None when it is not there, with the reason."""

    path: Path
    mode: int | None
    uid: int = 0
    gid: int = 0
    group: str = ""
    reason: str = ""
    closed_by: "FileFacts | None" = None
    """The folder above it that not everybody may pass, the innermost one."""


def user_of(name: str) -> User | None:
    """Return a user of this machine; None if there is none of this name."""
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return None
    return User(name, entry.pw_uid, frozenset(os.getgrouplist(name, entry.pw_gid)))


def gids_of(group: str) -> frozenset[int]:
    """Return the number of a group of this machine, for what a unit adds to its user; nothing if there is none."""
    try:
        return frozenset((grp.getgrnam(group).gr_gid,))
    except KeyError:
        return frozenset()


def current_user() -> User:
    """Return who runs this program."""
    uid = os.geteuid()
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        name = str(uid)
    return User(name, uid, frozenset((os.getegid(), *os.getgroups())))


def probe(path: Path) -> FileFacts:
    """Look at a file's owner and mode, not into it."""
    found = _plain(path)
    closed = next((each for each in map(_plain, path.parents) if each.mode is not None and not each.mode & 1), None)
    return FileFacts(found.path, found.mode, found.uid, found.gid, found.group, found.reason, closed)


def may(user: User, file: FileFacts, *, want: int) -> bool:
    """Whether a user has the rights `want` (4 read, 2 write, 1 pass) to a file, and may come to it."""
    if file.mode is None:
        return False
    if user.uid == 0:
        return True
    if file.closed_by is not None and not may(user, file.closed_by, want=1):
        return False
    shift = 6 if user.uid == file.uid else 3 if file.gid in user.gids else 0
    return file.mode >> shift & want == want


def judge_config(file: FileFacts, user: User) -> Sequence[Finding]:
    """Judge whether a program can read its configuration; what is no mistake is no line."""
    if may(user, file, want=4):
        return []
    return [
        problem(
            "config-closed",
            f"{file.path} may not be read by the user {user.name}",
            f"sudo chgrp {user.name} {file.path} && sudo chmod 640 {file.path}",
        )
    ]


def judge_secret(file: FileFacts, user: User, *, key: str) -> Sequence[Finding]:
    """Judge a file that holds a key or a password, which setting `key` names."""
    if file.mode is None:
        return [problem("secret-missing", f"{file.path} ({key}): {file.reason}", f"put it there, or correct {key}")]
    if file.mode & 0o007:
        return [
            problem(
                "secret-open",
                f"{file.path} ({key}) may be read by everybody on this machine",
                f"sudo chmod o= {file.path}; if strangers have logins here, make a new one",
            )
        ]
    if not may(user, file, want=4):
        return [
            problem(
                "secret-closed",
                f"{file.path} ({key}) may not be read by the user {user.name}",
                f"sudo chgrp {user.name} {file.path} && sudo chmod 640 {file.path}",
            )
        ]
    return [ok("secret", f"{file.path} ({key}) is for {user.name} alone")]


def judge_folder(file: FileFacts, user: User) -> Sequence[Finding]:
    """Judge a folder that a user has to write in."""
    if file.mode is None:
        return [
            warning(
                "folder-missing",
                f"{file.path}: {file.reason}",
                "its unit makes it at the first start; without systemd make it yourself",
            )
        ]
    if not stat.S_ISDIR(file.mode):
        return [problem("folder-is-none", f"{file.path} is no folder", "correct the path in the configuration")]
    if not may(user, file, want=7):
        return [
            problem(
                "folder-closed",
                f"{file.path} may not be written by the user {user.name}",
                f"sudo chown -R {user.name}: {file.path}",
            )
        ]
    return [ok("folder", f"{file.path} may be written by {user.name}")]


def _plain(path: Path) -> FileFacts:
    try:
        found = path.stat()
    except OSError as error:
        reason = error.strerror or str(error)
        return FileFacts(path, None, reason=reason[:1].lower() + reason[1:])
    try:
        group = grp.getgrgid(found.st_gid).gr_name
    except KeyError:
        group = str(found.st_gid)
    return FileFacts(path, found.st_mode, found.st_uid, found.st_gid, group)
