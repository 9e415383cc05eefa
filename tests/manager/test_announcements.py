"""What the manager writes to the journal: a field for each fact, and nothing that a worker's answer
could add."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tqunits.lifecycle.state import Event, State
from tqunits.manager.announcements import Announcements
from tqunits.manager.record import Change
from tqunits.model import Instance
from tqunits.printable import printable

HOSTILE = "127.0.0.1:9000/health: 500 \x1b[31m\nPRIORITY=0\nMESSAGE=all is well"
CHANGE = Change(
    number=1,
    at=1,
    whose=Instance("api", 2),
    event=Event.MISSED,
    before=State.HEALTHY,
    after=State.UNHEALTHY,
    cause=HOSTILE,
)


def test_an_entry_has_its_fields_and_no_others(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journal:
        journal.bind(str(tmp_path / "socket"))
        Announcements(tmp_path / "socket").change(CHANGE)
        lines = journal.recv(65536).decode().splitlines()
    fields = dict(line.split("=", 1) for line in lines)
    assert len(fields) == len(lines) == 9
    assert (
        fields["MESSAGE"] == r"api:2 is unhealthy: 127.0.0.1:9000/health: 500 \x1b[31m\nPRIORITY=0\nMESSAGE=all is well"
    )
    assert (fields["PRIORITY"], fields["SYSLOG_IDENTIFIER"]) == ("4", "tq-manager")
    assert (fields["TQUNITS_WORKER"], fields["TQUNITS_INSTANCE"]) == ("api", "api:2")
    assert (fields["TQUNITS_EVENT"], fields["TQUNITS_BEFORE"]) == ("missed", "healthy")
    assert (fields["TQUNITS_STATE"], fields["TQUNITS_CAUSE"]) == ("unhealthy", printable(HOSTILE))


def test_without_a_journal_it_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    Announcements(None).change(CHANGE)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert "\x1b" not in err
