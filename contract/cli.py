"""The command `motcua contract`: the wire contract as documents."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from contract import asyncapi, reference
from contract.errors import ContractError

USAGE = """motcua contract asyncapi          print the wire contract as an AsyncAPI 3 document
motcua contract reference FILE    renew the tables and examples in a written reference
"""


def main(argv: Sequence[str]) -> int:
    """Run a command; returns the exit code: 0 done, 1 failed, 2 asked wrongly."""
    match list(argv):
        case ["asyncapi"]:
            sys.stdout.write(published())
            return 0
        case ["reference", file]:
            return _renew(Path(file))
        case ["-h" | "--help" | "help"]:
            sys.stdout.write(USAGE)
            return 0
        case args:
            sys.stderr.write(f"motcua contract: unknown command {' '.join(args)!r}\n\n{USAGE}")
            return 2


def published() -> str:
    """Return the AsyncAPI document as it is published: indented, in UTF-8, with a last line break."""
    return json.dumps(asyncapi.document(), ensure_ascii=False, indent=2) + "\n"


def _renew(file: Path) -> int:
    try:
        before = file.read_text(encoding="utf-8")
        after = reference.fill(before)
        if after != before:
            file.write_text(after, encoding="utf-8")
    except (OSError, UnicodeDecodeError, ContractError) as error:
        sys.stderr.write(f"motcua contract reference: {file}: {error}\n")
        return 1
    return 0
