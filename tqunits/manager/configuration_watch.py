"""Has tqunits.yaml and its drop-ins applied when they have changed.

What is installed has their digest (host/edited_configuration.py), so a change is noticed whenever
it was made, and is applied once: what is refused stays refused until it is edited again.

Each file is watched by the way to it (system/path_watch.py): it may be a link into a checkout, the
folder may be replaced by another one, and a chmod may open it to the manager.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from tqunits.errors import TqunitsError
from tqunits.host import edited_configuration
from tqunits.host.configuration_files import CONFIGURATION, DROP_INS, is_drop_in
from tqunits.layout import Layout
from tqunits.manager import faults
from tqunits.system.inotify import FolderWatch, FolderWatches
from tqunits.system.path_watch import WatchedPath
from tqunits.system.tree_watch import TreeWatches

QUIET_S: Final = 0.1
"""Nothing more has to have changed for so long: an editor writes a file in several steps."""


class ConfigurationWatch:
    """The watch of the host's configuration."""

    def __init__(
        self,
        layout: Layout,
        folders: FolderWatches,
        trees: TreeWatches,
        apply: Callable[[], Awaitable[str]],
        say: Callable[[str], None],
    ) -> None:
        """`apply`: have all of the configuration applied; returns why something is not."""
        self.refused = ""  # why it is not applied
        self._layout = layout
        self._folders = folders
        self._trees = trees
        self._apply = apply
        self._say = say
        self._loop = asyncio.get_running_loop()
        self._asked = ""  # the digest that was applied last, whatever came of it
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._ways: dict[Path, WatchedPath] = {}  # to the files
        self._drop_ins: FolderWatch | None = None
        self._trouble = ""  # why changes are not noticed
        self._watch()
        self.look_soon()

    def unapplied(self) -> str:
        """Why the files, as they are now, are not applied; "" where they are, whoever has done
        it."""
        return self.refused if self.refused and not self._is_installed() else ""

    def close(self) -> None:
        """Watch no more. A run of root's goes on."""
        for each in (self._timer, self._task):
            if each is not None:
                each.cancel()
        for watch in (self._drop_ins, *self._ways.values()):
            if watch is not None:
                watch.close()

    def look_soon(self) -> None:
        """Something may have changed."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(QUIET_S, self._look)

    def _watch(self) -> None:
        """Each way may lead elsewhere than before, and other drop-ins may be there."""
        try:
            self._watch_all()
        except OSError as error:
            trouble = error.strerror or str(error)
        else:
            trouble = ""
        if trouble and trouble != self._trouble:
            self._say(f"changes of {CONFIGURATION} are not noticed: {trouble}; 'tqunits apply' applies them")
        self._trouble = trouble

    def _watch_all(self) -> None:
        """Raises OSError: no watch is left."""
        folder = Path(self._layout.configuration) / DROP_INS
        before, self._drop_ins = self._drop_ins, self._watched(Path(os.path.realpath(folder)))
        if before is not None:
            before.close()
        wanted = {folder.with_name(CONFIGURATION), folder}
        with suppress(TqunitsError):  # what can not be read, the look says
            wanted.update(edited_configuration.present_files(self._layout))
        for gone in self._ways.keys() - wanted:
            self._ways.pop(gone).close()
        for new in wanted - self._ways.keys():
            self._ways[new] = WatchedPath(self._trees, new, self.look_soon)
        for way in self._ways.values():
            way.watch()

    def _watched(self, folder: Path) -> FolderWatch | None:
        """The folder of the drop-ins; None: it is not there, or may not be read. Raises OSError."""

        def on_change(name: str | None) -> None:
            if name is None or is_drop_in(name):
                self.look_soon()

        try:
            return self._folders.add(folder, on_change, self.look_soon)
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            return None

    def _is_installed(self) -> bool:
        try:
            present = edited_configuration.present_digest(self._layout)
        except TqunitsError:
            return False
        return edited_configuration.installed_digest(self._layout) == present

    def _look(self) -> None:
        self._watch()
        if self._task is None or self._task.done():
            self._task = faults.task(self._catch_up(), "a change of tqunits.yaml is not acted upon")

    async def _catch_up(self) -> None:
        """Apply until what lies there was applied. It may change meanwhile."""
        try:
            while (present := edited_configuration.present_digest(self._layout)) != self._asked:
                self._asked = present
                if edited_configuration.installed_digest(self._layout) in {present, None}:
                    self.refused = ""  # what was refused may have been taken back
                    continue
                self._say(f"{CONFIGURATION} or a file of {DROP_INS} has changed, and is applied")
                self.refused = await self._apply()
                if self.refused:
                    self._say(f"not all of it is applied, and what is installed stays: {self.refused}")
        except TqunitsError as error:
            self._asked = ""  # what was asked for may lie there again
            if self.refused != error.in_one_line:
                self.refused = error.in_one_line
                self._say(f"changes of {CONFIGURATION} are not noticed: {self.refused}")
