"""The folders that a worker may write in its own folder, and whether the world may read them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

from tqunits.model import Relaxation, Worker
from tqunits.units.environment import served_folder

CONFIGURATION = "config"
"""Below a worker's folder: what is in it decides what the worker may do, so it is never the
worker's to write."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """A folder that is made where it is missing, and the worker's account gets. With --user nobody
    gets anything."""

    worker: str
    user: str  # "": nobody but who runs this (--user)
    group: str
    below: PurePosixPath  # the worker's folder
    path: PurePosixPath  # relative to that
    is_served: bool  # others may read what comes to lie there

    def __str__(self) -> str:
        return str(self.below / self.path)


def given(worker: Worker, folders: Iterable[str]) -> tuple[Given, ...]:
    """What the worker is to have. `folders`: those that lie in its own, for a worker that may write
    its code."""
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
