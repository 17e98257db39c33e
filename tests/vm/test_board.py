import pytest

from tests.vm.machine import Machine

pytestmark = [pytest.mark.vm, pytest.mark.timeout(900)]


def test_the_board_has_the_54_lines_of_a_raspberry_pi(machine: Machine) -> None:
    """The simulated board's first chip has as many lines as a Raspberry Pi 4's, for the group gpio."""
    assert "gpiochip0 [pinctrl-bcm2711] (54 lines)" in machine.run("gpiodetect")
    assert machine.run("stat -c %G:%a /dev/gpiochip0").strip() == "gpio:660"
