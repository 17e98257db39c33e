from firmware.devices.gpio import Switch
from firmware.devices.lamps import DARK, STEADY, Lamps, Pattern, once
from firmware.ports import Drive

SLOW = Pattern(600, 600)


def played(lamps: Lamps, until_ms: int) -> list[tuple[int, int, bool]]:
    """Let the time go on by deadlines; return what was switched: when, which, how."""
    switched = []
    while (due := lamps.deadline_ms()) is not None and due <= until_ms:
        for effect in lamps.on_time(due):
            assert isinstance(effect.command, Switch)
            switched.append((due, effect.command.pin, effect.command.on))
    return switched


def test_every_output_is_switched_once_at_the_start() -> None:
    """Outputs whose state is not known are switched off, and then left alone."""
    lamps = Lamps([5, 6])
    assert lamps.show({}, 0) == [Drive(Switch(5, on=False)), Drive(Switch(6, on=False))]
    assert lamps.show({}, 10) == []
    assert lamps.deadline_ms() is None


def test_a_pulse_goes_on_and_off() -> None:
    """A slow pulse is on for its time, off for its time, and so on."""
    lamps = Lamps([5])
    assert lamps.show({5: SLOW}, 1000) == [Drive(Switch(5, on=True))]
    assert played(lamps, 3400) == [(1600, 5, False), (2200, 5, True), (2800, 5, False), (3400, 5, True)]


def test_a_counted_pattern_ends_dark() -> None:
    """Two blinks are two, and then there is nothing more to do."""
    lamps = Lamps([5])
    lamps.show({5: Pattern(150, 150, times=2)}, 0)
    assert played(lamps, 10_000) == [(150, 5, False), (300, 5, True), (450, 5, False)]
    assert lamps.deadline_ms() is None


def test_a_tone_is_one_pulse() -> None:
    """A tone of 120 ms is on for 120 ms."""
    lamps = Lamps([18])
    lamps.show({18: once(120)}, 0)
    assert played(lamps, 10_000) == [(120, 18, False)]


def test_a_pattern_shown_again_keeps_its_phase() -> None:
    """To be told the same again does not restart a pulse."""
    lamps = Lamps([5])
    lamps.show({5: SLOW}, 0)
    assert lamps.show({5: SLOW}, 500) == []
    assert lamps.show({5: SLOW}, 600) == [Drive(Switch(5, on=False))]


def test_steady_needs_no_deadline() -> None:
    """A steady light and a dark one wake nobody."""
    lamps = Lamps([5, 6])
    lamps.show({5: STEADY, 6: DARK}, 0)
    assert lamps.deadline_ms() is None


def test_an_output_that_may_have_changed_is_switched_again() -> None:
    """After the hardware was opened anew every output is switched as it should be."""
    lamps = Lamps([5])
    lamps.show({5: STEADY}, 0)
    lamps.forget()
    assert lamps.show({5: STEADY}, 10) == [Drive(Switch(5, on=True))]
