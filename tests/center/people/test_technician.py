"""The technician's socket, and `motcua center people` over it."""

import asyncio
import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from center.cli import main
from center.config import Config
from center.errors import CenterError
from center.hall import Hall
from center.people import technician
from center.people.passwords import Hasher
from center.people.register import People
from center.people.technician import NAME, Technician, ask

FILE = """
id = "bentre"
name = "Trung tâm"
data_dir = "{data_dir}"
service = [{{id = "dat-dai", letter = "A", vi = "Đất đai", en = "Land"}}]
counter = [{{id = "q01", label = "1", services = ["dat-dai"]}}]
"""


def beside(hall: Hall, config: Config, folder: Path, job: Callable[[], None]) -> People:
    """Run a command in a thread of its own while a center's register listens in this one."""

    async def both() -> People:
        people = People(hall, config, hasher=Hasher(memory_kib=8, passes=1))
        await people.start()
        listening = Technician(people, folder)
        await listening.start()
        try:
            await asyncio.to_thread(job)
        finally:
            await listening.stop()
            await people.stop()
        return people

    return asyncio.run(both())


def test_the_commands_go_through_the_running_center(
    hall: Hall, config: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Add, reset, disable and list are done by the center that runs; what must be kept is printed, once."""
    file = tmp_path / "center.toml"
    file.write_text(FILE.format(data_dir=config.data_dir), encoding="utf-8")
    on = ["--config", str(file)]
    said: list[str] = []

    def commands() -> None:
        for command in (
            ["add", "an.nguyen", "--full-name", "Nguyễn Văn An", "--role", "officer"],
            ["reset", "an.nguyen"],
            ["disable", "an.nguyen"],
            ["list"],
        ):
            assert main(["people", *command, *on]) == 0
            said.append(capsys.readouterr().out)
        assert main(["people", "add", "x", "--full-name", "X", "--role", "officer", *on]) == 1
        assert main(["people", "add", "xx", "--full-name", "X", "--role", "king", *on]) == 1
        said.append(capsys.readouterr().err)

    people = beside(hall, config, Path(config.data_dir), commands)
    assert len(said[0].strip()) == len(said[1].strip()) == 19
    assert said[0] != said[1]
    assert "an.nguyen            officer        disabled   0 logged in  Nguyễn Văn An" in said[3]
    assert "A login name is 2 to 32 of a-z" in said[4]
    assert "A role is one of officer, supervisor, director, administrator." in said[4]
    assert [one.disabled for one in people.accounts()] == [True, False]


def test_only_root_and_the_center_s_user_may_speak(
    hall: Hall, config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The socket is closed to other users, and one who gets at it all the same is refused by the kernel's word."""
    seen: list[str] = []

    def commands() -> None:
        seen.append(stat.filemode((tmp_path / NAME).stat().st_mode))
        monkeypatch.setattr(technician, "_uid", lambda _sock: os.geteuid() + 4711)
        with pytest.raises(CenterError, match="only root and the center's own user may do this"):
            ask(tmp_path, {"do": "list"})

    beside(hall, config, tmp_path, commands)
    assert seen == ["srw-------"]
    assert not (tmp_path / NAME).exists()


def test_a_center_that_does_not_run_is_told(tmp_path: Path) -> None:
    """The line says what to do; a socket that a killed center left behind is no center."""
    with pytest.raises(CenterError, match="no center runs on this folder; start it first"):
        ask(tmp_path, {"do": "list"})
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / NAME))
    with pytest.raises(CenterError, match="no center runs on this folder; start it first"):
        ask(tmp_path, {"do": "list"})


def test_a_left_over_socket_and_a_long_folder_do_not_hinder(hall: Hall, config: Config, tmp_path: Path) -> None:
    """A center takes the place of one that was killed, in a folder whose name is longer than a socket's may be."""
    folder = tmp_path / ("x" * 120)
    folder.mkdir()
    (folder / NAME).touch()
    found: list[object] = []
    beside(hall, config, folder, lambda: found.append(ask(folder, {"do": "list"})))
    assert found == [[["quantri", "Quản trị", "administrator", "", 0]]]


@pytest.mark.parametrize("sent", [b"", b"rubbish\n", b"[]\n", b"{}\n", b'{"do": "add"}\n', b"x" * 100_000])
def test_rubbish_on_the_socket_hurts_nobody(hall: Hall, config: Config, tmp_path: Path, sent: bytes) -> None:
    """What is no command is answered with a word or not at all, and the next one is served."""

    def commands() -> None:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(str(tmp_path / NAME))
            try:
                sock.sendall(sent)
                sock.shutdown(socket.SHUT_WR)
                assert b"done" not in sock.recv(1000)
            except OSError:
                pass
        assert len(ask(tmp_path, {"do": "list"})) == 1

    beside(hall, config, tmp_path, commands)
