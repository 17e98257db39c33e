"""The documents say what the code does."""

import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.docs

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "tests").rglob("*.md")])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    """A relative link in a document names a file that is there."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    targets = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text)
    missing = [
        target
        for target in targets
        if not target.startswith(("http://", "https://", "mailto:")) and not (page.parent / target).exists()
    ]
    assert missing == []


def test_every_make_target_of_the_readme_exists() -> None:
    """What the README tells a newcomer to make can be made."""
    named = set(re.findall(r"\bmake ([a-z][a-z-]*)", (ROOT / "README.md").read_text(encoding="utf-8")))
    made = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    assert named
    assert named <= made


def test_the_readme_leads_to_every_page() -> None:
    """From the README one comes, link by link, to every page below docs/ and to the changelog."""
    reached, ahead = set(), [ROOT / "README.md"]
    while ahead:
        page = ahead.pop()
        reached.add(page)
        targets = re.findall(r"\]\(([^)#:]+\.md)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
        found = {(page.parent / target).resolve() for target in targets}
        ahead += [each for each in found - reached - set(ahead) if each.exists()]
    assert [page for page in [ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")] if page not in reached] == []


def test_every_file_that_the_readme_names_exists() -> None:
    """A path in the README, such as the test of a promise, is there."""
    named = re.findall(r"`((?:tests|docs|systemd)/[\w./-]*)`", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert "tests/test_privacy.py" in named
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_the_changelog_knows_this_version() -> None:
    """The changelog has a section for the version that is built."""
    from motcua import __version__

    assert f"## {__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
