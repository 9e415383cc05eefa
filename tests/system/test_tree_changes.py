"""Whatever is done in a watched tree, and in whatever order: what was told covers what changed."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from pathlib import Path

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tree_owner import Bells, Owner, walked

from tqunits.system.tree_watch import TreeWatches

NAMES = st.sampled_from(["a", "b", "c"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)


class ChangedTree(RuleBasedStateMachine):
    """A small tree, and its owner. The same names come again and again, as files and as folders."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.place = Path(tempfile.mkdtemp())
        for name in ("tree", "bell", "aside"):
            (self.place / name).mkdir()
        self.watches = TreeWatches(self.runner.get_loop())
        self.owner = Owner(self.watches, self.place / "tree")
        self.bells = Bells(self.watches, self.place / "bell")
        self.writes = 0

    @initialize()
    def look_first(self) -> None:
        self.runner.run(self.owner.look())

    @rule(path=PATHS)
    def write(self, path: str) -> None:
        file = self.place / "tree" / path
        if file.parent.is_dir() and not file.is_dir():
            self.writes += 1
            file.write_text(str(self.writes))

    @rule(path=PATHS)
    def make_folders(self, path: str) -> None:
        folder = self.place / "tree" / path
        if all(not above.is_file() for above in (folder, *folder.parents)):
            folder.mkdir(parents=True, exist_ok=True)

    @rule(old=PATHS, new=PATHS)
    def rename(self, old: str, new: str) -> None:
        source, target = self.place / "tree" / old, self.place / "tree" / new
        free = not target.exists() and target.parent.is_dir() and not target.is_relative_to(source)
        if source.exists() and free:
            source.rename(target)

    @rule(path=PATHS)
    def remove(self, path: str) -> None:
        place = self.place / "tree" / path
        if place.is_dir():
            shutil.rmtree(place)
        elif place.exists():
            place.unlink()

    @rule(path=PATHS)
    def swap_with_what_is_aside(self, path: str) -> None:
        here, aside = self.place / "tree" / path, self.place / "aside/it"
        if here.is_dir() and not aside.exists():
            here.rename(aside)
        elif aside.exists() and here.parent.is_dir() and not here.exists():
            aside.rename(here)

    @rule()
    def look(self) -> None:
        self.runner.run(self.owner.look())

    @precondition(lambda self: (self.place / "aside/it").exists())
    @rule()
    def change_what_is_aside(self) -> None:
        file = self.place / "aside/it/a"
        if not file.is_dir():
            self.writes += 1
            file.write_text(str(self.writes))

    @invariant()
    def what_changed_is_told(self) -> None:
        self.runner.run(self.bells.all_is_told())
        before, now = self.owner.seen, walked(self.place / "tree")
        changed = {path for path in before.keys() | now.keys() if before.get(path, b"-") != now.get(path, b"-")}
        assert {path for path in changed if not self.owner.covers(path)} == set()

    def teardown(self) -> None:
        self.watches.close()
        self.runner.close()
        shutil.rmtree(self.place)


ChangedTree.TestCase.settings = settings(max_examples=40, stateful_step_count=20, deadline=None)
TestChangedTree = ChangedTree.TestCase
