"""Who may say and read what: tried with real keys at a real broker."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from center.keys import papers
from center.keys.access import CENTER, rights
from contract.topics import Address, Channel, discovery_topic
from tests.support.keys import CENTER as CENTER_ID
from tests.support.keys import Client, Site, in_days, put
from tests.support.waiting import wait_for

RATING = Address(center="bentre", station="q03", device="rating")
FOREIGN = Address(center="bentre", station="q04", device="rating")
NEIGHBOUR = Address(center="bentre", station="q03", device="callpad")
ONLINE = "motcua/v1/bentre/center/hall/status"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A broker, and two stations that have keys."""
    one = Site(tmp_path)
    one.provision("q03/rating", "q03/callpad", "q03/keys", "q04/rating")
    with one:
        yield one


def key(site: Site, identity: str) -> Path:
    """Return the file of a device's key."""
    return site.folder / "station" / f"{identity}.pem"


def test_a_device_speaks_and_hears_on_its_own_topics(site: Site) -> None:
    """With its key a device reaches the center on each of its channels, and the center reaches it."""
    hears = [RATING.topic(channel) for channel in Channel if not channel.from_device]
    with (
        Client(site, site.authority.center_file, subscribe=["motcua/v1/bentre/+/+/+"]) as center,
        Client(site, key(site, "q03/rating"), client_id="bentre-q03-rating", subscribe=[*hears, ONLINE]) as device,
    ):
        for channel in Channel:
            if channel.from_device:
                device.say(RATING.topic(channel), b"device")
            else:
                center.say(RATING.topic(channel), b"center")
        center.say(ONLINE, b"online")
        spoken = {(RATING.topic(one), b"device") for one in Channel if one.from_device}
        told = {(topic, b"center") for topic in hears} | {(ONLINE, b"online")}
        wait_for(lambda: spoken <= set(center.heard))
        wait_for(lambda: told <= set(device.heard))


def test_a_foreign_key_says_nothing_on_anothers_channels(site: Site) -> None:
    """What a device publishes on any channel of another, of its neighbour or of the center reaches nobody."""
    victims = (RATING, NEIGHBOUR, Address(center="bentre", station="center", device="hall"))
    topics = [one.topic(channel) for one in victims for channel in Channel]
    topics += ["motcua/v1/bentre/q09/rating/event", "motcua/v1/another/q04/rating/event", "elsewhere", "$SYS/x"]
    for topic in topics:
        with (
            Client(site, site.authority.center_file, subscribe=["#"]) as center,
            Client(site, key(site, "q04/rating"), client_id="bentre-q04-rating") as foreign,
        ):
            foreign.say(topic, b"evil", retain=True)
            foreign.say(FOREIGN.topic(Channel.EVENT), b"last")
            if foreign.connected():  # else the broker has hung up on it, which is as good
                wait_for(lambda center=center: (FOREIGN.topic(Channel.EVENT), b"last") in center.heard)
            assert [one for one in center.heard if one[1] == b"evil"] == [], topic


def test_a_foreign_key_reads_nothing_of_anothers(site: Site) -> None:
    """No filter, wildcard or not, shows a device anything that is not its own, kept messages included."""
    filters = ["#", "+/#", "motcua/#", "motcua/v1/bentre/+/+/+", "motcua/v1/bentre/#", "$SYS/#"]
    filters += [RATING.topic(channel) for channel in Channel]
    with (
        Client(site, site.authority.center_file) as center,
        Client(site, key(site, "q03/rating"), client_id="bentre-q03-rating") as device,
    ):
        for when in ("kept", "live"):
            for channel in Channel:
                if channel.from_device:
                    device.say(RATING.topic(channel), when.encode(), retain=True)
                else:
                    center.say(RATING.topic(channel), when.encode(), retain=True)
            if when == "kept":
                own = FOREIGN.topic(Channel.DESIRED)
                spy = Client(site, key(site, "q04/rating"), client_id="bentre-q04-rating", subscribe=[*filters, own])
                spy.__enter__()
        try:
            center.say(FOREIGN.topic(Channel.DESIRED), b"last")
            if spy.connected():
                wait_for(lambda: spy.heard)
            assert {topic for topic, _ in spy.heard} <= {own}
        finally:
            spy.__exit__(None, None, None)


def test_a_will_is_no_way_round(site: Site) -> None:
    """The last will of a device cannot speak on another's topic."""
    with Client(site, site.authority.center_file, subscribe=["#"]) as center:
        bad = RATING.topic(Channel.STATUS)
        with Client(site, key(site, "q04/rating"), client_id="bentre-q04-rating", will=bad) as foreign:
            if not foreign.refused:
                foreign.break_off()
        good = FOREIGN.topic(Channel.STATUS)
        with Client(site, key(site, "q04/rating"), client_id="bentre-q04-rating", will=good) as honest:
            assert honest.refused == ""
            honest.break_off()
            wait_for(lambda: (good, b"will") in center.heard)
        assert (bad, b"will") not in center.heard


