"""Builds, as the commands see them: which are due and why, and who runs a program of before."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from tqunits.cli.context import Context
from tqunits.cli.selection import Installed
from tqunits.errors import Diagnostic, Mark, Severity, TqunitsError
from tqunits.host import built, lacking
from tqunits.host.built import Glance
from tqunits.model import Layout, OriginKind, Worker
from tqunits.units import sandbox

ADVICE = "'tqunits install --now' builds it"
"""For a program that is not what its sources say."""


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


def would_build(workers: Iterable[Worker], layout: Layout) -> Iterator[Due]:
    """Each build that an install would run. What may not be looked at is none."""
    for worker in workers:
        now = _glance(worker, layout)
        if now is not None and now.reason and not is_made_elsewhere(worker, now):
            yield due_of(worker, now)


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
    lack = lacking.documents_missing(worker)
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


def is_made_elsewhere(worker: Worker, now: Glance) -> bool:
    """Whether its program was put there without a build of ours, on a host that could not make it."""
    has_own = bool(worker.command) and "/" in worker.command[0] and not lacking.command_missing(worker)
    origin = worker.origins.get("build.command")
    is_asked = origin is None or origin.kind is not OriginKind.PRESET  # what a type presets nobody has asked for
    return now.record is None and (has_own or not is_asked) and lacking.lacking_to_build(worker) is not None


def due_of(worker: Worker, now: Glance) -> Due:
    """That build."""
    return Due(worker=worker.name, command=tuple(worker.build.command), reason=now.reason)


def _glance(worker: Worker, layout: Layout) -> Glance | None:
    try:
        return built.glance(worker, layout)
    except (OSError, TqunitsError):
        return None
