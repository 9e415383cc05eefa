"""What a plan cleans up on disk and in /run, before its steps and after them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePosixPath

import pytest

from tqunits.host.plan import make_plan
from tqunits.model import Enabled, Instance
from tqunits.units import upkeep
from tqunits.units.observed import Remnants
from tqunits.units.rendering import RenderedFile
from tqunits.units.steps import (
    Build,
    Discard,
    Expect,
    ForgetPauses,
    Options,
    ReloadDaemon,
    RemoveFile,
    Restart,
    Start,
    Step,
    Unshadow,
    Upkeep,
    WriteFile,
)

from .cases import configuration, worker
from .test_plan import NOTHING, NOW, desired, installed

LEFT = PurePosixPath("/etc/systemd/system/.tqunits-0123456789abcdef.tmp")
MARKS = PurePosixPath("/run/tqunits/draining")
OLD, NEW = Instance("old"), Instance("new")
STARTED: tuple[Step, ...] = (Start(("tq-worker@new.service", "tq.target")), Restart(("tq-worker@old.service",)))


@pytest.mark.parametrize(
    ("found", "steps", "wanted"),
    [
        (Remnants(), STARTED, ()),
        (Remnants(unread=(LEFT,)), (), (Discard((LEFT,)),)),
        (Remnants(has_shadows=True), (), (Unshadow(),)),
        (
            Remnants(stopped=frozenset({Instance("old"), Instance("new"), Instance("other")})),
            STARTED,
            (Expect((Instance("new"), Instance("old"))),),
        ),
        (Remnants(stopped=frozenset({Instance("other")})), STARTED, ()),
        (Remnants(stopped=frozenset({Instance("new", 2)})), STARTED, ()),  # another instance of a started worker
        (Remnants(stopped=frozenset({Instance("new")})), (ReloadDaemon(),), ()),
        (Remnants(marks=(MARKS,), pauses=frozenset({"new"})), STARTED, ()),
    ],
)
def test_before_the_steps(found: Remnants, steps: tuple[Step, ...], wanted: tuple[Upkeep, ...]) -> None:
    assert upkeep.before(found, steps) == wanted


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        (Remnants(unread=(LEFT,), has_shadows=True, stopped=frozenset({Instance("gone")})), ()),
        (Remnants(marks=(MARKS,)), (Discard((MARKS,)),)),
        (Remnants(pauses=frozenset({"gone", "here"})), (ForgetPauses(("gone",)),)),
    ],
)
def test_after_them(found: Remnants, wanted: tuple[Upkeep, ...]) -> None:
    assert upkeep.after(found, ("gone", "away")) == wanted


def test_it_stands_around_the_steps_of_a_plan() -> None:
    wanted = desired(configuration(worker("api"), worker("web")))
    found = Remnants(unread=(LEFT,), marks=(MARKS,), stopped=frozenset({Instance("api")}), pauses=frozenset({"api"}))
    steps = make_plan(wanted, replace(NOTHING, remnants=found), NOW).steps
    assert steps[:2] == (Discard((LEFT,)), Expect((Instance("api"),)))
    assert steps[-1] == Discard((MARKS,))


def test_the_limits_of_every_worker_are_read_back_but_of_a_masked_one() -> None:
    wanted = desired(configuration(worker("api"), worker("web"), worker("off", enabled=Enabled.FALSE)))
    there = installed(wanted)
    masked = replace(there, file_states={**there.file_states, "tq-worker@web.service": "masked"})
    assert make_plan(wanted, masked, NOW).read_back == ("tq-worker@api.service", "tq-worker@off.service")


def test_what_was_built_is_in_the_plan() -> None:
    wanted = desired(configuration(worker("api")))
    build = Build(worker="api", command=("make",), reason="its sources have changed")
    made = make_plan(replace(wanted, builds=(build,)), installed(wanted), Options())
    assert (made.builds, made.steps) == ((build,), ())


FILE = WriteFile(file=RenderedFile(path=LEFT, content="", mode=0o644, unit=None), before=None)
GONE = RemoveFile(path=LEFT, before="")
CLEARED = Discard((LEFT,))


@pytest.mark.parametrize(
    ("steps", "index"),
    [
        ((), 0),
        ((FILE, FILE), 2),
        ((FILE, ReloadDaemon(), FILE), 1),
        ((CLEARED, Unshadow(), FILE, FILE, ReloadDaemon(), GONE), 4),
        ((CLEARED, GONE, ReloadDaemon()), 1),
        ((ReloadDaemon(), FILE), 0),
        ((CLEARED,), 1),
    ],
)
def test_the_ledger_comes_after_the_first_files_and_before_any_of_them_goes(
    steps: tuple[Step, ...], index: int
) -> None:
    assert upkeep.after_first_files(steps) == index
