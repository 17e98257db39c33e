"""The last day of each device, in quarters of an hour."""

from center.fleet.alerts import Subject
from center.fleet.strip import CELL_MS, CELLS, Strips

PAD: Subject = ("q01", "rating")
DAWN = 1_795_395_600_000 // CELL_MS * CELL_MS


def test_a_cell_is_the_worst_that_was_in_it() -> None:
    """A quarter of an hour in which a device was lost once is lost, whatever came before and after."""
    strips = Strips()
    assert strips.note(PAD, "ok", DAWN) == (PAD, DAWN, "o")
    assert strips.note(PAD, "warn", DAWN + 1000) == (PAD, DAWN, "w")
    assert strips.note(PAD, "lost", DAWN + 2000) == (PAD, DAWN, "l")
    assert strips.note(PAD, "ok", DAWN + 3000) is None
    assert strips.of(PAD, DAWN + 4000) == "-" * (CELLS - 1) + "l"


def test_a_device_that_is_off_leaves_a_gap() -> None:
    """What was switched off, or never said that it is there, is neither well nor lost."""
    strips = Strips()
    assert strips.note(PAD, "offline", DAWN) is None
    assert strips.note(PAD, "unknown", DAWN) is None
    assert strips.of(PAD, DAWN) == "-" * CELLS


def test_a_strip_is_a_day_long_and_moves_on() -> None:
    """Each quarter of an hour the strip moves by a cell, and keeps no more than a day, however long the center runs."""
    strips = Strips()
    for quarter in range(10 * CELLS):
        strips.note(PAD, "ok", DAWN + quarter * CELL_MS)
    end = DAWN + 10 * CELLS * CELL_MS
    assert strips.of(PAD, end - 1) == "o" * CELLS
    assert strips.of(PAD, end) == "o" * (CELLS - 1) + "-"
    assert len(strips._cells[PAD]) == CELLS


def test_a_clock_that_was_ahead_leaves_no_cells_behind() -> None:
    """Cells from a future that the clock has left do not come back as the past."""
    strips = Strips()
    strips.note(PAD, "lost", DAWN + 50 * CELL_MS)
    strips.note(PAD, "ok", DAWN)
    assert strips.of(PAD, DAWN + 50 * CELL_MS)[-51:] == "o" + "-" * 50


def test_a_strip_goes_on_after_a_restart() -> None:
    """What was stored is the strip again, and only something worse is news."""
    strips = Strips([(PAD, DAWN, "w")])
    assert strips.note(PAD, "ok", DAWN + 5) is None
    assert strips.note(PAD, "lost", DAWN + 5) == (PAD, DAWN, "l")
    strips.forget(PAD)
    assert strips.of(PAD, DAWN) == "-" * CELLS
