"""Carries out what the manager asks of root for one worker: make a release of its sources as they
are now, decide which release each instance runs at its next start, say which one is stable, remove
what is not needed any more. In development mode there are no releases: the sources are built in the
worker's folder, as an install does it.

tq-harvest@NAME.service runs it as root, because a release is root's. Only workers that are
installed have releases, and the manager could start the unit of any name. The order lies in the
manager's own folder. It is read as hostile text, and may name nothing but releases of this worker:
what can be asked for is bounded by what an order can say. The configuration is root's files, as for
an install.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from pathlib import Path

from tqunits.errors import NoSuchWorker, TqunitsError
from tqunits.host import release_links, release_manifests, release_store
from tqunits.host.installed import numbers_of
from tqunits.host.premises import Premises
from tqunits.layout import Layout
from tqunits.lifecycle.release import (
    FOLDER,
    MAX_DOCUMENT,
    BuildRequest,
    HarvestOrder,
    HarvestResult,
    Manifest,
    parse_order,
    result_text,
)
from tqunits.model import Configuration, Worker, WorkerType
from tqunits.system import files
from tqunits.system.bus import Bus
from tqunits.system.survey import read_for_root

_RESULT_MODE = 0o644  # the manager reads it


def harvest(worker: str, premises: Premises, bus: Bus) -> HarvestResult:
    """Carry out the order for this worker, and write down what came of it.

    Raises NoSuchWorker when it is not installed, and TqunitsError when there is no order that can
    be read: then there is nobody to answer.
    """
    if not numbers_of(worker, premises.layout):
        raise NoSuchWorker(f"{worker} is not installed", hint=f"tqunits install --now {worker}")
    order = _order(worker, premises.layout)
    try:
        with release_store.exclusively(premises.layout, worker):
            result = _Harvesting(premises, worker, order, bus).perform()
    except TqunitsError as error:
        result = HarvestResult(number=order.number, why=error.message, hint=error.hint or "")
    except OSError as error:
        result = HarvestResult(number=order.number, why=f"root could not do what was asked for: {error}")
    path = Path(premises.layout.harvest_result(worker))
    files.make_folder(path.parent)
    files.write_atomically(path, result_text(result), _RESULT_MODE)
    return result


def _order(worker: str, layout: Layout) -> HarvestOrder:
    """The order. Its folder is the manager's, so a link there is not followed. Raises
    TqunitsError."""
    path = Path(layout.harvest_order(worker))
    try:
        return parse_order(read_for_root(path, MAX_DOCUMENT))
    except (OSError, ValueError, TqunitsError) as error:
        raise TqunitsError(f"nothing is asked for: {path}: {error}", hint="'tqunits deploy' asks for it") from None


class _Harvesting:
    """One order."""

    def __init__(self, premises: Premises, worker: str, order: HarvestOrder, bus: Bus) -> None:
        self.premises, self.worker, self.order, self.bus = premises, worker, order, bus

    @cached_property
    def _configuration(self) -> Configuration:
        """The host's, as it is now. Raises TqunitsError."""
        from tqunits.host import prepare  # most orders only swap links, and need no YAML, which takes 0.1 s

        return prepare.configured(self.premises).configured()

    def perform(self) -> HarvestResult:
        """Raises TqunitsError, OSError. What went wrong has changed nothing that an instance
        runs."""
        layout, order = self.premises.layout, self.order
        result = HarvestResult(number=order.number)
        if order.build is not None:
            result = self._released(order.build)
        self._point()
        if order.stable is not None:
            release_links.mark_stable(layout, self.worker, order.stable)
        if order.build is None and not order.runs:  # it is for nothing else
            self._prune()
        if order.clear:
            result = replace(result, cleared=self._clear())
        if result.release is not None and order.build is not None and not order.build.only_look:
            hints = (result.hint, self._pruned_too(result.release))
            result = replace(result, hint="; ".join(filter(None, hints)))
        return result

    def _pruned_too(self, asked_for: str | None) -> str:
        """Why old releases are still there beside the one that was asked for, which is no reason
        not to run it; "" when they are not."""
        try:
            self._prune(asked_for)
        except (OSError, TqunitsError) as error:
            return f"old releases are not removed: {error}"
        return ""

    def _prune(self, asked_for: str | None = None) -> None:
        keep = self._configuration.server.manager.keep_releases
        release_store.prune(self.premises.layout, self.worker, keep, asked_for=asked_for)

    def _clear(self) -> bool:
        """Remove the caches of its builds; whether there were any. Raises TqunitsError."""
        from tqunits.host import builder  # as above

        return builder.clear_caches(self.worker, self.bus)

    def _point(self) -> None:
        """Swap the links. Raises NoSuchRelease before the first change."""
        wanted = self.order.runs
        runs = {number: run for number, run in wanted.items() if run != FOLDER}
        release_links.point(self.premises.layout, self.worker, runs)
        release_links.clear(self.premises.layout, self.worker, [n for n, run in wanted.items() if run == FOLDER])

    def _released(self, asked: BuildRequest) -> HarvestResult:
        from tqunits.host import release_access, release_making
        from tqunits.host.builder import Builder
        from tqunits.host.configured_worker import configured_worker  # as above

        layout, number = self.premises.layout, self.order.number
        worker = configured_worker(self.worker, self._configuration, layout)
        if worker.in_development:
            return self._built_in_folder(worker, asked)
        if asked.only_look:
            found = release_making.find(worker, layout)
            return HarvestResult(number=number) if found is None else _result(number, found)
        taken = release_making.make(worker, layout, Builder(bus=self.bus, files=()), asked)
        release = release_manifests.folder_of(self.worker, layout) / taken.manifest.release
        unserved = release_access.unserved_files(worker, release)
        left, count = tuple(taken.left.names), taken.left.count
        result = _result(number, taken.manifest)
        return replace(result, is_new=taken.is_new, left=left, left_count=count, hint=unserved)

    def _built_in_folder(self, worker: Worker, asked: BuildRequest) -> HarvestResult:
        """Build the folder that the worker runs from, if that is due. Raises TqunitsError,
        OSError."""
        from tqunits.host import built, rebuild
        from tqunits.host.builder import Builder
        from tqunits.host.progress import BarredFiles, Event, OwnFiles  # as above

        layout, number = self.premises.layout, self.order.number
        if worker.type is WorkerType.STATIC:  # an install builds nothing for it either
            return HarvestResult(number=number, in_folder=True)
        if asked.only_look:
            now = built.glance(worker, layout)
            return HarvestResult(number=number, in_folder=now is None or not now.reason)
        told: list[Event] = []
        is_new = rebuild.build_in_folder(worker, Builder(bus=self.bus, files=(), tell=told.append), layout)
        left = tuple(each.files for each in told if isinstance(each, OwnFiles | BarredFiles))
        return HarvestResult(number=number, in_folder=True, is_new=is_new, left=left)


def _result(number: int, there: Manifest) -> HarvestResult:
    """The answer with a release that is there."""
    return HarvestResult(number=number, release=there.release, revision=there.revision, is_dirty=there.is_dirty)
