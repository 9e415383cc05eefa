"""Which results of a build are taken over; a hostile build gets nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tqunits.errors import TqunitsError
from tqunits.host.build_results import Harvest, NotMade, bring_home
from tqunits.host.hostile_files import Untaken
from tqunits.host.made import Made
from tqunits.system.process import run
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
    """A sparse file that is larger than allowed, and takes no space."""
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


def test_a_pipe_stays(built: Path, folder: Path) -> None:
    os.mkfifo(built / "planted")
    home = bring_home(built, folder, last="run", bounds=BOUNDS)
    assert list(folder.iterdir()) == []
    assert str(home.left) == "planted"


@pytest.mark.parametrize("place", ["secret", "."])
def test_a_link_comes_as_what_it_says(built: Path, folder: Path, tmp_path: Path, place: str) -> None:
    host = made(tmp_path / "host")
    (host / "secret").write_text("secret")
    (built / "planted").symlink_to(host / place)
    home = bring_home(built, folder, last="run", bounds=BOUNDS)
    assert (folder / "planted").readlink() == host / place
    assert home.made == Made(frozenset({"planted"}), frozenset({"planted"}))
    assert tree(host) == {"secret"}


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
    """A build that is interrupted by a full disk, a name or a crash is not taken for a complete
    one."""
    (built / "a-program").write_text("program")
    (made(built / "lib") / "data").write_text("data")
    hole(built / "lib" / "hole")
    with pytest.raises(TqunitsError):
        bring_home(built, folder, last="a-program", bounds=BOUNDS)
    assert not (folder / "a-program").exists()


def again(built: Path, folder: Path, home: Harvest, **files: str) -> Harvest:
    """A harvest of these files, after an earlier one."""
    run(["rm", "-rf", str(built)])
    for name, text in files.items():
        path = built / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return bring_home(built, folder, last="bin/run", bounds=BOUNDS, before=home.made)


NOTHING = Harvest(made=Made(), kept=Untaken(), left=Untaken())


def test_what_was_made_before_is_replaced_and_what_is_made_no_more_goes(built: Path, folder: Path) -> None:
    (made(folder / "src") / "main").write_text("source")
    first = again(built, folder, NOTHING, bin__run="one", bin__old="one", src__made="one", lone="one")
    assert first.made.roots == {"bin", "src/made", "lone"}
    (folder / "bin" / "mine").write_text("by hand")
    second = again(built, folder, first, bin__run="two", src__made="two")
    assert second.made.roots == {"bin", "src/made"}
    assert tree(folder) == {"src/main", "src/made", "bin/run", "bin/mine"}
    assert {(folder / name).read_text() for name in ("bin/run", "src/made")} == {"two"}
    assert (folder / "bin" / "mine").read_text() == "by hand"


def test_files_of_somebody_elses_stay_in_a_folder_that_is_made_no_more(built: Path, folder: Path) -> None:
    first = again(built, folder, NOTHING, bin__run="one", lib__deep__old="one")
    (made(folder / "lib" / "data") / "upload").write_text("data")
    again(built, folder, first, bin__run="two")
    assert tree(folder) == {"bin/run", "lib/data/upload"}


def test_a_build_without_the_command_replaces_nothing(built: Path, folder: Path) -> None:
    first = again(built, folder, NOTHING, bin__run="one", lib__data="one")
    with pytest.raises(NotMade):
        again(built, folder, first, lib__data="two")
    assert tree(folder) == {"bin/run", "lib/data"}
    assert (folder / "lib" / "data").read_text() == "one"


def test_who_renames_meanwhile_leads_nowhere(built: Path, folder: Path) -> None:
    first = again(built, folder, NOTHING, bin__run="one", aaa="one", gone="one")

    def intrude(_: Made) -> None:
        run(["rm", "-r", str(folder / "bin")])
        (folder / "bin").symlink_to("/nowhere")
        (folder / "bbb").mkdir()
        (folder / "bbb" / "full").write_text("x")

    run(["rm", "-rf", str(built)])
    (made(built / "bin") / "run").write_text("two")
    (built / "aaa").write_text("two")
    (built / "bbb").write_text("two")
    bring_home(built, folder, last="bin/run", bounds=BOUNDS, before=first.made, intend=intrude)
    assert (folder / "bin" / "run").read_text() == "two"
    assert (folder / "bbb" / "full").read_text() == "x"


def test_the_command_of_before_there_was_a_record_is_replaced_if_the_build_has_made_it(
    built: Path, folder: Path
) -> None:
    for name in ("run", "other", "same"):
        (folder / name).write_text("old")
        (built / name).write_text("by the build")
    (built / "same").write_text("old")
    time = (folder / "same").stat().st_mtime_ns
    os.utime(built / "same", ns=(time, time))
    home = bring_home(built, folder, last="run", bounds=BOUNDS)
    assert {name: (folder / name).read_text() for name in ("run", "other")} == {"run": "by the build", "other": "old"}
    assert (str(home.kept), home.made.roots) == ("other", frozenset({"run"}))
