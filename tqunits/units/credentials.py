"""The files that a worker's YAML names, as credentials of its unit: their ids, and where copies of
them lie.

PID 1 follows links in the path of LoadCredential=, and reads folders, FIFOs and sockets there. So a
unit names a path from the YAML only if nobody but root can change that path. Every other file is
copied by `install` to a folder of root's, and the unit names the copy: an edit takes effect with
the next install. host/requested_files.py decides which files are copied.

An environment file is a credential too: the launcher reads it in the worker's sandbox, and sets the
variables there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath

from tqunits.light_dataclass import dataclass
from tqunits.model import Worker
from tqunits.units import quote, unitfile
from tqunits.units.unitfile import Copy

MODE = 0o600
"""The mode of a copy. Its folders have 0700: only root can read even the names."""

_FOLDER = "credentials"

Copies = Mapping[str, Iterable[Copy]]
"""Worker -> its files that are copied."""


@dataclass(frozen=True, slots=True)
class Source:
    """A file that the YAML names."""

    id: str  # the file's name in $CREDENTIALS_DIRECTORY
    path: str  # absolute, as in the YAML
    setting: str  # the setting that names it
    item: int = 0  # its index among the files that the setting names

    @property
    def has_variables(self) -> bool:
        """Whether it is an environment file."""
        return self.setting == "environment_file"


def sources(worker: Worker) -> tuple[Source, ...]:
    """All files of a worker: first the environment files, in their order, in which later ones
    win."""
    variables = enumerate(worker.environment_file)
    files = (Source(f"environment-{at + 1}", path, "environment_file", at) for at, path in variables)
    named = enumerate(worker.credentials)
    return (*files, *(Source(credential, path, "credentials", at) for at, (credential, path) in named))


def copy_path(state: PurePosixPath, worker: str, credential: str) -> PurePosixPath:
    """The path of a credential's copy; `state` is the layout's folder."""
    return folder(state) / worker / credential


def folder(state: PurePosixPath) -> PurePosixPath:
    """The folder of all copies. It contains a folder for each worker."""
    return state / _FOLDER


def worker_of(copy: PurePosixPath) -> str:
    """The worker that a copy is for. All its instances read it."""
    return copy.parent.name


def loaded(unit: str) -> tuple[tuple[str, str], ...]:
    """The credentials of an installed unit: their ids, and the paths that they are loaded from."""
    values = (a.value for a in unitfile.parse(unit) if (a.section, a.name) == ("Service", "LoadCredential"))
    found = (value.partition(":") for value in values)
    return tuple((credential, quote.untext(path)) for credential, _, path in found if path)


def directives(worker: Worker, state: PurePosixPath, copies: Iterable[Copy]) -> list[str]:
    """The values of LoadCredential=."""
    copied = {copy.id for copy in copies}
    return [
        quote.credential(s.id, str(copy_path(state, worker.name, s.id)) if s.id in copied else s.path)
        for s in sources(worker)
    ]
