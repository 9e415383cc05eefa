"""What comes home from a build, and what a hostile one gets: nothing."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tqunits.errors import TqunitsError
from tqunits.system.harvest import bring_home
from tqunits.system.survey import MAX_DEPTH, Bounds

BOUNDS = Bounds(size=4 << 30)


@pytest.fixture
def built(tmp_path: Path) -> Path:
    return made(tmp_path / "built")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return made(tmp_path / "folder")


def made(path: Path) -> Path:
    path.mkdir(parents=True)
    return path


def hole(path: Path) -> None:
    """A file that says it is too large, and takes no room."""
    path.write_bytes(b"")
    os.truncate(path, BOUNDS.size + 1)


def tree(folder: Path) -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if not p.is_dir()}


def test_new_files_come_home_and_old_ones_stay(built: Path, folder: Path) -> None:
    (folder / "old").write_text("old")
    (built / "old").write_text("changed by the build")
    (made(built / "bin" / "deeper") / "data").write_text("new")
    program = built / "bin" / "run"
    program.write_text("program")
    program.chmod(0o6711)
    bring_home(built, folder, last="./bin/run", bounds=BOUNDS)
    assert tree(folder) == {"old", "bin/run", "bin/deeper/data"}
    assert (folder / "old").read_text() == "old"
    assert (folder / "bin/run").stat().st_mode & 0o7777 == 0o755
    assert (folder / "bin/deeper/data").stat().st_mode & 0o7777 == 0o644


def a_link(path: Path, secret: Path) -> None:
    path.symlink_to(secret)


def a_pipe(path: Path, _: Path) -> None:
    os.mkfifo(path)


def a_link_to_a_folder(path: Path, secret: Path) -> None:
    path.symlink_to(secret.parent)


@pytest.mark.parametrize("plant", [a_link, a_pipe, a_link_to_a_folder])
def test_only_regular_files_come_home(
    built: Path, folder: Path, tmp_path: Path, plant: Callable[[Path, Path], None]
) -> None:
    secret = made(tmp_path / "host") / "secret"
    secret.write_text("secret")
    plant(built / "planted", secret)
    bring_home(built, folder, last="run", bounds=BOUNDS)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("below", ["out", "out/deeper"])
def test_a_link_in_the_workers_folder_leads_nowhere(built: Path, folder: Path, tmp_path: Path, below: str) -> None:
    host = made(tmp_path / "host" / "deeper").parent
    (folder / "out").symlink_to(host)
    (made(built / below) / "planted").write_text("by the build")
    bring_home(built, folder, last="run", bounds=BOUNDS)
    assert tree(host) == set()


def test_a_link_in_the_place_of_a_file_stays(built: Path, folder: Path, tmp_path: Path) -> None:
    (folder / "run").symlink_to(tmp_path / "host")
    (built / "run").write_text("by the build")
    bring_home(built, folder, last="run", bounds=BOUNDS)
    assert not (tmp_path / "host").exists()
    assert (folder / "run").is_symlink()


def test_a_file_with_a_hole_is_taken_for_its_size(built: Path, folder: Path) -> None:
    hole(built / "hole")
    (built / "run").write_text("program")
    with pytest.raises(TqunitsError, match="more than 4G"):
        bring_home(built, folder, last="run", bounds=BOUNDS)
    assert tree(folder) == set()


def test_a_folder_without_a_bottom_is_refused(built: Path, folder: Path) -> None:
    made(built / "/".join("d" * MAX_DEPTH))
    (built / "run").write_text("program")
    with pytest.raises(TqunitsError, match="deep"):
        bring_home(built, folder, last="run", bounds=BOUNDS)
    assert tree(folder) == set()


def test_the_command_comes_last(built: Path, folder: Path) -> None:
    """Cut off by the disk, a name or a crash, a build is not mistaken for a whole one."""
    (built / "a-program").write_text("program")
    (made(built / "lib") / "data").write_text("data")
    hole(built / "lib" / "hole")
    with pytest.raises(TqunitsError):
        bring_home(built, folder, last="a-program", bounds=BOUNDS)
    assert not (folder / "a-program").exists()
