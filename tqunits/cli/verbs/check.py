"""Check every YAML file: tqunits.yaml, its drop-ins, and the worker.yaml of each worker.

Errors stop `install`; warnings are worth a look; notes say what is not in effect yet, and what is
spelled as TQServer spells it. With NAMEs, only what concerns these workers is shown. Exit status: 0
without errors, 1 with any.

What an install on this host would refuse is said as well, as an error to root and as a note to
anybody else: what a worker that is not root's may not have without a grant, accounts, routes and
ports of others, and what lies where the files are that it names. Each environment file is read line
by line. What you may not read is a note.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace

from tqunits.cli.context import Context
from tqunits.cli.output import diagnostic_json
from tqunits.cli.selection import workers_meant
from tqunits.config.findings import bounded
from tqunits.errors import Diagnostic, ExitStatus, Mark, NoSuchWorker, Severity, TqunitsError
from tqunits.host import due, this_host
from tqunits.host.installed import installed
from tqunits.host.judged import judge
from tqunits.host.observed_files import observe_files
from tqunits.host.requested_files import Looked, look
from tqunits.host.sources import Loaded, load
from tqunits.host.stale_copies import changed
from tqunits.light_dataclass import dataclass
from tqunits.model import Configuration, Worker, WorkerType
from tqunits.system.published import unserved
from tqunits.units import rendering
from tqunits.units.environment import served_folder
from tqunits.units.grants import grant_of
from tqunits.units.refusal import Refusal


@dataclass(frozen=True, slots=True)
class _Report:
    """What is shown: the workers, and the findings about them."""

    workers: Collection[str]
    findings: Sequence[Diagnostic]

    def count(self, severity: Severity) -> int:
        """How many findings are of that kind."""
        return sum(1 for finding in self.findings if finding.severity is severity)

    def summary(self) -> str:
        """`4 workers, 0 errors, 1 warning, 3 notes`."""
        counts = [(len(self.workers), "worker"), *((self.count(severity), severity.value) for severity in Severity)]
        return ", ".join(f"{count} {noun}{'' if count == 1 else 's'}" for count, noun in counts)


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `tqunits check`."""
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these workers")
    parser.add_argument("--strict", action="store_true", help="exit 1 on warnings too")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace, context: Context) -> ExitStatus:
    """Check, and say what was found."""
    names = workers_meant(arguments.names)
    loaded = load(context.root, context.layout, trust=context.trust)
    report = _selected(loaded, _findings(loaded, names, context), names)
    if arguments.json:
        counts = {f"{severity.value}s": report.count(severity) for severity in Severity}
        findings = [diagnostic_json(finding) for finding in report.findings]
        context.output.json("check", 1, workers=sorted(report.workers), **counts, diagnostics=findings)
    else:
        context.output.diagnostics(report.findings)
        context.output.line(report.summary())
    fatal = (Severity.ERROR, Severity.WARNING) if arguments.strict else (Severity.ERROR,)
    return ExitStatus.FAILED if any(report.count(severity) for severity in fatal) else ExitStatus.OK


def _findings(loaded: Loaded, names: Sequence[str], context: Context) -> tuple[Diagnostic, ...]:
    """What the files say; and, unless tqunits.yaml is wrong, what this host would refuse the
    workers."""
    if loaded.configuration is None:
        return loaded.diagnostics
    before = observe_files(context.layout)
    judged = judge(loaded.configuration, context.layout, before, of_files=_unsaid(loaded.configuration, context))
    is_root = os.geteuid() == 0
    refused = (refusal.diagnostic() if is_root else refusal.note() for refusal in judged.refusals)
    granted = [w for w in loaded.configuration.workers if w.name not in judged.ungranted]  # of others it is known
    files = bounded(_of_files(replace(loaded.configuration, workers=tuple(granted)), names, context))
    return (*loaded.diagnostics, *_no_order(loaded, context), *refused, *files)


def _unsaid(configuration: Configuration, context: Context) -> Iterator[Refusal]:
    """What no unit of this host's can say; without a systemd there is none."""
    with suppress(TqunitsError):
        host = this_host.current(context.layout, user_mode=context.user_mode, code="")
        yield from rendering.refusals(configuration, host)


def _no_order(loaded: Loaded, context: Context) -> Iterator[Diagnostic]:
    """Why root would install nothing of all this."""
    if loaded.not_roots is not None and not context.user_mode:
        severity = Severity.ERROR if os.geteuid() == 0 else Severity.NOTE
        message = f"an install by root takes no orders from here: {loaded.not_roots}"
        hint = "give it to root, or install with -C DIR --trust" if context.root else "give it to root"
        yield Diagnostic(severity=severity, message=message, mark=Mark(str(loaded.not_roots.path), 1, 1), hint=hint)


def _of_files(configuration: Configuration, names: Sequence[str], context: Context) -> list[Diagnostic]:
    """What is to be said about the files that these workers name (all, when there are none)."""
    copies = {(w.worker, w.ledger.source): w.ledger.copies for w in installed(context.layout)}
    chosen = [w for w in configuration.workers if not names or w.name in names]
    workers = [w for w in chosen if w.type is not WorkerType.STATIC]
    looked = (_look(w, configuration, context) for w in workers)
    found = [finding for each in looked for finding in each.findings]
    found += [finding for w in chosen for finding in _unserved(w)]
    found += [finding for w in workers for finding in due.finding(w, context.layout)]
    found += [finding for w in workers for finding in due.without_documents(w)]
    found += [finding for w in chosen for finding in due.unwatched(w)]
    return [*found, *(_waiting(path) for w in workers for path in changed(copies.get((w.name, str(w.source)), ())))]


def _look(worker: Worker, configuration: Configuration, context: Context) -> Looked:
    grant = grant_of(worker, configuration.server)
    return look(worker, grant, user_mode=context.user_mode, missing=Severity.WARNING)


def _unserved(worker: Worker) -> Iterator[Diagnostic]:
    """Why the router would send no file of it: to clients that is a 404. Not root may see less."""
    folder = served_folder(worker)
    why = unserved(str(folder)) if folder is not None else None
    if why is not None:
        severity = Severity.WARNING if os.geteuid() == 0 else Severity.NOTE
        origin = worker.origins.get("static.directory")
        mark = (origin.mark if origin is not None else None) or Mark(str(worker.source), 1, 1)
        reason, _, hint = why.partition("; ")
        message = f"static.directory: no file of {folder} is served: {reason}"
        yield Diagnostic(severity=severity, message=message, mark=mark, hint=hint or "make the folder, for all to read")


def _waiting(path: str) -> Diagnostic:
    message, hint = "has changed since install copied it", "the worker gets it with 'tqunits install --now'"
    return Diagnostic(severity=Severity.NOTE, message=message, mark=Mark(path, 1, 1), hint=hint)


def _selected(loaded: Loaded, findings: Sequence[Diagnostic], names: Sequence[str]) -> _Report:
    """All, or what stands in the files of the named workers and in the server's own, which concern
    every worker."""
    if not names:
        return _Report(loaded.workers, findings)
    unknown = [name for name in names if name not in loaded.workers]
    if unknown:
        raise NoSuchWorker(f"no worker {unknown[0]!r}", hint=f"there are: {', '.join(loaded.workers) or 'none'}")
    others = {str(path) for name, path in loaded.workers.items() if name not in names}
    return _Report(set(names), [f for f in findings if f.mark is None or f.mark.file not in others])
