"""Has tqunits.yaml and its drop-ins applied when they have changed.

What is installed has their digest (host/edited_configuration.py), so a change is noticed whenever
it was made, and is applied once: what is refused stays refused until it is edited again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from tqunits.errors import TqunitsError
from tqunits.host import edited_configuration
from tqunits.host.configuration_files import CONFIGURATION, DROP_INS, is_drop_in
from tqunits.layout import Layout
from tqunits.manager import faults
from tqunits.system.inotify import FolderWatch, FolderWatches

QUIET_S: Final = 0.1
"""Nothing more has to have changed for so long: an editor writes a file in several steps."""


class ConfigurationWatch:
    """The watch of the host's configuration."""

    def __init__(
        self,
        layout: Layout,
        folders: FolderWatches,
        apply: Callable[[], Awaitable[str]],
        say: Callable[[str], None],
    ) -> None:
        """`apply`: have all of the configuration applied; returns why something is not."""
        self.refused = ""  # why it is not applied
        self._layout = layout
        self._folders = folders
        self._apply = apply
        self._say = say
        self._loop = asyncio.get_running_loop()
        self._asked = ""  # the digest that was applied last, whatever came of it
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._main: FolderWatch | None = None
        self._drop_ins: FolderWatch | None = None
        self._watch_both()
        self._look_soon()

    def close(self) -> None:
        """Watch no more. A run of root's goes on."""
        for each in (self._timer, self._task):
            if each is not None:
                each.cancel()
        for watch in (self._main, self._drop_ins):
            if watch is not None:
                watch.close()

    def _watch_both(self) -> None:
        """Each of the two may have been replaced by another folder, or have come."""
        folder = Path(self._layout.configuration)
        if self._main is None or not self._main.alive:
            self._main = self._watched(folder, {CONFIGURATION, DROP_INS})
        if self._drop_ins is None or not self._drop_ins.alive:
            self._drop_ins = self._watched(folder / DROP_INS, None)

    def _watched(self, folder: Path, names: set[str] | None) -> FolderWatch | None:
        """`names`: of files that count; None: those of drop-ins."""

        def on_change(name: str | None) -> None:
            if name is None or (is_drop_in(name) if names is None else name in names):
                self._look_soon()

        try:
            return self._folders.add(folder, on_change, self._look_soon)
        except (FileNotFoundError, PermissionError):
            return None  # what can not be read, the look says
        except OSError as error:
            self._say(f"changes of {folder} are not noticed: {error.strerror}; 'tqunits apply' applies them")
            return None

    def _look_soon(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(QUIET_S, self._look)

    def _look(self) -> None:
        self._watch_both()
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
