"""The surge of a worker: who has one, on which port, and what install does with it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import PurePosixPath

import pytest

from tqunits.host.judged import surging as surging_on
from tqunits.host.plan import make_plan, removal
from tqunits.host.routes import routes_snapshot
from tqunits.layout import SYSTEM_LAYOUT
from tqunits.model import Configuration, Enabled, Instance, Listen, NotRoots, Worker, WorkersSettings, WorkerType
from tqunits.units import ledger, name, unitfile
from tqunits.units.kept import kept_instances, kept_surges
from tqunits.units.observed import Observed, ObservedUnit
from tqunits.units.ports import assign_ports
from tqunits.units.steps import (
    Desired,
    Disable,
    Enable,
    Options,
    Plan,
    RemoveFile,
    Restart,
    Start,
    Step,
    Stop,
    WriteFile,
)
from tqunits.units.surges import Surges, with_surges

from .cases import USER_LAYOUT, Case, configuration, limits, surging, target, twice, worker
from .test_plan import NOW, desired, installed

LOW, HIGH = 9000, 9004
FIRST, SECOND, THIRD = Instance("api"), Instance("api", 2), Instance("api", 3)


def site(*workers: Worker) -> Configuration:
    """A configuration with five ports."""
    return configuration(
        *workers, workers=WorkersSettings(directory=PurePosixPath("/srv/workers"), port_range=(LOW, HIGH))
    )


def of(ports: Mapping[str, int]) -> dict[Instance, int]:
    return {whose: port for text, port in ports.items() if (whose := name.instance(text))}


FILES = worker("files", type=WorkerType.STATIC, command=())
OFF = worker("off", enabled=Enabled.FALSE)

PORTS = {
    "from the top": ([worker("a"), worker("b")], {}, (), {"a": 9000, "b": 9001, "a:2": 9004, "b:2": 9003}),
    "one beyond the replicas": ([twice(worker("a"))], {}, (), {"a": 9000, "a:2": 9001, "a:3": 9004}),
    "kept": ([worker("a")], {"a": 9001, "a:2": 9002}, (), {"a": 9001, "a:2": 9002}),
    "kept though it runs": ([worker("a")], {"a": 9000, "a:2": 9004}, (9000, 9004), {"a": 9000, "a:2": 9004}),
    "not what another program has": ([worker("a")], {}, (9004,), {"a": 9000, "a:2": 9003}),
    "not what one that is gone had": ([worker("a")], {"gone": 9004}, (), {"a": 9000, "a:2": 9003}),
    "none is left": ([worker("a"), worker("b")], {}, (9002, 9003), {"a": 9000, "b": 9001, "a:2": 9004}),
    "none is left at all": ([worker("a")], {}, range(9001, 9005), {"a": 9000}),
    "a surge becomes a replica": (
        [twice(worker("a"))],
        {"a": 9000, "a:2": 9004},
        (),
        {"a": 9000, "a:2": 9004, "a:3": 9003},
    ),
    "no port, and a surge": ([replace(worker("a"), listen=Listen.UNIX)], {}, (), {}),
    "files and who does not run": ([FILES, OFF], {}, (), {"off": 9000}),
}


@pytest.mark.parametrize(("workers", "kept", "busy", "ports"), PORTS.values(), ids=PORTS)
def test_ports(workers: list[Worker], kept: dict[str, int], busy: range, ports: dict[str, int]) -> None:
    wanted = site(*workers)
    surges = {whose for whose in of(kept) if whose.number > 1}
    assigned = assign_ports(wanted, of(kept), busy=busy, surges=surges)
    assert not assigned.refusals
    assert with_surges(wanted, assigned.ports, of(kept), busy=busy).ports == of(ports)


WHO = {
    "tcp": (worker("a"), True),
    "unix": (replace(worker("a"), listen=Listen.UNIX), True),
    "fd": (replace(worker("a"), listen=Listen.FD), True),
    "files": (FILES, False),
    "disabled": (OFF, False),
}


@pytest.mark.parametrize(("who", "expected"), WHO.values(), ids=WHO)
def test_who_has_one(who: Worker, expected: bool) -> None:  # noqa: FBT001
    (found,) = surging(site(who)).workers
    assert (found.surge is not None) == expected
    assert found.slots == ((*found.instances, found.surge) if expected else found.instances)
    assert found.instances == who.instances


def test_with_a_users_own_manager_nobody_has_one() -> None:
    wanted = configuration(worker("a"))
    ports = assign_ports(wanted, {}).ports
    assert surging_on(wanted, ports, {}, (), USER_LAYOUT) == Surges(wanted, ports)
    assert {*surging_on(wanted, ports, {}, (), SYSTEM_LAYOUT).ports} == {Instance("a"), Instance("a", 2)}


LENT = {
    "the range is full": (
        [worker("a"), worker("b")],
        {"a": 9000, "a:2": 9001},
        range(9002, 9005),
        {"a": 9000, "b": 9001},
    ),
    "the lowest free one comes first": (
        [worker("a"), worker("b")],
        {"a": 9000, "a:2": 9001},
        (),
        {"a": 9000, "b": 9002},
    ),
    "another pins it": ([worker("a"), worker("b", port=9004)], {"a": 9000, "a:2": 9004}, (), {"a": 9000, "b": 9004}),
    "another pins it and it is a replica now": (
        [twice(worker("a")), worker("b", port=9004)],
        {"a": 9000, "a:2": 9004},
        (),
        {"a": 9000, "a:2": 9001, "b": 9004},
    ),
}


@pytest.mark.parametrize(("workers", "kept", "busy", "ports"), LENT.values(), ids=LENT)
def test_a_surge_gives_its_port_to_whoever_needs_it(
    workers: list[Worker], kept: dict[str, int], busy: range, ports: dict[str, int]
) -> None:
    assigned = assign_ports(site(*workers), of(kept), busy=busy, surges={SECOND_OF_A})
    assert (assigned.ports, assigned.refusals) == (of(ports), ())
    found = with_surges(site(*workers), assigned.ports, of(kept), busy=busy).ports
    assert len(set(found.values())) == len(found)


SECOND_OF_A = Instance("a", 2)


def test_a_surge_that_runs_or_stays_keeps_its_port_from_all_others() -> None:
    """Of a worker that is left alone the units stay as they are, its surge's too."""
    two, kept = site(worker("a"), worker("b", not_roots=NotRoots(PurePosixPath("/srv"), "bob's"))), of({"a:2": 9001})
    full = range(9002, 9005)
    runs = assign_ports(two, kept, busy=(*full, 9001), surges={SECOND_OF_A})
    assert [refusal.worker for refusal in runs.refusals] == ["b"]
    stays = assign_ports(two, {**kept, Instance("a"): 9000}, busy=full, surges={SECOND_OF_A}, without={"a"})
    assert [refusal.worker for refusal in stays.refusals] == ["b"]


