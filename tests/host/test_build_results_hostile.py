"""A build that makes files that root should not touch, and an owner of a folder who renames files
while root writes there."""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest
from host.small_disks import small_disk

from tqunits.errors import TqunitsError
from tqunits.host import source_tree
from tqunits.host.build_results import bring_home
from tqunits.system import files
from tqunits.system.process import run
from tqunits.system.survey import Bounds, Watch

BUILDER = 40125
ALICE = 40123
BOUNDS = Bounds(size=4 << 30)
FEW = Bounds(size=1 << 20, entries=1000)

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="gives files to other users")


@pytest.fixture
def built(roots: Path) -> Path:
    return given(roots / "built", BUILDER)


@pytest.fixture
def folder(roots: Path) -> Path:
    """The folder of a worker, owned by Alice with everything in it."""
    return given(given(roots / "alice", ALICE) / "site", ALICE)


def given(folder: Path, owner: int) -> Path:
    folder.mkdir()
    os.chown(folder, owner, owner)
    return folder


def make(built: Path, *names: bytes) -> None:
    """Files of that build; folders above them are made."""
    for name in names:
        path = os.fsencode(built / os.fsdecode(name))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(b"made")
    run(["chown", "-Rh", f"{BUILDER}:{BUILDER}", str(built)])


def tree(folder: Path) -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob("*")}


def bring(built: Path, folder: Path, *, bounds: Bounds = BOUNDS, named: tuple[str, ...] = ()) -> None:
    bring_home(built, folder, last="run", named=named, bounds=bounds)


def test_names_that_somebodys_script_would_take_for_something_else_stay(built: Path, folder: Path) -> None:
    make(
        built,
        b"run",
        b"-rf",
        b"lib/--force",
        b"a\nb",
        b"esc\x1b[2J",
        b"\xff\xfe",
        "next\u0085line".encode(),
        b"lib/fine",
    )
    bring(built, folder)
    assert tree(folder) == {"run", "lib", "lib/fine"}


def test_what_begins_with_a_dot_stays(built: Path, folder: Path) -> None:
    (folder / "lib").mkdir()
    make(built, b"run", b".env", b".profile", b"lib/.htaccess", b".ssh/authorized_keys", b"lib/fine")
    bring(built, folder)
    assert tree(folder) == {"run", "lib", "lib/fine"}


def test_what_begins_with_a_dot_comes_in_a_folder_of_the_builds(built: Path, folder: Path) -> None:
    """As npm makes node_modules/.bin."""
    make(built, b"run", b"modules/.bin/tool", b"modules/.git/config")
    bring(built, folder)
    assert tree(folder) == {"run", "modules", "modules/.bin", "modules/.bin/tool"}


def test_what_begins_with_a_dot_comes_if_the_build_names_it(built: Path, folder: Path) -> None:
    make(built, b".out/run", b".out/data", b".other/data")
    bring_home(built, folder, last=".out/run", bounds=BOUNDS)
    assert tree(folder) == {".out", ".out/run", ".out/data"}


@pytest.mark.parametrize("named", [(), (".git",), (".git/hooks/pre-commit",)])
def test_a_repository_never_comes(built: Path, folder: Path, named: tuple[str, ...]) -> None:
    make(built, b"run", b".git/hooks/pre-commit", b"lib/.git/config")
    bring(built, folder, named=named)
    assert tree(folder) == {"run", "lib"}


def test_a_hard_link_to_a_file_of_somebody_elses_stays(built: Path, folder: Path, roots: Path) -> None:
    secret = roots / "secret"
    secret.write_text("root's")
    make(built, b"run")
    (built / "linked").hardlink_to(secret)
    bring(built, folder)
    assert tree(folder) == {"run"}


def test_bits_that_give_rights_are_lost(built: Path, folder: Path) -> None:
    make(built, b"run", b"bin/tool")
    for name, mode in (("run", 0o6755), ("bin/tool", 0o2777), ("bin", 0o7777)):
        (built / name).chmod(mode)
    bring(built, folder)
    modes = {name: (folder / name).stat().st_mode & 0o7777 for name in ("run", "bin", "bin/tool")}
    assert modes == {"run": 0o755, "bin": 0o755, "bin/tool": 0o755}
    assert {(folder / name).stat().st_uid for name in modes} == {os.geteuid()}


