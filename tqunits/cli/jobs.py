"""Jobs on the command line: how long to wait for them, and what is said when they end.

The exit status is 0 when all went well, 6 when all that went wrong is a matter of time or health, else 1.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tqunits.cli.context import Context
from tqunits.cli.selection import Installed, installed
from tqunits.cli.span import positive_span_argument
from tqunits.errors import ExitStatus
from tqunits.host import binding, evidence
from tqunits.host.evidence import Subject
from tqunits.lifecycle import causes, outcome
from tqunits.lifecycle.causes import Judgement
from tqunits.lifecycle.facts import Facts
from tqunits.lifecycle.outcome import Failure, JobResult
from tqunits.lifecycle.reason import Cause
from tqunits.model import INFINITY
from tqunits.system import journal
from tqunits.system.jobs import OnWait
from tqunits.system.process import run
from tqunits.units import name

_JOURNAL_LINES = 10
_SAID = 3  # of the last lines of who says nothing that is known for an error
_UNEXPLAINED = frozenset({Cause.EXITED, Cause.CRASHED, Cause.FAILED, Cause.TIMEOUT})
_NAMED = 5  # units that fit a line of progress

_FINE = {"done", "queued"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """What came of one job, as it is said and as --json has it."""

    unit: str
    result: str  # JobResult's
    sentence: str = ""  # what went wrong; "" where nothing did
    details: tuple[tuple[str, str], ...] = ()  # a label and a text
    judgement: Judgement | None = None  # of a worker that failed
    remark: str = ""  # for the person alone
    is_slow: bool = False  # a matter of time or of health

    def as_json(self) -> Mapping[str, object]:
        """One of `jobs`."""
        judgement = self.judgement
        return {
            "unit": self.unit,
            "worker": name.worker_of(self.unit),
            "result": self.result,
            "kind": judgement.cause.value if judgement else None,
            "sentence": self.sentence or None,
            "error": error_json(judgement) if judgement else None,
            "answer": (judgement.answer or None) if judgement else None,
            "lines": [text for label, text in self.details if not label],
            "advice": [text for label, text in self.details if label == "hint"],
        }


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


def conclude(results: Iterable[JobResult], context: Context, *, as_json: bool, **members: object) -> ExitStatus:
    """Say what failed, and with --json print the document `tqunits.jobs` with these members besides."""
    ended = judged(results, context)
    status = told(ended, context)
    if as_json:
        context.output.json("jobs", 1, **members, jobs=[each.as_json() for each in ended], exit_status=int(status))
    return status


def judged(results: Iterable[JobResult], context: Context) -> tuple[Ended, ...]:
    """What came of each, and why it failed (lifecycle/ judges it)."""
    results = tuple(results)
    is_fine = all(result.result in _FINE for result in results)
    workers = {} if is_fine else {worker.unit: worker for worker in installed(context.layout)}
    return tuple(_judged(result, workers, context) for result in results)


def told(ended: Iterable[Ended], context: Context) -> ExitStatus:
    """Say on stderr what failed, why, and what to do; gives the exit status."""
    failed = [each for each in ended if each.sentence]
    for each in failed:
        _tell(each, context)
    if not failed:
        return ExitStatus.OK
    if len(failed) > 1:  # the first of them may have left the screen
        context.output.message(f"failed: {', '.join(short(each.unit) for each in failed)}", style="red")
    return ExitStatus.TIMEOUT if all(each.is_slow for each in failed) else ExitStatus.FAILED


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
    """A worker's own name, with its number for a further instance; or the whole name of any other unit."""
    return name.named(unit)


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


def error_json(judgement: Judgement) -> Mapping[str, str | None] | None:
    """The program's own error, as every document has it."""
    error = judgement.error
    return None if error is None else {"kind": error.kind.value, "text": error.text, "place": error.place or None}


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


def _tell(ended: Ended, context: Context) -> None:
    tell = context.output.message
    tell(f"{short(ended.unit)}: {ended.sentence}", style="red")
    for label, text in ended.details:
        tell(f"    {label}: {text}" if label else f"    {text}", style="" if label == "hint" else "dim")
    if ended.remark:
        tell(f"    ({ended.remark})", style="dim")


def _judged(result: JobResult, workers: Mapping[str, Installed], context: Context) -> Ended:
    unit, failure = result.unit, result.failure
    if result.result in _FINE:
        return Ended(unit=unit, result=result.result)
    if result.result == "waiting":
        sentence = "not done yet; it goes on without being waited for"
    elif failure is None or result.result != "failed":
        sentence = outcome.of_job(result.result, result.message)
    elif unit in workers:
        return _judged_worker(result, failure, workers[unit], context)
    else:
        return _judged_other(result, failure, context)
    in_the_way = tuple(_obstacles(unit, context))
    return Ended(unit=unit, result=result.result, sentence=sentence, details=in_the_way, is_slow=_is_slow(result))


def _judged_worker(result: JobResult, failure: Failure, worker: Installed, context: Context) -> Ended:
    facts = evidence.of_failure(subject_of(worker, context), failure)
    judgement = causes.judge(facts)
    is_mute = not (facts.lines or facts.verdict or context.user_mode or os.geteuid() == 0)
    return Ended(
        unit=result.unit,
        result=result.result,
        sentence=judgement.sentence,
        details=tuple(details(judgement, facts)),
        judgement=judgement,
        remark=f"its journal has nothing that you may read: sudo tqunits why {worker.name}" if is_mute else "",
        is_slow=_is_slow(result),
    )


def _judged_other(result: JobResult, failure: Failure, context: Context) -> Ended:
    """A unit that is no worker's: how it ended, and its last words."""
    code = outcome.CODES.get(failure.main_code, "")
    invocation = failure.invocation
    lines = journal.last_lines(result.unit, _JOURNAL_LINES, user_mode=context.user_mode, invocation=invocation)
    return Ended(
        unit=result.unit,
        result=result.result,
        sentence=outcome.of_run(failure.result, code, failure.main_status, None, failure.program),
        details=(*(("", line) for line in lines), *_obstacles(result.unit, context)),
        is_slow=_is_slow(result),
    )


def _obstacles(unit: str, context: Context) -> Iterator[tuple[str, str]]:
    """What keeps a socket of the router from being opened, as details."""
    if not name.is_proxy_socket(unit):
        return
    show = ["systemctl", *(["--user"] if context.user_mode else []), "show", "-P", "Listen", unit]
    for line in run(show).stdout.splitlines():  # "127.0.0.1:80 (Stream)"
        found = binding.obstacle(line.rpartition(" (")[0], (), user_mode=context.user_mode)
        if found is not None:
            yield from (("", f"{found.address} {found.message}"), ("hint", found.hint))


def _is_slow(result: JobResult) -> bool:
    """Whether it is a matter of time or of health: exit status 6, not 1."""
    if result.failure is not None:
        return outcome.is_slow(result.failure.result, result.failure.gate_status)
    return result.result in {"timeout", "waiting"}
