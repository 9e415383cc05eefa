"""The watch of one worker's folder: what is told, when, and what is said where it can not be."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from host.releases import written
from manager.watched_folder import ALL, YAML, Bench, subject_of, watch_bench, worker_folder

from tqunits.lifecycle.ignoring import MAX_TEXT
from tqunits.lifecycle.work_share import OF_FLOODS
from tqunits.manager.folder_look import SettledFolder
from tqunits.manager.worker_watch import MOST_WHY, WatchState, WorkerWatch
from tqunits.system.inotify_queue import InotifyQueue
from tqunits.system.path_watch import steps
from tqunits.system.tree_watch import MAX_RATE
from tqunits.units.watch_note import WatchNote

pytestmark = pytest.mark.loops("uvloop")  # the manager's loop


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    async with watch_bench() as found:
        yield found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return worker_folder(tmp_path)


@pytest.fixture
async def watch(bench: Bench, folder: Path) -> AsyncIterator[WorkerWatch]:
    """A watch whose first look is over."""
    watch = bench.watch(subject_of(folder))
    await bench.has_found(1)
    yield watch
    watch.close()


async def test_the_first_look_is_told_once(bench: Bench, folder: Path) -> None:
    watch = bench.watch(subject_of(folder))
    assert (watch.state, watch.folders) == (WatchState.BEGINS, 0)
    found = await bench.has_found(1)
    assert found.look.sources.keys() == {"main.py", "lib/deep/er.py"}
    assert (watch.state, watch.folders, watch.why) == (WatchState.WATCHES, 4, "")
    assert (watch.last_event_us, watch.last_path, found.unwatched) == (None, None, "")
    await bench.bells.all_is_told()
    assert (len(bench.found), bench.said, bench.looks) == (1, [], ["api"])
    watch.close()


@pytest.mark.parametrize(
    ("change", "sources"),
    [
        pytest.param(lambda f: (f / "main.py").write_text("new"), {"main.py", "lib/deep/er.py"}, id="edited"),
        pytest.param(lambda f: (f / "lib/deep/er.py").unlink(), {"main.py"}, id="removed"),
        pytest.param(lambda f: (f / "lib").rename(f / "bil"), {"main.py", "bil/deep/er.py"}, id="folder renamed"),
        pytest.param(lambda f: shutil.rmtree(f / "lib"), {"main.py"}, id="folder removed"),
        pytest.param(
            lambda f: written(f, **{"new/er/x.py": "1"}), {"main.py", "lib/deep/er.py", "new/er/x.py"}, id="new folder"
        ),
        pytest.param(lambda f: os.replace(_beside(f), f / "main.py"), {"main.py", "lib/deep/er.py"}, id="renamed over"),
    ],
)
async def test_a_change_is_told(
    bench: Bench, folder: Path, watch: WorkerWatch, change: Callable[[Path], object], sources: set[str]
) -> None:
    first = bench.found[0]
    change(folder)
    found = await bench.finds(lambda now: now.look.digest != first.look.digest)
    assert found.look.sources.keys() == sources
    assert found.settings == first.settings
    assert watch.last_event_us is not None


def _beside(folder: Path) -> Path:
    beside = folder.parent / "beside"
    beside.write_text("other")
    return beside


async def test_a_burst_is_told_once(bench: Bench, folder: Path, watch: WorkerWatch) -> None:
    for number in range(100):
        (folder / f"{number}.py").write_text("x")
    found = await bench.has_found(2)
    assert len(found.look.sources) == 102
    await bench.bells.all_is_told()
    assert len(bench.found) == 2
    assert watch.state is WatchState.WATCHES


async def test_a_folder_that_is_never_quiet_is_told_nevertheless(bench: Bench, folder: Path) -> None:
    """The quiet time is longer than the test may take."""
    watch = bench.watch(subject_of(folder, replace(ALL, debounce=500_000_000, max_wait=500_000)))
    await bench.has_found(1)
    first = bench.found[0].look.digest
    (folder / "main.py").write_text("new")
    assert (await bench.has_found(2)).look.digest != first
    watch.close()


async def test_what_is_ignored_wakes_nobody(bench: Bench, folder: Path) -> None:
    """The names of ignored files are told by the kernel, and are dropped before a look."""
    written(folder, **{".gitignore": "*.db\n/made\n", "made": "0", "app.log": "0", "state/x": "0"})
    bench.results.add("built")
    watch = bench.watch(subject_of(folder, replace(ALL, ignore=("secret.txt",), without=("data",))))
    await bench.has_found(1)
    names = ["app.log", "x.db", "lib/y.db", "made", ".main.py.swp", "secret.txt", "data", "built", "main.py~", "4913"]
    for name in names:
        (folder / name).write_text("new")
    await bench.bells.all_is_told()
    assert (watch.last_path, watch.last_event_us) == (None, None)
    (folder / "main.py").write_text("new")
    await bench.has_found(2)
    assert (watch.last_path, bench.looks) == ("main.py", ["api", "api"])
    watch.close()


@pytest.mark.parametrize(
    ("paths", "ignore"),
    [
        pytest.param(("srv/app",), (), id="on the way to watch.paths"),
        pytest.param((".",), ("s*", "!srv/"), id="taken back as a folder only"),
    ],
)
async def test_a_new_folder_counts_that_would_be_ignored_as_a_file(
    bench: Bench, folder: Path, paths: tuple[str, ...], ignore: tuple[str, ...]
) -> None:
    """The kernel's event does not have what is behind a name."""
    watch = bench.watch(subject_of(folder, replace(ALL, paths=(*paths, "main.py"), ignore=ignore)))
    await bench.has_found(1)
    written(folder, **{"srv/app/x.py": "1"})
    await bench.finds(lambda now: "srv/app/x.py" in now.look.sources)
    watch.close()


