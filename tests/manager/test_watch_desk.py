"""Which workers are watched, and what the manager answers about them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from host.releases import layout_in
from manager.placed import place
from manager.watched_folder import ALL, YAML, Bench, watch_bench, worker_folder
from manager.written_acts import WrittenActs

from tqunits.manager import watch_body
from tqunits.manager.record import Place
from tqunits.manager.registry import Registry
from tqunits.manager.watch_desk import WatchDesk
from tqunits.manager.watched_files import WatchedFiles
from tqunits.manager.worker_watch import WatchState
from tqunits.model import Instance
from tqunits.units import ledger, watch_note
from tqunits.units.ledger import LedgerEntry
from tqunits.units.watch_note import WatchNote

pytestmark = pytest.mark.loops("uvloop")  # the manager's loop


class Installed:
    """A host with the desk of its manager."""

    def __init__(self, bench: Bench, root: Path) -> None:
        self.bench, self.folder, self.registry = bench, worker_folder(root), Registry()
        self.layout = layout_in(root / "state")
        Path(self.layout.state).mkdir()
        self.desk = WatchDesk(self.registry, WrittenActs(bench), self.layout, bench.tools, bench.ring)

    def install(self, note: WatchNote | None) -> None:
        """Two instances of api, with this note."""
        self.registry.place([self._place(Instance("api"), note), self._place(Instance("api", 2), note)])
        self.desk.follow()

    def _place(self, whose: Instance, note: WatchNote | None) -> Place:
        return replace(place(whose), source=str(self.folder / YAML), watch=note)


@pytest.fixture
async def installed(tmp_path: Path) -> AsyncIterator[Installed]:
    async with watch_bench() as bench:
        found = Installed(bench, tmp_path)
        yield found
        found.desk.close()


async def test_who_has_a_note_is_watched_once(installed: Installed) -> None:
    installed.install(None)
    assert installed.desk.workers == {}
    installed.install(ALL)
    first = installed.desk.workers["api"]
    watch = first.watch
    installed.install(ALL)
    assert dict(installed.desk.workers) == {"api": first}
    assert first.watch is watch
    installed.install(replace(ALL, ignore=("x",)))
    assert dict(installed.desk.workers) == {"api": first}
    assert first.watch is not watch
    installed.install(None)
    assert installed.desk.workers == {}


async def test_of_who_is_not_watched_any_more_nothing_is_remembered(installed: Installed) -> None:
    """Another worker of this name has other files, and they are no change."""
    installed.install(ALL)
    kept = WatchedFiles(installed.layout)
    await installed.bench.until(lambda: kept.load("api"))
    installed.install(None)
    assert kept.load("api") is None


async def test_files_alone_are_watched_too(installed: Installed) -> None:
    entry = LedgerEntry(worker="api", source=str(installed.folder / YAML), watch=watch_note.note(ALL))
    Path(installed.layout.ledger).write_text(ledger.dump([entry]))
    installed.install(None)
    assert installed.desk.workers.keys() == {"api"}


async def test_files_alone_are_watched_on_a_host_with_many_workers(installed: Installed) -> None:
    """The ledger has the drop-ins of all, and whoever writes a worker.yaml can make his long."""
    entry = LedgerEntry(worker="api", source=str(installed.folder / YAML), watch=watch_note.note(ALL))
    others = [LedgerEntry(worker=f"w{n}", source="/", watch="x" * 60_000) for n in range(30)]
    Path(installed.layout.ledger).write_text(ledger.dump([entry, *others]))
    installed.install(None)
    assert installed.desk.workers.keys() == {"api"}


async def test_a_long_and_hostile_name_is_told_shortly(installed: Installed) -> None:
    installed.install(ALL)
    installed.desk.workers["api"].watch.last_path = "\x1b[31m\udcff\n" * 3000 + "main.py"
    [body] = watch_body.of_all(installed.desk, lambda _: True)
    told = body["last_path"]
    assert isinstance(told, str)
    assert told.isprintable()
    assert told.endswith("\\nmain.py")
    assert len(told) < 300


async def test_what_is_answered(installed: Installed) -> None:
    installed.install(ALL)
    watch = installed.desk.workers["api"].watch
    while watch.state is not WatchState.WATCHES:
        await installed.bench.look_is_over()
    assert watch_body.of_all(installed.desk, lambda _: True) == [
        {
            "worker": "api",
            "folder": str(installed.folder),
            "state": "watches",
            "why": None,
            "folders": 4,
            "last_event_us": None,
            "last_path": None,
            "suspended": None,
            "refused": None,
            "pause_s": None,
        }
    ]
    assert watch_body.of_all(installed.desk, lambda worker: worker != "api") == []
