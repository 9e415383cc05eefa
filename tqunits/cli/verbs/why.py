"""Say why a worker is down, or that it is well: one sentence, and what to do.

Then the chain: its file (worker.yaml), its build, its start, its health check, its state, with the
first link that is broken. Where it applies, the error in its own words with the place in its code,
the last answer of its health check, and who holds its port. A worker that runs is asked for its
health now. The manager, where it answers, tells whether the last deploy of the worker has failed,
and why.

What is known comes from systemd, the kernel, the readiness gate, the files and the journal. Without
root or membership in the group systemd-journal the journal is not there to read, and a sentence has
to do without it.

Exit status: 0 well, 1 something is wrong, 3 it does not run and nothing is wrong (stopped,
starting, not installed yet), 4 no such worker. Of several the worst counts: 1, then 3.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence

from tqunits.cli.context import Context
from tqunits.cli.explained import facts_of, known, worker_named
from tqunits.cli.failed_deploys import failed_deploys, sentence
from tqunits.cli.output import Output
from tqunits.cli.results import error_json
from tqunits.errors import ExitStatus
from tqunits.host.endings import details
from tqunits.lifecycle.causes import JudgedLink, Judgement, LinkState, judge
from tqunits.lifecycle.facts import Facts

_STYLES = {LinkState.OK: "green", LinkState.BROKEN: "red", LinkState.WAITING: "yellow", LinkState.UNKNOWN: "dim"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `tqunits why`."""
    parser.add_argument("names", metavar="NAME", nargs="+", help="worker, or its unit")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace, context: Context) -> ExitStatus:
    """Explain."""
    of = known(context)
    names = list(dict.fromkeys(each for text in arguments.names for each in of.meant(text)))
    of.require(names)
    explained = [(facts, judge(facts)) for facts, _ in facts_of(names, of, context)]
    installed = dict.fromkeys(worker_named(facts.name) for facts, _ in explained if facts.is_installed)
    failed = {worker: sentence(record) for worker, record in failed_deploys(installed, context).items()}
    if arguments.json:
        rows = [
            {**as_json(facts, judgement), "failed_deploy": failed.get(worker_named(facts.name))}
            for facts, judgement in explained
        ]
        context.output.json("why", 1, workers=rows)
    else:
        for number, (facts, judgement) in enumerate(explained):
            if number:
                context.output.line()
            _print(facts, judgement, context.output)
            if deploy := failed.pop(worker_named(facts.name), None):  # once for all instances of the worker
                context.output.line(f"  {'deploy:':<8}{context.output.styled(deploy, 'red')}")
    return status_of([judgement for _, judgement in explained])


def status_of(judgements: Sequence[Judgement]) -> ExitStatus:
    """The worst of them."""
    if any(judgement.is_wrong for judgement in judgements):
        return ExitStatus.FAILED
    return ExitStatus.OK if all(judgement.is_well for judgement in judgements) else ExitStatus.NOT_RUNNING


def style_of(judgement: Judgement) -> str:
    """Of the sentence."""
    return "green" if judgement.is_well else "red" if judgement.is_wrong else "yellow"


def as_json(facts: Facts, judgement: Judgement) -> Mapping[str, object]:
    """One worker, as --json has it."""
    return {
        "name": facts.name,
        "kind": judgement.cause.value,
        "well": judgement.is_well,
        "wrong": judgement.is_wrong,
        "sentence": judgement.sentence,
        "broken": judgement.broken.value if judgement.broken else None,
        "chain": [{"link": step.link.value, "mark": step.state.value, "text": step.text} for step in judgement.chain],
        "state": facts.state.value,
        "detail": facts.detail.value or None,
        "restarts": facts.restarts,
        "error": error_json(judgement),
        "answer": judgement.answer or None,
        "sandbox": judgement.sandbox or None,
        "killed_by": judgement.killed_by or None,
        "port_held_by": facts.holder or None,
        "advice": list(judgement.advice),
    }


def _print(facts: Facts, judgement: Judgement, output: Output) -> None:
    output.line(output.styled(f"{facts.name}: {judgement.sentence}", style_of(judgement)))
    output.line()
    for step in judgement.chain:
        output.line(
            f"  {output.styled(f'{_word(step):<8}', _STYLES[step.state])}  {step.link.value:<6}  {_text(step, output)}"
        )
    told = list(details(judgement, facts))
    if told or judgement.is_wrong:
        output.line()
    for label, text in told:
        output.line(f"  {label + ':' if label else '':<8}{output.styled(text, '')}")
    if judgement.is_wrong and facts.is_installed:
        output.line(f"  {'more:':<8}tqunits logs {facts.name}")


def _word(step: JudgedLink) -> str:
    return step.state.value if step.state is not LinkState.UNKNOWN else "-"


def _text(step: JudgedLink, output: Output) -> str:
    return output.styled(step.text, "dim" if step.state is LinkState.UNKNOWN else "")