@pytest.mark.parametrize(
    "note",
    [
        pytest.param(ALL, id="all is watched"),
        pytest.param(replace(ALL, paths=("lib",)), id="config is not in watch.paths"),
        pytest.param(replace(ALL, ignore=("config/",)), id="config is ignored"),
    ],
)
async def test_worker_yaml_counts_wherever_the_sources_are(bench: Bench, folder: Path, note: WatchNote) -> None:
    watch = bench.watch(subject_of(folder, note))
    first = await bench.has_found(1)
    (folder / YAML).write_text("type: http\nroute: /new\n")
    second = await bench.finds(lambda now: now.settings != first.settings)
    assert second.look.digest == first.look.digest
    (folder / YAML).write_text("type: http\n")
    await bench.finds(lambda now: now.settings == first.settings)
    watch.close()


async def test_a_touched_worker_yaml_is_the_same(bench: Bench, folder: Path, watch: WorkerWatch) -> None:
    (folder / YAML).touch()
    second = await bench.has_found(2)
    assert (second.settings, second.look.digest) == (bench.found[0].settings, bench.found[0].look.digest)
    assert watch.last_path == YAML


async def test_a_worker_yaml_that_is_gone_is_said_and_nothing_is_told(
    bench: Bench, folder: Path, watch: WorkerWatch
) -> None:
    (folder / YAML).unlink()
    (folder / "main.py").write_text("new")
    await bench.until(lambda: bench.said)
    assert (watch.state, len(bench.found)) == (WatchState.BROKEN, 1)
    assert "worker.yaml is not there, and what is installed stays" in bench.said[0]
    (folder / YAML).write_text("type: http\n")
    found = await bench.has_found(2)
    assert found.settings == bench.found[0].settings
    assert watch.state is WatchState.WATCHES
    assert bench.said[1:] == ["api: changes of its files are noticed again"]


@pytest.mark.parametrize("place", ["config/.env", "../elsewhere/.env"])
async def test_a_file_that_the_settings_name_is_a_setting(bench: Bench, folder: Path, place: str) -> None:
    named = Path(os.path.normpath(folder / place))
    written(named.parent, **{named.name: "A=1"})
    watch = bench.watch(subject_of(folder, replace(ALL, paths=("lib",), without=(place,)), (str(named),)))
    first = await bench.has_found(1)
    named.write_text("A=2")
    second = await bench.finds(lambda now: now.settings != first.settings)
    named.unlink()
    third = await bench.finds(lambda now: now.settings not in {first.settings, second.settings})
    assert third.look.digest == first.look.digest
    watch.close()


def _emptied(folder: Path) -> None:
    (folder / "main.py").unlink()
    shutil.rmtree(folder / "lib")


