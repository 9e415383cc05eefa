"""A worker that sends READY=1 itself joins the routers; if it can not, the exit status tells."""

from __future__ import annotations

from pathlib import Path

from programs import alone

from tqunits.alone import verdicts
from tqunits.system.process import run


def joined(folder: Path) -> tuple[int, str]:
    """Run as systemd runs it: the exit status and the output."""
    done = run([*alone("join"), str(folder / "serving"), str(folder / "none"), "w"])
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
