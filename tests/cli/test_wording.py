"""How the command line prints the events of host/: one line each, progress on a terminal, and what
is left with --quiet."""

from __future__ import annotations

import io
from pathlib import Path, PurePosixPath

import pytest

from tqunits.cli.output import Output
from tqunits.cli.wording import Teller
from tqunits.errors import Diagnostic, Severity
from tqunits.host import progress
from tqunits.host.endings import Ending
from tqunits.host.lacking import Lacking
from tqunits.model import Instance
from tqunits.units import steps

DUE = steps.Build(worker="shop", command=("make", "all of it"), reason="it was never built")
LACK = Lacking(worker="shop", reason="go is not installed", hint="apt install golang-go")
WARNING = Diagnostic(severity=Severity.WARNING, message="odd", mark=None, hint=None)

DONE: list[tuple[progress.Event, str]] = [
    (progress.Restoration(Path("/a/b.conf")), "put back /a/b.conf, which somebody has removed\n"),
    (progress.StepStart(DUE), "build shop: make 'all of it' (it was never built)\n"),
    (
        progress.BuildWaiver("shop", "bin/shop", "go is not installed"),
        "shop runs bin/shop as it is: go is not installed\n",
    ),
    (progress.OwnFiles("shop", "a, b"), "    shop keeps its own, which its build has written to: a, b\n"),
    (progress.BarredFiles("shop", "c"), "    shop does not get what no build may bring (tqunits docs build): c\n"),
    (progress.StepStart(steps.ReloadDaemon()), "daemon-reload\n"),
    (progress.StepStart(steps.Start(("a.service", "b.service"))), "start a.service b.service\n"),
    (progress.StepStart(steps.RemoveFile(path=PurePosixPath("/a"), before="")), "remove /a\n"),
    (progress.StepStart(steps.Discard((PurePosixPath("/a"), PurePosixPath("/b")))), "remove /a /b\n"),
    (
        progress.StepStart(steps.Unshadow()),
        "remove runtime drop-ins of limits, which a run that was cut off has left\n",
    ),
    (progress.StepStart(steps.Expect((Instance("a"), Instance("a", 2)))), "let requests wait for a a:2\n"),
    (progress.StepStart(steps.ForgetPauses(("a", "b"))), "forget the pauses of a b\n"),
    (progress.HomeStay("worker-shop", "it is in use"), "worker-shop keeps its home for now: it is in use\n"),
    (
        progress.ReleaseReturn("shop", "3f9c02d1a7be"),
        "shop runs release 3f9c02d1a7be again; 'tqunits deploy shop' makes one of its folder\n",
    ),
    (progress.FolderRemoval(Path("/data")), "remove /data\n"),
    (progress.FolderReturn(Path("/srv/shop")), "give /srv/shop back to root\n"),
    (progress.UserRemoval("worker-shop"), "remove user worker-shop\n"),
]
WRONG: list[tuple[progress.Event, str]] = [
    (progress.Notice(WARNING), "warning: odd\n"),
    (progress.Exclusion("shop"), "refused shop: what is installed of it stays\n"),
    (progress.Omission(LACK, stays=False), "skipped shop: go is not installed\n    hint: apt install golang-go\n"),
    (
        progress.Omission(LACK, stays=True),
        "skipped shop: go is not installed; it stays as it is installed\n    hint: apt install golang-go\n",
    ),
    (
        progress.Endings((Ending(unit="tq-worker@shop.service", result="timeout", sentence="too slow", is_slow=True),)),
        "shop: too slow\n",
    ),
]


class Terminal(io.StringIO):
    """A stream that is a terminal."""

    def isatty(self) -> bool:
        return True


def said(*told: progress.Event, quiet: bool = False, stream: io.StringIO | None = None) -> str:
    """The text on stderr after these events."""
    stderr = io.StringIO() if stream is None else stream
    tell = Teller(Output(io.StringIO(), stderr), quiet=quiet)
    for event in told:
        tell(event)
    return stderr.getvalue()


@pytest.mark.parametrize(("event", "text"), [*DONE, *WRONG])
def test_each_event_has_its_line(event: progress.Event, text: str) -> None:
    assert said(event) == text


@pytest.mark.parametrize(("event", "text"), WRONG)
def test_quiet_says_what_is_wrong(event: progress.Event, text: str) -> None:
    assert said(event, quiet=True) == text


@pytest.mark.parametrize("event", [event for event, _ in DONE])
def test_quiet_says_nothing_of_what_is_done(event: progress.Event) -> None:
    assert said(event, quiet=True) == ""


def waits(*seconds: float) -> list[progress.Event]:
    return [progress.Wait(("tq-worker@shop.service",), since_s) for since_s in seconds]


def test_progress_comes_less_and_less_often_and_anew_with_each_step() -> None:
    step = progress.StepStart(steps.ReloadDaemon())
    lines = said(step, *waits(0.5, 1, 1.5, 2, 3, 4), step, *waits(1.2, 2.2, 2.5), stream=Terminal()).splitlines()
    found = [line.partition(" since ")[2].partition(" s")[0] for line in lines if "waiting for shop" in line]
    assert found == ["1", "2", "4", "1", "2"]


@pytest.mark.parametrize(("quiet", "stream"), [(True, Terminal()), (False, io.StringIO())], ids=["quiet", "a pipe"])
def test_progress_is_for_whoever_looks(*, quiet: bool, stream: io.StringIO) -> None:
    assert said(*waits(1, 2, 4), quiet=quiet, stream=stream) == ""
