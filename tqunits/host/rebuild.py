"""Runs the builds of an install that are due, and tells their outcomes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext

from tqunits.errors import TqunitsError
from tqunits.host import builder, built, due, lacking, release_links, release_making, release_store
from tqunits.host.builder import Builder
from tqunits.host.built import Glance
from tqunits.host.lacking import Lacking
from tqunits.host.progress import BuildWaiver, StepStart, Tell, Turn
from tqunits.layout import Layout
from tqunits.lifecycle.release import BuildRequest
from tqunits.light_dataclass import dataclass
from tqunits.model import OriginKind, Worker
from tqunits.units import folder_note
from tqunits.units.folder_note import FolderUse
from tqunits.units.steps import Build


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The outcome of the builds of an install."""

    skipped: tuple[Lacking, ...]  # workers that this host can not run as they are configured
    built: tuple[Build, ...]  # builds that were run; they may have made files


NOTHING_BUILT = Outcome(skipped=(), built=())


def would_build(workers: Iterable[Worker], layout: Layout, *, settled: Collection[str] = ()) -> Iterator[Build]:
    """Each build that an install would run. A worker that we may not look at has none. `settled`:
    as in `build_due`."""
    for worker in workers:
        if _is_left(worker, settled):
            continue
        now = due.glance(worker, layout)
        if now is not None and now.reason and not _is_made_elsewhere(worker, now):
            yield _step_of(worker, now.reason)


def build_in_folder(worker: Worker, builder: Builder, layout: Layout) -> bool:
    """Build a worker of a host in development mode, if that is due: whether anything was built. The
    caller holds `release_store.exclusively`. Raises TqunitsError with what it lacks, and OSError;
    then its folder is as it was."""
    attempt = _Attempt(worker, builder, layout, builder.tell)
    lack = attempt.in_place()
    if lack is not None:
        raise TqunitsError(lack.reason, hint=lack.hint)
    return attempt.step is not None


def build_due(
    workers: Iterable[Worker],
    builder: Builder | None,
    layout: Layout,
    tell: Tell,
    *,
    settled: Collection[str] = (),
) -> Outcome:
    """Run each build that is due; without a builder (--user) as the calling user. One failed build
    does not stop the others. `settled`: workers that are built only if their program is missing.
    """
    tried = [_Attempt(worker, builder, layout, tell, settled) for worker in workers]
    lacks = [each.perform() for each in tried]
    return Outcome(skipped=tuple(lack for lack in lacks if lack), built=tuple(each.step for each in tried if each.step))


class _Attempt:
    """The build of one worker, if it is due."""

    def __init__(
        self, worker: Worker, builder: Builder | None, layout: Layout, tell: Tell, settled: Collection[str] = ()
    ) -> None:
        self._worker, self._builder, self._layout, self._tell = worker, builder, layout, tell
        self._settled = settled
        self.step: Build | None = None

    def perform(self) -> Lacking | None:
        """Returns why the worker can not run, or not with its present sources; None when it can."""
        try:
            if built.runs_release(self._worker, self._layout):
                self._release()
                return None
            if _is_left(self._worker, self._settled):  # whoever builds it now is not waited for
                return lacking.lacking(self._worker)
            with self._turn():
                return self.in_place()
        except TqunitsError as error:
            return self._lack(error.message, error.hint)
        except OSError as error:
            return self._lack(str(error))

    def _turn(self) -> AbstractContextManager[None]:
        """In development mode a deploy builds in the folder, too, and in the same unit."""
        if folder_note.use_of(self._worker) is not FolderUse.BUILT or self._builder is None:
            return nullcontext()
        return release_store.exclusively(self._layout, self._worker.name, lambda holder: self._tell(Turn(holder)))

    def in_place(self) -> Lacking | None:
        """The same in the worker's folder. Raises TqunitsError, OSError."""
        worker = self._worker
        lack = lacking.lacking(worker)
        if lack is not None:
            return lack
        now = built.glance(worker, self._layout)
        return self._build(now) if now is not None else None

    def _release(self) -> None:
        """If the release that it runs has not the program that is configured now, the worker could
        not start: make one that has it."""
        worker, layout = self._worker, self._layout
        if self._builder is None or not release_making.lacks_program(worker, layout):  # --user has no releases
            return
        asked = BuildRequest("root", "install: the release before has not the program of its worker.yaml")
        self._begin("its release lacks its program")
        with release_store.exclusively(layout, worker.name, lambda holder: self._tell(Turn(holder))):
            release = release_making.make(worker, layout, self._builder, asked).manifest.release
            release_links.point(layout, worker.name, {whose.number: release for whose in worker.instances})

    def _build(self, now: Glance) -> Lacking | None:
        worker = self._worker
        if not now.reason:
            built.settle(worker, self._layout, now)
            return None
        lack = lacking.lacking_to_build(worker)
        if lack is not None and _is_made_elsewhere(worker, now):
            self._tell(BuildWaiver(worker.name, worker.command[0], lack.reason))
            return None
        if lack is not None:
            return lack
        self._begin(now.reason)
        if self._builder is not None:
            return self._builder.build(worker, now)
        return builder.build_for_oneself(worker, self._layout, now)

    def _begin(self, reason: str) -> None:
        self.step = _step_of(self._worker, reason)
        self._tell(StepStart(self.step))

    def _lack(self, reason: str, hint: str | None = None) -> Lacking:
        return Lacking(worker=self._worker.name, reason=f"its build is not done: {reason}", hint=hint)


def _is_left(worker: Worker, settled: Collection[str]) -> bool:
    """Whether it is not built, whatever has changed."""
    return worker.name in settled and not lacking.command_missing(worker)


def _is_made_elsewhere(worker: Worker, now: Glance) -> bool:
    """Whether the program came from elsewhere, and this host lacks what a build of it needs."""
    has_own = bool(worker.command) and "/" in worker.command[0] and not lacking.command_missing(worker)
    origin = worker.origins.get("build.command")
    is_asked = origin is None or origin.kind is not OriginKind.PRESET  # nobody has asked for what only the type presets
    return now.record is None and (has_own or not is_asked) and lacking.lacking_to_build(worker) is not None


def _step_of(worker: Worker, reason: str) -> Build:
    """Its build, as a step."""
    return Build(worker=worker.name, command=tuple(worker.build.command), reason=reason)
