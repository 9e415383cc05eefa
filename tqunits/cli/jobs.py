"""Jobs on the command line: how long to wait for them, and what is said when they end.

The exit status is 0 when all went well, 6 when all that went wrong is a matter of time or health, else 1.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence

from tqunits.cli.context import Context
from tqunits.cli.selection import Installed, installed
from tqunits.cli.span import positive_span_argument
from tqunits.errors import ExitStatus
from tqunits.lifecycle import causes, outcome
from tqunits.lifecycle.causes import Judgement
from tqunits.lifecycle.facts import Facts
from tqunits.lifecycle.reason import Cause
from tqunits.model import INFINITY
from tqunits.system import binding, evidence, journal
from tqunits.system.bus import Failure, JobResult, OnWait
from tqunits.system.evidence import Subject
from tqunits.system.process import run
from tqunits.units import name

_JOURNAL_LINES = 10
_SAID = 3  # of the last lines of who says nothing that is known for an error
_UNEXPLAINED = frozenset({Cause.EXITED, Cause.CRASHED, Cause.FAILED, Cause.TIMEOUT})
_NAMED = 5  # units that fit a line of progress

_FINE = {"done", "queued"}


def add_timeout(parser: argparse.ArgumentParser) -> None:
    """Declare --timeout."""
    parser.add_argument(
        "--timeout",
        metavar="SPAN",
        type=positive_span_argument,
        default=INFINITY,
        help="wait at most so long (30s, 2min); without it, as long as each worker's own timeouts allow",
    )


def timeout_of(arguments: argparse.Namespace) -> int:
    """The value of --timeout in microseconds; INFINITY without it."""
    return int(arguments.timeout)


def report(results: Iterable[JobResult], context: Context) -> ExitStatus:
    """Say on stderr what failed, why, and what to do (lifecycle/ judges it); gives the exit status."""
    failed = [result for result in results if result.result not in _FINE]
    workers = {worker.unit: worker for worker in installed(context.layout)} if failed else {}
    for result in failed:
        _tell(result, workers, context)
    if not failed:
        return ExitStatus.OK
    if len(failed) > 1:  # the first of them may have left the screen
        context.output.message(f"failed: {', '.join(short(result.unit) for result in failed)}", style="red")
    return ExitStatus.TIMEOUT if all(map(_is_slow, failed)) else ExitStatus.FAILED


def progress(context: Context, *, quiet: bool = False) -> OnWait | None:
    """Say on a terminal who is waited for, after 1, 2, 4, 8 ... seconds: enough to trust it, and few enough to read."""
    if quiet or not context.output.interactive:
        return None
    begin = time.monotonic()
    due = 1.0

    def tell(units: Sequence[str]) -> None:
        nonlocal due
        waited = time.monotonic() - begin
        if waited < due:
            return
        due = max(due * 2, waited)
        names = ", ".join(short(unit) for unit in units[:_NAMED])
        more = f" and {len(units) - _NAMED} more" if len(units) > _NAMED else ""
        context.output.message(f"waiting for {names}{more} since {waited:.0f} s", style="dim")

    return tell


def short(unit: str) -> str:
    """A worker's own name, or the whole name of any other unit."""
    return name.worker_of(unit) or unit


def subject_of(worker: Installed, context: Context) -> Subject:
    """An installed worker, as evidence is gathered of it."""
    return Subject(
        name=worker.name,
        unit=worker.unit,
        text=worker.text,
        ledger=worker.ledger,
        layout=context.layout,
        user_mode=context.user_mode,
    )


def details(judgement: Judgement, facts: Facts) -> Iterator[tuple[str, str]]:
    """What explains the sentence further, each with its label; what it says already is not said again."""
    error = judgement.error
    if error is not None and error.text not in judgement.sentence:
        yield "error", f"{error.text} ({error.place})" if error.place else error.text
    elif error is None and judgement.cause in _UNEXPLAINED:
        yield from (("", line) for line in facts.lines[-_SAID:])
    if judgement.answer and judgement.answer not in judgement.sentence:
        yield "answer", judgement.answer
    yield from (("hint", advice) for advice in judgement.advice)


def _tell(result: JobResult, workers: Mapping[str, Installed], context: Context) -> None:
    tell = context.output.message
    unit, failure = short(result.unit), result.failure
    if result.result == "waiting":
        tell(f"{unit}: not done yet; it goes on without being waited for", style="red")
    elif failure is None or result.result != "failed":
        tell(f"{unit}: {outcome.of_job(result.result, result.message)}", style="red")
    elif result.unit in workers:
        facts = evidence.of_failure(subject_of(workers[result.unit], context), failure)
        judgement = causes.judge(facts)
        tell(f"{unit}: {judgement.sentence}", style="red")
        for label, text in details(judgement, facts):
            tell(f"    {label}: {text}" if label else f"    {text}", style="" if label == "hint" else "dim")
        if not (facts.lines or facts.verdict or context.user_mode or os.geteuid() == 0):
            tell(f"    (its journal has nothing that you may read: sudo tqunits why {unit})", style="dim")
    else:
        _tell_other(result.unit, failure, context)
    for found in _in_the_way(result.unit, context):
        tell(f"    {found.address} {found.message}", style="red")
        tell(f"    hint: {found.hint}")


def _tell_other(unit: str, failure: Failure, context: Context) -> None:
    """A unit that is no worker's: how it ended, and its last words."""
    tell = context.output.message
    code = outcome.CODES.get(failure.main_code, "")
    tell(f"{unit}: {outcome.of_run(failure.result, code, failure.main_status, None, failure.program)}", style="red")
    invocation = failure.invocation
    for line in journal.last_lines(unit, _JOURNAL_LINES, user_mode=context.user_mode, invocation=invocation):
        tell(f"    {line}", style="dim")


def _in_the_way(unit: str, context: Context) -> Iterator[binding.Obstacle]:
    """What keeps a socket of the router from being opened."""
    if not name.is_proxy_socket(unit):
        return
    show = ["systemctl", *(["--user"] if context.user_mode else []), "show", "-P", "Listen", unit]
    for line in run(show).stdout.splitlines():  # "127.0.0.1:80 (Stream)"
        found = binding.obstacle(line.rpartition(" (")[0], (), user_mode=context.user_mode)
        if found is not None:
            yield found


def _is_slow(result: JobResult) -> bool:
    """Whether it is a matter of time or of health: exit status 6, not 1."""
    if result.failure is not None:
        return outcome.is_slow(result.failure.result, result.failure.gate_status)
    return result.result in {"timeout", "waiting"}
