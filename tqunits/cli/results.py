"""Jobs on the command line: how long to wait for them, and the messages at their end.

The exit status is 0 when all have succeeded, 5 when one was not permitted, 6 when all failures are
time-outs or failed health checks, otherwise 1.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable, Mapping, Sequence

from tqunits.cli.context import Context
from tqunits.cli.output import Output
from tqunits.cli.span import positive_span_argument
from tqunits.errors import ExitStatus
from tqunits.host.endings import Ending, judged
from tqunits.lifecycle.causes import Judgement
from tqunits.lifecycle.outcome import JobResult
from tqunits.model import INFINITY
from tqunits.system.jobs import OnWait
from tqunits.units import name

_NAMED = 5  # units that fit a line of progress


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
    """Report failures; with --json print the document `tqunits.jobs` with these members in
    addition."""
    ended = judged(results, context.layout, user_mode=context.user_mode)
    status = told(ended, context.output)
    if as_json:
        context.output.json("jobs", 1, **members, jobs=[ending_json(each) for each in ended], exit_status=int(status))
    return status


def told(ended: Iterable[Ending], output: Output) -> ExitStatus:
    """Report on stderr what failed, why, and what to do; returns the exit status."""
    failed = tell_failures(ended, output)
    name_again([name.named(each.unit) for each in failed], output)
    return status_of(failed)


def tell_failures(ended: Iterable[Ending], output: Output) -> Sequence[Ending]:
    """The first part of this; gives those that failed."""
    failed = [each for each in ended if each.sentence]
    for each in failed:
        _tell(each, output)
    return failed


def name_again(failed: Sequence[str], output: Output) -> None:
    """Name those that have failed in one line, if there are several: what was said of the first of
    them may have left the screen."""
    if len(failed) > 1:
        output.message(f"failed: {', '.join(failed)}", style="red")


def status_of(ended: Iterable[Ending]) -> ExitStatus:
    """The exit status for all of them."""
    failed = [each for each in ended if each.sentence]
    if not failed:
        return ExitStatus.OK
    if any(each.is_denied for each in failed):
        return ExitStatus.NOT_PERMITTED
    return ExitStatus.TIMEOUT if all(each.is_slow for each in failed) else ExitStatus.FAILED


class Progress:
    """On a terminal: reports the units that are waited for, after 1, 2, 4, 8 ... seconds."""

    def __init__(self, output: Output) -> None:
        self._output, self._due_s = output, 1.0

    def say(self, units: Sequence[str], since_s: float) -> None:
        """These are waited for, since so many seconds."""
        if not self._output.interactive or since_s < self._due_s:
            return
        self._due_s = max(self._due_s * 2, since_s)
        names = ", ".join(map(name.named, units[:_NAMED]))
        more = f" and {len(units) - _NAMED} more" if len(units) > _NAMED else ""
        self._output.message(f"waiting for {names}{more} since {since_s:.0f} s", style="dim")


def progress(context: Context) -> OnWait:
    """What to hand to a wait that begins now."""
    shown, begin = Progress(context.output), time.monotonic()
    return lambda units: shown.say(units, time.monotonic() - begin)


def error_json(judgement: Judgement) -> Mapping[str, str | None] | None:
    """The program's own error, as every document has it."""
    error = judgement.error
    return None if error is None else {"kind": error.kind.value, "text": error.text, "place": error.place or None}


def ending_json(ended: Ending) -> Mapping[str, object]:
    """One of `jobs`."""
    judgement = ended.judgement
    return {
        "unit": ended.unit,
        "worker": name.worker_of(ended.unit),
        "result": ended.result,
        "kind": judgement.cause.value if judgement else None,
        "sentence": ended.sentence or None,
        "error": error_json(judgement) if judgement else None,
        "answer": (judgement.answer or None) if judgement else None,
        "lines": [text for label, text in ended.details if not label],
        "advice": [text for label, text in ended.details if label == "hint"],
    }


def _tell(ended: Ending, output: Output) -> None:
    tell = output.message
    tell(f"{name.named(ended.unit)}: {ended.sentence}", style="red")
    for label, text in ended.details:
        tell(f"    {label}: {text}" if label else f"    {text}", style="" if label == "hint" else "dim")
    if ended.remark:
        tell(f"    ({ended.remark})", style="dim")