@pytest.mark.parametrize("who", ["nobody", "stranger", "expired", "revoked", "broker"])
def test_who_has_no_good_key_does_not_get_in(site: Site, who: str) -> None:
    """Without a certificate, or with another authority's, an expired, a revoked or a server's one, nobody gets in."""
    pair: Path | None = site.folder / "station" / "q03" / "bad.pem"
    stranger = papers.make_root("bentre", now=in_days(0))
    made = {
        "stranger": lambda: papers.make(stranger, "q03/rating", use="client", until=in_days(9)),
        "expired": lambda: papers.make(site.root(), "q03/rating", use="client", until=in_days(-1)),
        "broker": lambda: papers.make(site.root(), "q03/rating", use="server", until=in_days(9)),
    }
    match who:
        case "nobody":
            pair = None
        case "revoked":
            pair = key(site, "q03/rating")
            site.authority.revoke("q03", "rating")
            site.broker.reload()
            wait_for(lambda: _is_refused(site, key(site, "q03/rating")))
        case _:
            put(site.folder / "station", "q03/bad", made[who]().pem)
    with Client(site, pair, client_id="bentre-q03-rating") as client:
        assert client.refused
        assert not client.connected()


def _is_refused(site: Site, pair: Path) -> bool:
    with Client(site, pair, client_id="bentre-q03-rating") as client:
        return bool(client.refused)


def test_a_station_asks_for_keys_and_does_nothing_else() -> None:
    """The name under which a station asks for new keys has no event, state or answer of a device."""
    own = rights("q03/keys", center=CENTER_ID, root="motcua")
    assert own.writes == ("motcua/v1/bentre/q03/keys/request",)
    assert own.reads == ("motcua/v1/bentre/q03/keys/reply", ONLINE)


def test_the_center_reads_and_says_all_of_its_own_and_no_other_centers() -> None:
    """The center's own key is good for its tree only: two centers may share a broker."""
    own = rights(CENTER, center=CENTER_ID, root="motcua")
    assert own.writes == own.reads == ("motcua/v1/bentre/#",)


def test_a_device_announces_itself_and_nobody_else() -> None:
    """To Home Assistant's topics a device may write one, its own; a station's key for keys none."""
    for who, announced in (("q03/rating", [discovery_topic(RATING)]), ("q03/keys", [])):
        writes = rights(who, center="bentre", root="motcua").writes
        assert [topic for topic in writes if topic.startswith("homeassistant/")] == announced


def test_a_reader_hears_what_devices_say_and_nothing_that_is_said_to_them(site: Site) -> None:
    """A reader's key shows events, states and announcements, kept and live; no request, answer or desired state."""
    site.provision("reader/ha")
    site.broker.reload()
    shown = {RATING.topic(channel) for channel in (Channel.STATUS, Channel.REPORTED, Channel.EVENT)}
    shown.add(discovery_topic(RATING))
    with (
        Client(site, site.authority.center_file) as center,
        Client(site, key(site, "q03/rating"), client_id="device") as device,
    ):
        _say_everything(device, center, b"kept")
        with Client(site, key(site, "reader/ha"), client_id="ha", subscribe=["#", "$SYS/#", *sorted(shown)]) as reader:
            _say_everything(device, center, b"live")
            wait_for(lambda: {(topic, b"live") for topic in shown} <= set(reader.heard))
            assert {topic for topic, _ in reader.heard} == shown
            assert {(topic, b"kept") for topic in shown} <= set(reader.heard)


def _say_everything(device: Client, center: Client, what: bytes) -> None:
    for channel in Channel:
        (device if channel.from_device else center).say(RATING.topic(channel), what, retain=True)
    device.say(discovery_topic(RATING), what, retain=True)


def test_a_reader_says_nothing(site: Site) -> None:
    """Whatever a reader publishes, on a topic that it may read or on any other, reaches nobody; nor does its will."""
    site.provision("reader/ha", "reader/other")
    site.broker.reload()
    topics = [RATING.topic(channel) for channel in Channel]
    topics += [ONLINE, discovery_topic(RATING), "motcua/v1/bentre/reader/ha/event"]
    with (
        Client(site, site.authority.center_file, client_id="center", subscribe=["#"]) as center,
        Client(site, key(site, "reader/other"), client_id="other", subscribe=["#"]) as other,
    ):
        for topic in topics:
            with Client(site, key(site, "reader/ha"), client_id="ha", will=topic) as reader:
                reader.say(topic, b"evil", retain=True)
                if not reader.refused:
                    reader.break_off()
        with Client(site, key(site, "q03/rating"), client_id="device") as device:
            device.say(RATING.topic(Channel.EVENT), b"last")
            wait_for(lambda: all((RATING.topic(Channel.EVENT), b"last") in one.heard for one in (center, other)))
        assert [one for one in (*center.heard, *other.heard) if one[1] in (b"evil", b"will")] == []


def test_a_reader_that_was_revoked_does_not_get_in(site: Site) -> None:
    """A reader's key is revoked as a device's is."""
    site.provision("reader/ha")
    site.authority.revoke("reader", "ha")
    site.broker.reload()
    wait_for(lambda: _is_refused(site, key(site, "reader/ha")))
    assert "reader/ha" not in site.authority.index().identities()
