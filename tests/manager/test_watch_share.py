"""A worker with more folders than its share of the kernel's watches, on a small host: a user
namespace has limits of its own."""

from __future__ import annotations

from pathlib import Path

from host.releases import written
from namespaces import USER, run_in_namespaces

CODE = """
import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tqunits.manager.source_room import SourceRoom
from tqunits.manager.worker_watch import WatchSubject, WatchTools, WorkerWatch
from tqunits.system.tree_watch import TreeWatches
from tqunits.units.watch_note import WatchNote

async def main():
    thread, trees, found = ThreadPoolExecutor(1), TreeWatches(asyncio.get_running_loop()), asyncio.Event()
    threads = dict(local=thread, slow=thread, remote=thread)
    tools = WatchTools(trees=trees, **threads, results=lambda _: (), room=SourceRoom(), say=print)
    note = WatchNote(paths=(".",), ignore=(), without=(), debounce=1000, max_wait=1000, may_write=False)
    subject = WatchSubject(worker="api", source="{folder}/config/worker.yaml", note=note, copied={copied})
    watch = WorkerWatch(subject, tools, lambda _: found.set())
    await asyncio.wait_for(found.wait(), 10)
    texts = [each.read_text() for each in Path("/proc/self/fdinfo").iterdir() if each.exists()]
    print(watch.state, watch.folders, sum(text.count("inotify wd:") for text in texts))
    watch.close()
    trees.close()

asyncio.run(main())
"""


OF_ALL = "echo 400 > /proc/sys/user/max_inotify_watches"
SHARE = 100


def test_it_is_looked_at_again_and_again_and_others_keep_theirs(tmp_path: Path) -> None:
    folder = written(tmp_path / "api", **{f"{number}/main.go": "1" for number in range(120)})
    written(folder, **{"config/worker.yaml": "path: /api"})
    told, state = run_in_namespaces(USER, OF_ALL, CODE.format(folder=folder, copied=())).splitlines()
    assert f"it has more than {SHARE} folders, and no more are watched" in told
    assert "raise fs.inotify.max_user_watches, of which one worker gets a quarter" in told
    assert state.startswith("polls ")
    assert int(state.split()[2]) <= SHARE


def test_the_ways_to_the_files_that_it_names_count_too(tmp_path: Path) -> None:
    """It may name as many as it likes, and put folders and links on each way."""
    ways = [f"{number}/a/b/c/d/e/f/x.env" for number in range(40)]
    written(tmp_path / "others", **dict.fromkeys(ways, "A=1"))
    folder = written(tmp_path / "api", **{"config/worker.yaml": "path: /api", "main.go": "1"})
    copied = tuple(str(tmp_path / "others" / way) for way in ways)
    told, state = run_in_namespaces(USER, OF_ALL, CODE.format(folder=folder, copied=copied)).splitlines()
    assert f"it has more than {SHARE} folders, and no more are watched" in told
    assert state.startswith("polls ")
    assert int(state.split()[2]) <= SHARE
