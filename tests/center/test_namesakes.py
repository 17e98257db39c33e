"""Two machines with one name, by their boot ids as they are heard."""

from center.namesakes import TELL_FOR_MS, Machines


def heard(*words: tuple[str, int]) -> Machines:
    """Return what is known after these words."""
    (boot, at), *more = words
    known = Machines(boot, at)
    for boot, at in more:
        known = known.hear(boot, at)
    return known


def test_a_machine_that_answers_a_newcomer_tells_of_both() -> None:
    """The earlier boot id that comes back at once names the newcomer, until that was not heard for a while."""
    known = heard(("a", 0), ("b", 5_000), ("a", 5_020))
    assert known.other(5_020) == "b"
    assert known.other(5_020 + TELL_FOR_MS) == "b"
    assert known.other(5_021 + TELL_FOR_MS) is None


def test_who_asks_again_is_told_again() -> None:
    """Each round of question and answer prolongs it, and a third machine is named as well."""
    known = heard(("a", 0), ("b", 1_000), ("a", 1_020), ("b", 61_000), ("a", 61_020))
    assert known.other(200_000) == "b"
    assert known.hear("c", 70_000).hear("a", 70_010).other(70_010) == "c"


def test_a_reboot_is_no_second_machine() -> None:
    """A device that boots again, or is replaced and put back later, is one machine at a time."""
    assert heard(("a", 0), ("a", 10), ("b", 60_000), ("b", 60_010)).other(60_010) is None
    assert heard(("a", 0), ("b", 60_000), ("a", 160_000)).other(160_000) is None
