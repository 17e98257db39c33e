"""Keys on a real systemd: installed, renewed by the unit, and handed over as credentials."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.vm.center import Center, wait_for
from tests.vm.machine import Machine
from tests.vm.pad import BUTTONS, BUZZER, HOST, UNIT, Hand, Pad
from tests.vm.software import PREFIX
from tests.vm.test_units import press_until_heard

pytestmark = [pytest.mark.vm, pytest.mark.mosquitto, pytest.mark.timeout(900)]

SLOW_S = 60
KEYS = "/var/lib/motcua/keys"
RENEW = "motcua-renew.service"
SECRETS = "/etc/motcua/secrets"

NOW = f"""\
# Also where it is not due.
[Service]
ExecStart=
ExecStart={PREFIX}/bin/motcua device renew --force --config /etc/motcua/station.toml
"""

CREDENTIALS = f"""\
[Service]
LoadCredential=root.pem:{SECRETS}/root.pem
LoadCredential=pair.pem:{SECRETS}/q03/%i.pem
"""


@pytest.fixture
def secured(tmp_path: Path) -> Iterator[Center]:
    """A center whose broker asks for keys, also of who comes from the machine."""
    running = Center(tmp_path, broker=f'keys = true\nnames = ["{HOST}"]')
    try:
        running.start()
        yield running
    finally:
        running.stop()


def configure(machine: Machine, center: Center, keys: str) -> None:
    """Write the station's file."""
    machine.put(
        "/etc/motcua/station.toml",
        f'center = "bentre"\nstation = "q03"\n\n[broker]\nhost = "{HOST}"\nport = {center.mqtt_port}\n{keys}\n\n'
        '[device.rating]\nscale = "vn-3"\nmode = "open"\nlockout_ms = 0\n'
        f"buttons = [{', '.join(f'{{level = {level}, pin = {pin}}}' for level, pin in BUTTONS.items())}]\n"
        f"buzzer = {BUZZER}\n",
    )


def serial(machine: Machine) -> str:
    """Return the number of the pad's certificate in the machine."""
    return machine.run(f"openssl x509 -noout -serial -in {KEYS}/q03/rating.pem")


def test_a_pad_s_keys_from_the_bundle_to_a_credential(
    pad: Pad, machine: Machine, hand: Hand, secured: Center, tmp_path: Path
) -> None:
    """Presses are stored with the installed key, with the one that the renew unit got, and with a credential."""

    def press(level: int) -> None:
        known = len(secured.ratings())
        press_until_heard(hand, BUTTONS[level], BUZZER)
        wait_for(lambda: len(secured.ratings()) > known, timeout_s=SLOW_S, what="a rating", log=pad.journal)
        assert secured.ratings()[-1][1] == level

    pad.stop()
    machine.run("rm -rf /var/lib/motcua/rating")  # what other tests left has another center's numbers
    secured.motcua("provision", "q03", "--devices", "rating", "--host", HOST, "--out", str(tmp_path / "q03.tar.gz"))
    machine.put("/root/q03.tar.gz", (tmp_path / "q03.tar.gz").read_bytes(), mode="600")
    machine.run(f"{PREFIX}/bin/motcua device install /root/q03.tar.gz --force")
    try:
        configure(machine, secured, f'keys_dir = "{KEYS}"')
        pad.restart()
        press(1)

        first = serial(machine)
        machine.put(f"/etc/systemd/system/{RENEW}.d/now.conf", NOW)
        machine.run(f"systemctl daemon-reload && systemctl start {RENEW}", timeout_s=120)
        assert serial(machine) != first
        assert machine.run(f"stat -c %U:%a {KEYS}/q03/*.pem").split() == ["motcua:600"] * 2
        assert machine.run(f"ls -A {KEYS}/q03").split() == ["keys.pem", "rating.pem"]
        assert secured.motcua("provision", "list").count("renewed") == 2
        # The broker starts again; who comes back must have the new key, without a restart of the daemon.
        pid = pad.pid()
        assert "q03/rating" in secured.motcua("provision", "revoke", "q03", "--old")
        press(2)
        assert pad.pid() == pid

        machine.run(f"mv {KEYS} {SECRETS} && chown -R root:root {SECRETS} && chmod 700 {SECRETS}")
        handed = "$CREDENTIALS_DIRECTORY"
        configure(machine, secured, f'ca_file = "{handed}/root.pem"\ncert_file = "{handed}/pair.pem"')
        machine.put(f"/etc/systemd/system/{UNIT}.d/credentials.conf", CREDENTIALS)
        machine.run("systemctl daemon-reload")
        pad.restart()
        press(3)
        found = json.loads(machine.run(f"{PREFIX}/bin/motcua doctor --json", check=False))["findings"]
        codes = {each["code"] for each in found if each["check"] in ("broker", "certificates")}
        assert {"broker-login", "device-online", "device-connected", "certificate"} <= codes, found
        # Root hands the copies over; the user that the daemon is cannot open the files themselves.
        refused = machine.run(f"setpriv --reuid=motcua --clear-groups cat {SECRETS}/root.pem", check=False)
        assert "Permission denied" in refused
    finally:
        print(machine.run(f"journalctl --unit={RENEW} --output=cat --no-pager | tail -20"))
        machine.run(
            f"rm -rf {KEYS} {SECRETS} /root/q03.tar.gz /etc/systemd/system/{RENEW}.d"
            f" /etc/systemd/system/{UNIT}.d/credentials.conf && systemctl daemon-reload"
        )
