"""The files that the workers' YAML names, for install, diff and render: which are copied, and which
workers can not start with them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import PurePosixPath

from tqunits.errors import Severity
from tqunits.host.observed_files import observe_copies
from tqunits.host.requested_files import Looked, Taken, look
from tqunits.layout import Layout
from tqunits.model import Configuration, Instance, WorkerType
from tqunits.system.ownership import is_roots
from tqunits.units import credentials, name, unitfile
from tqunits.units.grants import grant_of
from tqunits.units.observed import ObservedFile
from tqunits.units.refusal import Refusal
from tqunits.units.rendering import RenderedFile
from tqunits.units.unitfile import Copy

Observed = Mapping[PurePosixPath, ObservedFile]


class Requested:
    """All of these files. Each is looked at once, so exactly what was checked is copied."""

    def __init__(self, configuration: Configuration, layout: Layout, before: Observed, *, user_mode: bool) -> None:
        self._layout = layout
        self._looked = {
            worker.name: look(worker, grant_of(worker, configuration.server), user_mode=user_mode)
            for worker in configuration.workers
            if worker.type is not WorkerType.STATIC
        }
        self.copies: credentials.Copies = {
            worker: _as_known(looked.taken, _ledger(worker, layout, before)) for worker, looked in self._looked.items()
        }
        self.refusals = tuple(
            refusal
            for worker in configuration.running()
            for refusal in _refusals(worker.name, self._looked[worker.name])
        )

    def files(self, configuration: Configuration) -> tuple[RenderedFile, ...]:
        """The copies as they are to be. Empty without the right to read the installed copies."""
        if observe_copies(self._layout) is None:
            return ()
        looked = ((w.name, self._looked[w.name]) for w in configuration.workers if w.name in self._looked)
        return tuple(file for worker, found in looked for file in self._files(worker, found.taken))

    def place_of(self, worker: str, path: str) -> PurePosixPath | None:
        """What a unit may name instead of a path: the copy, or the path itself if it is root's;
        otherwise None."""
        looked = self._looked.get(worker)
        taken = next((t for t in looked.taken if t.copy.source == path), None) if looked else None
        if taken is not None:
            return None if taken.content is None else credentials.copy_path(self._layout.state, worker, taken.copy.id)
        return PurePosixPath(path) if _is_roots(path) else None

    def copies_at(self, worker: str, places: Collection[PurePosixPath]) -> Iterable[RenderedFile]:
        """The copies at these paths that can be written."""
        looked = self._looked.get(worker)
        return (file for file in self._files(worker, looked.taken if looked else ()) if file.path in places)

    def _files(self, worker: str, taken: Iterable[Taken]) -> Iterable[RenderedFile]:
        for each in taken:
            if each.content is not None:
                yield RenderedFile(
                    path=credentials.copy_path(self._layout.state, worker, each.copy.id),
                    content=each.content.decode("utf-8", "surrogateescape"),
                    mode=credentials.MODE,
                    unit=name.service(Instance(worker)),
                    is_secret=True,
                )


def _is_roots(path: str) -> bool:
    try:
        return is_roots(path, users=(0,))
    except OSError:
        return False


def _refusals(worker: str, looked: Looked) -> Iterable[Refusal]:
    for finding in looked.findings:
        if finding.severity is Severity.ERROR and finding.mark is not None:
            yield Refusal(worker=worker, message=finding.message, mark=finding.mark, hint=finding.hint)


def _ledger(worker: str, layout: Layout, before: Observed) -> unitfile.Ledger | None:
    drop_in = before.get(name.drop_in(name.service(Instance(worker)), layout.units))
    return unitfile.ledger(drop_in.content) if drop_in else None


def _as_known(taken: Iterable[Taken], installed: unitfile.Ledger | None) -> tuple[Copy, ...]:
    """The state of each file. For a file that we may not read: its state at the last install, as a
    copy or as root's own file."""
    if installed is None:
        return tuple(each.copy for each in taken)
    old = {(copy.id, copy.source): copy for copy in installed.copies}
    known = (old.get((t.copy.id, t.copy.source)) if t.is_unseen else t.copy for t in taken)
    return tuple(copy for copy in known if copy is not None)
