"""Print pip's installation report as a constraints file: one pinned version a line."""

import json
import sys
from pathlib import Path

report = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
packages = {
    item["metadata"]["name"].lower().replace("_", "-"): item["metadata"]["version"] for item in report["install"]
}
packages.pop("motcua", None)
sys.stdout.write("# Versions that are tested together; made by `make constraints`.\n")
sys.stdout.writelines(f"{name}=={version}\n" for name, version in sorted(packages.items()))
