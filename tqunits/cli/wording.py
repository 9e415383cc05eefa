"""What host/ tells, and the steps of a plan, in words: a line for each on stderr, and progress where somebody looks."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import assert_never

from tqunits.cli.jobs import told, waited_for
from tqunits.cli.output import Output
from tqunits.host.events import (
    BarredFiles,
    BuildWaiver,
    Endings,
    Event,
    Exclusion,
    FolderRemoval,
    FolderReturn,
    HomeStay,
    Notice,
    Omission,
    OwnFiles,
    Restoration,
    StepStart,
    UserRemoval,
    Wait,
)
from tqunits.model import account_of
from tqunits.units.steps import (
    Admit,
    Build,
    CreateUsers,
    Disable,
    Discard,
    Enable,
    Expect,
    ForgetPauses,
    Give,
    Rehome,
    Reload,
    ReloadDaemon,
    RemoveFile,
    Restart,
    Start,
    Step,
    Stop,
    Unshadow,
    Upkeep,
    WriteFile,
)


class Teller:
    """Says each event as it comes; with --quiet nothing but what is wrong."""

    def __init__(self, output: Output, *, quiet: bool) -> None:
        self._output, self._quiet = output, quiet
        self._due_s = 1.0

    def __call__(self, event: Event) -> None:
        """Say it."""
        match event:
            case Notice(diagnostic):
                self._output.diagnostics((diagnostic,))
            case Exclusion(worker):
                self._output.message(f"refused {worker}: what is installed of it stays", style="yellow")
            case Omission():
                self._omission(event)
            case Endings(endings):
                told(endings, self._output)
            case Wait(units, since_s):
                self._wait(units, since_s)
            case _:
                self._done(event)

    def _done(self, event: _Work) -> None:
        if isinstance(event, StepStart):
            self._due_s = 1.0
        if not self._quiet:
            self._output.message(line(event))

    def _omission(self, event: Omission) -> None:
        stays = "; it stays as it is installed" if event.stays else ""
        self._output.message(f"skipped {event.lack.worker}: {event.lack.reason}{stays}", style="yellow")
        if event.lack.hint:
            self._output.message(f"    hint: {event.lack.hint}")

    def _wait(self, units: Sequence[str], since_s: float) -> None:
        """After 1, 2, 4, 8 ... seconds: enough to trust it, and few enough to read."""
        if self._quiet or not self._output.interactive or since_s < self._due_s:
            return
        self._due_s = max(self._due_s * 2, since_s)
        self._output.message(waited_for(units, since_s), style="dim")


_Work = (
    Restoration
    | BuildWaiver
    | OwnFiles
    | BarredFiles
    | StepStart
    | HomeStay
    | FolderRemoval
    | FolderReturn
    | UserRemoval
)


def line(event: _Work) -> str:
    """What is done, in a line."""
    match event:
        case Restoration(path):
            return f"put back {path}, which somebody has removed"
        case BuildWaiver() | OwnFiles() | BarredFiles():
            return _of_build(event)
        case StepStart(step):
            return describe(step)
        case HomeStay(account, reason):
            return f"{account} keeps its home for now: {reason}"
        case FolderRemoval(path):
            return f"remove {path}"
        case FolderReturn(path):
            return f"give {path} back to root"
        case UserRemoval(user):
            return f"remove user {user}"
        case _:
            assert_never(event)


def _of_build(event: BuildWaiver | OwnFiles | BarredFiles) -> str:
    match event:
        case BuildWaiver(worker, program, reason):
            return f"{worker} runs {program} as it is: {reason}"
        case OwnFiles(worker, files):
            return f"    {worker} keeps its own, which its build has written to: {files}"
        case BarredFiles(worker, files):
            return f"    {worker} does not get what no build may bring (tqunits docs build): {files}"
        case _:
            assert_never(event)


def describe(step: Step | Build) -> str:
    """A step as a line for the operator, in the words of the command that would do it."""
    match step:
        case WriteFile(file=file, before=before):
            return f"{'write' if before is None else 'update'} {file.path}"
        case RemoveFile(path=path):
            return f"remove {path}"
        case CreateUsers(path=path):
            return f"create users of {path}"
        case Rehome(workers=workers):
            return f"take the home from {' '.join(map(account_of, workers))}"
        case Give(folders=folders):
            return f"give {' '.join(map(str, folders))}"
        case Admit(files=missing):
            return f"serve {' '.join(file.parent.name for file in missing)}, as before"
        case ReloadDaemon():
            return "daemon-reload"
        case Build() | Discard() | Unshadow() | Expect() | ForgetPauses():
            return _of_upkeep(step)
        case Enable() | Disable() | Start() | Restart() | Stop() | Reload():
            return f"{type(step).__name__.lower()} {' '.join(step.units)}"
        case _:
            assert_never(step)


def _of_upkeep(step: Build | Upkeep) -> str:
    match step:
        case Build(worker=worker, command=command, reason=reason):
            return f"build {worker}: {shlex.join(command)} ({reason})"
        case Discard(paths):
            return f"remove {' '.join(map(str, paths))}"
        case Unshadow():
            return "remove runtime drop-ins of limits, which a run that was cut off has left"
        case Expect(workers):
            return f"let requests wait for {' '.join(workers)}"
        case ForgetPauses(workers):
            return f"forget the pauses of {' '.join(workers)}"
        case _:
            assert_never(step)