@pytest.mark.parametrize("where", ["", "lib/"])
def test_one_name_too_many_leaves_nothing(built: Path, folder: Path, where: str) -> None:
    make(built, b"run", *(f"{where}{number}".encode() for number in range(1000)))
    with pytest.raises(TqunitsError, match="more than 1000 files and folders"):
        bring(built, folder, bounds=FEW)
    assert tree(folder) == set()


def test_long_paths_without_end_leave_nothing(built: Path, folder: Path) -> None:
    """Each path is remembered. Deep ones with long names take 25 KB each."""
    deep = "/".join(["n" * 255] * 8)
    make(built, b"run", *(f"lib/{deep}/{number}".encode() for number in range(100)))
    with pytest.raises(TqunitsError, match="paths of more than 0 Mi characters in all"):
        bring(built, folder, bounds=replace(BOUNDS, paths=200_000))
    assert tree(folder) == set()


def test_one_byte_too_many_leaves_nothing(built: Path, folder: Path) -> None:
    make(built, b"run", b"lib/a", b"lib/b")
    for name in ("lib/a", "lib/b"):
        os.truncate(built / name, FEW.size // 2)
    with pytest.raises(TqunitsError, match=r"more than 1M, which is its build\.disk_max"):
        bring(built, folder, bounds=FEW)
    assert tree(folder) == set()


def test_names_without_end_cost_no_memory(built: Path, folder: Path) -> None:
    """They are read one by one: a list of them alone would take 12 MB."""
    for number in range(50_000):
        os.mknod(built / f"{number:0200}")
    os.chown(built, 0, 0)  # the owner of all these files
    grown = growth(lambda: refused(built, folder, Bounds(size=1 << 20, entries=40_000)))
    assert grown < 4 << 20
    assert tree(folder) == set()


def test_names_without_end_in_the_place_of_a_result_cost_no_memory(folder: Path) -> None:
    """The owner may put another folder there, while the results are being remembered."""
    (folder / "bin").mkdir()
    for number in range(100_000):
        os.mknod(folder / f"bin/{number:0200}")
    assert growth(lambda: found_below(folder)) < 12 << 20


def found_below(folder: Path) -> None:
    assert len(source_tree.below(folder, {"bin"})) == source_tree.MAX_RESULTS


def refused(built: Path, folder: Path, bounds: Bounds) -> None:
    with pytest.raises(TqunitsError, match="more than 40000 files and folders"):
        bring(built, folder, bounds=bounds)


def growth(deed: Callable[[], None]) -> int:
    """The additional bytes that a process of its own uses at most while it does that."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        status = 1
        with suppress(BaseException):
            deed()
            status = 0
        more = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        os.write(writing, f"{status} {more * 1024}".encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as answer:
        ended, grown = answer.read().split()
    os.waitpid(child, 0)
    assert ended == "0"
    return int(grown)


def test_a_folder_that_is_full_leaves_nothing_of_a_build(built: Path, folder: Path, small: Path) -> None:
    make(built, b"run", b"lib/small", b"lib/large")
    (built / "lib/large").write_bytes(b"x" * (4 << 20))
    with pytest.raises(OSError, match="No space left"):
        bring(built, small)
    assert tree(small) == {"bin"}


@pytest.fixture
def small(roots: Path) -> Iterator[Path]:
    with small_disk(roots / "small", 2) as place:
        (place / "bin").mkdir()
        yield place


def test_what_can_not_be_moved_takes_all_back(built: Path, folder: Path) -> None:
    """A name that seems to be new, but can not be renamed to, as with a mount point: nothing else
    of the build stays."""
    make(built, b"run", b"aaa/data", b"lib/more/data", b"lib/run")
    (folder / "lib").mkdir()
    os.chmod(folder / "lib", 0o755)
    with immutable(folder / "lib"), pytest.raises(OSError, match="not permitted"):
        bring(built, folder)
    assert tree(folder) == {"lib"}


def test_what_can_not_be_moved_leaves_what_was_made_before(built: Path, folder: Path) -> None:
    make(built, b"run", b"aaa/data", b"zzz")
    before = bring_home(built, folder, last="run", bounds=BOUNDS).made
    (folder / "lib").mkdir()
    files.remove_tree(built / "zzz")
    make(built, b"lib/new", b"aaa/more")
    (built / "aaa/data").write_bytes(b"again")
    with immutable(folder / "lib"), pytest.raises(OSError, match="not permitted"):
        bring_home(built, folder, last="run", bounds=BOUNDS, before=before)
    assert tree(folder) == {"run", "aaa", "aaa/data", "zzz", "lib"}
    assert (folder / "aaa/data").read_bytes() == b"made"


@contextmanager
def immutable(folder: Path) -> Iterator[None]:
    if run(["chattr", "+i", str(folder)]).returncode != 0:
        pytest.skip("this file system has no such attribute")
    try:
        yield
    finally:
        run(["chattr", "-i", str(folder)])


def test_what_a_harvest_that_was_killed_has_left_goes_with_the_next(built: Path, folder: Path) -> None:
    left = folder / ".tqunits-0123456789abcdef.tmp"
    left.mkdir(mode=0o700)
    (left / "half").mkdir()
    roots_own = folder / ".tqunits-00000000000000ff.tmp"  # the owner of the folder has given it that name
    roots_own.mkdir(mode=0o755)
    like_it = given(folder / ".tqunits-fedcba9876543210.tmp", ALICE)
    make(built, b"run")
    bring(built, folder)
    assert tree(folder) == {"run", like_it.name, roots_own.name}


@pytest.mark.parametrize("below", ["", "deeper"])
def test_a_link_on_the_way_to_a_folder_is_not_followed(built: Path, folder: Path, roots: Path, below: str) -> None:
    """Alice has put it there after root has checked the owner of the folder."""
    victim = roots / "etc"
    (victim / "deeper").mkdir(parents=True)
    folder.rmdir()
    folder.symlink_to(victim)
    make(built, b"run")
    with pytest.raises(OSError, match=r"symbolic links|Not a directory"):
        bring(built, folder / below)
    assert tree(victim) == {"deeper"}


def test_a_link_that_comes_and_goes_while_root_writes_leads_nowhere(built: Path, folder: Path, roots: Path) -> None:
    victim = given(roots / "cron.d", 0)
    make(built, b"run", *(f"bin/deep/{number}".encode() for number in range(20)))
    with swapping(folder, "bin", victim):
        for _ in range(60):
            with suppress(OSError, TqunitsError):
                bring(built, folder)
            (folder / "run").unlink(missing_ok=True)
    assert tree(victim) == set()


@contextmanager
def swapping(folder: Path, name: str, victim: Path) -> Iterator[None]:
    """Alice makes a folder there and puts a link in its place, again and again."""
    child = os.fork()
    if child == 0:
        os.setgid(ALICE)
        os.setuid(ALICE)
        os.chdir(folder)
        number = 0
        while True:
            number += 1
            with suppress(OSError):
                os.rename(name, f"old{number}")
            with suppress(OSError):
                os.symlink(victim, name) if number % 2 else os.mkdir(name)
    try:
        yield
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_a_watch_sees_what_a_build_takes(built: Path) -> None:
    watch = Watch([built, built / "none"], FEW)
    assert watch.look() is None
    make(built, b"lib/large")
    os.truncate(built / "lib/large", 4 << 20)
    assert Watch([built], FEW).look() is None  # a hole takes no space
    (built / "lib/large").write_bytes(b"x" * (2 << 20))
    beyond = Watch([built], FEW).look()
    assert beyond is not None
    assert beyond.message == "it made more than 1M, which is its build.disk_max"


def test_a_watch_counts_a_file_with_many_names_once(built: Path) -> None:
    make(built, b"large")
    (built / "large").write_bytes(b"x" * (1 << 19))
    for number in range(10):
        (built / f"{number}").hardlink_to(built / "large")
    assert Watch([built], FEW).look() is None


def test_a_watch_does_not_go_down_without_end(built: Path) -> None:
    here = os.getcwd()
    os.chdir(built)
    try:
        for _ in range(1500):
            os.mkdir("d")
            os.chdir("d")
    finally:
        os.chdir(here)
    beyond = Watch([built], BOUNDS).look()
    assert beyond is not None
    assert "deep" in beyond.message
    files.remove_tree(built)
