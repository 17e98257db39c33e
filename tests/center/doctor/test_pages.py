"""The pages' port: the center's, somebody else's, or nobody's."""

import pytest

from center.doctor import pages
from center.doctor.pages import PagesFacts
from host.doctor.holders import Held, Holder

CENTER = Holder(9, "motcua center serve", "motcua-center.service")
OTHER = Holder(8, "/usr/sbin/nginx", "nginx.service")


@pytest.mark.parametrize(
    ("held", "healthy", "runs", "found"),
    [
        (None, None, False, ("pages-free", "ok")),
        (None, None, True, ("pages-closed", "problem")),
        (Held((CENTER,), all_seen=True), True, True, ("pages", "ok")),
        (Held((CENTER,), all_seen=True), False, True, ("pages-ill", "problem")),
        (Held((OTHER,), all_seen=True), False, False, ("pages-taken", "problem")),
        (Held((OTHER,), all_seen=True), True, False, ("pages-taken", "problem")),
        (Held((), all_seen=False), True, True, ("pages-unseen", "warning")),
        (Held((), all_seen=False), False, True, ("pages-ill", "problem")),
    ],
)
def test_the_port_is_judged(held: Held | None, healthy: bool | None, runs: bool, found: tuple[str, str]) -> None:
    """Who has the port and what is answered there decide."""
    (finding,) = pages.judge(PagesFacts("0.0.0.0", 8080, held, healthy, "503"), runs=runs)  # noqa: S104 - no socket
    assert (finding.code, finding.level) == found


def test_who_took_the_port_is_named() -> None:
    """The line says whom to stop."""
    (finding,) = pages.judge(PagesFacts("127.0.0.1", 8080, Held((OTHER,), all_seen=True), False), runs=False)
    assert finding.says == "port 8080 of 127.0.0.1 is taken by nginx (pid 8)"
