"""Which programs do not match their sources, so that a build is due. rebuild.py runs the builds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from tqunits.errors import Diagnostic, Mark, Severity, TqunitsError
from tqunits.host import built, lacking
from tqunits.host.built import Glance
from tqunits.host.installed import Installed
from tqunits.layout import Layout
from tqunits.model import OriginKind, Worker
from tqunits.units import sandbox

ADVICE = "'tqunits install --now' builds it"
"""The advice for a program that does not match its sources."""


def glance(worker: Worker, layout: Layout) -> Glance | None:
    """The comparison of a program with its sources. None: the worker has no build, or we may not
    look."""
    try:
        return built.glance(worker, layout)
    except (OSError, TqunitsError):
        return None


def outdated(worker: Worker, layout: Layout) -> str:
    """What to say of a worker whose program does not match its sources; empty when it does, or when
    we may not look."""
    now = glance(worker, layout)
    return built.told(now) if now else ""


def finding(worker: Worker, layout: Layout) -> Iterator[Diagnostic]:
    """The same as a finding, for `check`."""
    told = outdated(worker, layout)
    if told:
        origin = worker.origins.get("build.command")
        mark = (origin.mark if origin is not None else None) or Mark(str(worker.source), 1, 1)
        yield Diagnostic(severity=Severity.WARNING, message=f"build: {told}", mark=mark, hint=ADVICE)


def without_documents(worker: Worker) -> Iterator[Diagnostic]:
    """What an install would say of a missing folder that PHP is to serve; for `check`."""
    lack = lacking.documents_missing(worker)
    if lack is not None:
        key = "php.document_root" if worker.origins["command"].mark is None else "command"
        mark = worker.origins[key].mark or Mark(str(worker.source), 1, 1)
        yield Diagnostic(severity=Severity.WARNING, message=f"{key}: {lack.reason}", mark=mark, hint=lack.hint)


def unwatched(worker: Worker) -> Iterator[Diagnostic]:
    """The paths of `watch` in worker.yaml that are not there; for `check`. Those of `defaults` are
    for all workers, so one that a worker has not is no mistake."""
    origin = worker.origins["watch.paths"]
    if origin.kind is not OriginKind.WORKER or origin.mark is None:
        return
    marks = [mark for _, mark in origin.items] or [origin.mark]
    for path, mark in zip(worker.watch.paths, marks, strict=False):
        if lacking.is_missing(worker, path):
            message = f"watch.paths: {path} does not exist in {worker.folder}, so nothing of it is watched yet"
            yield Diagnostic(severity=Severity.WARNING, message=message, mark=mark, hint="make it, or leave it out")


def outdated_of(workers: Iterable[Installed], layout: Layout) -> Mapping[str, str]:
    """Installed workers whose program is not what its sources say -> what to say of it, once for
    all instances."""
    each = {worker.worker: worker for worker in workers}
    found = ((worker, _told_of(instance, layout)) for worker, instance in each.items())
    return {worker: told for worker, told in found if told}


def _told_of(worker: Installed, layout: Layout) -> str:
    try:
        given = sandbox.writable_in(worker.text)
        now = built.glance_at_installed(worker.worker, worker.ledger.source, layout, given)
    except (OSError, TqunitsError):  # without the right to look there is no answer
        return ""
    return built.told(now) if now else ""