@pytest.mark.parametrize(
    ("vanish", "words"),
    [
        pytest.param(_emptied, "has become empty", id="emptied"),
        pytest.param(shutil.rmtree, "not there", id="removed"),
        pytest.param(lambda f: f.rename(f.parent / "away"), "not there", id="renamed"),
    ],
)
async def test_a_folder_that_vanishes_is_no_order(
    bench: Bench, folder: Path, watch: WorkerWatch, vanish: Callable[[Path], object], words: str
) -> None:
    vanish(folder)
    await bench.until(lambda: bench.said_of(words))
    assert (len(bench.found), watch.state) == (1, WatchState.BROKEN)
    shutil.rmtree(folder, ignore_errors=True)
    worker_folder(folder.parent)
    (folder / "main.py").write_text("other")
    found = await bench.finds(lambda now: now.look.digest != bench.found[0].look.digest)
    assert found.look.sources.keys() == bench.found[0].look.sources.keys()
    await bench.until(lambda: watch.state is WatchState.WATCHES)


async def test_a_folder_that_was_emptied_while_nobody_watched_is_no_order(bench: Bench, folder: Path) -> None:
    _emptied(folder)
    watch = WorkerWatch(subject_of(folder), bench.tools, bench.on_found, had_sources=True)
    await bench.until(lambda: bench.said_of("has become empty"))
    assert (bench.found, watch.state) == ([], WatchState.BROKEN)
    (folder / "main.py").write_text("1")
    await bench.has_found(1)
    watch.close()


async def test_a_link_that_is_switched_is_a_change(bench: Bench, roots: Path) -> None:
    for release in ("7", "8"):
        worker_folder(roots / release)
        (roots / release / "api/main.py").write_text(release)
    (roots / "current").symlink_to("7")
    watch = bench.watch(subject_of(roots / "current/api"))
    first = await bench.has_found(1)
    (roots / "next").symlink_to("8")
    (roots / "next").rename(roots / "current")
    second = await bench.finds(lambda now: now.look.digest != first.look.digest)
    (roots / "8/api/main.py").write_text("in the new one")
    await bench.finds(lambda now: now.look.digest not in {first.look.digest, second.look.digest})
    assert bench.said == []
    watch.close()


class LimitedQueue(InotifyQueue):
    """As if the user had so many watches and no more."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most
        self._given = set[int]()

    def watch(self, folder: os.PathLike[str] | str, mask: int) -> int:
        number = super().watch(folder, mask)
        if len(self._given | {number}) > self.most:
            with suppress(OSError):
                self.unwatch(number)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._given.add(number)
        return number


@pytest.mark.parametrize("below", [0, 1])
async def test_without_watches_it_is_looked_again_and_again(folder: Path, below: int) -> None:
    """The limit is met on the way to the folder, or below `lib`."""
    on_the_way, of_the_bench = len(list(steps(folder / YAML))), 1
    queue = LimitedQueue(of_the_bench + (on_the_way + below if below else 1))
    async with watch_bench(queue) as bench:
        watch = bench.watch(subject_of(folder))
        first = await bench.has_found(1)
        assert (watch.state, len(bench.said)) == (WatchState.POLLS, 1)
        assert "looked at every few seconds: this user has no inotify watch left: " in bench.said[0]
        assert "sysctl -w" in bench.said[0]
        (folder / "lib/deep/er.py").write_text("new")
        await bench.finds(lambda now: now.look.digest != first.look.digest)
        queue.most = 1000
        await bench.until(lambda: watch.state is WatchState.WATCHES)
        assert bench.said[1:] == ["api: changes of its files are noticed again"]
        watch.close()


async def test_a_checkout_is_waited_for(bench: Bench, folder: Path, watch: WorkerWatch) -> None:
    lock = written(folder, **{".git/index.lock": ""}) / ".git/index.lock"
    (folder / "main.py").write_text("half")
    await bench.bells.all_is_told()
    looks = len(bench.looks)
    watch.look_again()
    (folder / "main.py").write_text("whole")
    lock.unlink()
    found = await bench.has_found(2)
    assert found.look.sources["main.py"].size == len("whole")
    assert (looks, len(bench.looks)) == (1, 2)


async def test_a_bound_that_is_passed_is_said_once(bench: Bench, folder: Path, watch: WorkerWatch) -> None:
    (folder / ".gitignore").write_text("x" * (MAX_TEXT + 1))
    await bench.until(lambda: watch.state is WatchState.BROKEN)
    while len(bench.looks) < 4:  # it is looked again, by an event and without one
        await bench.bells.all_is_told()
        (folder / "main.py").write_text("new")
    assert (len(bench.found), bench.said_of("changes of its files are not noticed")) == (1, 1)
    (folder / ".gitignore").unlink()
    await bench.until(lambda: watch.state is WatchState.WATCHES)
    assert len(bench.said) == 2


async def test_a_close_in_the_middle_of_a_look_tells_nothing_more(bench: Bench, folder: Path) -> None:
    watch = bench.watch(subject_of(folder, replace(ALL, debounce=0, max_wait=0)))
    while not bench.looks:
        await asyncio.sleep(0)
    watch.close()
    await bench.bells.all_is_told()
    assert (bench.found, bench.said, watch.folders) == ([], [], 0)


async def test_a_fault_is_reported_and_it_is_looked_again(bench: Bench, folder: Path) -> None:
    loop, faults = asyncio.get_running_loop(), list[object]()
    before = loop.get_exception_handler()
    loop.set_exception_handler(lambda _, context: faults.append(context.get("exception")))

    def on_found(found: SettledFolder) -> None:
        if not faults:
            raise ZeroDivisionError
        bench.on_found(found)

    watch = WorkerWatch(subject_of(folder), bench.tools, on_found)
    await bench.until(lambda: watch.state is WatchState.WATCHES and faults)
    loop.set_exception_handler(before)
    assert [type(each) for each in faults] == [ZeroDivisionError]
    assert bench.said_of("tqunits has a fault: ZeroDivisionError()") == 1
    assert bench.said[-1] == "api: changes of its files are noticed again"
    watch.close()


CLOSED = """
import asyncio, os, sys
from pathlib import Path
from manager.watched_folder import subject_of, watch_bench
from tqunits.manager.worker_watch import WatchState

