"""How jobs ended, and why they failed: the facts from systemd and the journal, judged by
lifecycle/."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping

from tqunits.host import binding, evidence
from tqunits.host.evidence import subject_of
from tqunits.host.installed import Installed, slots
from tqunits.layout import Layout
from tqunits.lifecycle import causes, outcome
from tqunits.lifecycle.causes import Judgement
from tqunits.lifecycle.facts import Facts
from tqunits.lifecycle.outcome import Failure, JobResult
from tqunits.lifecycle.reason import Cause
from tqunits.light_dataclass import dataclass
from tqunits.system import journal
from tqunits.system.process import run
from tqunits.units import name

_JOURNAL_LINES = 10
_SAID = 3  # so many of the last lines, where no line is recognised as an error
_UNEXPLAINED = frozenset({Cause.EXITED, Cause.CRASHED, Cause.FAILED, Cause.TIMEOUT})
_FINE = {"done", "queued"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How one job ended, as the command line and --json show it."""

    unit: str
    result: str  # the value of JobResult
    sentence: str = ""  # what went wrong; "" when nothing did
    details: tuple[tuple[str, str], ...] = ()  # a label and a text
    judgement: Judgement | None = None  # of a worker that failed
    remark: str = ""  # in the text output only
    is_slow: bool = False  # it took too long, or the health check failed
    is_denied: bool = False  # who asks may not ask for it


def judged(results: Iterable[JobResult], layout: Layout, *, user_mode: bool) -> tuple[Ending, ...]:
    """How each job ended, and why it failed."""
    results = tuple(results)
    is_fine = all(result.result in _FINE for result in results)
    workers = {} if is_fine else {worker.unit: worker for worker in slots(layout)}
    return tuple(_judged(result, workers, layout, user_mode=user_mode) for result in results)


def details(judgement: Judgement, facts: Facts) -> Iterator[tuple[str, str]]:
    """Lines that explain the sentence further, each with its label. What the sentence says already
    is left out."""
    error = judgement.error
    if error is not None and error.text not in judgement.sentence:
        yield "error", f"{error.text} ({error.place})" if error.place else error.text
    elif error is None and judgement.cause in _UNEXPLAINED:
        yield from (("", line) for line in facts.lines[-_SAID:])
    if judgement.answer and judgement.answer not in judgement.sentence:
        yield "answer", judgement.answer
    yield from (("hint", advice) for advice in judgement.advice)


def _judged(result: JobResult, workers: Mapping[str, Installed], layout: Layout, *, user_mode: bool) -> Ending:
    unit, failure = result.unit, result.failure
    if result.result in _FINE:
        return Ending(unit=unit, result=result.result)
    if result.result == "waiting":
        sentence = "not done yet; it goes on without being waited for"
    elif failure is None or result.result != "failed":
        sentence = outcome.of_job(result.result, result.message)
    elif unit in workers:
        return _judged_worker(result, failure, workers[unit], layout, user_mode=user_mode)
    else:
        return _judged_other(result, failure, user_mode=user_mode)
    in_the_way = tuple(_obstacles(unit, user_mode=user_mode))
    return Ending(unit=unit, result=result.result, sentence=sentence, details=in_the_way, is_slow=_is_slow(result))


def _judged_worker(
    result: JobResult, failure: Failure, worker: Installed, layout: Layout, *, user_mode: bool
) -> Ending:
    subject = subject_of(worker, layout, user_mode=user_mode)
    is_overtaken = failure.result == "success"  # which is no start's that has failed
    facts = evidence.of_overtaken(subject, failure) if is_overtaken else evidence.of_failure(subject, failure)
    judgement = causes.judge(facts)
    is_mute = not (facts.lines or facts.verdict or user_mode or os.geteuid() == 0)
    return Ending(
        unit=result.unit,
        result=result.result,
        sentence=judgement.sentence,
        details=tuple(details(judgement, facts)),
        judgement=judgement,
        remark=f"its journal has nothing that you may read: sudo tqunits why {worker.name}" if is_mute else "",
        is_slow=_is_slow(result),
    )


def _judged_other(result: JobResult, failure: Failure, *, user_mode: bool) -> Ending:
    """A unit that is not a worker: how it ended, and its last lines in the journal."""
    code = outcome.CODES.get(failure.main_code, "")
    invocation = failure.invocation
    lines = journal.last_lines(result.unit, _JOURNAL_LINES, user_mode=user_mode, invocation=invocation)
    return Ending(
        unit=result.unit,
        result=result.result,
        sentence=outcome.of_run(failure.result, code, failure.main_status, None, failure.program),
        details=(*(("", line) for line in lines), *_obstacles(result.unit, user_mode=user_mode)),
        is_slow=_is_slow(result),
    )


def _obstacles(unit: str, *, user_mode: bool) -> Iterator[tuple[str, str]]:
    """What keeps a socket of the router from being opened, as details."""
    if not name.is_proxy_socket(unit):
        return
    show = ["systemctl", *(["--user"] if user_mode else []), "show", "-P", "Listen", unit]
    for line in run(show).stdout.splitlines():  # "127.0.0.1:80 (Stream)"
        found = binding.obstacle(line.rpartition(" (")[0], (), user_mode=user_mode)
        if found is not None:
            yield from (("", f"{found.address} {found.message}"), ("hint", found.hint))


def _is_slow(result: JobResult) -> bool:
    """Whether the job took too long or its health check failed: exit status 6, not 1."""
    if result.failure is not None:
        return outcome.is_slow(result.failure.result, result.failure.gate_status)
    return result.result in {"timeout", "waiting"}
