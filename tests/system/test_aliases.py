"""Under which name systemd knows a unit: by D-Bus, or by the links if there is no manager."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from machine import Machine

from tqunits.system.aliases import in_folders

LOGIN = "dbus-org.freedesktop.login1.service"
ASK = """
import json, sys
sys.path.insert(0, "/opt/tqunits")
from tqunits.system.aliases import canonical_names
from tqunits.system.bus import Bus
with Bus() as bus:
    asked = {unit: str(bus.property_of(unit, "Unit", "Id", "s")) for unit in sys.argv[1:]}
print(json.dumps([asked, dict(canonical_names(sys.argv[1:]))]))
"""


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    etc, lib = tmp_path / "etc", tmp_path / "lib"
    for folder in (etc, lib):
        folder.mkdir()
    for name in ("ssh.service", "getty@.service", "plain.service"):
        (lib / name).touch()
    (etc / "sshd.service").symlink_to(lib / "ssh.service")
    (etc / "older.service").symlink_to("sshd.service")
    (lib / "autovt@.service").symlink_to("getty@.service")
    (etc / "masked.service").symlink_to("/dev/null")
    (etc / "own.service").touch()
    (lib / "own.service").symlink_to("ssh.service")
    (etc / "round.service").symlink_to("about.service")
    (etc / "about.service").symlink_to("round.service")
    (etc / "odd.service").symlink_to("ssh.socket")
    return etc, lib


@pytest.mark.parametrize(
    ("unit", "canonical"),
    [
        ("ssh.service", "ssh.service"),
        ("sshd.service", "ssh.service"),
        ("older.service", "ssh.service"),
        ("autovt@tty1.service", "getty@tty1.service"),
        ("masked.service", "masked.service"),
        ("own.service", "own.service"),
        ("odd.service", "odd.service"),
        ("none.service", "none.service"),
    ],
)
def test_links_in_the_order_of_the_folders(folders: tuple[Path, Path], unit: str, canonical: str) -> None:
    assert in_folders(unit, folders) == canonical


def test_links_that_lead_in_a_circle_end(folders: tuple[Path, Path]) -> None:
    assert in_folders("round.service", folders) in {"round.service", "about.service"}


def test_systemd_and_the_links_agree(machine: Machine) -> None:
    """With an alias of Debian's, an alias of a template, one that the test makes, and units that do
    not exist."""
    machine.write("/etc/systemd/system/real.service", "[Service]\nExecStart=/bin/true\n")
    machine.run(["ln", "-s", "real.service", "/etc/systemd/system/other.service"])
    wanted = {
        LOGIN: "systemd-logind.service",
        "autovt@tty9.service": "getty@tty9.service",
        "default.target": machine.show("default.target", "Id"),
        "runlevel6.target": "reboot.target",
        "other.service": "real.service",
        "real.service": "real.service",
        "no-such.service": "no-such.service",
    }
    try:
        machine.systemctl("daemon-reload")
        done = machine.run(["/opt/tqunits/.venv/bin/python", "-c", ASK, *wanted])
    finally:
        machine.remove("/etc/systemd/system/other.service")
        machine.remove("/etc/systemd/system/real.service")
        machine.systemctl("daemon-reload")
    assert json.loads(done.stdout) == [wanted, wanted]
