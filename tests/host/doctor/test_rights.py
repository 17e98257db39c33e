"""Rights, judged by owner and mode: never by trying."""

import os
from pathlib import Path

import pytest

from host.doctor import rights
from host.doctor.rights import FileFacts, User

ROOT = User("root", 0, frozenset({0}))
MOTCUA = User("motcua", 900, frozenset({900, 20}))
KEY = Path("/var/lib/motcua/keys/q01/rating.pem")


def file(mode: int, *, uid: int = 0, gid: int = 0, closed_by: FileFacts | None = None) -> FileFacts:
    """Return a file with these rights."""
    return FileFacts(KEY, mode, uid=uid, gid=gid, group="dialout", closed_by=closed_by)


@pytest.mark.parametrize(
    ("user", "one", "want", "granted"),
    [
        (ROOT, file(0o100000), 6, True),
        (MOTCUA, file(0o100600, uid=900), 6, True),
        (MOTCUA, file(0o100060, uid=900, gid=900), 4, False),  # the owner's own bits count, not the group's
        (MOTCUA, file(0o020660, gid=20), 6, True),
        (MOTCUA, file(0o020640, gid=20), 6, False),
        (MOTCUA, file(0o100604), 4, True),
        (MOTCUA, file(0o100640), 4, False),
        (MOTCUA, file(0o100644, closed_by=FileFacts(KEY.parent, 0o040700)), 4, False),
        (MOTCUA, file(0o100644, closed_by=FileFacts(KEY.parent, 0o040750, gid=900)), 4, True),
        (MOTCUA, FileFacts(KEY, None), 4, False),
    ],
)
def test_who_may_what(user: User, one: FileFacts, want: int, granted: bool) -> None:
    """The first of owner, group and others that fits decides, and the folders above count, too."""
    assert rights.may(user, one, want=want) is granted


@pytest.mark.parametrize(
    ("one", "code"),
    [
        (file(0o100600, uid=900), "secret"),
        (file(0o100640, gid=900), "secret"),
        (file(0o100644, uid=900), "secret-open"),
        (file(0o100602, uid=900), "secret-open"),
        (file(0o100600), "secret-closed"),
        (FileFacts(KEY, None, reason="no such file or directory"), "secret-missing"),
    ],
)
def test_a_secret_is_for_its_user_alone(one: FileFacts, code: str) -> None:
    """A key is well when its user may read it and strangers may not do anything with it."""
    (finding,) = rights.judge_secret(one, MOTCUA, key="broker.key_file")
    assert finding.code == code
    assert str(KEY) in finding.says
    assert "broker.key_file" in finding.says


@pytest.mark.parametrize(
    ("one", "code"),
    [
        (file(0o040700, uid=900), "folder"),
        (file(0o040755), "folder-closed"),
        (file(0o100644, uid=900), "folder-is-none"),
        (FileFacts(KEY, None, reason="no such file or directory"), "folder-missing"),
    ],
)
def test_a_folder_is_for_writing(one: FileFacts, code: str) -> None:
    """A folder of ours is well when its user may write in it."""
    assert [each.code for each in rights.judge_folder(one, MOTCUA)] == [code]


def test_a_readable_configuration_is_no_line() -> None:
    """Only a file that its program may not read is talked about."""
    assert rights.judge_config(file(0o100640, gid=900), MOTCUA) == []
    assert [each.code for each in rights.judge_config(file(0o100640), MOTCUA)] == ["config-closed"]


def test_real_files_are_looked_at(tmp_path: Path) -> None:
    """Mode, owner and the closed folder above are those of the file system; what is missing has the reason."""
    folder = tmp_path / "keys"
    folder.mkdir(mode=0o700)
    key = folder / "rating.pem"
    key.touch(mode=0o640)
    found = rights.probe(key)
    assert found.mode is not None
    assert (found.mode & 0o777, found.uid, found.gid) == (0o640, os.geteuid(), os.getegid())
    assert found.closed_by is not None
    assert found.closed_by.path == folder
    assert rights.probe(tmp_path / "none").reason == "no such file or directory"
    assert rights.may(rights.current_user(), found, want=4)
    assert rights.user_of("root") == User("root", 0, frozenset(os.getgrouplist("root", 0)))
    assert rights.user_of("no-such-user") is None
