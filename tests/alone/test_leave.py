"""A worker that is asked to stop has not failed. So the link by which its next start would wait is
removed: its own link, and no other instance's."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from programs import alone

from tqunits.model import Instance
from tqunits.system.process import run
from tqunits.units.failure_pause import begun

INSTANCES = (Instance("api"), Instance("api", 2), Instance("api", 12))


def leave(folder: Path, whose: Instance, pid: int) -> str:
    """Run as systemd runs it, with no process to wait for; gives its output."""
    place = ("--serving", str(folder / "serving"), "--routers", str(folder / "none"), "--name", str(whose))
    argv = [*alone("leave"), *place, "--wait", "1", "--pid", str(pid) if pid else ""]
    done = run(argv, environment={**os.environ, "CACHE_DIRECTORY": str(folder)})
    assert done.returncode == 0
    return done.stderr


@pytest.mark.parametrize("whose", INSTANCES, ids=str)
def test_who_is_asked_to_stop_takes_its_own_link_away(tmp_path: Path, whose: Instance) -> None:
    for each in INSTANCES:
        (tmp_path / begun(each)).symlink_to("nowhere")
    assert leave(tmp_path, whose, os.getpid()) == ""
    left = {path.name for path in tmp_path.iterdir() if path.is_symlink()}
    assert left == {begun(each) for each in INSTANCES if each != whose}


def test_who_has_ended_by_itself_leaves_it(tmp_path: Path) -> None:
    (tmp_path / begun(INSTANCES[1])).symlink_to("nowhere")
    assert leave(tmp_path, INSTANCES[1], 0) == ""
    assert (tmp_path / begun(INSTANCES[1])).is_symlink()


def test_a_link_that_stays_is_said(tmp_path: Path) -> None:
    (tmp_path / begun(INSTANCES[1])).mkdir()  # the owner of the folder may have put anything there
    assert leave(tmp_path, INSTANCES[1], os.getpid()).startswith("tqunits-leave: .begun-2 is left: ")