async def main():
    async with watch_bench() as bench:
        watch = bench.watch(subject_of(Path(sys.argv[1])))
        await bench.until(lambda: bench.said)
        print(watch.state.value, bench.said[0], flush=True)
        await bench.has_found(1)
        print(watch.state.value, len(bench.said), flush=True)
        watch.close()

asyncio.run(main())
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
async def test_a_closed_folder_is_said_with_what_opens_it(roots: Path) -> None:
    folder = worker_folder(roots)
    folder.chmod(0o700)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "PYTHONDONTWRITEBYTECODE": "1"}
    nobody = ("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups")
    watching = await asyncio.create_subprocess_exec(
        *nobody, sys.executable, "-c", CLOSED, folder, env=environment, stdout=asyncio.subprocess.PIPE
    )
    assert watching.stdout is not None
    said = (await watching.stdout.readline()).decode()
    folder.chmod(0o755)
    rest, _ = await watching.communicate()
    assert said.startswith("broken api: changes of its files are not noticed: ")
    assert "(chmod o+" in said
    assert rest == b"watches 2\n"


async def test_too_many_changes_beside_the_folder_count_like_those_in_it(
    bench: Bench, folder: Path, watch: WorkerWatch
) -> None:
    """They cost the same, and whoever owns the folder may own the one above it."""
    for _ in range(OF_FLOODS.free // OF_FLOODS.least):
        watch.floods.charge(0)
    for number in range(3 * MAX_RATE):
        (folder.parent / str(number % 2)).touch()
    await bench.has_found(2)
    (folder / "main.py").write_text("new")
    await bench.until(lambda: bench.said_of("more than 5000 changes in a second, again and again"))
    assert watch.state is WatchState.POLLS


async def test_who_makes_one_lock_of_git_after_the_other_hides_no_change(
    bench: Bench, folder: Path, watch: WorkerWatch
) -> None:
    """Above the folder he may be somebody else, and all his neighbours would wait."""
    written(folder.parent, **{".git/index.lock": ""})
    (folder / "main.py").write_text("new")
    async with asyncio.timeout(60):
        while watch.held_since is None:
            await asyncio.sleep(0)
    watch.held_since = 1  # a long time ago
    found = await bench.finds(lambda now: now.look.digest != bench.found[0].look.digest)
    assert found.look.sources.keys() == {"main.py", "lib/deep/er.py"}


async def test_a_reason_with_long_and_hostile_names_is_told_shortly(bench: Bench, folder: Path) -> None:
    deep = "/".join(["\x1b[31m\n" + "x" * 200] * 10)
    written(folder, **{f"{deep}/.gitignore": "x\n" * MAX_TEXT})
    watch = bench.watch(subject_of(folder))
    await bench.until(lambda: watch.why)
    assert watch.why.isprintable()
    assert (len(watch.why), len(bench.said)) == (MOST_WHY, 1)
    assert bench.said[0].isprintable()
    watch.close()
