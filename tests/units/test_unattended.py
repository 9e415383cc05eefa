"""Runs that nobody watches: what they start, and what they leave alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePosixPath

import pytest

from tqunits.host.plan import make_plan
from tqunits.model import Enabled, Listen, OriginKind, SettingOrigin, Worker
from tqunits.units import name
from tqunits.units.observed import Observed
from tqunits.units.rendering import RenderedFile
from tqunits.units.steps import Desired, Enable, Options, Plan, RemoveFile, Restart, Start, Stop, WriteFile

from .cases import ONE_CERTIFICATE, configuration, limits, worker
from .test_plan import HOUR, desired, installed

UNATTENDED = Options(now=True, unattended=True)
API = name.service("api")
API_CHANGED = replace(worker("api"), command=("bin/other",))


def jobs(made: Plan) -> list[object]:
    return [step for step in made.steps if isinstance(step, Start | Stop | Restart | Enable | RemoveFile)]


def with_state(host: Observed, unit: str, state: str, *, started: int = 2 * HOUR) -> Observed:
    return replace(host, units={**host.units, unit: replace(host.units[unit], state=state, started=started)})


def change_of(before: Worker, after: Worker, state: str = "active", *, started: int = 2 * HOUR) -> Plan:
    host = with_state(installed(desired(configuration(before))), name.service(before.name), state, started=started)
    return make_plan(desired(configuration(after)), host, UNATTENDED)


def test_a_worker_that_runs_is_not_restarted_and_is_named() -> None:
    made = change_of(worker("api"), API_CHANGED)
    assert jobs(made) == []
    assert any(isinstance(step, WriteFile) and step.file.unit == API for step in made.steps)
    assert made.pending == (API,)


def test_a_limit_is_applied_as_ever() -> None:
    made = change_of(worker("api"), replace(worker("api"), limits=limits(memory_max=300 << 20)))
    assert jobs(made) == []
    assert made.pending == ()


def test_a_secret_that_has_changed_restarts_nobody() -> None:
    secret = RenderedFile(
        path=desired(configuration()).routes.path.parent / "credentials/api/key",
        content="new",
        mode=0o600,
        unit=API,
        is_secret=True,
    )
    wanted = desired(configuration(worker("api")))
    made = make_plan(replace(wanted, copies=(secret,)), installed(wanted), UNATTENDED)
    assert jobs(made) == []
    assert made.pending == (API,)


def test_a_new_worker_is_enabled_and_started() -> None:
    host = installed(desired(configuration(worker("api"))))
    made = make_plan(desired(configuration(worker("api"), worker("web"))), host, UNATTENDED)
    web = name.service("web")
    assert jobs(made) == [Enable((web,)), Start((web,))]


@pytest.mark.parametrize(
    ("state", "started", "is_begun"),
    [
        ("inactive", 2 * HOUR, False),
        ("inactive", 0, True),
        ("failed", 2 * HOUR, True),
        ("activating", 2 * HOUR, True),
    ],
    ids=["somebody has stopped it", "an earlier run was cut off", "it has failed", "it waits after a failure"],
)
def test_of_those_that_are_down_the_stopped_ones_stay_so(state: str, started: int, *, is_begun: bool) -> None:
    made = change_of(worker("api"), API_CHANGED, state, started=started)
    assert jobs(made) == ([Start((API,))] if is_begun else [])
    assert made.pending == ()


def test_a_worker_that_has_failed_is_not_tried_again_for_the_change_of_another() -> None:
    site = configuration(worker("api"), worker("web"))
    host = with_state(installed(desired(site)), API, "failed")
    made = make_plan(desired(configuration(worker("api"), replace(worker("web"), command=("x",)))), host, UNATTENDED)
    assert jobs(made) == []


def test_a_worker_that_somebody_has_disabled_stays_so() -> None:
    host = with_state(installed(desired(configuration(worker("api")))), API, "inactive", started=0)
    states = {unit: state for unit, state in host.file_states.items() if unit != API}
    made = make_plan(desired(configuration(API_CHANGED)), replace(host, file_states=states), UNATTENDED)
    assert jobs(made) == []


def test_a_worker_that_is_switched_on_is_started() -> None:
    off = replace(worker("api"), enabled=Enabled.FALSE)
    host = installed(desired(configuration(off)))
    made = make_plan(desired(configuration(worker("api"))), host, UNATTENDED)
    assert jobs(made) == [Enable((API,)), Start((API,))]


def test_a_worker_that_is_switched_off_ends_as_ever() -> None:
    made = change_of(worker("api"), replace(worker("api"), enabled=Enabled.FALSE))
    assert Stop((API,)) in made.steps


def test_workers_that_are_not_configured_any_more_stay() -> None:
    made = make_plan(
        desired(configuration(worker("web"))),
        installed(desired(configuration(worker("api"), worker("web")))),
        UNATTENDED,
    )
    assert jobs(made) == []
    assert made.orphans == ("api",)


def scaled(number: int) -> Desired:
    one = replace(worker("api"), scaling=replace(worker("api").scaling, min_workers=number))
    wanted = desired(configuration(one))
    units = tuple(name.service(whose) for whose in one.instances)
    return replace(wanted, enabled=(*units, *(unit for unit in wanted.enabled if unit != API)))


def test_a_new_replica_is_started_and_one_that_is_too_many_taken_down() -> None:
    second = name.service("api:2")
    more = make_plan(scaled(2), installed(scaled(1)), UNATTENDED)
    assert [step for step in more.steps if isinstance(step, Start | Restart)] == [Start((second,))]
    less = make_plan(scaled(1), installed(scaled(2)), UNATTENDED)
    assert [step for step in less.steps if isinstance(step, Stop)] == [Stop((second,))]
    assert less.pending == ()


def test_the_router_takes_its_changes_one_process_after_the_other() -> None:
    plain, secure = configuration(worker("api")), configuration(worker("api"), tls=ONE_CERTIFICATE)
    made = make_plan(desired(secure), installed(desired(plain)), UNATTENDED)
    assert Restart((name.proxy(1),)) in made.steps


def test_whoever_listens_otherwise_to_and_fro_restarts_neither_the_router_nor_the_manager() -> None:
    """Both have the groups of all workers whose sockets they open. A command that somebody types
    takes away what is not needed any more."""
    unix, tcp = configuration(replace(worker("api"), listen=Listen.UNIX)), configuration(worker("api"))
    host = installed(desired(unix))
    made = make_plan(desired(tcp), host, UNATTENDED)
    assert jobs(made) == []
    written = {step.file.unit for step in made.steps if isinstance(step, WriteFile)}
    assert API in written
    assert written.isdisjoint(name.IN_GROUPS)
    steps = make_plan(desired(tcp), host, Options(now=True)).steps
    assert {step.file.unit for step in steps if isinstance(step, WriteFile)} > set(name.IN_GROUPS)


def test_whoever_has_files_served_from_a_home_to_and_fro_restarts_neither() -> None:
    """The router's sandbox shows the homes where it serves files there."""
    plain = replace(worker("api"), folder=PurePosixPath("/home/ann/api"))
    served = replace(plain, origins={"static.directory": SettingOrigin(kind=OriginKind.WORKER, mark=None)})
    made = make_plan(desired(configuration(plain)), installed(desired(configuration(served))), UNATTENDED)
    assert {step.file.unit for step in made.steps if isinstance(step, WriteFile)}.isdisjoint(name.IN_GROUPS)


def test_a_home_that_is_to_go_waits_for_a_restart() -> None:
    host = replace(installed(desired(configuration(worker("api")))), homes=frozenset({"worker-api"}))
    assert jobs(make_plan(desired(configuration(worker("api"))), host, UNATTENDED)) == []
