"""Checks beside one another: the slow, the broken and the good."""

import threading
import time
from collections.abc import Sequence

from host.doctor.examine import Check, examine
from host.doctor.finding import Finding, ok

FINE = ok("disk-room", "there is room")


def fine() -> Sequence[Finding]:
    """A check that finds nothing wrong."""
    return [FINE]


def test_a_check_that_hangs_is_a_finding() -> None:
    """A check that does not end in its time is named a problem, the others are shown, and the end is not held up."""
    released = threading.Event()

    def hang() -> Sequence[Finding]:
        released.wait(30)
        return []

    began = time.monotonic()
    try:
        hung, well = examine([Check("broker", hang, limit_s=0.2), Check("disk", fine)])
    finally:
        released.set()
    assert time.monotonic() - began < 10
    assert [(each.code, each.level) for each in hung.findings] == [("check-hung", "problem")]
    assert well.findings == (FINE,)


def test_a_check_that_breaks_is_a_finding() -> None:
    """A fault inside a check is one line with its reason, and no traceback."""

    def broken() -> Sequence[Finding]:
        raise ZeroDivisionError("division by zero")

    (broke, well) = examine([Check("pins", broken), Check("disk", fine)])
    assert [each.code for each in broke.findings] == ["check-broke"]
    assert "ZeroDivisionError: division by zero" in broke.findings[0].says
    assert well.findings == (FINE,)


def test_checks_run_beside_one_another_and_are_shown_in_order() -> None:
    """A check may wait for the one after it: none waits for its turn."""
    second_began = threading.Event()

    def first() -> Sequence[Finding]:
        return fine() if second_began.wait(60) else []

    def second() -> Sequence[Finding]:
        second_began.set()
        return fine()

    sections = examine([Check("one", first, limit_s=90), Check("two", second, limit_s=90)])
    assert [(each.check, each.findings) for each in sections] == [("one", (FINE,)), ("two", (FINE,))]
