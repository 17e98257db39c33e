import subprocess
import sys

import pytest

from contract.states import DESIRED
from firmware.devices.registry import KINDS, Registry


def test_the_kinds_are_known_by_name() -> None:
    """Names can be listed and asked for without loading a driver."""
    assert {"rating", "callpad", "display"} <= set(KINDS)
    assert "toaster" not in KINDS
    assert KINDS.get("toaster") is None
    with pytest.raises(KeyError):
        KINDS["toaster"]


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_has_its_states_in_the_contract(name: str) -> None:
    """A kind's desired state is one of the contract's."""
    kind = KINDS[name]
    assert kind.name == name
    assert kind.desired in DESIRED.values()


@pytest.mark.parametrize(
    ("name", "absent"), [("display", "gpiozero"), ("rating", "serial"), ("rating", "gpiozero"), ("callpad", "serial")]
)
def test_a_kind_loads_only_what_it_needs(name: str, absent: str) -> None:
    """A display loads no GPIO library, a pad no serial one; gpiozero is loaded when the lines are opened."""
    program = (
        f"import sys; from firmware.devices.registry import KINDS; KINDS[{name!r}]; print({absent!r} in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "False\n"


def test_a_line_that_names_another_kind_is_refused() -> None:
    """A slip in the registry is found when the kind is asked for."""
    with pytest.raises(TypeError, match=r"firmware\.devices\.rating\.KIND is not the kind 'rateing'"):
        Registry({"rateing": "firmware.devices.rating"})["rateing"]
