"""Quoting, tested by a running service manager: a program receives exactly the value that was
quoted."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from machine import Machine

from tqunits.units import quote

UNIT = "tqunits-quote.service"
ANSWER = "/run/tqunits-quote.json"
PROGRAM = "/run/tqunits quote.py"
REPORT = f"""\
#!/usr/bin/python3
import json, os, sys
open({ANSWER!r}, "w").write(json.dumps([sys.argv[1:], dict(os.environ), os.getcwd()]))
"""
VALUES = [
    "",
    " ",
    "a b",
    "$HOME",
    "${HOME}",
    "$$",
    "$$$x",
    "%n",
    "%%i",
    "100%",
    '"',
    "'",
    "'\"'",
    "\\",
    "\\\\n",
    "\\x41",
    ";",
    "\\;",
    "#c",
    "-x",
    "@",
    "a=b",
    "ß漢🙂",
    "\u2028",
    "\xa0",
    "{}|&<>*?[]~!",
    "x\\",
    "a\nb\n",
    "\t",
    "\n",
    "\\\n",
]
FOLDER = "/run/a \"b\" 'c' %n $x"


@pytest.fixture
def unit(machine: Machine) -> Iterator[Machine]:
    lines = [
        "[Service]",
        "Type=oneshot",
        f"ExecStart={quote.command([PROGRAM, *VALUES])}",
        f"WorkingDirectory={quote.path(FOLDER)}",
        *(f"Environment={quote.assignment(f'V{n}', value)}" for n, value in enumerate(VALUES)),
    ]
    machine.write(PROGRAM, REPORT, 0o755)
    machine.run(["mkdir", FOLDER])
    machine.write(f"/run/systemd/system/{UNIT}", "\n".join(lines) + "\n")
    machine.systemctl("daemon-reload")
    yield machine
    for path in (f"/run/systemd/system/{UNIT}", PROGRAM, ANSWER, FOLDER):
        machine.run(["rm", "-rf", path])
    machine.systemctl("daemon-reload")


def test_a_program_gets_exactly_what_was_quoted(unit: Machine) -> None:
    unit.systemctl("start", UNIT)
    arguments, environment, folder = json.loads(unit.read(ANSWER))
    assert arguments == VALUES
    assert [environment[f"V{n}"] for n in range(len(VALUES))] == VALUES
    assert folder == FOLDER