def of_surges(plain: Configuration) -> Desired:
    """What install wants on a host: the workers have surges."""
    wanted = surging(plain)
    running = tuple(name.service(whose) for w in wanted.running() for whose in w.instances)
    base = desired(wanted)
    return replace(
        base,
        enabled=(*running, *(unit for unit in base.enabled if name.worker_of(unit) is None)),
        surges=frozenset(name.service(w.surge) for w in wanted.workers if w.surge),
    )


API = worker("api", listen=Listen.UNIX)  # ports would be others here, where nothing keeps them
ONE, PAIR = of_surges(configuration(API)), of_surges(configuration(twice(API)))


def running(host: Observed, *instances: Instance, enabled: bool = False) -> Observed:
    unit = ObservedUnit(state="active", started=2 * 3_600_000_000, needs_reload=False)
    more = dict.fromkeys(map(name.service, instances), unit)
    states = dict.fromkeys(map(name.service, instances), "enabled") if enabled else {}
    return replace(host, units={**host.units, **more}, file_states={**host.file_states, **states})


Job = Start | Restart | Stop | Enable | Disable


def jobs(made: Plan) -> list[Job]:
    """The jobs of workers' services and their enablement."""
    return [step for step in made.steps if isinstance(step, Job) and any(map(name.worker_of, step.units))]


def written(made: Plan) -> set[str]:
    return {step.file.unit or "" for step in made.steps if isinstance(step, WriteFile)}


def place(made: Plan, wanted: Step | str) -> int:
    """The place of a step, or of the step that writes this unit's file."""
    found = (step.file.unit if isinstance(step, WriteFile) and isinstance(wanted, str) else step for step in made.steps)
    return list(found).index(wanted)


def test_its_units_stand_and_nothing_starts_them() -> None:
    made = make_plan(ONE, Observed(files={}, copies={}, units={}, file_states={}, missing_users=frozenset()), NOW)
    assert {name.service(SECOND), name.backoff(SECOND), name.failure(SECOND), name.mount(SECOND)} <= written(made)
    told = [unit for step in jobs(made) for unit in step.units]
    assert name.service(FIRST) in told
    assert name.service(SECOND) not in told
    assert name.service(SECOND) not in made.read_back
    host = installed(ONE)
    assert make_plan(ONE, host, NOW).steps == ()
    assert kept_instances(host.files) == {"api": [FIRST]}
    assert kept_surges(host.files) == {SECOND}
    down = replace(host, units={})  # the target is not up: all that is enabled is started with it
    assert name.service(SECOND) not in {unit for step in jobs(make_plan(ONE, down, NOW)) for unit in step.units}


