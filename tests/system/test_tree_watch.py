"""Watched trees, with real folders and a real inotify."""

from __future__ import annotations

import asyncio
import os
import shutil
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from textwrap import indent

import pytest
from namespaces import MOUNTS, USER, run_in_namespaces
from tree_owner import Owner, walked, watching

from tqunits.system import process
from tqunits.system.inotify_queue import InotifyQueue
from tqunits.system.tree_watch import MAX_RATE, TreeWatches, WatchedTree

pytestmark = pytest.mark.loops("uvloop")  # the manager's loop

FLOOD = 3 * MAX_RATE
"""Events that are too many, whichever second the loop reads them in, and that the kernel's queue
holds."""


def run(folder: Path, script: str) -> None:
    done = process.run(["sh", "-ec", script], working_directory=folder, timeout_s=60)
    assert done.returncode == 0, done.stderr


def overflow(folder: Path) -> None:
    """Change more in a watched folder than the kernel's queue can hold."""
    most = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    for number in range(most // 2 + 10):
        (folder / str(number)).touch()  # two events, or three


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small tree."""
    place = tmp_path / "tree"
    (place / "src/deep").mkdir(parents=True)
    (place / "old").write_text("old")
    (place / "src/main.go").write_text("old")
    return place


@pytest.mark.parametrize(
    ("script", "told"),
    [
        pytest.param("echo x > new", {"new"}, id="new file"),
        pytest.param("echo x > src/main.go", {"src/main.go"}, id="truncated and written"),
        pytest.param(": > src/main.go", {"src/main.go"}, id="truncated"),
        pytest.param("echo x >> src/main.go", {"src/main.go"}, id="appended to"),
        pytest.param("echo x > s~ && mv s~ src/main.go", {"s~", "src/main.go"}, id="saved by a rename"),
        pytest.param("rm src/main.go", {"src/main.go"}, id="removed"),
        pytest.param("chmod +x src/main.go", {"src/main.go"}, id="made a program"),
        pytest.param("touch src/main.go", {"src/main.go"}, id="touched"),
        pytest.param("mkdir src/deep/er", {"src/deep/er"}, id="new folder"),
        pytest.param("ln -s nowhere src/link", {"src/link"}, id="link"),
        pytest.param("ln -sfn nowhere src/link", {"src/link"}, id="link replaced"),
        pytest.param("ln old src/second", {"src/second"}, id="hard link"),
        pytest.param("mv src/main.go ../aside", {"src/main.go"}, id="moved out"),
        pytest.param("rmdir src/deep", {"src/deep", None}, id="folder removed"),
        pytest.param("mv src source", {"src", "source", None}, id="folder renamed"),
        pytest.param("chmod 700 .", {None}, id="mode of the tree"),
        pytest.param("mv ../tree ../away", {None}, id="tree moved"),
        pytest.param("cat old; ls -R", set[str](), id="read"),
    ],
)
async def test_what_changes_is_told_by_its_path(folder: Path, script: str, told: set[str | None]) -> None:
    async with watching() as (watches, bells):
        owner = Owner(watches, folder)
        await owner.look()
        assert owner.tree.folders == 3
        run(folder, script)
        await bells.all_is_told()
        assert set(owner.told) == told


async def test_a_log_costs_nothing_until_it_is_closed(folder: Path) -> None:
    async with watching() as (watches, bells):
        owner = Owner(watches, folder)
        await owner.look()
        with (folder / "old").open("a") as log:
            for _ in range(100):
                log.write("line\n")
                log.flush()
            await bells.all_is_told()
            assert owner.told == []
        await bells.all_is_told()
        assert owner.told == ["old"]


async def test_new_folders_that_are_filled_at_once_are_seen(tmp_path: Path) -> None:
    """The owner looks again as long as it is told something: in the end it has seen all."""
    script = """
        for n in $(seq 200); do
            mkdir -p $n/a/b/c; echo 1 > $n/1; echo 2 > $n/a/2; echo 3 > $n/a/b/3; echo 4 > $n/a/b/c/4
        done"""
    async with watching() as (watches, bells):
        owner = Owner(watches, tmp_path)
        await owner.look()
        making = asyncio.create_task(asyncio.to_thread(run, tmp_path, script))
        while not making.done():
            await bells.all_is_told()
            if owner.told or owner.tree.is_too_busy:
                await owner.look()
        await making
        await bells.all_is_told()
        while owner.told:
            await owner.look()
            await bells.all_is_told()
        assert owner.seen == walked(tmp_path)
        assert len(owner.seen) == 200 * 8
        assert owner.tree.folders == 1 + 200 * 4


async def test_a_renamed_folder_has_its_new_path_after_a_look(folder: Path) -> None:
    async with watching() as (watches, bells):
        owner = Owner(watches, folder)
        await owner.look()
        (folder / "src").rename(folder / "source")
        await bells.all_is_told()
        await owner.look()
        assert owner.tree.folders == 3
        (folder / "source/main.go").write_text("new")
        (folder / "source/deep/file").touch()
        await bells.all_is_told()
        assert set(owner.told) == {"source/main.go", "source/deep/file"}


async def test_a_folder_that_leaves_is_watched_until_a_look_and_again_when_it_is_back(
    folder: Path, tmp_path: Path
) -> None:
    async with watching() as (watches, bells):
        owner = Owner(watches, folder)
        await owner.look()
        (folder / "src").rename(tmp_path / "away")
        await owner.look()
        assert owner.tree.folders == 1
        await bells.all_is_told()
        owner.told = []
        (tmp_path / "away/main.go").write_text("not in the tree")
        await bells.all_is_told()
        assert owner.told == []
        (tmp_path / "away").rename(folder / "src")
        await bells.all_is_told()
        assert owner.told == ["src"]
        await owner.look()
        (folder / "src/deep/file").touch()
        await bells.all_is_told()
        assert owner.told == ["src/deep/file"]


async def test_a_removed_folder_is_forgotten_without_a_look(folder: Path) -> None:
    async with watching() as (watches, bells):
        owner = Owner(watches, folder)
        await owner.look()
        shutil.rmtree(folder / "src")
        await bells.all_is_told()
        assert owner.tree.folders == 1
        assert owner.covers("src/main.go")


async def test_a_folder_in_two_trees_is_told_to_both_until_one_is_closed(folder: Path) -> None:
    async with watching() as (watches, bells):
        above, below = Owner(watches, folder), Owner(watches, folder / "src")
        await above.look()
        await below.look()
        (folder / "src/main.go").write_text("new")
        await bells.all_is_told()
        assert (above.told, below.told) == (["src/main.go"], ["main.go"])
        above.tree.close()
        (folder / "src/main.go").write_text("newer")
        await bells.all_is_told()
        assert (above.told, below.told) == (["src/main.go"], ["main.go", "main.go"])
        await below.look()
        (folder / "src/deep/file").touch()
        await bells.all_is_told()
        assert below.told == ["deep/file"]


async def test_a_look_that_failed_leaves_the_watches_of_before(folder: Path) -> None:
    async with watching() as (watches, bells):
        owner = Owner(watches, folder)
        await owner.look()
        owner.tree.begin_look()
        (folder / "src/deep/file").touch()
        await bells.all_is_told()
        assert owner.told == ["src/deep/file"]


async def test_a_look_that_another_one_has_overtaken_adds_and_removes_nothing(folder: Path) -> None:
    async with watching() as (watches, _):
        owner = Owner(watches, folder)
        late = owner.tree.begin_look()
        await owner.look()
        (folder / "other").mkdir()
        walked(folder, late)
        late.end()
        assert owner.tree.folders == 3


async def test_a_closed_tree_gets_no_watches_by_a_look_that_goes_on(folder: Path) -> None:
    async with watching() as (watches, _):
        owner = Owner(watches, folder)
        renewal = owner.tree.begin_look()
        owner.tree.close()
        walked(folder, renewal)
        renewal.end()
        assert owner.tree.folders == 0


async def test_the_name_of_a_file_is_anything(folder: Path) -> None:
    names = [b"new\nline", b"\xff\xfe", b"n" * 255, "ü".encode(), b" ", b"\x01", b"*", b"-rf"]
    async with watching() as (watches, bells):
        owner = Owner(watches, folder)
        for name in names:
            os.mkdir(os.fsencode(folder) + b"/" + name)
        await owner.look()
        for name in names:
            Path(os.fsdecode(os.fsencode(folder) + b"/" + name + b"/" + name)).touch()
        await bells.all_is_told()
        assert [os.fsencode(path or "") for path in owner.told] == [name + b"/" + name for name in names]


async def test_after_an_overflow_every_tree_is_told(tmp_path: Path) -> None:
    """The loop does not run while more happens than the kernel's queue can hold."""
    async with watching() as (watches, bells):
        owners = []
        for name in ("busy", "calm", "empty"):
            (tmp_path / name).mkdir()
            owners.append(Owner(watches, tmp_path / name))
        busy, calm, empty = owners
        await busy.look()
        await calm.look()
        overflow(tmp_path / "busy")
        (tmp_path / "calm/lost").touch()
        await bells.all_is_told()
        assert calm.told == [None]
        assert None in busy.told
        assert empty.told == [], "it has no watches that could have missed something"


async def test_an_overflow_is_told_once_until_the_queue_was_read_to_its_end(tmp_path: Path) -> None:
    """It overflows again while the first one is told, and once more later."""
    folders = [tmp_path / name for name in ("first", "second", "third")]
    told: list[int] = []

    def on_overflow() -> None:
        told.append(len(told))
        if len(told) == 1:
            overflow(folders[1])

    async with watching(on_overflow) as (watches, bells):
        for folder in folders:
            folder.mkdir()
            await Owner(watches, folder).look()
        overflow(folders[0])
        for _ in range(3):  # the first two rings are lost
            await bells.all_is_told()
        assert len(told) == 1
        overflow(folders[2])
        await bells.all_is_told()
        assert len(told) == 2


async def test_a_tree_in_which_too_much_goes_on_loses_its_watches(tmp_path: Path) -> None:
    """It is told once. The others are still reported, and the next look watches it again."""
    async with watching() as (watches, bells):
        for name in ("busy", "calm"):
            (tmp_path / name / "sub").mkdir(parents=True)
        busy, calm = Owner(watches, tmp_path / "busy"), Owner(watches, tmp_path / "calm")
        await busy.look()
        await calm.look()
        for _ in range(2):
            for number in range(FLOOD):
                (tmp_path / "busy/sub" / str(number % 2)).touch()
            (tmp_path / "calm/file").touch()
            await bells.all_is_told()
            assert (busy.tree.is_too_busy, busy.tree.folders) == (True, 0)
            assert busy.told.count(None) == 1
            assert busy.told[-1] is None
            assert calm.told == ["file"]
            await calm.look()
            await busy.look()
            assert (busy.tree.is_too_busy, busy.tree.folders) == (False, 2)


async def test_a_flood_leaves_the_loop_to_others(tmp_path: Path) -> None:
    """What waits in the queue is read in many turns. How many is what a turn reads."""
    async with watching() as (watches, _):
        owner = Owner(watches, tmp_path)
        await owner.look()
        for number in range(FLOOD):
            (tmp_path / str(number % 2)).touch()
        turns = 0
        while not owner.tree.is_too_busy:
            await asyncio.sleep(0)
            turns += 1
        assert turns >= MAX_RATE // 512


async def test_a_folder_that_comes_back_before_its_watch_is_removed_keeps_it(folder: Path) -> None:
    async with watching() as (watches, bells):
        owner = Owner(watches, folder)
        await owner.look()
        for add in (False, True):  # without a turn of the loop
            renewal = owner.tree.begin_look()
            if add:
                walked(folder, renewal)
            renewal.end()
        await bells.all_is_told()
        assert kernel_watches() == 1 + owner.tree.folders == 4


async def test_a_large_tree_is_let_go_in_many_turns(tmp_path: Path) -> None:
    for number in range(1200):
        (tmp_path / str(number)).mkdir()
    async with watching() as (watches, bells):
        owner = Owner(watches, tmp_path)
        await owner.look()
        assert kernel_watches() == 1 + 1201
        owner.tree.close()
        left = []
        while kernel_watches() > 1:
            await asyncio.sleep(0)
            left.append(kernel_watches())
        assert len(set(left)) >= 3
        await bells.all_is_told()
        assert owner.told == []


class SlowQueue(InotifyQueue):
    """As if the file system took its time: a thread has its watch, and does not know it yet."""

    def __init__(self) -> None:
        super().__init__()
        self.is_slow = False
        self.asked = threading.Event()
        self.answer = threading.Event()

    def watch(self, folder: os.PathLike[str] | str, mask: int) -> int:
        number = super().watch(folder, mask)
        if self.is_slow:
            self.asked.set()
            assert self.answer.wait(30)
        return number


@asynccontextmanager
async def while_a_thread_adds(folder: Path) -> AsyncIterator[tuple[TreeWatches, WatchedTree, WatchedTree]]:
    """Within, a thread is adding a folder to the second tree. The first one has the folder
    `deep` in the same place."""
    queue = SlowQueue()
    watches = TreeWatches(asyncio.get_running_loop(), queue)
    first, second = watches.tree(lambda _: None), watches.tree(lambda _: None)
    walked(folder.parent / "deep", first.begin_look())
    queue.is_slow = True
    adding = asyncio.create_task(asyncio.to_thread(walked, folder, second.begin_look()))
    await asyncio.sleep(0)
    queue.asked.wait(30)
    try:
        yield watches, first, second
    finally:
        queue.answer.set()
        await adding


async def test_a_watch_that_is_removed_while_a_thread_gets_it_is_asked_for_again(folder: Path) -> None:
    async with while_a_thread_adds(folder / "src/deep") as (watches, first, second):
        first.close()
        await asyncio.sleep(0)
        assert kernel_watches() == 0
    assert kernel_watches() == second.folders == 1
    watches.close()


async def test_a_watch_that_a_thread_gets_for_a_closed_tree_is_removed(folder: Path) -> None:
    (folder / "src/empty").mkdir()
    async with while_a_thread_adds(folder / "src/empty") as (watches, first, second):
        second.close()
    assert (kernel_watches(), first.folders, second.folders) == (1, 1, 0)
    watches.close()


async def test_a_look_that_is_overtaken_leaves_the_watch_to_the_other_tree(folder: Path) -> None:
    async with while_a_thread_adds(folder / "src/deep") as (watches, first, second):
        second.begin_look()
    assert (kernel_watches(), first.folders, second.folders) == (1, 1, 0)
    watches.close()


async def test_the_queue_is_closed_when_no_thread_uses_it(folder: Path) -> None:
    async with while_a_thread_adds(folder / "src/deep") as (watches, *_):
        watches.close()
        assert kernel_watches() == 1
    assert kernel_watches() == 0


def kernel_watches() -> int:
    """How many watches the kernel has for this process (proc_pid_fdinfo(5))."""
    found = 0
    for number in os.listdir("/proc/self/fdinfo"):
        with suppress(FileNotFoundError):  # it was that of the list itself
            found += Path(f"/proc/self/fdinfo/{number}").read_text().count("inotify wd:")
    return found


async def close_while_a_thread_adds(folder: Path) -> None:
    watches = TreeWatches(asyncio.get_running_loop())
    renewal = watches.tree(lambda _: None).begin_look()
    begun = threading.Event()

    def work() -> None:
        for _ in range(20):
            walked(folder, renewal)
            begun.set()

    adding = asyncio.create_task(asyncio.to_thread(work))
    await asyncio.to_thread(begun.wait)
    watches.close()
    await adding


async def test_a_close_while_a_thread_adds_leaves_no_descriptor(folder: Path) -> None:
    before = os.listdir("/proc/self/fd")
    for _ in range(50):
        await close_while_a_thread_adds(folder)
    assert len(os.listdir("/proc/self/fd")) == len(before)


OWNER = """
import asyncio, errno, os
from pathlib import Path
from namespaces import MOUNTS, USER, run_in_namespaces
from tree_owner import Owner, watching

async def main():
    async with watching() as (watches, bells):
        owner = Owner(watches, Path({folder!r}))
{body}

asyncio.run(main())
"""


def owner_says(folder: Path, body: str) -> str:
    """The code of a process that prints what its owner of this folder is told."""
    return OWNER.format(folder=str(folder), body=indent(body, 8 * " "))


def test_an_unmount_is_told(roots: Path) -> None:
    body = """
await owner.look()
print(owner.tree.folders)
os.system(f"umount {owner.folder}")
await bells.all_is_told()
print(owner.told, owner.tree.folders)
"""
    mount = f"mount -t tmpfs none {roots}; mkdir {roots}/sub"
    assert run_in_namespaces(MOUNTS, mount, owner_says(roots, body)) == "2\n[None] 0\n"


def test_where_no_watch_is_left_the_look_is_told(folder: Path) -> None:
    """max_user_watches is a limit of a user namespace, too. One watch is that of the bell."""
    body = """
try:
    await owner.look()
except OSError as error:
    print(errno.errorcode[error.errno], owner.tree.folders)
"""
    few = "echo 3 > /proc/sys/user/max_inotify_watches"
    assert run_in_namespaces(USER, few, owner_says(folder, body)) == "ENOSPC 2\n"
