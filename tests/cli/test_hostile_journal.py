"""A worker can write anything to the journal: messages that pretend to be the manager's, and escape
sequences for a terminal."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from machine import Machine
from operation import Host

from tqunits.printable import printable

FORGER = "/usr/local/lib/forger.py"

FORGE = """\
import array, fcntl, socket, sys, termios
sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)

def say(message_id, more):
    lines = ["MESSAGE=forged", "MESSAGE_ID=" + message_id, "UNIT=tq-worker@forger.service", "_PID=1",
             "INVOCATION_ID=" + "a" * 32, *more]
    sock.sendto("".join(line + chr(10) for line in lines).encode(), "/run/systemd/journal/socket")
    waiting = array.array("i", [1])  # journald looks up the unit of a process, which has to be there
    while waiting[0]:
        fcntl.ioctl(sock, termios.TIOCOUTQ, waiting)

say("98e322203f7a4ed290d09fe03c09fe15", ["EXIT_CODE=killed", "EXIT_STATUS=\\u00b2", "COMMAND=ExecStart"])
say("d9b373ed55a64feb8242e02dbe79a49c", ["UNIT_RESULT=signal"])
"""

WORDS = {
    "colours and commands": "\x1b[31mred\x1b[0m \x9b2J\x07",
    "line ends of other kinds": "one\u2028two\u2029three",
}


@pytest.fixture
def host(machine: Machine) -> Iterator[Host]:
    made = Host(machine)
    machine.run(["mv", "/srv/tqunits", "/srv/tqunits.aside"], check=False)
    yield made
    machine.run(["mv", "/srv/tqunits.aside", "/srv/tqunits"], check=False)
    machine.remove(FORGER)
    made.clean()


def shown(host: Host) -> Any:
    return json.loads(host.machine.tqunits("show", "forger", "--json").stdout)


def test_an_exit_that_a_worker_has_made_up_is_not_shown(host: Host) -> None:
    host.machine.write(FORGER, FORGE)
    host.install(forger=f"Type=oneshot\nExecStart=\nExecStart=/usr/bin/python3 {FORGER}\nExecStart=/bin/sh -c 'exit 7'")
    host.machine.tqunits("start", "forger", check=False)
    exits = shown(host)["exits"]
    assert (exits[0]["code"], exits[0]["status"], exits[0]["result"]) == ("exited", "7", "exit-code")
    assert "a" * 32 not in {exit_["invocation"] for exit_ in exits}
    assert "exited with status 7" in host.machine.tqunits("show", "forger").stdout


def test_a_start_that_a_worker_has_made_up_does_not_hide_its_own_last_words(host: Host) -> None:
    """The time of a start is taken from the manager's messages only; and no message of a worker is
    omitted because it claims to be one."""
    hiding = FORGE + 'say("98e322203f7a4ed290d09fe03c09fe15", ["PRIORITY=3"])\n'
    host.machine.write(FORGER, hiding.replace("MESSAGE=forged", "MESSAGE=last words"))
    start = f"Type=oneshot\nExecStart=\nExecStart=/usr/bin/python3 {FORGER}\nExecStart=/bin/sh -c 'exit 7'"
    host.install(forger=start)
    assert "last words" in host.machine.tqunits("start", "forger", check=False).stderr


@pytest.mark.parametrize("words", WORDS.values(), ids=WORDS)
def test_words_that_a_terminal_would_obey_are_shown_as_escapes(host: Host, words: str) -> None:
    host.machine.write(FORGER, f"import sys\nsys.stdout.buffer.write({words!r}.encode() + b'\\n')\nsys.exit(1)\n")
    host.install(forger=f"Type=oneshot\nExecStart=\nExecStart=/usr/bin/python3 {FORGER}")
    done = host.machine.tqunits("start", "forger", check=False)
    assert done.returncode == 1
    assert f"    {printable(words)}\n" in done.stderr
