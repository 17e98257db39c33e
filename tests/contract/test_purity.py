"""The contract can be carried anywhere: to a Pi, to a center, to a test."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import contract

MODULES = sorted(Path(contract.__file__).parent.glob("*.py"))


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.stem)
def test_it_knows_the_standard_library_and_msgspec(module: Path) -> None:
    """The contract imports nothing but the standard library, msgspec and itself."""
    imported = set()
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            imported |= {name.name.partition(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            imported.add(str(node.module).partition(".")[0])
    assert imported <= sys.stdlib_module_names | {"msgspec", "contract"}


def test_a_device_does_not_carry_the_documents() -> None:
    """What runs at a counter loads neither the generator of the documents nor their examples."""
    code = (
        "import sys; import contract.codec, contract.envelope, contract.ids, contract.requests, contract.scales, "
        "contract.states, contract.topics; "
        "print({'contract.asyncapi', 'contract.reference', 'contract.examples'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", code], capture_output=True, env={"PYTHONPATH": _paths()}, check=True
    )
    assert done.stdout.decode() == "set()\n"


def _paths() -> str:
    import msgspec

    return f"{Path(contract.__file__).parents[1]}:{Path(msgspec.__file__).parents[1]}"
