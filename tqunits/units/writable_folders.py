"""The folders below its own that a worker may write, and which of them everybody may read."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePosixPath

from tqunits.light_dataclass import dataclass
from tqunits.model import Relaxation, Worker
from tqunits.units.environment import served_folder

CONFIGURATION = "config"
"""Below a worker's folder. Its content decides what the worker may do, so the worker can never
write it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """A folder that is made if it is missing, and given to the worker's account. With --user
    nothing is given."""

    worker: str
    user: str  # "": the calling user (--user)
    group: str
    below: PurePosixPath  # the worker's folder
    path: PurePosixPath  # relative to `below`
    is_served: bool  # others may read the files in it

    def __str__(self) -> str:
        return str(self.below / self.path)


def given(worker: Worker, folders: Iterable[str]) -> tuple[Given, ...]:
    """The folders that the worker gets. `folders`: those in its own folder, for a worker that may
    write its code."""
    is_whole = Relaxation.WRITABLE_CODE in worker.sandbox.relaxations
    code = (name for name in folders if name != CONFIGURATION and not name.startswith("."))
    served = served_folder(worker)
    return tuple(
        Given(
            worker=worker.name,
            user=worker.user,
            group=worker.group,
            below=worker.folder,
            path=path,
            is_served=served is not None and _overlap(worker.folder / path, served),
        )
        for path in map(PurePosixPath, dict.fromkeys((*worker.writable, *(sorted(code) if is_whole else ()))))
    )


def _overlap(one: PurePosixPath, other: PurePosixPath) -> bool:
    return one.is_relative_to(other) or other.is_relative_to(one)
