"""Words for deploys: a line for each step and each end on stderr, or a JSON document a line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from tqunits.cli import format as human
from tqunits.cli.output import Output
from tqunits.lifecycle.deploys import DeployKind, DeployOutcome, DeployRecord, DeployStep, deploy_body, step_body
from tqunits.model import Instance

STYLES: Final = {
    DeployOutcome.WAITING: "",
    DeployOutcome.RUNNING: "",
    DeployOutcome.DONE: "green",
    DeployOutcome.UNCHANGED: "",
    DeployOutcome.FAILED: "red",
    DeployOutcome.SUPERSEDED: "yellow",
}
"""Of the word for an outcome, and of its sentence."""

SUPERSEDED: Final = "a newer deploy has taken its place before it had begun"
"""Why one was not done."""


class DeployForm(Protocol):
    """How it is told."""

    def accepted(self, record: DeployRecord, *, is_left: bool) -> None:
        """The manager has written it down. `is_left`: nobody will tell more."""
        ...

    def step(self, record: DeployRecord, step: DeployStep) -> None:
        """A step was taken."""
        ...

    def ended(self, record: DeployRecord) -> None:
        """Nothing more will happen."""
        ...


class Documents:
    """A JSON document a line."""

    def __init__(self, output: Output) -> None:
        self._output = output

    def accepted(self, record: DeployRecord, *, is_left: bool) -> None:
        self._whole("accepted", record)

    def step(self, record: DeployRecord, step: DeployStep) -> None:
        members = {"number": record.number, "worker": record.worker, **step_body(step)}
        self._output.json_line("deploy", 1, event="step", **members)

    def ended(self, record: DeployRecord) -> None:
        self._whole("end", record)

    def _whole(self, event: str, record: DeployRecord) -> None:
        members: Mapping[str, object] = {key: each for key, each in deploy_body(record).items() if key != "steps"}
        self._output.json_line("deploy", 1, event=event, **members)


class Lines:
    """Lines for people."""

    def __init__(self, output: Output) -> None:
        self._output = output

    def accepted(self, record: DeployRecord, *, is_left: bool) -> None:
        if is_left:
            self._output.message(f"{record.worker}: {record.kind} {record.number} is accepted; {goes_on([record])}")

    def step(self, record: DeployRecord, step: DeployStep) -> None:
        whose = record.worker if step.instance is None else str(Instance(record.worker, step.instance))
        self._output.message(f"{whose}: {step.text}")

    def ended(self, record: DeployRecord) -> None:
        style = STYLES[record.outcome]
        self._output.message(sentence(record), style=style)
        if record.outcome is DeployOutcome.FAILED:
            lines = record.hint.splitlines()
            for line in lines:
                self._output.message(f"    {'hint: ' if len(lines) == 1 else ''}{line}")


def sentence(record: DeployRecord) -> str:
    """How a deploy has ended."""
    worker, release = record.worker, record.release
    match record.outcome:
        case DeployOutcome.FAILED:
            return f"{worker}: {record.why or 'it failed'}"
        case DeployOutcome.SUPERSEDED:
            return f"{worker}: {SUPERSEDED}"
        case _ if release is None and record.kind is not DeployKind.RESTART:
            return _of_folder(record)
        case DeployOutcome.UNCHANGED if record.kind is DeployKind.BUILD:
            return f"nothing has changed: {worker} has the release {release}"
        case DeployOutcome.UNCHANGED:
            return f"nothing has changed: {worker} {_runs(record)} {release}"
        case _ if record.kind is DeployKind.RESTART:
            return f"{worker} is restarted{_took(record)}"
        case _ if record.kind is DeployKind.BUILD:
            return f"{worker}: the release {release} is made; 'tqunits deploy {worker}' runs it"
        case _:
            return f"{worker} {_runs(record)} {release}{_took(record)}"


def _of_folder(record: DeployRecord) -> str:
    """The same of a worker that runs from its folder, in development mode."""
    worker = record.worker
    match record.outcome:
        case DeployOutcome.UNCHANGED:
            return f"nothing has changed: {worker} has its folder as it is"
        case _ if record.kind is DeployKind.BUILD:
            return f"{worker} is built in its folder; 'tqunits deploy {worker}' runs it"
        case _ if record.replaces:
            return f"{worker} runs its folder as it is now{_took(record)}"
        case _:
            return f"{worker} does not run, and its next start is with its folder as it is now"


def _runs(record: DeployRecord) -> str:
    """What a worker does with its release: one that was stopped is not started."""
    return "runs" if record.was_stable else "does not run, and its next start is with"


def _took(record: DeployRecord) -> str:
    if record.begun_us is None or record.ended_us is None:
        return ""
    return f", after {human.span(max(0, record.ended_us - record.begun_us))}"


def goes_on(records: Sequence[DeployRecord]) -> str:
    """What to say to who leaves."""
    which = f" {records[0].worker}" if len(records) == 1 else ""
    return f"the manager goes on with it: 'tqunits history{which}' shows how it ends"
