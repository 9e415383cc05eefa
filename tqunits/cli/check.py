"""Check every YAML file: tqunits.yaml, its drop-ins, and the worker.yaml of each worker.

Errors stop `install`; warnings are worth a look; notes say what is not in effect yet, and what is spelled as TQServer
spells it. Where all is valid, it is also said which accounts an install on this host would refuse a worker: as an error
to root, as a note to anybody else. With NAMEs, only what concerns these workers is shown. Exit status: 0 without
errors, 1 with any.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from tqunits.cli.context import Context
from tqunits.cli.output import diagnostic_json
from tqunits.errors import Diagnostic, ExitStatus, NoSuchWorker, Severity
from tqunits.model import Layout
from tqunits.system import users
from tqunits.system.sources import Loaded, load


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
    loaded = load(context.root, context.layout)
    report = _selected(loaded, _findings(loaded, context.layout), arguments.names)
    if arguments.json:
        counts = {f"{severity.value}s": report.count(severity) for severity in Severity}
        findings = [diagnostic_json(finding) for finding in report.findings]
        context.output.json("check", 1, workers=sorted(report.workers), **counts, diagnostics=findings)
    else:
        context.output.diagnostics(report.findings)
        context.output.line(report.summary())
    fatal = (Severity.ERROR, Severity.WARNING) if arguments.strict else (Severity.ERROR,)
    return ExitStatus.FAILED if any(report.count(severity) for severity in fatal) else ExitStatus.OK


def _findings(loaded: Loaded, layout: Layout) -> tuple[Diagnostic, ...]:
    """What the files say, and what this host would refuse them."""
    refused = users.refusals(loaded.configuration.workers, layout) if loaded.configuration else ()
    is_root = os.geteuid() == 0
    return (*loaded.diagnostics, *(refusal.diagnostic() if is_root else refusal.note() for refusal in refused))


def _selected(loaded: Loaded, findings: Sequence[Diagnostic], names: Sequence[str]) -> _Report:
    """All, or what stands in the files of the named workers and in the server's own, which concern every worker."""
    if not names:
        return _Report(loaded.workers, findings)
    unknown = [name for name in names if name not in loaded.workers]
    if unknown:
        raise NoSuchWorker(f"no worker {unknown[0]!r}", hint=f"there are: {', '.join(loaded.workers) or 'none'}")
    others = {str(path) for name, path in loaded.workers.items() if name not in names}
    return _Report(set(names), [f for f in findings if f.mark is None or f.mark.file not in others])
