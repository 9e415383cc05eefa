"""Builds, as the commands see them: which are due and why, what came of them, who runs a program of before."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from tqunits.cli.context import Context
from tqunits.cli.selection import Installed
from tqunits.errors import Diagnostic, Mark, Severity, TqunitsError
from tqunits.model import Layout, OriginKind, Worker
from tqunits.system import build, built
from tqunits.system.build import Builder, Lacking
from tqunits.system.built import Glance
from tqunits.units import sandbox

Say = Callable[[str], None]

ADVICE = "'tqunits install --now' builds it"
"""For a program that is not what its sources say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of the builds of an install."""

    skipped: tuple[Lacking, ...]  # the workers that this host can not run as they are configured
    built: tuple[str, ...]  # whose build was tried, so that there may be files which were not there


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """A build that is to be run, and why."""

    worker: str
    command: tuple[str, ...]
    reason: str

    @property
    def text(self) -> str:
        """As it is said."""
        return f"{self.worker}: {shlex.join(self.command)} ({self.reason})"


def build_due(workers: Iterable[Worker], builder: Builder | None, layout: Layout, say: Say) -> Outcome:
    """Build what is not built as its sources are now; without a builder (--user) as who asks. One's failure is not
    another's.
    """
    tried = [_Build(worker, builder, layout, say) for worker in workers]
    lacks = [each.perform() for each in tried]
    return Outcome(
        skipped=tuple(lack for lack in lacks if lack), built=tuple(each.name for each in tried if each.is_tried)
    )


def would_build(workers: Iterable[Worker], layout: Layout) -> Iterator[Due]:
    """Each build that an install would run. What may not be looked at is none."""
    for worker in workers:
        now = _glance(worker, layout)
        if now is not None and now.reason and not _is_made_elsewhere(worker, now):
            yield _due(worker, now)


def outdated(worker: Worker, layout: Layout) -> str:
    """What to say of a worker whose program is not what its sources say; empty when it is, or nobody can tell."""
    now = _glance(worker, layout)
    return built.told(now) if now else ""


def finding(worker: Worker, layout: Layout) -> Iterator[Diagnostic]:
    """The same for `check`."""
    told = outdated(worker, layout)
    if told:
        origin = worker.origins.get("build.command")
        mark = (origin.mark if origin is not None else None) or Mark(str(worker.source), 1, 1)
        yield Diagnostic(severity=Severity.WARNING, message=f"build: {told}", mark=mark, hint=ADVICE)


def without_documents(worker: Worker) -> Iterator[Diagnostic]:
    """For `check`: what an install would say of a folder that PHP is to serve."""
    lack = build.documents_missing(worker)
    if lack is not None:
        key = "php.document_root" if worker.origins["command"].mark is None else "command"
        mark = worker.origins[key].mark or Mark(str(worker.source), 1, 1)
        yield Diagnostic(severity=Severity.WARNING, message=f"{key}: {lack.reason}", mark=mark, hint=lack.hint)


def tell_outdated(workers: Iterable[Installed], context: Context) -> Mapping[str, str]:
    """Say who is started with a program that is not what its sources say; gives worker -> what was said."""
    found: dict[str, str] = {}
    for worker in workers:
        try:
            given = sandbox.writable_in(worker.text)
            now = built.glance_at_installed(worker.name, worker.ledger.source, context.layout, given)
        except (OSError, TqunitsError):  # who may not look does not know
            continue
        told = built.told(now) if now else ""
        if told:
            found[worker.name] = told
            context.output.message(f"{worker.name}: {told}", style="yellow")
            context.output.message(f"    hint: {ADVICE}")
    return found


class _Build:
    """One worker's, if it is due."""

    def __init__(self, worker: Worker, builder: Builder | None, layout: Layout, say: Say) -> None:
        self._worker, self._builder, self._layout, self._say = worker, builder, layout, say
        self.name = worker.name
        self.is_tried = False

    def perform(self) -> Lacking | None:
        """Gives why the worker can not run, or not as its sources are now."""
        worker = self._worker
        lack = build.lacking(worker)
        if lack is not None:
            return lack
        try:
            now = built.glance(worker, self._layout)
            return self._build(now) if now is not None else None
        except TqunitsError as error:
            return self._lack(error.message, error.hint)
        except OSError as error:
            return self._lack(str(error))

    def _build(self, now: Glance) -> Lacking | None:
        worker = self._worker
        if not now.reason:
            built.settle(worker, self._layout, now)
            return None
        lack = build.lacking_to_build(worker)
        if lack is not None and _is_made_elsewhere(worker, now):
            self._say(f"{worker.name} runs {worker.command[0]} as it is: {lack.reason}")
            return None
        if lack is not None:
            return lack
        self._say(f"build {_due(worker, now).text}")
        self.is_tried = True
        if self._builder is not None:
            return self._builder.build(worker, now)
        return build.build_for_oneself(worker, self._layout, now)

    def _lack(self, reason: str, hint: str | None = None) -> Lacking:
        return Lacking(worker=self._worker.name, reason=f"its build is not done: {reason}", hint=hint)


def _is_made_elsewhere(worker: Worker, now: Glance) -> bool:
    """Whether its program was put there without a build of ours, on a host that could not make it."""
    has_own = bool(worker.command) and "/" in worker.command[0] and not build.command_missing(worker)
    origin = worker.origins.get("build.command")
    is_asked = origin is None or origin.kind is not OriginKind.PRESET  # what a type presets nobody has asked for
    return now.record is None and (has_own or not is_asked) and build.lacking_to_build(worker) is not None


def _due(worker: Worker, now: Glance) -> Due:
    return Due(worker=worker.name, command=tuple(worker.build.command), reason=now.reason)


def _glance(worker: Worker, layout: Layout) -> Glance | None:
    try:
        return built.glance(worker, layout)
    except (OSError, TqunitsError):
        return None
