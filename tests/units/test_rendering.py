"""What single settings become: environment, command, gate, sandbox, names, the router's snapshot."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import PurePosixPath

import pytest

from tqunits.errors import TqunitsError
from tqunits.model import INFINITY, Listen, Mode, Profile, Relaxation, WorkerType
from tqunits.routing.snapshot import parse_snapshot
from tqunits.units import environment, name, sandbox
from tqunits.units.render import render
from tqunits.units.snapshot import routes_snapshot, without
from tqunits.units.unitfile import last_value
from units.cases import CASES, MIB, SECOND, TEMPLATES, Case, case, samples, worker
from units.cases import sandbox as holes


def service(text: str, directive: str) -> str | None:
    return last_value(text, "Service", directive)


def test_the_contract_is_complete_and_the_workers_own_words_win() -> None:
    api = worker("api", routes=("/api", "/v1"), environment=(("LOG", "info"), ("GOMAXPROCS", "3")))
    api = replace(api, runtime=replace(api.runtime, go_mem_limit=96 * MIB, go_max_procs=1))
    assert environment.contract(api, Mode.DEVELOPMENT, port=9000, socket=None) == {
        "WORKER_NAME": "api",
        "WORKER_ROUTE": "/api",
        "WORKER_PATH": "/api",
        "WORKER_MODE": "development",
        "WORKER_TYPE": "exec",
        "WORKER_PORT": "9000",
        "PORT": "9000",
        "GOMEMLIMIT": "96MiB",
        "GOMAXPROCS": "3",
        "LOG": "info",
    }


def test_only_names_of_the_contract_are_filled_in() -> None:
    api = worker("api", command=("bin/api", "${PORT}", "${HOME}", "$PORT", "a${WORKER_NAME}b", "%i"))
    variables = environment.contract(api, Mode.PRODUCTION, port=9000, socket=None)
    assert environment.fill_in(api, variables) == ("bin/api", "9000", "${HOME}", "$PORT", "aapib", "%i")


def test_a_name_without_a_value_is_an_error() -> None:
    with pytest.raises(TqunitsError, match=r"\$\{PORT\} in its command has no value"):
        case(worker("api", listen=Listen.UNIX, command=("bin/api", "${PORT}"))).files()


@pytest.mark.parametrize(
    ("first", "program"),
    [("bin/api", "/srv/tqunits/workers/api/bin/api"), ("python3", "python3"), ("/usr/bin/env", "/usr/bin/env")],
    ids=["in the folder", "in the search path", "absolute"],
)
def test_where_a_program_is_looked_for(first: str, program: str) -> None:
    assert service(case(worker("api", command=(first,))).drop_in("api"), "ExecStart") == program


@pytest.mark.parametrize(
    ("start", "budget"),
    [(60 * SECOND, "59.5"), (SECOND, "0.9"), (0, "infinity"), (INFINITY, "infinity")],
    ids=["long", "short", "none", "infinite"],
)
def test_the_gate_gives_up_before_systemd_does(start: int, budget: str) -> None:
    plain = worker("api")
    text = case(replace(plain, timeouts=replace(plain.timeouts, start=start))).drop_in("api")
    assert f" --budget {budget} --pid $MAINPID" in str(service(text, "ExecStartPost"))


FOLDERS: Mapping[str, tuple[str, tuple[Relaxation, ...], dict[str, str]]] = {
    "ordinary": ("/srv/x", (), {"ProtectHome": "yes"}),
    "ordinary, writable": ("/srv/x", (Relaxation.WRITABLE_CODE,), {"ProtectHome": "yes", "ReadWritePaths": '"/srv/x"'}),
    "home": ("/home/a/x", (), {"ProtectHome": "tmpfs", "BindReadOnlyPaths": '"/home/a/x"'}),
    "home, writable": (
        "/home/a/x",
        (Relaxation.WRITABLE_CODE,),
        {"ProtectHome": "tmpfs", "BindPaths": '"/home/a/x"'},
    ),
    "home, readable": ("/home/a/x", (Relaxation.HOME,), {"ProtectHome": "read-only"}),
    "root's home": ("/root/x", (), {"ProtectHome": "tmpfs", "BindReadOnlyPaths": '"/root/x"'}),
    "temporary": ("/tmp/x", (), {"ProtectHome": "yes", "BindReadOnlyPaths": '"/tmp/x"'}),
}


@pytest.mark.parametrize(("folder", "relaxed", "expected"), FOLDERS.values(), ids=FOLDERS)
def test_a_workers_folder_stays_visible(folder: str, relaxed: tuple[Relaxation, ...], expected: dict[str, str]) -> None:
    placed = worker("api", folder=PurePosixPath(folder), sandbox=holes(Profile.STANDARD, *relaxed))
    rows = dict(sandbox.directives(placed, (), user_mode=False))
    paths = ("ProtectHome", "BindReadOnlyPaths", "BindPaths", "ReadWritePaths")
    assert {key: rows[key] for key in paths if key in rows} == expected


@pytest.mark.parametrize("hole", Relaxation, ids=lambda r: r.value)
def test_every_relaxation_changes_something_and_is_named(hole: Relaxation) -> None:
    tight, loose = worker("api", sandbox=holes(Profile.STRICT)), worker("api", sandbox=holes(Profile.STRICT, hole))
    assert sandbox.directives(tight, (), user_mode=False) != sandbox.directives(loose, (), user_mode=False)
    assert f"# relaxed: {hole.value} (" in case(loose).drop_in("api")


def test_a_user_of_several_workers_is_created_once() -> None:
    shared = case(worker("a", user="web", group="web"), worker("b", user="web", group="web"))
    (sysusers,) = [file.content for file in shared.files() if file.unit is None]
    assert sysusers.count("\nu web ") == 1


def test_the_router_may_use_the_sockets_of_workers() -> None:
    routers = next(f.content for f in CASES["options"].files() if f.unit == name.PROXY_TEMPLATE)
    assert service(routers, "SupplementaryGroups") == "worker-descriptor web"


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_missing_template_is_named(template: str) -> None:
    rest = {key: text for key, text in TEMPLATES.items() if key != template}
    one = CASES["options"]
    with pytest.raises(TqunitsError, match=r"template .* is missing"):
        render(one.configuration, one.target, one.ports(), rest)


@pytest.mark.parametrize("text", ["{{ nothing }}", "{% if %}", "{{ listen.0.x.y }}"])
def test_a_wrong_template_of_the_administrators_is_named(text: str) -> None:
    one = CASES["empty"]
    with pytest.raises(TqunitsError, match=r"tq\.target\.j2"):
        render(one.configuration, one.target, one.ports(), TEMPLATES | {"tq.target.j2": text})


@pytest.mark.parametrize("one", CASES.values(), ids=CASES)
def test_the_router_accepts_every_snapshot(one: Case) -> None:
    text = routes_snapshot(one.configuration, one.target, one.ports())
    snapshot = parse_snapshot(text.encode())
    assert [w.name for w in snapshot.workers] == [w.name for w in one.configuration.running()]


def test_no_limit_is_zero_in_the_snapshot() -> None:
    plain = worker("api")
    one = case(replace(plain, timeouts=replace(plain.timeouts, read=INFINITY)))
    document = json.loads(routes_snapshot(one.configuration, one.target, one.ports()))
    assert document["workers"][0]["timeouts"]["read_us"] == 0
    assert document["workers"][0]["endpoints"] == ["127.0.0.1:9000"]


def test_a_worker_can_be_taken_out_of_a_snapshot() -> None:
    many, one = case(*samples()), case(*(w for w in samples() if w.name != "api"))
    after = without(routes_snapshot(many.configuration, many.target, many.ports()), ["api"])
    assert after is not None
    assert [w["name"] for w in json.loads(after)["workers"]] == [w.name for w in one.configuration.running()]
    assert without("not ours", ["api"]) is None
    assert without("[]", ["api"]) is None


NAMES = {
    "tq-worker@api.service": ("api", "tq-worker@.service"),
    "tq-worker@api.socket": ("api", "tq-worker@.socket"),
    "tq-worker@.service": (None, "tq-worker@.service"),
    "tq-worker@API.service": (None, "tq-worker@.service"),
    "tq-worker@a:2.service": (None, "tq-worker@.service"),
    "tq-proxy@1.service": (None, "tq-proxy@.service"),
    "tq.target": (None, "tq.target"),
}


@pytest.mark.parametrize(("unit", "expected"), NAMES.items(), ids=NAMES)
def test_a_units_name_tells_its_worker_and_its_template(unit: str, expected: tuple[str | None, str]) -> None:
    assert (name.worker_of(unit), name.template_of(unit)) == expected


def test_names_that_systemd_would_refuse_are_none() -> None:
    assert name.is_unit_name("a@b.service")
    assert name.is_unit_name("dev-disk\\x2da.mount")
    for text in ("a", "a.unit", "a b.service", "a%i.service", "@.service", ".service", "a/b.service", "a" * 260):
        assert not name.is_unit_name(text), text
    assert name.is_proxy("tq-proxy@2.service") and not name.is_proxy(name.PROXY_TEMPLATE)
    assert name.is_socket(name.PROXY_SOCKET)
    assert name.is_worker_name("a" * 24) and not name.is_worker_name("a" * 25)
    assert {WorkerType.STATIC} == {w.type for w in samples() if not w.command}
