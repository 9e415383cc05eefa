"""One process of a worker: its names, and what belongs to it alone."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import PurePosixPath

import pytest

from tqunits.host.plan import make_plan, removal
from tqunits.layout import SYSTEM_LAYOUT
from tqunits.model import Instance, Listen
from tqunits.units import credentials, environment, failure_pause, ledger, name
from tqunits.units.dependencies import foreign_dependencies
from tqunits.units.kept import kept_instances, kept_ports
from tqunits.units.observed import Observed, ObservedFile
from tqunits.units.rendering import RenderedFile
from tqunits.units.steps import Disable, Options, Rehome, RemoveFile, Start, Step, Stop, WriteFile
from tqunits.units.unitfile import header

from .cases import configuration, target, twice, worker
from .test_plan import HOUR, NOW, desired, installed

RUNTIME = PurePosixPath("/run/tqunits")
FIRST, SECOND = Instance("api"), Instance("api", 2)

TEXTS = {
    "api": FIRST,
    "api:2": SECOND,
    "api-v2:10": Instance("api-v2", 10),
    "api:1": None,  # only one spelling for each
    "api:0": None,
    "api:02": None,
    "api:": None,
    "api:x": None,
    "api:10000": None,
    ":2": None,
    "API": None,
    "": None,
}


@pytest.mark.parametrize(("text", "expected"), TEXTS.items(), ids=TEXTS)
def test_what_people_call_it_is_one_instance_or_none(text: str, expected: Instance | None) -> None:
    assert name.instance(text) == expected
    assert expected is None or str(expected) == text


UNITS = {
    "tq-worker@api.service": FIRST,
    "tq-worker@api:2.service": SECOND,
    "tq-worker@api:2.socket": SECOND,
    "run-tqunits-workers-api.mount": FIRST,
    "run-tqunits-workers-api:2.mount": SECOND,
    r"run-tqunits-workers-a\x2db:3.mount": Instance("a-b", 3),
    "run-tqunits-workers-a-b.mount": None,  # of another folder
    "tq-worker@api:1.service": None,
    "tq-worker@.service": None,
    "tq-backoff@api.service": None,
    "tq-build@api.service": None,
    "tq-release@api.service": None,
    "api:2": None,
}


@pytest.mark.parametrize(("unit", "expected"), UNITS.items(), ids=UNITS)
def test_a_unit_tells_whose_process_it_is(unit: str, expected: Instance | None) -> None:
    assert name.instance_of(unit) == expected
    assert name.worker_of(unit) == (expected.worker if expected else None)


@pytest.mark.parametrize("whose", [FIRST, SECOND, Instance("a-b", 12)], ids=str)
def test_names_of_units_lead_back_to_it(whose: Instance) -> None:
    for unit in (name.service(whose), name.socket(whose), name.mount(whose)):
        assert name.instance_of(unit) == whose
        assert name.is_unit_name(unit)
    assert name.socket_of(name.service(whose)) == name.socket(whose)
    assert name.paused_by(name.backoff(whose)) == whose
    assert name.after_failures_of(name.backoff(whose)) == name.after_failures_of(name.failure(whose)) == whose
    assert name.paused_by(name.failure(whose)) is None
    assert name.named(name.service(whose)) == str(whose)


def test_the_first_instance_is_the_worker() -> None:
    makers = (name.service, name.socket, name.mount, name.backoff, name.failure)
    assert [make(FIRST) for make in makers] == [make("api") for make in makers]
    assert name.service(FIRST) == "tq-worker@api.service"


def test_each_has_its_own_files() -> None:
    assert environment.place(SECOND, RUNTIME) == {
        "--serving": "/run/tqunits/workers/api:2/serving",
        "--routers": "/run/tqunits/leave",
        "--name": "api:2",
    }
    assert environment.leaving_file(SECOND, RUNTIME) == "/run/tqunits/workers/api:2/leaving"
    assert str(failure_pause.state_file(SECOND, RUNTIME)) == "/run/tqunits/backoff/api:2/state"
    assert str(failure_pause.given_up_file(SECOND, RUNTIME)) == "/run/tqunits/backoff/api:2/given-up"


def test_the_first_ones_link_has_no_number() -> None:
    assert [failure_pause.begun(whose) for whose in (FIRST, SECOND, Instance("api", 12))] == [
        ".begun",
        ".begun-2",
        ".begun-12",
    ]


def test_they_sort_by_worker_and_number() -> None:
    assert sorted([Instance("b"), Instance("a", 10), Instance("a", 2), Instance("a")]) == [
        Instance("a"),
        Instance("a", 2),
        Instance("a", 10),
        Instance("b"),
    ]


def test_state_and_cache_are_the_workers_and_what_is_in_run_is_its_own() -> None:
    api = replace(worker("api"), environment_file=("/etc/api.env",))
    assert environment.folders(api, SECOND, target()) == {
        "STATE_DIRECTORY": "/var/lib/tqunits/workers/api",
        "CACHE_DIRECTORY": "/var/cache/tqunits/workers/api",
        "RUNTIME_DIRECTORY": "/run/tqunits/workers/api:2",
        "CREDENTIALS_DIRECTORY": "/run/credentials/tq-worker@api:2.service",
    }


SOCKETS = {
    Listen.TCP: (None, None),
    Listen.UNIX: ("/run/tqunits/workers/api/http.sock", "/run/tqunits/workers/api:2/http.sock"),
    Listen.FD: ("/run/tqunits/sockets/api.sock", "/run/tqunits/sockets/api:2.sock"),
}


@pytest.mark.parametrize(("listen", "expected"), SOCKETS.items(), ids=SOCKETS)
def test_each_listens_on_its_own_socket(listen: Listen, expected: tuple[str | None, str | None]) -> None:
    api = replace(worker("api"), listen=listen)
    assert tuple(environment.socket_path(api, whose, RUNTIME) for whose in (FIRST, SECOND)) == expected


def test_a_worker_depends_on_none_of_its_own_units() -> None:
    own = (name.service(SECOND), name.socket(SECOND), name.mount(SECOND))
    api = replace(worker("api"), unit=(("Unit", "After", " ".join((*own, name.service("web")))),))
    assert foreign_dependencies(api) == (("unit.Unit.After", "tq-worker@web.service"),)


def with_second(port: int = 9007) -> Observed:
    """A host on which `api` and `web` run, and a second process of api."""
    host = installed(desired(configuration(worker("api"), worker("web"))))
    drop_in = name.drop_in(name.service(FIRST), SYSTEM_LAYOUT.units)
    text = host.files[drop_in].content.replace("Port=9000", f"Port={port}")
    lies = ObservedFile(content=text, modified=HOUR)
    paths = (name.drop_in(name.service(SECOND), SYSTEM_LAYOUT.units), SYSTEM_LAYOUT.units / name.mount(SECOND))
    unit = name.service(SECOND)
    pause = ObservedFile(content=f"{header('/srv/api', '0')}\n[Unit]\n", modified=HOUR)
    return replace(
        host,
        files={
            **host.files,
            **dict.fromkeys(paths, lies),
            name.drop_in(name.backoff(SECOND), SYSTEM_LAYOUT.units): pause,
            name.drop_in(name.failure(SECOND), SYSTEM_LAYOUT.units): pause,
        },
        units={**host.units, unit: host.units[name.service(FIRST)]},
        file_states={**host.file_states, unit: "enabled"},
    )


def test_each_keeps_its_port() -> None:
    assert kept_ports(with_second().files) == {FIRST: 9000, SECOND: 9007, Instance("web"): 9001}


def test_who_is_installed_is_known_by_the_drop_ins() -> None:
    assert kept_instances(with_second().files) == {"api": [FIRST, SECOND], "web": [Instance("web")]}


def stops(steps: tuple[Step, ...]) -> list[str]:
    return [unit for step in steps if isinstance(step, Stop) for unit in step.units]


def test_all_of_a_worker_leaves_with_it() -> None:
    steps = removal(with_second(), ["api"])
    assert stops(steps) == [name.service(FIRST), name.service(SECOND)]
    removed = {step.path.relative_to(SYSTEM_LAYOUT.units) for step in steps if isinstance(step, RemoveFile)}
    assert removed == {
        PurePosixPath("tq-worker@api.service.d/10-tqunits.conf"),
        PurePosixPath("tq-worker@api:2.service.d/10-tqunits.conf"),
        PurePosixPath("run-tqunits-workers-api.mount"),
        PurePosixPath("run-tqunits-workers-api:2.mount"),
        PurePosixPath("tq-backoff@api:2.service.d/10-tqunits.conf"),
        PurePosixPath("tq-failure@api:2.service.d/10-tqunits.conf"),
    }


def test_nothing_of_the_others_leaves() -> None:
    assert stops(removal(with_second(), ["web"])) == [name.service("web")]


def test_who_is_no_longer_configured_leaves_with_all_its_instances() -> None:
    made = make_plan(desired(configuration(worker("web"))), with_second(), Options(now=True, prune=True))
    assert {*stops(made.steps)} >= {name.service(FIRST), name.service(SECOND)}
    assert made.leaving == ("api",)


def test_an_instance_too_many_is_taken_down_while_it_is_in_the_routes() -> None:
    site = desired(configuration(worker("api"), worker("web")))
    host = with_second()
    before = '{"version": 1, "workers": []}'  # other routes than those to come
    changed = {**host.files, site.routes.path: ObservedFile(content=before, modified=HOUR)}
    steps = make_plan(site, replace(host, files=changed), NOW).steps
    stopped = next(at for at, step in enumerate(steps) if isinstance(step, Stop))
    routed = next(at for at, s in enumerate(steps) if isinstance(s, WriteFile) and s.file.path == site.routes.path)
    assert stops(steps) == [name.service(SECOND)]
    assert stopped < routed
    assert name.service(SECOND) in {name.unit_at(step.path) for step in steps if isinstance(step, RemoveFile)}


def test_without_now_an_instance_too_many_goes_on_and_is_told() -> None:
    made = make_plan(desired(configuration(worker("api"), worker("web"))), with_second(), Options())
    assert stops(made.steps) == []
    assert not any(isinstance(step, RemoveFile) for step in made.steps)
    assert made.spare == {name.service(SECOND)}
    assert name.service(SECOND) in made.pending


def test_an_upgrade_stops_no_instance_though_it_is_one_too_many() -> None:
    site = desired(configuration(worker("api"), worker("web")))
    made = make_plan(site, with_second(), Options(now=True, routers_alone=True))
    assert name.service(SECOND) not in stops(made.steps)
    assert name.service(SECOND) in made.pending


def test_an_instance_too_many_does_not_start_with_the_host_any_more() -> None:
    host = with_second()
    booted = replace(host, file_states={**host.file_states, name.service(SECOND): "enabled"})
    steps = make_plan(desired(configuration(worker("api"), worker("web"))), booted, Options()).steps
    assert Disable((name.service(SECOND),)) in steps


def test_the_ledger_forgets_an_instance_that_is_removed() -> None:
    """Otherwise its drop-in would count as lost, and be put back."""
    site, host = desired(configuration(worker("api"), worker("web"))), with_second()
    kept = ledger.load(ledger.of_installation(site, host, make_plan(site, host, Options()), ()))
    assert {*kept} == {"api", "api:2", "web"}
    left = ledger.load(ledger.of_installation(site, host, make_plan(site, host, NOW), ()))
    assert {*left} == {"api", "web"}


def test_a_home_is_taken_when_no_process_of_the_account_runs() -> None:
    host = replace(with_second(), homes=frozenset({"worker-api"}))
    resting = replace(host.units[name.service(FIRST)], state="inactive")
    first_rests = replace(host, units={**host.units, name.service(FIRST): resting})
    site = desired(configuration(twice(worker("api")), worker("web")))
    assert not any(isinstance(step, Rehome) for step in make_plan(site, first_rests, Options()).steps)
    both = replace(site, enabled=(*site.enabled, name.service(SECOND)))
    steps = [step for step in make_plan(both, host, NOW).steps if isinstance(step, Stop | Rehome | Start)]
    units = (name.service(FIRST), name.service(SECOND))
    assert steps == [Stop(units), Rehome(("api",)), Start(units)]


def test_a_new_copy_of_a_file_is_for_all_instances() -> None:
    site = desired(configuration(worker("api"), worker("web")))
    path = credentials.copy_path(SYSTEM_LAYOUT.state, "api", "key")
    copy = RenderedFile(path=path, content="new", mode=0o600, unit=name.service(FIRST), is_secret=True)
    wanted = replace(site, enabled=(*site.enabled, name.service(SECOND)), copies=(copy,))
    units = (name.service(FIRST), name.service(SECOND))
    host = with_second()
    assert make_plan(wanted, host, Options()).pending == units
    late = ObservedFile(content="new", modified=3 * HOUR)  # instances than those that run
    assert make_plan(wanted, replace(host, copies={path: late}), Options()).pending == units
    removed = [s.path for s in removal(replace(host, copies={path: late}), ["api"]) if isinstance(s, RemoveFile)]
    assert path in removed


def test_the_ledger_remembers_each_drop_in_and_forgets_the_worker() -> None:
    texts = {path: file.content for path, file in with_second().files.items()}
    entries = [entry for path, text in texts.items() if (entry := ledger.of_drop_in(text, name.unit_at(path)))]
    written = ledger.dump(entries)
    assert list(ledger.load(written)) == ["api", "api:2", "web"]
    assert "Port=9007" in (ledger.load(written)["api:2"].drop_in or "")
    assert list(ledger.load(ledger.without(written, ["api"]))) == ["web"]


def test_a_ledger_of_before_is_the_first_ones() -> None:
    before = json.dumps({"version": 1, "workers": {"api": {"source": "/srv/api", "drop_in": None}}})
    (entry,) = ledger.load(before).values()
    assert entry.whose == FIRST


PREPARING = {
    "tq-build@api.service": "api",
    "tq-build@api.fetch.service": "api",
    "tq-release@a-b.service": "a-b",
    "tq-release@.service": None,
    "tq-build@.service": None,
    "tq-worker@api.service": None,
    "tq-harvest@api.service": None,
}


@pytest.mark.parametrize(("unit", "expected"), PREPARING.items(), ids=PREPARING)
def test_a_unit_tells_whose_releases_it_prepares(unit: str, expected: str | None) -> None:
    assert name.prepared_by(unit) == expected
