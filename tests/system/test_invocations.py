"""The ids of starts that systemd leaves in a folder: they are those of its property."""

from __future__ import annotations

from pathlib import Path

import pytest
from machine import Machine

from tqunits.system.invocations import exported

UNIT = "systemd-journald.service"
ASK = f"from tqunits.system.invocations import exported; print(exported('{UNIT}'), exported('nothing.service'))"


@pytest.mark.machine
def test_they_are_those_of_the_property(machine: Machine) -> None:
    said = machine.run(["/opt/tqunits/.venv/bin/python", "-c", ASK], user="nobody").stdout
    assert said == f"{machine.show(UNIT, 'InvocationID')} \n"
    machine.systemctl("restart", UNIT)
    again = machine.run(["/opt/tqunits/.venv/bin/python", "-c", ASK]).stdout
    assert again == f"{machine.show(UNIT, 'InvocationID')} \n" != said


@pytest.mark.parametrize("target", ["", "x", "A" * 32, "a" * 33, "a" * 32 + "\n"])
def test_what_is_no_id_is_none(tmp_path: Path, target: str) -> None:
    if target:
        (tmp_path / "invocation:a.service").symlink_to(target)
    assert exported("a.service", str(tmp_path)) == ""
