"""Looks at the files of all workers when somebody asks: when their programs, public files and views
were last changed (host/worker_files.py).

Nobody tells when a file changes, and to look is cheap, so nothing is kept. A file system may hold
up who looks (a network's), so it is done in a thread of its own, one look at a time: who asks
meanwhile gets the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Executor
from typing import Final

from tqunits.host import worker_files
from tqunits.host.worker_files import FileTime, WorkerFiles
from tqunits.manager.record import InstanceRecord
from tqunits.model import Instance

PATIENCE_S: Final = 1.0
"""Who asks the manager waits for 2 s."""


class FileTimes:
    """The looks at files."""

    def __init__(
        self, thread: Executor, records: Callable[[], Collection[InstanceRecord]], patience: float = PATIENCE_S
    ) -> None:
        """`thread`: a thread for them alone. `records`: of all instances, whoever asks, because
        others share the look. `patience`: seconds for one look."""
        self._thread = thread
        self._records = records
        self._patience = patience
        self._look: asyncio.Future[Mapping[Instance, WorkerFiles]] | None = None

    async def now(self) -> Mapping[Instance, WorkerFiles]:
        """The files of each instance; none where the look takes too long."""
        if self._look is None or self._look.done():
            self._look = asyncio.get_running_loop().run_in_executor(self._thread, _look, tuple(self._records()))
        try:
            return await asyncio.wait_for(asyncio.shield(self._look), self._patience)
        except TimeoutError:
            return {}


def body(found: WorkerFiles | None) -> Mapping[str, object] | None:
    """The JSON object; None when the look took too long."""
    if found is None:
        return None
    return {"program": _body(found.program), "public": _body(found.public), "views": _body(found.views)}


def _look(records: Collection[InstanceRecord]) -> Mapping[Instance, WorkerFiles]:
    return {
        record.place.whose: worker_files.look(record.place.source, record.seen.command, record.place.public)
        for record in records
    }


def _body(found: FileTime) -> Mapping[str, object]:
    return {"path": found.path or None, "modified_us": found.at, "why": found.why or None}
