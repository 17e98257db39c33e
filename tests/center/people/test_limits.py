"""How often somebody may try: a right person gets in whatever others do."""

from center.people.limits import Buckets, Delays, Logins, neighbourhood


def until_refused(logins: Logins, account: str, address: str, known: str | None, now_s: float, most: int = 200) -> int:
    """Return how many wrong passwords somebody may send at one moment."""
    for count in range(most):
        if logins.wait_s(account, address, known, now_s):
            return count
        logins.failed(account, address, known, now_s)
    return most


def test_the_pause_grows_and_an_hour_forgives() -> None:
    """Three wrong passwords are free, then it is 1, 2, 4 … seconds, never more than five minutes."""
    delays = Delays()
    pauses = []
    now_s = 0.0
    for _ in range(14):
        delays.failed("an", now_s)
        pauses.append(delays.wait_s("an", now_s))
        now_s += pauses[-1]
    assert pauses[:7] == [0, 0, 1, 2, 4, 8, 16]
    assert pauses[-1] == 300
    assert delays.wait_s("an", now_s + 3601) == 0


def test_a_wrong_password_delays_only_its_own_computer() -> None:
    """Whoever tries wrong passwords for an account from one computer does not keep its owner out from another."""
    logins = Logins()
    assert until_refused(logins, "an", "10.0.0.66", None, 0.0) == 3
    assert logins.wait_s("an", "10.0.0.66", None, 0.0) > 0
    assert logins.wait_s("an", "10.0.0.7", None, 0.0) == 0


def test_a_known_computer_gets_in_during_a_flood_from_everywhere() -> None:
    """Thousands of addresses use up what strangers may try; a computer that has logged in before is not touched."""
    logins = Logins()
    tried = sum(until_refused(logins, "an", f"10.0.{high}.{low}", None, 0.0) for high in range(8) for low in range(250))
    assert tried == 60
    assert logins.wait_s("an", "10.9.9.9", None, 0.0) > 0
    assert logins.wait_s("an", "10.9.9.9", "computer-of-an", 0.0) == 0


def test_one_address_cannot_use_up_what_strangers_may_try() -> None:
    """An address that tries many names is stopped long before it keeps other addresses out."""
    logins = Logins()
    tried = sum(until_refused(logins, f"name-{each}", "10.0.0.66", None, 0.0) for each in range(100))
    assert tried == 20
    assert logins.wait_s("an", "10.0.0.7", None, 0.0) == 0


def test_a_known_computer_waits_after_its_own_mistakes() -> None:
    """The cookie of a known computer is no way to try passwords without end."""
    logins = Logins()
    assert until_refused(logins, "an", "10.0.0.7", "computer", 0.0) == 3


def test_the_right_password_forgives() -> None:
    """After a login the count begins anew."""
    logins = Logins()
    until_refused(logins, "an", "10.0.0.7", None, 0.0)
    logins.succeeded("an", "10.0.0.7", None)
    assert logins.wait_s("an", "10.0.0.7", None, 0.0) == 0


def test_a_kiosk_takes_one_a_second_with_a_burst_and_nobody_a_thousand() -> None:
    """The default for numbers: 20 at once, one a second, and 120 an hour from one address."""
    buckets = Buckets((20, 1.0), (120, 120 / 3600))
    taken = [second for second in range(3600) for _ in range(40) if buckets.take("10.0.0.9", float(second)) == 0]
    assert taken.count(0) == 20
    assert 236 <= len(taken) <= 240  # the burst of an hour and an hour's own
    assert buckets.take("10.0.0.10", 3600.0) == 0


def test_what_is_remembered_is_bounded() -> None:
    """A million addresses take no more room than four thousand."""
    buckets, delays = Buckets((20, 1.0)), Delays()
    for each in range(10_000):
        buckets.take(str(each), 0.0)
        delays.failed(str(each), 0.0)
    assert (len(buckets._of), len(delays._of)) == (4096, 4096)


def test_an_address_counts_with_those_it_can_choose_among() -> None:
    """A computer has one IPv4 address and a /64 of IPv6; an IPv4 address in an IPv6 one is the same computer."""
    assert neighbourhood("2001:db8:1:2:aaaa::1") == neighbourhood("2001:db8:1:2:bbbb::9") == "2001:db8:1:2::"
    assert neighbourhood("2001:db8:1:3::1") != neighbourhood("2001:db8:1:2::1")
    assert neighbourhood("::ffff:10.0.0.7") == neighbourhood("10.0.0.7") == "10.0.0.7"
    assert neighbourhood("fe80::1%eth0") == "fe80::"
    assert neighbourhood("testclient") == "testclient"
