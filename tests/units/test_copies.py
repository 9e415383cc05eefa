"""Copies of the files that a YAML names: what the unit has of them, and when they are written and
removed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tqunits.errors import TqunitsError
from tqunits.host.plan import make_plan, removal
from tqunits.model import Worker
from tqunits.units import credentials
from tqunits.units.observed import Observed
from tqunits.units.rendering import RenderedFile, render
from tqunits.units.steps import Options, Plan, RemoveFile, Restart, Step, Stop, WriteFile
from tqunits.units.unitfile import Copy, ledger, parse

from .cases import TEMPLATES, case, configuration, target, worker
from .test_hostile_values import PATH
from .test_plan import NOTHING, NOW, desired, installed

API = replace(worker("api"), environment_file=("/srv/api/.env", "/etc/api.env"), credentials=(("key", "/srv/api/key"),))
COPIES = (Copy("environment-1", "/srv/api/.env", 17), Copy("key", "/srv/api/key", 18))
FOLDER = PurePosixPath("/var/lib/tqunits/credentials/api")
PRUNE = Options(now=True, prune=True)


def drop_in(api: Worker, *copies: Copy) -> str:
    one = case(api)
    files = render(one.configuration, one.target, one.ports(), TEMPLATES, {"api": copies})
    return next(f.content for f in files if f.unit == "tq-worker@api.service")


def copied(text: str, credential: str = "key") -> RenderedFile:
    path = credentials.copy_path(target().layout.state, "api", credential)
    return RenderedFile(path=path, content=text, mode=0o600, unit="tq-worker@api.service", is_secret=True)


def plan(observed: Observed, *copies: RenderedFile, options: Options = NOW) -> Plan:
    return make_plan(replace(desired(configuration(API, worker("web"))), copies=copies), observed, options)


def running(*copies: RenderedFile, modified: int = 1) -> Observed:
    site = replace(desired(configuration(API, worker("web"))), copies=copies)
    return installed(site, modified=modified, started=2)


def test_the_unit_names_a_copy_or_a_path_of_roots() -> None:
    loaded = [a.value for a in parse(drop_in(API, *COPIES)) if a.name == "LoadCredential"]
    assert loaded == [f"environment-1:{FOLDER}/environment-1", "environment-2:/etc/api.env", f"key:{FOLDER}/key"]


def test_nothing_is_read_by_the_service_manager_as_variables() -> None:
    assert "EnvironmentFile" not in drop_in(API, *COPIES)


def test_the_ledger_remembers_how_each_file_looked() -> None:
    notes = ledger(drop_in(API, *COPIES))
    assert notes is not None
    assert notes.copies == COPIES


def test_how_a_file_looks_asks_for_no_restart() -> None:
    before, after = (ledger(drop_in(API, replace(COPIES[0], modified=time))) for time in (1, 2))
    assert before is not None
    assert after is not None
    assert before.restart_hash == after.restart_hash


@given(PATH, st.integers(0, (1 << 63) - 1))
def test_the_ledger_remembers_hostile_paths(path: str, modified: int) -> None:
    copy = Copy("environment-1", path, modified)
    try:
        notes = ledger(drop_in(replace(API, environment_file=(path,)), copy))
    except TqunitsError:
        return
    assert notes is not None
    assert notes.copies == (copy,)


@pytest.mark.parametrize("note", ["", "key", "key 1", "key 1 ", "key x /a", "key -2 /a", "key ² /a"])
def test_a_note_that_somebody_has_damaged_is_none(note: str) -> None:
    text = drop_in(API, *COPIES).replace("Copy=environment-1 17 /srv/api/.env", f"Copy={note}")
    notes = ledger(text)
    assert notes is not None
    assert notes.copies == COPIES[1:]


def test_a_copy_is_there_before_the_unit_that_names_it() -> None:
    made = plan(NOTHING, copied("new"))
    written = [step.file.path for step in made.steps if isinstance(step, WriteFile)]
    assert written[0] == FOLDER / "key"
    assert made.foreign == ()


def test_the_same_copy_needs_no_step() -> None:
    assert plan(running(copied("same")), copied("same")).steps == ()


def test_a_new_copy_restarts_its_worker_and_no_other_and_reloads_nothing() -> None:
    made = plan(running(copied("old")), copied("new"))
    assert made.steps == (WriteFile(file=copied("new"), before="old"), Restart(("tq-worker@api.service",)))


def test_without_now_a_new_copy_waits() -> None:
    made = plan(running(copied("old")), copied("new"), options=Options())
    assert made.pending == ("tq-worker@api.service",)


def test_a_process_older_than_its_copy_is_restarted_by_the_next_run() -> None:
    """The run that wrote the copy was interrupted before the restart."""
    observed = running(copied("new"))
    late = {path: replace(file, modified=3) for path, file in observed.copies.items()}
    assert plan(replace(observed, copies=late), copied("new")).steps == (Restart(("tq-worker@api.service",)),)


def test_a_copy_that_nobody_names_goes_last() -> None:
    made = plan(running(copied("x"), copied("y", "old")), copied("x"))
    assert made.steps == (RemoveFile(path=FOLDER / "old", before="y", is_secret=True),)


@pytest.mark.parametrize(("options", "goes"), [(NOW, False), (PRUNE, True)], ids=["install", "apply"])
def test_copies_of_a_vanished_worker_stay_until_it_is_told_to_go(options: Options, *, goes: bool) -> None:
    made = make_plan(desired(configuration(worker("web"))), running(copied("x")), options)
    assert (RemoveFile(path=FOLDER / "key", before="x", is_secret=True) in made.steps) is goes


@pytest.mark.parametrize("workers", [["api"], None], ids=["alone", "all"])
def test_uninstall_removes_copies_when_the_worker_is_stopped(workers: list[str] | None) -> None:
    steps = removal(running(copied("x")), workers)
    last = RemoveFile(path=FOLDER / "key", before="x", is_secret=True)
    assert steps[-1] == last
    assert isinstance(steps[0], Stop)
    assert last not in removal(running(copied("x")), ["web"])


def test_a_copy_is_never_taken_for_a_file_of_ours() -> None:
    """The worker chooses the content: here a whole drop-in of another worker."""
    lie = drop_in(API, *COPIES).replace("Worker=api", "Worker=evil")
    made = plan(running(copied(lie)), copied(lie))
    assert (made.steps, made.orphans) == ((), ())


def test_no_secret_is_in_the_text_of_a_step() -> None:
    observed = running(copied("s3cret"))
    steps: list[Step] = [*plan(observed, copied("s3cret2")).steps, *removal(observed, None)]
    assert "s3cret" not in repr((steps, observed))
