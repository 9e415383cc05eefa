"""Workers that are being stopped or started: a file in one folder for each, by its name; what is in it does not matter.

The worker's ExecStop= makes the file and its last ExecStartPost= removes it (units/render.py), so a router that starts
in between knows as well, and a worker that does not get healthy gets no request. It goes by the name and not by the
address: a worker that comes back on another port leaves the one that the routes know.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Final

from tqunits.proxy.router import Router

MAX_MARKS: Final = 10_000
"""Files that are looked at: more workers than a host has."""


class Marks:
    """The folder as it was last seen."""

    def __init__(self, folder: Path, router: Router) -> None:
        self._folder = folder
        self._router = router
        self._marked: set[str] = set()

    def changed(self, name: str | None) -> None:
        """A file came or went; None: any may have."""
        if name is not None:
            self._look_at(name)
            return
        with contextlib.suppress(OSError):
            found = {path.name for path, _ in zip(self._folder.iterdir(), range(MAX_MARKS), strict=False)}
            for each in found | self._marked:
                self._look_at(each)

    def apply(self) -> None:
        """The routes are new, and with them may be endpoints."""
        for name in self._marked:
            self._drain(name)

    def _look_at(self, name: str) -> None:
        if (self._folder / name).exists():
            self._marked.add(name)
            self._drain(name)
        elif name in self._marked:
            self._marked.discard(name)
            worker = self._router.workers.get(name)
            for endpoint in worker.endpoints if worker is not None else ():
                endpoint.undrain()

    def _drain(self, name: str) -> None:
        worker = self._router.workers.get(name)
        for endpoint in worker.endpoints if worker is not None else ():
            if not endpoint.draining:
                endpoint.drain()