@pytest.mark.parametrize("options", [Options(), NOW], ids=["later", "now"])
def test_one_that_runs_belongs_to_a_roll_and_is_left_alone(options: Options) -> None:
    host = running(installed(ONE), SECOND)
    assert make_plan(ONE, host, options).steps == ()
    other = of_surges(configuration(replace(API, limits=limits(tasks_max=99), command=("bin/other",))))
    made = make_plan(other, host, options)
    assert name.service(SECOND) in written(made)
    assert [step for step in jobs(made) if name.service(SECOND) in step.units] == []
    assert name.service(SECOND) not in made.pending


def test_one_that_somebody_has_enabled_is_disabled() -> None:
    host = installed(ONE)
    states = {**host.file_states, name.service(SECOND): "enabled"}
    assert jobs(make_plan(ONE, replace(host, file_states=states), Options())) == [Disable((name.service(SECOND),))]


def test_from_one_to_two_the_surge_becomes_a_replica() -> None:
    made = make_plan(PAIR, installed(ONE), NOW)
    assert jobs(made) == [Enable((name.service(SECOND),)), Start((name.service(SECOND),))]
    assert {name.service(SECOND), name.service(THIRD)} <= written(made)
    amid = make_plan(PAIR, running(installed(ONE), SECOND), NOW)
    assert jobs(amid) == [Enable((name.service(SECOND),))], "in a roll it serves already"


def test_from_two_to_one_the_replica_is_stopped_before_it_is_a_surge() -> None:
    host = running(installed(PAIR), SECOND, enabled=True)
    made = make_plan(ONE, host, NOW)
    stop, unit = Stop((name.service(SECOND),)), name.service(SECOND)
    assert jobs(made) == [stop, Disable((unit,))]
    routes = next(i for i, s in enumerate(made.steps) if isinstance(s, WriteFile) and s.file.path == ONE.routes.path)
    assert place(made, stop) < min(place(made, unit), routes)
    removed = {name.unit_at(step.path) for step in made.steps if isinstance(step, RemoveFile)}
    assert removed == {name.service(THIRD), name.backoff(THIRD), name.failure(THIRD), name.mount(THIRD)}


@pytest.mark.parametrize("options", [Options(), Options(now=True, routers_alone=True)], ids=["later", "an upgrade"])
def test_until_it_may_be_stopped_it_is_a_replica_that_is_told(options: Options) -> None:
    host = running(installed(PAIR), SECOND, enabled=True)
    made = make_plan(ONE, host, options)
    assert name.service(SECOND) not in written(made)
    assert not any(isinstance(step, Stop) for step in jobs(made))
    assert made.spare == {name.service(SECOND)}
    assert name.service(SECOND) in made.pending
    assert Disable((name.service(SECOND),)) in jobs(made)
    kept = ledger.load(ledger.of_installation(ONE, host, made, ()))["api:2"].drop_in or ""
    assert unitfile.SURGE not in unitfile.notes_of(kept), "the copy is of what lies there"


def test_one_that_rests_is_a_surge_at_once() -> None:
    host = installed(PAIR)
    resting = {unit: found for unit, found in host.units.items() if unit != name.service(SECOND)}
    made = make_plan(ONE, replace(host, units=resting), Options())
    assert name.service(SECOND) in written(made)
    assert made.spare == frozenset()


def test_all_of_it_goes_with_the_worker() -> None:
    steps = removal(running(installed(ONE), SECOND), ["api"])
    assert next(s for s in steps if isinstance(s, Stop)).units == (name.service(FIRST), name.service(SECOND))
    removed = {step.path for step in steps if isinstance(step, RemoveFile)}
    assert {name.drop_in(name.service(whose), SYSTEM_LAYOUT.units) for whose in (FIRST, SECOND)} <= removed


@pytest.mark.parametrize("has_surge", [True, False])
def test_it_is_the_last_endpoint_in_the_routes(has_surge: bool) -> None:  # noqa: FBT001
    plain = configuration(twice(worker("api")))
    case = Case(surging(plain) if has_surge else plain, target())
    (entry,) = json.loads(routes_snapshot(case.configuration, case.target, case.ports()))["workers"]
    last = ["127.0.0.1:9999"] if has_surge else []
    assert entry["endpoints"] == ["127.0.0.1:9000", "127.0.0.1:9001", *last]
    assert entry["surge"] == has_surge
