"""The guide's pictures of the panels."""

from pathlib import Path

import pytest

from simulator.panel_pictures import PICTURES, main

FOLDER = Path(__file__).parents[2] / "docs" / "pictures"


@pytest.mark.parametrize("name", PICTURES)
def test_the_guide_shows_the_panels_as_they_are(name: str) -> None:
    """A picture in the guide is what the code draws; `python -m simulator.panel_pictures docs/pictures` renews it."""
    assert (FOLDER / name).read_text(encoding="utf-8") == PICTURES[name]()


def test_pictures_are_written_into_a_folder(tmp_path: Path) -> None:
    """One command writes all of them."""
    assert main([str(tmp_path)]) == 0
    assert {file.name for file in tmp_path.iterdir()} == set(PICTURES)
