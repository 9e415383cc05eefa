"""A worker that sends READY=1 itself joins the routers; if it can not, the exit status tells."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from programs import alone

from tqunits.alone import verdicts
from tqunits.system.process import run

UMASK = os.umask(0o022)
os.umask(UMASK)


def joined(folder: Path, program: Path | None = None) -> tuple[int, str]:
    """Run as systemd runs it, in the program's folder: the exit status and the output."""
    done = run([*alone("join"), str(folder / "serving"), str(folder / "none"), "w"], working_directory=program)
    return done.returncode, done.stderr


def test_the_file_is_made(tmp_path: Path) -> None:
    (tmp_path / "leaving").touch()
    assert joined(tmp_path) == (0, "")
    assert [path.name for path in tmp_path.iterdir()] == ["serving"]


def test_a_file_that_can_not_be_made_is_no_bad_health(tmp_path: Path) -> None:
    """Status 1 would be taken for a result of an earlier release's gate."""
    status, said = joined(tmp_path / "gone")
    assert status == verdicts.UNPLACED
    assert said == f"tqunits-join: {tmp_path}/gone/serving: No such file or directory\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [(b"0123456789ab\n", b"0123456789ab\n"), (b"0123456789ab\n" + b"x" * 10**6, b"0123456789ab\n"), (b"", b"")],
)
def test_the_file_has_the_release_that_the_program_is_of(tmp_path: Path, text: bytes, expected: bytes) -> None:
    program, runtime = tmp_path / "program", tmp_path / "runtime"
    program.mkdir()
    runtime.mkdir()
    (program / ".tqunits-release").write_bytes(text)
    assert joined(runtime, program) == (0, "")
    assert (runtime / "serving").read_bytes() == expected
    assert (runtime / "serving").stat().st_mode & 0o444 == (0o444 if expected else 0o444 & ~UMASK)


@pytest.mark.parametrize("kind", ["a link", "a FIFO", "a folder"])
def test_what_is_no_file_is_no_release(tmp_path: Path, kind: str) -> None:
    """A FIFO would hold up the start for ever."""
    mark = tmp_path / ".tqunits-release"
    match kind:
        case "a link":
            (tmp_path / "elsewhere").write_text("0123456789ab\n", encoding="ascii")
            mark.symlink_to("elsewhere")
        case "a FIFO":
            os.mkfifo(mark)
        case _:
            mark.mkdir()
    (tmp_path / "runtime").mkdir()
    assert joined(tmp_path / "runtime", tmp_path) == (0, "")
    assert (tmp_path / "runtime" / "serving").read_bytes() == b""
