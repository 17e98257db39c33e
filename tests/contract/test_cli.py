"""The command `motcua contract`."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from contract.cli import main


def test_it_prints_the_document(capsys: pytest.CaptureFixture[str]) -> None:
    """`motcua contract asyncapi` prints one JSON document and nothing else."""
    assert main(["asyncapi"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["asyncapi"] == "3.0.0"
    assert printed.out.endswith("}\n")
    assert printed.err == ""


def test_it_runs_as_part_of_the_whole_command() -> None:
    """The installed command finds it, and loads neither the device's nor the center's libraries for it."""
    code = (
        "import sys; from motcua.cli import main; code = main(['contract', 'asyncapi']); "
        "print(code, {'paho', 'gpiozero', 'litestar', 'sqlalchemy', 'firmware', 'center'} & set(sys.modules), "
        "file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert "Chờ hơi lâu" in done.stdout.decode()
    assert done.stderr.decode() == "0 set()\n"


def test_it_renews_a_reference(tmp_path: Path) -> None:
    """`motcua contract reference FILE` fills the blocks of a page in place."""
    page = tmp_path / "contract.md"
    page.write_text("Số\n<!-- fields Clip -->\n<!-- end -->\n", encoding="utf-8")
    assert main(["reference", str(page)]) == 0
    assert "| `sha256` | text `^[0-9a-f]{64}$` | Its hash, in hexadecimal |" in page.read_text(encoding="utf-8")


def test_a_page_that_cannot_be_renewed_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A missing page or an unknown block ends with one line that names the file, and changes nothing."""
    page = tmp_path / "contract.md"
    assert main(["reference", str(page)]) == 1
    assert str(page) in capsys.readouterr().err
    page.write_text("<!-- example nothing -->\n<!-- end -->\n", encoding="utf-8")
    assert main(["reference", str(page)]) == 1
    assert f"{page}: nothing: is not in the contract" in capsys.readouterr().err
    assert page.read_text(encoding="utf-8") == "<!-- example nothing -->\n<!-- end -->\n"


@pytest.mark.parametrize("argv", [[], ["openapi"], ["asyncapi", "--yaml"], ["reference"]])
def test_what_it_does_not_know_is_said(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Anything else ends with exit code 2 and says what can be asked."""
    assert main(argv) == 2
    printed = capsys.readouterr()
    assert "motcua contract asyncapi" in printed.err
    assert printed.out == ""


def test_help_is_help(capsys: pytest.CaptureFixture[str]) -> None:
    """`--help` prints the commands and ends well."""
    assert main(["--help"]) == 0
    assert "motcua contract asyncapi" in capsys.readouterr().out
