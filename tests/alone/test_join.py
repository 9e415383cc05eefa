"""A worker that says READY=1 itself joins the routers, or says with its exit status that it can
not."""

from __future__ import annotations

from pathlib import Path

from programs import alone

from tqunits.alone import verdicts
from tqunits.system.process import run


def joined(folder: Path) -> tuple[int, str]:
    """As systemd runs it: the exit status and what it says."""
    done = run([*alone("join"), str(folder / "serving"), str(folder / "none"), "w"])
    return done.returncode, done.stderr


def test_the_file_is_made(tmp_path: Path) -> None:
    (tmp_path / "leaving").touch()
    assert joined(tmp_path) == (0, "")
    assert [path.name for path in tmp_path.iterdir()] == ["serving"]


def test_a_file_that_can_not_be_made_is_no_bad_health(tmp_path: Path) -> None:
    """1 would be read as the verdict of an earlier release's gate."""
    status, said = joined(tmp_path / "gone")
    assert status == verdicts.UNPLACED
    assert said == f"tqunits-join: {tmp_path}/gone/serving: No such file or directory\n"
