"""The plan of an install: the steps, their order, and what is left unchanged."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tqunits.host.plan import make_plan, removal
from tqunits.host.routes import routes_snapshot
from tqunits.model import Configuration, Enabled, Instance, Listen, Worker
from tqunits.units import name, turnover
from tqunits.units.kept import kept_ports
from tqunits.units.observed import Observed, ObservedFile, ObservedUnit
from tqunits.units.rendering import RenderedFile
from tqunits.units.steps import (
    Admit,
    CreateUsers,
    Desired,
    Disable,
    Enable,
    Options,
    Plan,
    Rehome,
    Reload,
    ReloadDaemon,
    RemoveFile,
    Restart,
    Start,
    Step,
    Stop,
    WriteFile,
)

from .cases import ONE_CERTIFICATE, Case, build, configuration, limits, target, worker

NOTHING = Observed(files={}, copies={}, units={}, file_states={}, missing_users=frozenset())
NOW = Options(now=True)
REPAIR = name.REPAIR_UNITS[0]
HOUR = 3_600_000_000


def desired(site: Configuration) -> Desired:
    case = Case(site, target())
    running = tuple(name.service(w.name) for w in site.running())
    routes = routes_snapshot(site, case.target, case.ports())
    watch, watcher = name.CERTIFICATE_UNITS
    is_watched = site.server.tls.certificate is not None
    return Desired(
        units=case.files(),
        copies=(),
        routes=RenderedFile(path=case.target.layout.routes, content=routes, mode=0o644, unit=None),
        workers=frozenset(w.name for w in site.workers),
        enabled=(
            *running,
            *sorted(turnover.sockets(case.files()), key=name.PROXY_SOCKET.__ne__),
            *([watch] if is_watched else []),
            REPAIR,
            name.proxy(1),
            *name.MANAGER_UNITS,
            name.TARGET,
        ),
        disabled=(
            *(() if is_watched else (watch, watcher)),
            *(name.service(w.name) for w in site.workers if w not in site.running()),
            *(name.socket(w.name) for w in site.workers if w.listen is not Listen.FD),
        ),
    )


def installed(wanted: Desired, *, modified: int = HOUR, started: int = 2 * HOUR) -> Observed:
    """A host on which everything is installed, and runs."""
    files = {f.path: ObservedFile(content=f.content, modified=modified) for f in (*wanted.units, wanted.routes)}
    unit = ObservedUnit(state="active", started=started, needs_reload=False)
    sockets = (socket for unit in wanted.enabled if (socket := name.socket_of(unit)) and _is_there(socket, wanted))
    return Observed(
        files=files,
        copies={f.path: ObservedFile(content=f.content, modified=modified) for f in wanted.copies},
        units=dict.fromkeys((*wanted.enabled, *sockets), unit),
        file_states=dict.fromkeys(wanted.enabled, "enabled"),
        missing_users=frozenset(),
    )


def _is_there(unit: str, wanted: Desired) -> bool:
    return any(file.unit in {unit, name.template_of(unit)} for file in wanted.units)


def kinds(steps: Iterable[Step]) -> list[str]:
    """The names of the steps; equal ones in a row are one."""
    names = [type(step).__name__ for step in steps]
    return [kind for i, kind in enumerate(names) if i == 0 or names[i - 1] != kind]


def plan(site: Configuration, observed: Observed, options: Options = NOW) -> Plan:
    return make_plan(desired(site), observed, options)


def test_from_nothing() -> None:
    made = plan(configuration(worker("api")), NOTHING)
    assert kinds(made.steps) == ["WriteFile", "CreateUsers", "Enable", "ReloadDaemon", "WriteFile", "Start"]
    router = ("tq-proxy.socket", r"tq-proxy-\x5b::\x5d:8080.socket", REPAIR, "tq-proxy@1.service")
    assert made.steps[-1] == Start(("tq-worker@api.service", *router, *name.MANAGER_UNITS, "tq.target"))


def starts(made: Plan) -> tuple[str, ...]:
    return tuple(unit for step in made.steps if isinstance(step, Start) for unit in step.units)


@pytest.mark.parametrize("options", [NOW, Options(now=True, routers_alone=True)], ids=["now", "unchanged"])
def test_with_the_target_all_starts_that_is_enabled(options: Options) -> None:
    """The target is down, and so is everything; `old` is not configured any more, or is refused."""
    wanted = desired(configuration(worker("api"), worker("off", enabled=Enabled.FALSE)))
    host = installed(wanted)
    down = {unit: replace(found, state="inactive") for unit, found in host.units.items()}
    states = {**host.file_states, "tq-worker@old.service": "enabled", "tq-worker@off.service": "enabled"}
    begun = starts(make_plan(wanted, replace(host, units=down, file_states=states), options))
    assert begun[:2] == ("tq-worker@old.service", "tq-worker@api.service")
    assert begun[-1] == name.TARGET
    up = {**down, name.TARGET: host.units[name.TARGET]}
    begun = starts(make_plan(wanted, replace(host, units=up, file_states=states), options))
    assert "tq-worker@old.service" not in begun, "somebody may have stopped it"
    assert ("tq-worker@api.service" in begun) is not options.routers_alone


def test_without_now_nothing_is_started() -> None:
    made = plan(configuration(worker("api")), NOTHING, Options())
    assert kinds(made.steps) == ["WriteFile", "CreateUsers", "Enable", "ReloadDaemon", "WriteFile"]


@pytest.mark.parametrize("options", [Options(), NOW, Options(now=True, prune=True)], ids=str)
def test_what_is_done_needs_no_step(options: Options) -> None:
    site = configuration(worker("api"), worker("web"))
    assert plan(site, installed(desired(site)), options).steps == ()


def changed(before: Worker, after: Worker, options: Options = NOW) -> Plan:
    return plan(configuration(after), installed(desired(configuration(before))), options)


def handed(worker_name: str, group: str) -> Worker:
    """A worker whose socket systemd opens."""
    return replace(worker(worker_name), listen=Listen.FD, group=group)


def test_a_change_of_limits_alone_restarts_nothing_and_keeps_the_time() -> None:
    made = changed(worker("api"), replace(worker("api"), limits=limits(tasks_max=7)))
    assert kinds(made.steps) == ["WriteFile", "ReloadDaemon"]
    assert [step.keep_time for step in made.steps if isinstance(step, WriteFile)] == [True]


@pytest.mark.parametrize("options", [NOW, Options()], ids=["now", "later"])
@pytest.mark.parametrize("rules", [{"enabled": True}, {"enabled": True, "ignore": ("*.tmp",)}], ids=["on", "rules"])
def test_a_change_of_what_is_watched_restarts_nothing(rules: Mapping[str, Any], options: Options) -> None:
    api = worker("api")
    made = changed(api, replace(api, watch=replace(api.watch, **rules)), options)
    assert kinds(made.steps) == ["WriteFile", "ReloadDaemon"]
    assert made.pending == ()


def test_who_has_edited_a_drop_in_has_what_it_said_then() -> None:
    """Decided by the content of the file, not by the earlier hash that is in it."""
    site = configuration(worker("api"))
    (file,) = (file for file in desired(site).units if file.unit == "tq-worker@api.service")
    edited = ObservedFile(content=file.content.replace("[Service]", "[Service]\nEnvironment=X=y", 1), modified=1)
    observed = installed(desired(site))
    made = plan(site, replace(observed, files={**observed.files, file.path: edited}))
    assert kinds(made.steps) == ["WriteFile", "ReloadDaemon", "Restart"]


def test_another_change_restarts_that_worker() -> None:
    made = changed(worker("api"), replace(worker("api"), command=("bin/other",)))
    assert kinds(made.steps) == ["WriteFile", "ReloadDaemon", "Restart"]
    assert made.steps[-1] == Restart(("tq-worker@api.service",))


def test_another_change_is_told_when_nothing_may_be_restarted() -> None:
    made = changed(worker("api"), replace(worker("api"), command=("bin/other",)), Options())
    assert kinds(made.steps) == ["WriteFile", "ReloadDaemon"]
    assert made.pending == ("tq-worker@api.service",)


def test_a_process_older_than_its_files_is_restarted_by_the_next_run() -> None:
    site = configuration(worker("api"))
    made = plan(site, installed(desired(site), modified=2 * HOUR, started=HOUR))
    assert Restart(("tq-worker@api.service",)) in made.steps


def test_who_runs_a_program_of_before_is_restarted_and_nobody_else() -> None:
    site = configuration(worker("api"), worker("shop"))
    observed = replace(installed(desired(site)), built={"api": 3 * HOUR}, now=4 * HOUR)
    assert plan(site, observed).steps == (Restart(("tq-worker@api.service",)),)
    later = plan(site, observed, Options())
    assert (later.steps, later.pending) == ((), ("tq-worker@api.service",))
    assert plan(site, replace(observed, now=2 * HOUR)).steps == ()  # written by a clock that was set back since


def test_files_from_the_future_cost_one_restart_and_no_more() -> None:
    """A clock that was set back: files written before are newer than every process from then on."""
    site = configuration(worker("api"))
    observed = replace(installed(desired(site), modified=9 * HOUR, started=2 * HOUR), now=3 * HOUR)
    made = plan(site, observed)
    assert Restart(("tq-worker@api.service",)) in made.steps
    written = {step.file.path for step in made.steps if isinstance(step, WriteFile) and not step.keep_time}
    assert written >= {file.path for file in desired(site).units}
    healed = replace(installed(desired(site), modified=3 * HOUR, started=3 * HOUR + 1), now=4 * HOUR)
    assert plan(site, healed).steps == ()


def test_the_router_learns_of_a_worker_when_it_is_healthy() -> None:
    before = installed(desired(configuration(worker("api"))))
    made = plan(configuration(worker("api"), worker("web")), before)
    start = made.steps.index(Start(("tq-worker@web.service",)))
    assert kinds(made.steps[start:]) == ["Start", "WriteFile", "Reload"]
    assert made.steps[-1] == Reload(("tq-proxy@1.service",))


CONTROLS = pytest.mark.parametrize(
    ("file", "socket", "service"),
    [
        (name.CONTROL_TEMPLATE, "tq-proxy-control@1.socket", "tq-proxy@1.service"),
        (name.MANAGER_SOCKET, "tq-manager.socket", "tq-manager.service"),
    ],
    ids=["a router's", "the manager's"],
)
"""The files of control sockets, and the sockets and services that they are about."""


def with_other(wanted: Desired, file: str) -> Desired:
    """With another content of a unit file."""
    units = (replace(f, content=f"{f.content}#") if f.unit == file else f for f in wanted.units)
    return replace(wanted, units=tuple(units))


@CONTROLS
def test_a_changed_control_socket_comes_back_in_the_restart_of_its_process(
    file: str, socket: str, service: str
) -> None:
    wanted = desired(configuration(worker("api")))
    made = make_plan(with_other(wanted, file), installed(wanted), NOW)
    assert kinds(made.steps) == ["WriteFile", "ReloadDaemon", "Stop", "Restart"]
    assert made.steps[-2:] == (Stop((socket,)), Restart((service,)))


@CONTROLS
def test_a_changed_control_socket_is_told_when_nothing_may_be_restarted(file: str, socket: str, service: str) -> None:
    wanted = desired(configuration(worker("api")))
    made = make_plan(with_other(wanted, file), installed(wanted), Options())
    assert kinds(made.steps) == ["WriteFile", "ReloadDaemon"]
    assert set(made.pending) - {socket} == {service}


@CONTROLS
@pytest.mark.parametrize("cut", range(4))
def test_a_changed_control_socket_is_made_anew_after_a_run_that_was_cut_off(
    file: str, socket: str, service: str, cut: int
) -> None:
    wanted = desired(configuration(worker("api")))
    changed = with_other(wanted, file)
    observed = performed(make_plan(changed, installed(wanted), NOW).steps[:cut], installed(wanted))
    later = make_plan(changed, observed, NOW).steps
    assert later[-1] == Restart((service,))
    assert (Stop((socket,)) in later) == (socket in observed.units)


def test_a_manager_without_its_socket_is_restarted() -> None:
    wanted = desired(configuration(worker("api")))
    observed = performed([Stop((name.MANAGER_SOCKET,))], installed(wanted))
    assert make_plan(wanted, observed, NOW).steps == (Restart((name.MANAGER,)),)


def test_a_process_that_is_one_too_many_ends_with_its_control_socket() -> None:
    wanted = desired(configuration(worker("api")))
    two = installed(replace(wanted, enabled=(*wanted.enabled, name.proxy(2))))
    made = make_plan(replace(wanted, disabled=(*wanted.disabled, name.proxy(2))), two, NOW)
    second = "tq-proxy@2.service"
    assert made.steps == (Stop((second, "tq-proxy-control@2.socket")), Disable((second,)), ReloadDaemon())


def test_a_control_socket_whose_process_was_stopped_goes_when_that_is_one_too_many() -> None:
    wanted = desired(configuration(worker("api")))
    two = performed([Stop((name.proxy(2),))], installed(replace(wanted, enabled=(*wanted.enabled, name.proxy(2)))))
    made = make_plan(replace(wanted, disabled=(*wanted.disabled, name.proxy(2))), two, NOW)
    assert made.steps[0] == Stop(("tq-proxy-control@2.socket",))


def test_a_home_goes_at_once_where_its_worker_is_at_rest() -> None:
    wanted = desired(configuration(worker("api"), worker("web")))
    homes = frozenset({"worker-api", "worker-gone"})
    idle = replace(installed(wanted), homes=homes, units={})
    made = make_plan(wanted, idle, Options())
    assert made.steps == (Rehome(("api", "gone")),)
    assert make_plan(wanted, replace(installed(wanted), homes=frozenset({"worker-api"})), Options()).steps == ()


def test_a_changed_target_is_reloaded_and_restarts_nothing() -> None:
    wanted = desired(configuration(worker("api")))
    before = installed(wanted)
    (path,) = (file.path for file in wanted.units if file.unit == name.TARGET)
    old = replace(before.files[path], content=before.files[path].content + "# before\n")
    made = make_plan(wanted, replace(before, files={**before.files, path: old}), NOW)
    assert kinds(made.steps) == ["WriteFile", "ReloadDaemon"]


def test_a_worker_that_stays_as_installed_keeps_its_home() -> None:
    before = installed(desired(configuration(worker("api"), worker("web"))))
    idle = replace(before, homes=frozenset({"worker-api", "worker-web"}), units={})
    made = make_plan(desired(configuration(worker("api"))), idle, Options())
    assert [step for step in made.steps if isinstance(step, Rehome)] == [Rehome(("api",))]


def test_a_home_goes_between_stop_and_start_one_worker_after_the_other() -> None:
    wanted = desired(configuration(worker("api"), worker("web")))
    busy = replace(installed(wanted), homes=frozenset({"worker-api", "worker-web"}))
    api, web = ("tq-worker@api.service",), ("tq-worker@web.service",)
    made = make_plan(wanted, busy, NOW)
    assert made.steps == (Stop(api), Rehome(("api",)), Start(api), Stop(web), Rehome(("web",)), Start(web))
    changed = replace(busy, files={p: replace(f, modified=3 * HOUR) for p, f in busy.files.items()})
    steps = make_plan(wanted, changed, NOW).steps
    restarted = {unit for step in steps if isinstance(step, Restart) for unit in step.units}
    assert not restarted & {*api, *web}


def test_a_worker_whose_socket_is_made_anew_is_stopped_first() -> None:
    made = changed(handed("api", "worker-api"), handed("api", "two"))  # its socket file gets an owner
    stop = Stop(("tq-worker@api.service", "tq-worker@api.socket"))  # this waits until both have ended
    start = Start(("tq-worker@api.service",))
    assert [s for s in made.steps if isinstance(s, Stop | Start | Restart)] == [stop, start]


def test_another_group_of_a_worker_is_no_other_one_for_the_router() -> None:
    made = changed(handed("api", "one"), handed("api", "two"))
    assert [s for s in made.steps if isinstance(s, Stop | Start | Restart)] == [Restart(("tq-worker@api.service",))]


def test_a_worker_that_is_switched_off_ends_with_its_socket() -> None:
    made = changed(handed("api", "one"), replace(handed("api", "one"), enabled=Enabled.FALSE))
    assert Stop(("tq-worker@api.service", "tq-worker@api.socket")) in made.steps


def test_a_certificate_comes_with_a_watch_over_it() -> None:
    plain, secure = configuration(worker("api")), configuration(worker("api"), tls=ONE_CERTIFICATE)
    made = plan(secure, installed(desired(plain)))
    assert {step.file.unit for step in made.steps if isinstance(step, WriteFile)} == {
        *name.CERTIFICATE_UNITS,
        name.PROXY_TEMPLATE,
        None,
    }
    watch = ("tq-proxy-certificate.path",)
    assert [step for step in made.steps if isinstance(step, Enable | Start | Restart)] == [
        Enable(watch),
        Restart((name.proxy(1),)),
        Start(watch),
    ]


def test_a_watch_goes_with_its_certificate() -> None:
    plain, secure = configuration(worker("api")), configuration(worker("api"), tls=ONE_CERTIFICATE)
    made = plan(plain, installed(desired(secure)))
    assert kinds(made.steps)[-4:] == ["Stop", "Disable", "RemoveFile", "ReloadDaemon"]
    removed = {step.path.name for step in made.steps if isinstance(step, RemoveFile)}
    assert removed == set(name.CERTIFICATE_UNITS)
    assert Stop(("tq-proxy-certificate.path",)) in made.steps


def test_a_build_that_is_no_longer_wanted_goes() -> None:
    before = installed(desired(configuration(worker("api", build=build("make")))))
    made = plan(configuration(worker("api")), before)
    gone = [step.path.parent.name for step in made.steps if isinstance(step, RemoveFile)]
    assert gone == ["tq-build@api.service.d"]


def test_a_release_command_that_is_no_longer_wanted_goes() -> None:
    one = worker("api", release_command=("bin/up",))
    before = installed(desired(configuration(one, worker("web", release_command=("bin/up",)))))
    made = plan(configuration(worker("api"), worker("web", release_command=("bin/up",))), before)
    assert [step.path.parent.name for step in made.steps if isinstance(step, RemoveFile)] == [
        "tq-release@api.service.d"
    ]
    assert plan(configuration(one, worker("web", release_command=("bin/up",))), before).steps == ()


def test_a_release_command_of_what_vanished_stays_until_that_is_removed() -> None:
    before = installed(desired(configuration(worker("api", release_command=("bin/up",)), worker("web"))))
    assert [step for step in plan(configuration(worker("web")), before).steps if isinstance(step, RemoveFile)] == []
    pruned = plan(configuration(worker("web")), before, Options(now=True, prune=True))
    assert "tq-release@api.service.d" in {s.path.parent.name for s in pruned.steps if isinstance(s, RemoveFile)}
    assert not any("tq-release@api" in unit for s in pruned.steps if isinstance(s, Enable) for unit in s.units)


def test_a_build_of_what_vanished_stays_with_its_account_until_that_is_removed() -> None:
    before = installed(desired(configuration(worker("api", build=build("make")), worker("web"))))
    assert [step for step in plan(configuration(worker("web")), before).steps if isinstance(step, RemoveFile)] == []
    pruned = plan(configuration(worker("web")), before, Options(now=True, prune=True))
    gone = {step.path.parent.name for step in pruned.steps if isinstance(step, RemoveFile)}
    assert "tq-build@api.service.d" in gone
    sysusers = next(text for path, text in written(pruned).items() if path.endswith("tqunits-workers.conf"))
    assert "build-api" not in sysusers


def test_a_socket_that_is_no_longer_wanted_goes() -> None:
    made = changed(handed("api", "one"), worker("api"))
    path = PurePosixPath("/etc/systemd/system/tq-worker@api.socket")
    assert [step.path for step in made.steps if isinstance(step, RemoveFile)] == [path]
    assert isinstance(made.steps[-1], ReloadDaemon)


def written(made: Plan) -> dict[str, str]:
    """The files that the plan writes, by name."""
    return {step.file.path.name: step.file.content for step in made.steps if isinstance(step, WriteFile)}


def routed(made: Plan) -> dict[str, list[str]]:
    """The routes that the plan writes, by worker."""
    return {worker["name"]: worker["routes"] for worker in json.loads(written(made)["routes.json"])["workers"]}


@pytest.mark.parametrize("stays", list(Listen))
@pytest.mark.parametrize("vanished", list(Listen))
@pytest.mark.parametrize("vanished_name", ["aaa", "web"])
def test_what_vanished_stays_and_is_told(stays: Listen, vanished: Listen, vanished_name: str) -> None:
    api = worker("api", listen=stays, port=9100)
    before = installed(desired(configuration(api, worker(vanished_name, listen=vanished))))
    made = plan(configuration(api), before)
    assert made.orphans == (vanished_name,)
    assert made.steps == ()


@pytest.mark.parametrize("listen", list(Listen))
def test_what_vanished_keeps_its_route_account_and_group(listen: Listen) -> None:
    before = installed(desired(configuration(worker("api"), worker("web", listen=listen))))
    site = configuration(worker("api"), worker("new", listen=Listen.UNIX))
    made = plan(site, before)
    assert routed(made) == {"api": ["/api"], "new": ["/new"], "web": ["/web"]}
    assert "worker-web" in written(made)["tqunits-workers.conf"]
    assert ("worker-web" in written(made)["tq-proxy@.service"]) == (listen is not Listen.TCP)
    assert plan(site, performed(made.steps, before)).steps == ()


def test_a_route_of_what_vanished_goes_to_the_worker_that_has_it_now() -> None:
    before = installed(desired(configuration(worker("api"), worker("web"))))
    made = plan(configuration(worker("api"), worker("new", routes=("/web",))), before)
    assert routed(made) == {"api": ["/api"], "new": ["/web"]}


def test_a_worker_that_this_host_can_not_run_any_more_keeps_its_route() -> None:
    before = installed(desired(configuration(worker("api"), worker("web"))))
    wanted = replace(desired(configuration(worker("api"))), workers=frozenset({"api", "web"}))
    for options in (NOW, Options(now=True, prune=True)):
        assert make_plan(wanted, before, options).steps == ()


def test_what_vanished_leaves_the_routes_first_and_its_files_last() -> None:
    before = installed(desired(configuration(worker("api"), worker("web"))))
    made = plan(configuration(worker("api")), before, Options(now=True, prune=True))
    tail = ["WriteFile", "Reload", "Stop", "Disable", "RemoveFile", "ReloadDaemon"]
    assert kinds(made.steps)[-6:] == tail
    assert Stop(("tq-worker@web.service",)) in made.steps
    assert made.orphans == ()


def test_a_file_that_is_not_ours_is_in_the_way() -> None:
    site = configuration(worker("api"))
    path = PurePosixPath("/etc/systemd/system/tq.target")
    observed = replace(NOTHING, files={path: ObservedFile(content="[Unit]\n", modified=0)})
    assert plan(site, observed).foreign == (path,)
    assert plan(site, observed, Options(replace=True)).foreign == ()


def test_a_masked_unit_stays_masked() -> None:
    site = configuration(worker("api"))
    observed = replace(NOTHING, file_states={"tq-worker@api.service": "masked"})
    made = plan(site, observed)
    assert made.masked == ("tq-worker@api.service",)
    named = [step.units for step in made.steps if isinstance(step, Enable | Start)]
    assert all("tq-worker@api.service" not in units for units in named)


def test_a_missing_user_is_made_though_the_file_is_there() -> None:
    site = configuration(worker("api"))
    observed = replace(installed(desired(site)), missing_users=frozenset({"worker-api"}))
    assert plan(site, observed).steps == (CreateUsers(path=PurePosixPath("/etc/sysusers.d/tqunits-workers.conf")),)


def test_a_reload_that_an_earlier_run_owes_is_made_up_for() -> None:
    site = configuration(worker("api"))
    observed = installed(desired(site))
    late = replace(observed.units["tq-worker@api.service"], needs_reload=True)
    observed = replace(observed, units={**observed.units, "tq-worker@api.service": late})
    assert plan(site, observed).steps == (ReloadDaemon(),)


def test_the_drop_ins_remember_the_ports() -> None:
    site = configuration(worker("api"), worker("web"))
    assert kept_ports(installed(desired(site)).files) == {Instance("api"): 9000, Instance("web"): 9001}


def test_removal_of_everything_leaves_nothing_of_ours() -> None:
    observed = installed(desired(configuration(worker("api"))))
    theirs = PurePosixPath("/etc/systemd/system/tq-worker@api.service.d/override.conf")
    observed = replace(observed, files={**observed.files, theirs: ObservedFile(content="[Service]\n", modified=0)})
    steps = removal(observed, None)
    assert kinds(steps) == ["Stop", "Disable", "RemoveFile", "ReloadDaemon"]
    assert {s.path for s in steps if isinstance(s, RemoveFile)} == observed.files.keys() - {theirs}


def test_removal_of_everything_stops_it_in_one_transaction_and_leaves_the_workers_their_way_out() -> None:
    stop, *_ = removal(installed(desired(configuration(handed("api", "one")))), None)
    assert isinstance(stop, Stop)
    assert stop.units[0] == "tq.target"
    assert stop.units[-2:] == ("tq-proxy-control@1.socket", "tq-worker@api.socket")


workers = st.builds(
    lambda names, tasks: [replace(worker(n), limits=limits(tasks_max=tasks)) for n in sorted(names)],
    st.sets(st.sampled_from(["api", "web", "blog", "shop"])),
    st.integers(1, 3),
)


def performed(steps: Iterable[Step], observed: Observed) -> Observed:
    """The state of a host after these steps, if none of them fails."""
    files: dict[PurePosixPath, ObservedFile] = dict(observed.files)
    units: dict[str, ObservedUnit] = dict(observed.units)
    states: dict[str, str] = dict(observed.file_states)
    clock = max((f.modified for f in files.values()), default=0) + max((u.started for u in units.values()), default=0)
    for step in steps:
        clock += 1
        match step:
            case WriteFile(file=file, keep_time=keep):
                time = files[file.path].modified if keep else clock
                files[file.path] = ObservedFile(content=file.content, modified=time)
            case RemoveFile(path=path):
                del files[path]
            case Start(named) | Restart(named):
                units |= dict.fromkeys(named, ObservedUnit(state="active", started=clock, needs_reload=False))
            case Stop(named):
                units = {unit: state for unit, state in units.items() if unit not in named}
            case Enable(named):
                states |= dict.fromkeys(named, "enabled")
            case Disable(named):
                states = {unit: state for unit, state in states.items() if unit not in named}
            case _:
                pass
    return Observed(files=files, copies={}, units=units, file_states=states, missing_users=frozenset())


def contents(files: Mapping[PurePosixPath, ObservedFile]) -> dict[PurePosixPath, str]:
    return {path: file.content for path, file in files.items()}


@given(before=workers, after=workers, cut=st.integers(0, 40))
def test_a_run_that_is_cut_off_anywhere_is_completed_by_the_next(
    before: list[Worker], after: list[Worker], cut: int
) -> None:
    old, new = configuration(*before), configuration(*after)
    apply = Options(now=True, prune=True)
    host = performed(plan(old, NOTHING, apply).steps, NOTHING)
    host = performed(plan(new, host, apply).steps[:cut], host)
    host = performed(plan(new, host, apply).steps, host)
    wanted = desired(new)
    assert contents(host.files) == {f.path: f.content for f in (*wanted.units, wanted.routes)}
    assert host.file_states.keys() == host.units.keys() == set(wanted.enabled)
    assert plan(new, host, apply).steps == ()


SERVING = PurePosixPath("/run/tqunits/workers/api/serving")


@pytest.mark.parametrize(
    ("state", "is_admitted"),
    [
        pytest.param("active", True, id="it is of an earlier release, or somebody has removed the file"),
        pytest.param("activating", False, id="its gate makes the file"),
        pytest.param("deactivating", False, id="it leaves"),
        pytest.param("inactive", False, id="it does not run"),
    ],
)
def test_who_runs_without_the_file_that_it_is_served_by(state: str, *, is_admitted: bool) -> None:
    site = configuration(worker("api"))
    host = installed(desired(site))
    unit = ObservedUnit(state=state, started=HOUR, needs_reload=False)
    observed = replace(host, units={**host.units, name.service("api"): unit}, unserved={Instance("api"): SERVING})
    steps = plan(site, observed, Options()).steps
    assert [step for step in steps if isinstance(step, Admit)] == ([Admit((SERVING,))] if is_admitted else [])
