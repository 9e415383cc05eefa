"""Words for the events of host/ and for the steps of a plan: a line for each on stderr, and
progress on a terminal."""

from __future__ import annotations

import shlex
from typing import assert_never

from tqunits.cli.output import Output
from tqunits.cli.results import Progress, told
from tqunits.host import progress
from tqunits.model import account_of
from tqunits.units import steps


class Teller:
    """Prints each event when it comes; with --quiet only what is wrong."""

    def __init__(self, output: Output, *, quiet: bool) -> None:
        self._output, self._quiet = output, quiet
        self._progress = Progress(output)

    def __call__(self, event: progress.Event) -> None:
        """Say it."""
        match event:
            case progress.Notice(diagnostic):
                self._output.diagnostics((diagnostic,))
            case progress.Exclusion(worker):
                self._output.message(f"refused {worker}: what is installed of it stays", style="yellow")
            case progress.Omission():
                self._omission(event)
            case progress.Endings(endings):
                told(endings, self._output)
            case progress.Wait(units, since_s):
                if not self._quiet:
                    self._progress.say(units, since_s)
            case _:
                self._done(event)

    def _done(self, event: _Work) -> None:
        if isinstance(event, progress.StepStart):
            self._progress = Progress(self._output)
        if not self._quiet:
            self._output.message(line(event))

    def _omission(self, event: progress.Omission) -> None:
        stays = "; it stays as it is installed" if event.stays else ""
        self._output.message(f"skipped {event.lack.worker}: {event.lack.reason}{stays}", style="yellow")
        if event.lack.hint:
            self._output.message(f"    hint: {event.lack.hint}")


_Work = (
    progress.Turn
    | progress.Restoration
    | progress.BuildWaiver
    | progress.OwnFiles
    | progress.BarredFiles
    | progress.StepStart
    | progress.HomeStay
    | progress.ReleaseReturn
    | progress.FolderRemoval
    | progress.FolderReturn
    | progress.UserRemoval
)


def line(event: _Work) -> str:
    """What is done, in a line."""
    match event:
        case progress.Turn(holder):
            return f"another tqunits is at work (process {holder}): waiting until it is done"
        case progress.Restoration(path):
            return f"put back {path}, which somebody has removed"
        case progress.BuildWaiver() | progress.OwnFiles() | progress.BarredFiles():
            return _of_build(event)
        case progress.StepStart(step):
            return describe(step)
        case progress.HomeStay(account, reason):
            return f"{account} keeps its home for now: {reason}"
        case progress.ReleaseReturn(worker, release):
            return f"{worker} runs release {release} again; 'tqunits deploy {worker}' makes one of its folder"
        case progress.FolderRemoval(path):
            return f"remove {path}"
        case progress.FolderReturn(path):
            return f"give {path} back to root"
        case progress.UserRemoval(user):
            return f"remove user {user}"
        case _:
            assert_never(event)


def _of_build(event: progress.BuildWaiver | progress.OwnFiles | progress.BarredFiles) -> str:
    match event:
        case progress.BuildWaiver(worker, program, reason):
            return f"{worker} runs {program} as it is: {reason}"
        case progress.OwnFiles(worker, files):
            return f"    {worker} keeps its own, which its build has written to: {files}"
        case progress.BarredFiles(worker, files):
            return f"    {worker} does not get what no build may bring (tqunits docs build): {files}"
        case _:
            assert_never(event)


def describe(step: steps.Step | steps.Build) -> str:
    """A step as a line for the operator, in the words of the command that would do it."""
    match step:
        case steps.WriteFile(file=file, before=before):
            return f"{'write' if before is None else 'update'} {file.path}"
        case steps.RemoveFile(path=path):
            return f"remove {path}"
        case steps.CreateUsers(path=path):
            return f"create users of {path}"
        case steps.Rehome(workers=workers):
            return f"take the home from {' '.join(map(account_of, workers))}"
        case steps.Give(folders=folders):
            return f"give {' '.join(map(str, folders))}"
        case steps.Admit(files=missing):
            return f"serve {' '.join(file.parent.name for file in missing)}, as before"
        case steps.ReloadDaemon():
            return "daemon-reload"
        case steps.Build() | steps.Discard() | steps.Unshadow() | steps.Expect() | steps.ForgetPauses():
            return _of_upkeep(step)
        case steps.Enable() | steps.Disable() | steps.Start() | steps.Restart() | steps.Stop() | steps.Reload():
            return f"{type(step).__name__.lower()} {' '.join(step.units)}"
        case _:
            assert_never(step)


def _of_upkeep(step: steps.Build | steps.Upkeep) -> str:
    match step:
        case steps.Build(worker=worker, command=command, reason=reason):
            return f"build {worker}: {shlex.join(command)} ({reason})"
        case steps.Discard(paths):
            return f"remove {' '.join(map(str, paths))}"
        case steps.Unshadow():
            return "remove runtime drop-ins of limits, which a run that was cut off has left"
        case steps.Expect(instances):
            return f"let requests wait for {' '.join(map(str, instances))}"
        case steps.ForgetPauses(workers):
            return f"forget the pauses of {' '.join(workers)}"
        case _:
            assert_never(step)
