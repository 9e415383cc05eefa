"""The files that a worker's YAML names, as credentials of its unit: their ids, and where copies of
them lie.

PID 1 follows the links of a path in LoadCredential=, and reads folders, FIFOs and sockets that it
leads to. So a unit names a path of the YAML's only when it is root's all the way. Every other file
is copied by `install` to a folder of root's, and the unit names the copy: an edit takes effect with
the next install. Which is which, system/ requested_files.py finds out.

An environment file is a credential too: the launcher reads it in the worker's sandbox, and sets the
variables there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from tqunits.model import Worker
from tqunits.units import quote
from tqunits.units.unitfile import Copy

MODE = 0o600
"""Of a copy. Its folders are 0700: nobody but root learns even the names."""

_FOLDER = "credentials"

Copies = Mapping[str, Iterable[Copy]]
"""The files that are copied, by the worker's name."""


@dataclass(frozen=True, slots=True)
class Source:
    """A file that the YAML names."""

    id: str  # the file's name in $CREDENTIALS_DIRECTORY
    path: str  # absolute, as it stands in the YAML
    setting: str  # the setting that names it
    item: int = 0  # which of those that the setting names

    @property
    def has_variables(self) -> bool:
        """Whether it is an environment file."""
        return self.setting == "environment_file"


def sources(worker: Worker) -> tuple[Source, ...]:
    """All of a worker's files; environment files first, in the order in which later ones win."""
    variables = enumerate(worker.environment_file)
    files = (Source(f"environment-{at + 1}", path, "environment_file", at) for at, path in variables)
    named = enumerate(worker.credentials)
    return (*files, *(Source(credential, path, "credentials", at) for at, (credential, path) in named))


def copy_path(state: PurePosixPath, worker: str, credential: str) -> PurePosixPath:
    """Where the copy of a credential lies; `state` is the layout's folder."""
    return folder(state) / worker / credential


def folder(state: PurePosixPath) -> PurePosixPath:
    """The folder of all copies, with a folder in it for each worker."""
    return state / _FOLDER


def worker_of(copy: PurePosixPath) -> str:
    """The worker that a copy is for: all its instances read it."""
    return copy.parent.name


def directives(worker: Worker, state: PurePosixPath, copies: Iterable[Copy]) -> list[str]:
    """The values of LoadCredential=."""
    copied = {copy.id for copy in copies}
    return [
        quote.credential(s.id, str(copy_path(state, worker.name, s.id)) if s.id in copied else s.path)
        for s in sources(worker)
    ]
