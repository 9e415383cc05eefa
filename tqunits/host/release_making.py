"""Makes a release of a worker's sources as they are now.

What it is made from is identified first, and says what it will be called: the same sources,
settings and tools are the same release, and nothing is built for them. A worker with a build is
built by build-NAME in its unit (builder.py), and the copy that it leaves is the release. Otherwise
the release is a copy of what everybody may read in the worker's folder. At the end the sources are
identified once more: nobody may have changed them meanwhile.
"""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

from tqunits.errors import TqunitsError
from tqunits.host import built, lacking, release_access, release_inputs, release_links, release_store, working_tree
from tqunits.host.build_results import NotMade
from tqunits.host.builder import Builder, workspace
from tqunits.host.hostile_files import Untaken
from tqunits.host.release_inputs import Identified
from tqunits.host.release_manifests import NoSuchRelease, folder_of, read
from tqunits.host.release_store import TakenRelease
from tqunits.host.release_tree import TreeSource
from tqunits.layout import Layout
from tqunits.lifecycle.release import BuildRequest, Manifest
from tqunits.light_dataclass import dataclass
from tqunits.model import Worker, build_account_of
from tqunits.system import users
from tqunits.system.survey import Beyond, Bounds
from tqunits.units import release_mount


def make(worker: Worker, layout: Layout, builder: Builder, asked: BuildRequest) -> TakenRelease:
    """Make it; or find it, where it is there already. The caller holds `release_store.exclusively`.

    Raises TqunitsError (BuildFailed for a build that has failed), OSError; then nothing is left.
    """
    lack = lacking.lacking_to_build(worker) if worker.build.command else None
    if lack is not None:
        raise TqunitsError(lack.reason, hint=lack.hint)
    making = _Making(worker, layout, time.monotonic_ns())
    now = making.identify()
    there = making.found(now)
    if there is not None:
        return TakenRelease(there, is_new=False, left=Untaken())
    return making.taken(making.draft(now, asked), builder)


def find(worker: Worker, layout: Layout) -> Manifest | None:
    """The release of the worker's sources as they are, where it is there. The caller holds
    `release_store.exclusively`. Raises TqunitsError, OSError."""
    making = _Making(worker, layout, time.monotonic_ns())
    return making.found(making.identify())


def lacks_program(worker: Worker, layout: Layout) -> bool:
    """Whether the release that a worker runs has not the program that its worker.yaml names."""
    release = next(iter(release_links.runs_of(layout, worker.name).values()), None)
    return release is not None and _lacks_program(worker, folder_of(worker.name, layout) / release)


@dataclass(frozen=True, slots=True)
class _Making:
    """One release that is made."""

    worker: Worker
    layout: Layout
    begin: int  # ns, monotonic

    def identify(self) -> Identified:
        """Look at all sources; those that have not changed since the last look are not read."""
        worker = self.worker
        yaml = os.path.relpath(worker.source, worker.folder)
        commands = [worker.build.command, worker.build.fetch.command if worker.build.fetch else ()]
        found = release_inputs.identify(
            Path(worker.folder),
            without=self._without() | {yaml},
            recipe=built.recipe(worker),
            programs=[command[0] for command in commands if command],
            known=release_inputs.known_sources(worker.name, self.layout),
        )
        release_inputs.remember(worker.name, self.layout, found.sources)
        return found

    def found(self, now: Identified) -> Manifest | None:
        """The release of what was identified, where it is there already. Whoever may enter the
        worker's folder now may enter it: it is the same."""
        try:
            there = read(self.layout, self.worker.name, now.id)
        except NoSuchRelease:
            return None
        release_access.let_in(folder_of(self.worker.name, self.layout) / now.id, release_access.access_of(self.worker))
        return there

    def draft(self, now: Identified, asked: BuildRequest) -> Manifest:
        """The manifest, but for what is known at the end."""
        folder = Path(self.worker.folder)
        revision = release_inputs.revision(folder)
        return Manifest(
            worker=self.worker.name,
            release=now.id,
            sources_digest=now.sources_digest,
            recipe_digest=now.recipe_digest,
            toolchain=now.toolchain,
            revision=revision,
            is_dirty=None if revision is None else working_tree.is_dirty(folder),
            actor=asked.actor,
            message=asked.message,
            made_us=time.time_ns() // 1000,
            took_us=0,
            size=0,
            files=0,
        )

    def taken(self, draft: Manifest, builder: Builder) -> TakenRelease:
        """Build it, where it has a build, and take it."""
        worker, written = self.worker, frozenset(self.worker.writable)
        served = release_mount.served_part(worker)
        places = tuple(worker.writable) if worker.not_roots is None else ()
        if not worker.build.command:
            bounds = Bounds(size=worker.build.disk_max, verb="has")
            return self._take(TreeSource(Path(worker.folder), None, bounds, written, places, served), draft)
        with builder.built(worker):
            if _lacks_program(worker, workspace(worker.name)):
                raise NotMade(worker.command[0])
            owner, bounds = users.uid_of(build_account_of(worker.name)), Bounds(size=worker.build.disk_max)
            try:
                return self._take(TreeSource(workspace(worker.name), owner, bounds, written, places, served), draft)
            except Beyond as beyond:
                raise TqunitsError(f"what its build made is not taken over: {beyond}") from None

    def _take(self, source: TreeSource, draft: Manifest) -> TakenRelease:
        took = (time.monotonic_ns() - self.begin) // 1000

        def confirm() -> None:
            if self.identify().id != draft.release:
                raise TqunitsError("its files were changed meanwhile", hint="deploy it again")

        manifest, access = replace(draft, took_us=took), release_access.access_of(self.worker)
        return release_store.take(self.layout, self.worker.name, source, manifest, access=access, confirm=confirm)

    def _without(self) -> frozenset[str]:
        """Paths below the worker's folder that are no sources: what it writes, and what its build
        does not see, because builds make it."""
        results = built.results_of(self.worker, self.layout) if self.worker.build.command else ()
        return frozenset({*results, *self.worker.writable})


def _lacks_program(worker: Worker, copy: Path) -> bool:
    """Whether a copy of the worker's folder has not the worker's own program."""
    program = built.own_program(worker)
    return program is not None and not os.path.lexists(copy / program)
