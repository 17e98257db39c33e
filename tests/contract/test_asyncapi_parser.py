"""The published document in the hands of AsyncAPI's own parser."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "ref" / "asyncapi.json"
PARSER = ROOT / ".cache" / "asyncapi" / "node_modules" / "@asyncapi" / "parser"

_ERROR = 0  # of Spectral's severities: 0 error, 1 warning, 2 information, 3 hint
_SCRIPT = """
const { Parser } = require(process.argv[1]);
let text = "";
process.stdin.on("data", (part) => (text += part)).on("end", async () => {
  const { document, diagnostics } = await new Parser().parse(text);
  const found = diagnostics.map(({ severity, code, path, message }) => ({ severity, code, path, message }));
  const channels = document ? document.channels().all().map((one) => one.address()) : [];
  console.log(JSON.stringify({ channels, found }));
});
"""

pytestmark = [
    pytest.mark.docs,
    pytest.mark.skipif(shutil.which("node") is None, reason="node is missing: sudo apt install nodejs npm"),
    pytest.mark.skipif(not PARSER.exists(), reason="AsyncAPI's parser is missing: make asyncapi-parser"),
]


def parsed(text: str) -> dict[str, Any]:
    """Return what the parser says of a document."""
    command = ["node", "-e", _SCRIPT, str(PARSER)]
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=60, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_the_parser_has_nothing_against_it() -> None:
    """AsyncAPI's parser reads the document, finds every channel in it, and has neither errors nor warnings."""
    said = parsed(DOCUMENT.read_text(encoding="utf-8"))
    assert [each for each in said["found"] if each["severity"] <= 1] == []
    channels = json.loads(DOCUMENT.read_text(encoding="utf-8"))["channels"]
    assert sorted(said["channels"]) == sorted(one["address"] for one in channels.values())


def test_the_parser_would_find_a_mistake() -> None:
    """A reference that leads nowhere, an unknown key, and an example against its schema are errors to it."""
    for change in (
        lambda it: it["operations"]["sendAck"].update(channel={"$ref": "#/channels/none"}),
        lambda it: it["channels"]["ack"].update(adress="x"),
        lambda it: it["operations"]["sendAck"].update(action="shout"),
    ):
        document = json.loads(DOCUMENT.read_text(encoding="utf-8"))
        change(document)
        assert _ERROR in {each["severity"] for each in parsed(json.dumps(document))["found"]}
