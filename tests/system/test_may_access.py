"""What keeps a worker from its program, found from outside of its sandbox."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tqunits.lifecycle.facts import Access
from tqunits.system.access import View, look

ME = View(user="")


@pytest.mark.parametrize(
    ("text", "mode", "access", "cause"),
    [
        pytest.param("#!/bin/sh\n", 0o755, Access.THERE, "", id="script"),
        pytest.param("#! /nowhere/node -x\n", 0o755, Access.NO_INTERPRETER, "/nowhere/node", id="no-interpreter"),
        pytest.param("#!/nowhere/node\n", 0o644, Access.NOT_EXECUTABLE, "", id="mode"),
        pytest.param("\x7fELF", 0o755, Access.THERE, "", id="binary"),
        pytest.param("", 0o755, Access.THERE, "", id="empty"),
    ],
)
@pytest.mark.parametrize("linked", [False, True], ids=["itself", "linked"])
def test_a_program_is_looked_at(
    tmp_path: Path, text: str, mode: int, access: Access, cause: str, *, linked: bool
) -> None:
    program, link = tmp_path / "program", tmp_path / "link"
    program.write_text(text, encoding="utf-8")
    program.chmod(mode)
    link.symlink_to(program)
    found = look(str(link if linked else program), ME, runs=True)
    assert (found.access, found.cause) == (access, cause)


def test_what_is_no_file_is_not_opened(tmp_path: Path) -> None:
    """Opening a FIFO would wait for a writer."""
    os.mkfifo(tmp_path / "program")
    (tmp_path / "program").chmod(0o755)
    assert look(str(tmp_path / "program"), ME, runs=True).access is Access.THERE


def test_what_is_not_there_is_missing(tmp_path: Path) -> None:
    assert look(str(tmp_path / "none"), ME, runs=True).access is Access.MISSING
    assert look("no-such-program-anywhere", ME, runs=True).access is Access.MISSING


def test_what_a_sandbox_hides_is_told_apart_from_what_is_not_there() -> None:
    private = View(user="nobody", hides_homes=True, hides_devices=True)
    hidden = next(path for path in Path("/dev").iterdir() if path.name in {"core", "console", "tty0", "kmsg"})
    assert look("/dev/null", private).access is Access.THERE
    found = look(str(hidden), private)
    assert (found.access, found.cause, found.with_homes) == (Access.HIDDEN, "/dev", False)
    assert look(str(hidden), View(user="nobody")).access is not Access.HIDDEN
    assert look("/dev/no-such-device", private).access is Access.MISSING


def test_of_a_home_is_told_whether_its_user_could_read_it_at_all() -> None:
    """Everybody can list /home itself; nobody can list root's home, whatever a sandbox shows."""
    private = View(user="nobody", hides_homes=True)
    found = [look(path, private) for path in ("/home", "/root")]
    assert [(each.access, each.cause) for each in found] == [(Access.HIDDEN, "/home"), (Access.HIDDEN, "/root")]
    assert [each.with_homes for each in found] == [True, False]
