"""What is copied of a tree that a hostile build, or the owner of a worker's folder, has made; root
reads and writes nothing else."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest
from host.moments import before
from host.releases import BOUNDS, own, tree, written

from tqunits.errors import TqunitsError
from tqunits.host.release_tree import ChangesMeanwhile, Copied, TreeSource, copy_tree
from tqunits.system import files
from tqunits.system.survey import MAX_DEPTH, Bounds

BUILDER = 40125
ALICE = 40123
NOBODY = 65534
TIB = 1 << 40

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="gives files to other users")


@pytest.fixture
def built(roots: Path) -> Path:
    """The workspace of a build."""
    folder = roots / "built"
    folder.mkdir()
    given(folder)
    return folder


@pytest.fixture
def into(roots: Path) -> Path:
    folder = roots / "into"
    folder.mkdir()
    return folder


def given(folder: Path, owner: int = BUILDER) -> None:
    """Give everything in it to the build."""
    for path in (folder, *folder.rglob("*")):
        os.chown(path, owner, owner, follow_symlinks=False)


def of_build(folder: Path, bounds: Bounds = BOUNDS) -> TreeSource:
    return TreeSource(folder, BUILDER, bounds, frozenset(), ())


def copied(source: TreeSource, into: Path) -> Copied:
    folder = os.open(into, os.O_RDONLY | os.O_DIRECTORY)
    try:
        return copy_tree(source, folder)
    finally:
        os.close(folder)


def test_all_of_a_tree_is_copied(built: Path, into: Path) -> None:
    written(built, run="program", lib__data="data", **{".hidden__.env": "e", "__pycache__/x.pyc": "c"})
    (built / "empty").mkdir()
    given(built)
    assert str(copied(of_build(built), into).left) == ""
    assert tree(into) == tree(built)
    assert (into / "lib/data").read_text() == "data"
    assert {path.stat().st_uid for path in into.rglob("*")} == {0}


def test_its_size_and_its_files_are_counted(built: Path, into: Path) -> None:
    written(built, a="12345", lib__b="123")
    (built / "link").symlink_to("a")
    given(built)
    found = copied(of_build(built), into)
    assert (found.size, found.files) == (9, 3)


MIB = 1 << 20


@pytest.mark.parametrize("size", [0, 1, MIB - 1, MIB, MIB + 1, 3 * MIB])
@pytest.mark.parametrize("other", ["", "/dev/shm"], ids=["the-same-file-system", "another"])
def test_every_byte_is_copied(built: Path, roots: Path, size: int, other: str) -> None:
    content = os.urandom(size)
    (built / "file").write_bytes(content)
    given(built)
    with tempfile.TemporaryDirectory(dir=other or roots) as into:
        assert copied(of_build(built), Path(into)).size == size
        assert Path(into, "file").read_bytes() == content


def test_times_stay(built: Path, into: Path) -> None:
    written(built, old="o")
    os.utime(built / "old", ns=(1, 1_000_000_007))
    given(built)
    copied(of_build(built), into)
    assert (into / "old").stat().st_mtime_ns == 1_000_000_007


def times_of(content: str, source: Path, into: Path) -> tuple[int, int]:
    """Of a file that is served and of one that is not, both of one time, in nanoseconds."""
    written(source, public__app=content, main=content)
    for name in ("public/app", "main"):
        os.utime(source / name, ns=(1, 315_532_800_000_000_007))  # 1980, as archives have it
    given(source)
    into.mkdir()
    copied(replace(of_build(source), served=PurePosixPath("public")), into)
    served, other = ((into / name).stat().st_mtime_ns for name in ("public/app", "main"))
    return served, other


@pytest.mark.parametrize("length", [1, MIB, MIB + 1], ids=str)
def test_the_time_of_a_served_file_tells_its_content(built: Path, roots: Path, length: int) -> None:
    """Its ETag is made of nothing else but its size."""
    one, two = "a" * length, "a" * (length - 1) + "b"
    (first, main), (second, other), (again, _) = (
        times_of(content, built, roots / f"release{number}") for number, content in enumerate((one, two, one))
    )
    assert main == other == 315_532_800_000_000_007
    assert first == again != second
    assert {time // 10**9 for time in (first, second, main)} == {315_532_800}


def test_modes_that_give_rights_are_lost(built: Path, into: Path) -> None:
    written(built, run="p", secret="s", bin__tool="t")
    given(built)
    for name, mode in (("run", 0o6711), ("secret", 0o600), ("bin/tool", 0o2777), ("bin", 0o7700)):
        (built / name).chmod(mode)
    copied(of_build(built), into)
    modes = {name: (into / name).stat().st_mode & 0o7777 for name in ("run", "secret", "bin", "bin/tool")}
    assert modes == {"run": 0o755, "secret": 0o644, "bin": 0o755, "bin/tool": 0o755}


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_our_umask_does_not_count(built: Path, into: Path, umask: int) -> None:
    written(built, bin__run="p")
    given(built)
    was = os.umask(umask)
    try:
        copied(replace(of_build(built), mount_points=("var/data",)), into)
    finally:
        os.umask(was)
    modes = {path.stat().st_mode & 0o7777 for path in into.rglob("*") if path.is_dir()}
    assert modes == {0o755}


@pytest.mark.parametrize("target", ["/etc/shadow", "/etc", "../../..", "lib", "nowhere", "x/" * 1999])
def test_a_link_is_copied_as_it_says_and_is_never_roots(built: Path, into: Path, target: str) -> None:
    written(built, lib__data="data")
    (built / "link").symlink_to(target)
    given(built)
    copied(of_build(built), into)
    assert os.readlink(into / "link") == target
    assert (into / "link").lstat().st_uid == BUILDER
    assert tree(into) == {"link", "lib/", "lib/data"}


def test_a_link_in_a_workers_folder_is_nobodys(built: Path, into: Path) -> None:
    (built / "link").symlink_to("/etc")
    copied(own(built), into)
    assert (into / "link").lstat().st_uid == NOBODY


def make_socket(path: Path) -> None:
    os.mknod(path, stat.S_IFSOCK | 0o666)


def make_device(path: Path) -> None:
    os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 5))  # /dev/zero has no end


@pytest.mark.parametrize("make", [os.mkfifo, make_socket, make_device])
@pytest.mark.parametrize("source", [of_build, own])
def test_what_is_no_file_is_left(
    built: Path, into: Path, make: Callable[[Path], None], source: Callable[[Path], TreeSource]
) -> None:
    written(built, lib__run="program")
    make(built / "lib/odd")
    (built / "lib/odd").chmod(0o666)
    given(built)
    assert str(copied(source(built), into).left) == "lib/odd"
    assert tree(into) == {"lib/", "lib/run"}


STRANGE = [b"-rf", b"a\nb", b"esc\x1b[2J", b"\xff\xfe", "next\u0085line".encode(), b"tab\t"]


@pytest.mark.parametrize("name", STRANGE)
@pytest.mark.parametrize("is_folder", [False, True])
def test_strange_names_are_left(built: Path, into: Path, name: bytes, *, is_folder: bool) -> None:
    written(built, run="program")
    path = Path(os.fsdecode(os.path.join(os.fsencode(built), name)))
    path.mkdir() if is_folder else path.write_text("x")
    given(built)
    assert copied(of_build(built), into).left.names == [os.fsdecode(name)]
    assert tree(into) == {"run"}


def test_repositories_are_not_copied_and_not_told(built: Path, into: Path) -> None:
    written(built, run="p", **{".git__config": "c", "lib__.git__hooks__x": "x", "sub__.git": "gitdir: /"})
    given(built)
    assert copied(of_build(built), into).left.count == 0
    assert tree(into) == {"run", "lib/", "sub/"}


def test_what_the_source_excludes_is_not_copied_and_not_told(built: Path, into: Path) -> None:
    written(built, run="p", lib__old="o", lib__deep__old="o", logs__x="x")
    source = replace(of_build(built), without=frozenset({"lib/old", "logs"}))
    given(built)
    assert copied(source, into).left.count == 0
    assert tree(into) == {"run", "lib/", "lib/deep/", "lib/deep/old"}


def test_a_hard_link_to_a_file_of_somebody_elses_is_left(built: Path, into: Path, roots: Path) -> None:
    written(roots, secret="s")
    written(built, run="p")
    given(built)
    (built / "stolen").hardlink_to(roots / "secret")
    assert str(copied(of_build(built), into).left) == "stolen"
    assert tree(into) == {"run"}


def test_a_folder_of_somebody_elses_is_left(built: Path, into: Path) -> None:
    written(built, run="p", alice__data="d")
    given(built)
    given(built / "alice", ALICE)
    assert str(copied(of_build(built), into).left) == "alice"


def test_of_a_workers_folder_what_everybody_may_read_is_copied(built: Path, into: Path) -> None:
    written(built, run="p", secret="s", closed__data="d", listed__data="d")
    written(built, **{"__pycache__/x": "c", "lib/__pycache__/x": "c"})
    given(built, ALICE)
    (built / "lib").chmod(0o755)
    for name, mode in (("secret", 0o640), ("closed", 0o750), ("listed", 0o754)):
        (built / name).chmod(mode)
    assert sorted(copied(own(built), into).left.names) == ["closed", "listed", "secret"]
    assert tree(into) == {"run", "lib/"}


@pytest.mark.parametrize("mode", [0o700, 0o750, 0o754, 0o751])
def test_a_folder_that_is_closed_to_others_is_refused(built: Path, into: Path, mode: int) -> None:
    """Its files may be open to everybody because nobody reaches them."""
    written(built, run="p")
    built.chmod(mode)
    with pytest.raises(TqunitsError, match="closed to others"):
        copied(own(built), into)
    assert tree(into) == set()


def test_a_file_of_holes_counts_in_full_before_anything_is_copied(built: Path, into: Path) -> None:
    written(built, aaa="a", zzz="")
    os.truncate(built / "zzz", TIB)
    given(built)
    with pytest.raises(TqunitsError, match=r"it has more than 4G, which is its build\.disk_max"):
        copied(of_build(built, replace(BOUNDS, verb="has")), into)
    assert tree(into) == set()


@pytest.mark.parametrize("where", ["", "lib"])
def test_names_without_end_are_refused_before_anything_is_copied(built: Path, into: Path, where: str) -> None:
    (built / "lib").mkdir()
    for number in range(1001):
        os.mknod(built / where / str(number))
    given(built)
    with pytest.raises(TqunitsError, match="it made more than 1000 files and folders"):
        copied(of_build(built, Bounds(size=1 << 20, entries=1000)), into)
    assert tree(into) == set()


def test_names_that_are_left_count_too(built: Path, into: Path) -> None:
    for number in range(1001):
        os.mkfifo(built / str(number))
    with pytest.raises(TqunitsError, match="more than 1000"):
        copied(of_build(built, Bounds(size=1 << 20, entries=1000)), into)


def test_the_text_of_links_counts(built: Path, into: Path) -> None:
    for number in range(3):
        (built / str(number)).symlink_to("x/" * 1999)
    given(built)
    with pytest.raises(TqunitsError, match="more than 10K"):
        copied(of_build(built, Bounds(size=10 << 10)), into)


def test_a_folder_without_a_bottom_is_refused(built: Path, into: Path) -> None:
    here = os.getcwd()
    os.chdir(built)
    try:
        for _ in range(1500):
            os.mkdir("d")
            os.chown("d", BUILDER, BUILDER)
            os.chdir("d")
    finally:
        os.chdir(here)
    with pytest.raises(TqunitsError, match=f"more than {MAX_DEPTH} deep"):
        copied(of_build(built), into)
    assert tree(into) == set()
    files.remove_tree(built)


def test_the_deepest_folder_is_copied(built: Path, into: Path) -> None:
    written(built, **{f"{'d__' * (MAX_DEPTH - 1)}file": "f"})
    given(built)
    copied(of_build(built), into)
    assert tree(into) == tree(built)


def test_mount_points_are_made_and_empty(built: Path, into: Path) -> None:
    written(built, run="p", var__data__upload="u", var__keep="k")
    given(built)
    found = copied(replace(of_build(built), mount_points=("var/data", "logs/deep", "./tmp/")), into)
    assert tree(into) == {"run", "var/", "var/keep", "var/data/", "logs/", "logs/deep/", "tmp/"}
    assert found.left.count == 0


@pytest.mark.parametrize("path", ["link/data", "run/data"])
def test_a_mount_point_below_a_link_or_a_file_is_refused(built: Path, into: Path, roots: Path, path: str) -> None:
    (roots / "victim").mkdir()
    written(built, run="p")
    (built / "link").symlink_to(roots / "victim")
    given(built)
    with pytest.raises(TqunitsError, match=f"{path} can not be a folder of its own"):
        copied(replace(of_build(built), mount_points=(path,)), into)
    assert tree(roots / "victim") == set()


def test_a_mount_point_takes_the_place_of_a_link(built: Path, into: Path) -> None:
    (built / "data").symlink_to("/etc")
    given(built)
    copied(replace(of_build(built), mount_points=("data",)), into)
    assert tree(into) == {"data/"}


# --- while it is read ---


def becomes_link(path: Path, victim: Path) -> None:
    gone(path, victim)
    path.symlink_to(victim / "secret")
    os.chown(path, BUILDER, BUILDER, follow_symlinks=False)


def becomes_link_to_folder(path: Path, victim: Path) -> None:
    gone(path, victim)
    path.symlink_to(victim)
    os.chown(path, BUILDER, BUILDER, follow_symlinks=False)


def becomes_pipe(path: Path, victim: Path) -> None:
    gone(path, victim)
    os.mkfifo(path)
    os.chown(path, BUILDER, BUILDER)


def becomes_socket(path: Path, victim: Path) -> None:
    gone(path, victim)
    make_socket(path)
    os.chown(path, BUILDER, BUILDER)


def becomes_somebody_elses(path: Path, victim: Path) -> None:
    gone(path, victim)
    path.hardlink_to(victim / "secret")


def becomes_the_other_kind(path: Path, victim: Path) -> None:
    was_folder = path.is_dir()
    gone(path, victim)
    path.write_text("x") if was_folder else path.mkdir()
    os.chown(path, BUILDER, BUILDER)


def gone(path: Path, _: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink()


SWAPS = [
    becomes_link,
    becomes_link_to_folder,
    becomes_pipe,
    becomes_socket,
    becomes_somebody_elses,
    becomes_the_other_kind,
    gone,
]


@pytest.mark.parametrize("swap", SWAPS)
@pytest.mark.parametrize("name", ["file", "folder"])
def test_what_is_swapped_before_it_is_opened_ends_the_copy(
    built: Path, into: Path, roots: Path, swap: Callable[[Path, Path], None], name: str
) -> None:
    victim = written(roots / "victim", secret="root's")
    written(built, file="f", folder__data="d")
    given(built)
    deed = before("open", name, lambda: swap(built / name, victim))
    with deed, pytest.raises(ChangesMeanwhile, match=f"^{name} changes while it is copied$"):
        copied(of_build(built), into)
    assert not any(path.is_file() and path.read_text() == "root's" for path in into.rglob("*"))
    assert tree(victim) == {"secret"}


def test_what_is_closed_before_it_is_opened_ends_the_copy(built: Path, into: Path) -> None:
    written(built, file="f")
    close = before("open", "file", lambda: (built / "file").chmod(0o600))
    with close, pytest.raises(ChangesMeanwhile):
        copied(own(built), into)


def grows(path: Path) -> None:
    with path.open("a") as file:
        file.write("more")


def shrinks(path: Path) -> None:
    os.truncate(path, 1)


def is_touched(path: Path) -> None:
    os.utime(path, ns=(0, 0))


def keeps_its_time(path: Path) -> None:
    """Nobody can set a change time."""
    found = path.stat()
    path.write_text("other")
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))


@pytest.mark.parametrize("change", [grows, shrinks, is_touched, keeps_its_time])
@pytest.mark.parametrize("source", [of_build, own])
def test_a_file_that_changes_while_it_is_copied_ends_the_copy(
    built: Path, into: Path, source: Callable[[Path], TreeSource], change: Callable[[Path], None]
) -> None:
    written(built, file="first")
    given(built)
    at_its_end = before("os.utime", None, lambda: change(built / "file"))  # the copy gets its time
    with at_its_end, pytest.raises(ChangesMeanwhile, match=r"^file changes"):
        copied(source(built), into)


def test_a_file_that_grows_after_it_was_counted_stays_within_bounds(built: Path, into: Path) -> None:
    written(built, file="f")
    given(built)
    grow = before("open", "file", lambda: os.truncate(built / "file", TIB))
    with grow, pytest.raises(TqunitsError, match="more than 8M"):
        copied(of_build(built, Bounds(size=8 << 20)), into)
    assert (into / "file").stat().st_size <= 9 << 20  # what is copied is counted each MiB


def test_files_that_come_after_they_were_counted_stay_within_bounds(built: Path, into: Path) -> None:
    written(built, lib__data="d")
    given(built)

    def more() -> None:
        for number in range(2000):
            os.mknod(built / "lib" / str(number))

    with before("os.mkdir", "lib", more), pytest.raises(TqunitsError, match="more than 1000 files"):
        copied(of_build(built, Bounds(size=1 << 20, entries=1000)), into)
    assert len(tree(into)) <= 1000


def test_swaps_without_end_lead_nowhere(built: Path, into: Path, roots: Path) -> None:
    """The owner exchanges a folder and a link as fast as he can."""
    victim = written(roots / "victim", data="root's")
    written(built, run="p", lib__data="mine", lib__deep__data="mine")
    given(built)
    with swapping(built, "lib", victim):
        for number in range(60):
            place = into / str(number)
            place.mkdir()
            with suppress(ChangesMeanwhile):
                copied(of_build(built), place)
    assert not any(path.is_file() and path.read_text() == "root's" for path in into.rglob("*") if not path.is_symlink())
    assert tree(victim) == {"data"}


@contextmanager
def swapping(folder: Path, name: str, victim: Path) -> Iterator[None]:
    """The build's user puts a link in the place of the folder and the folder back, again and
    again."""
    child = os.fork()
    if child == 0:
        os.setgid(BUILDER)
        os.setuid(BUILDER)
        os.chdir(folder)
        while True:
            os.rename(name, "aside")
            os.symlink(victim, name)
            os.unlink(name)
            os.rename("aside", name)
    try:
        yield
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
