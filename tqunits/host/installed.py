"""The workers that are installed on this host.

Only the drop-ins are read, never YAML: the verbs act on what is installed, and `ls` stays fast.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from tqunits.errors import TqunitsError
from tqunits.layout import Layout
from tqunits.light_dataclass import dataclass
from tqunits.model import Instance
from tqunits.routing.codec.document import MAX_SNAPSHOT, Served, files_alone, folders
from tqunits.system.files import read_regular, read_text_if_exists
from tqunits.units import environment, name
from tqunits.units.folder_note import FolderUse
from tqunits.units.unitfile import Ledger, ledger


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """An installed instance of a worker. Its drop-in lies on this host."""

    instance: Instance
    unit: str
    drop_in: Path
    text: str
    ledger: Ledger

    @property
    def name(self) -> str:
        """The instance's name: `api`, `api:2`."""
        return str(self.instance)

    @property
    def worker(self) -> str:
        """The name of the worker."""
        return self.instance.worker

    @property
    def title(self) -> str:
        """The name as it stands in a list: `api:2 (surge)` for one that only a roll starts."""
        return f"{self.name} (surge)" if self.ledger.is_surge else self.name


def installed(layout: Layout) -> tuple[Installed, ...]:
    """The replicas of every installed worker, by the worker's name and the number."""
    return tuple(each for each in slots(layout) if not each.ledger.is_surge)


def replicas(worker: str, layout: Layout) -> tuple[Installed, ...]:
    """Those of one worker, by the number. Only files of workers are read whose names begin with its
    name."""
    return tuple(each for each in _matching(f"{worker}*", layout) if each.worker == worker and not each.ledger.is_surge)


def slots(layout: Layout) -> tuple[Installed, ...]:
    """The same with the surges of the workers, which run during a roll only."""
    return _matching("*", layout)


def served(layout: Layout) -> tuple[Served, ...]:
    """The workers that consist of static files only, from the routers' file; they have no drop-in.

    Raises TqunitsError when the file could not be read by the router either.
    """
    try:
        content = read_regular(Path(layout.routes), MAX_SNAPSHOT)
    except (FileNotFoundError, NotADirectoryError):
        return ()
    return files_alone(content.decode("utf-8", "surrogateescape"))


def numbers_of(worker: str, layout: Layout) -> frozenset[int]:
    """The numbers of a worker's instances, each of which runs a release: its replicas', and 1 of a
    worker of static files alone, whose link the routers follow. Empty: it is not installed.

    Raises TqunitsError, OSError.
    """
    found = frozenset(each.instance.number for each in replicas(worker, layout))
    return found or frozenset({1 for each in served(layout) if each.name == worker})


def folder_use(worker: str, layout: Layout) -> FolderUse | None:
    """How the installed worker runs from its folder, in development mode; None: it does not, or has
    no program. One small file is read."""
    here = _read(Path(name.drop_in(name.service(Instance(worker)), layout.units)))
    return here.ledger.folder_use if here is not None else None


def served_folders(layout: Layout) -> Mapping[str, str]:
    """Worker -> the folder whose files the router serves for it. Empty where the routes can not be
    read."""
    try:
        content = read_regular(Path(layout.routes), MAX_SNAPSHOT)
    except (OSError, TqunitsError):
        return {}
    return folders(content.decode("utf-8", "surrogateescape"))


def serving(workers: Sequence[Installed], layout: Layout) -> dict[str, str]:
    """Unit -> its file `serving`, for the units that make one."""
    files = {worker.unit: environment.serving_file(worker.instance, layout.runtime) for worker in workers}
    return {worker.unit: files[worker.unit] for worker in workers if files[worker.unit] in worker.text}


def nearest(wanted: str, names: Collection[str]) -> str:
    """A hint for a name that is not among `names`."""
    from difflib import get_close_matches  # 8 ms: only after a mistyped name

    near = get_close_matches(wanted, names, n=1)
    if near:
        return f"did you mean {near[0]!r}?"
    return "'tqunits ls' lists them" if names else "there is none yet; see 'tqunits install --help'"


def _matching(instances: str, layout: Layout) -> tuple[Installed, ...]:
    paths = Path(layout.units).glob(f"tq-worker@{instances}.service.d/{name.DROP_IN}")
    found = (_read(path) for path in paths)
    return tuple(sorted((worker for worker in found if worker), key=lambda worker: worker.instance))


def _read(path: Path) -> Installed | None:
    unit = path.parent.name.removesuffix(".d")
    instance = name.instance_of(unit)
    text = read_text_if_exists(path) if instance else None
    found = ledger(text) if text else None
    if not (instance and text and found):
        return None
    return Installed(instance=instance, unit=unit, drop_in=path, text=text, ledger=found)
