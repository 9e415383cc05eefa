"""The rendering of single settings: environment, command, gate, sandbox, names, the router's
snapshot."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import PurePosixPath

import pytest

from tqunits.config.nodes import MAX_WORKER_TEXT
from tqunits.errors import TqunitsError
from tqunits.host.routes import routes_snapshot
from tqunits.model import (
    INFINITY,
    Enabled,
    Instance,
    Listen,
    Mode,
    NotRoots,
    OriginKind,
    Profile,
    Relaxation,
    ServiceType,
    SettingOrigin,
    Static,
    Tls,
    WorkersSettings,
    WorkerType,
)
from tqunits.routing.codec.document import files_alone, installed_routes, with_workers, without
from tqunits.routing.codec.schema import parse_snapshot
from tqunits.routing.released_files import ReleasedFiles
from tqunits.routing.snapshot import StaticFiles
from tqunits.system.files import READ_LIMIT
from tqunits.units import environment, name, sandbox
from tqunits.units.rendering import refusals, render
from tqunits.units.unitfile import last_value
from tqunits.watch import ServerWatch
from units.cases import (
    CASES,
    MIB,
    SECOND,
    TEMPLATES,
    Case,
    build,
    case,
    configuration,
    runtime,
    samples,
    target,
    worker,
)
from units.cases import sandbox as holes


def service(text: str, directive: str) -> str | None:
    return last_value(text, "Service", directive)


def test_nothing_wins_over_the_contract() -> None:
    api = worker("api", environment=(("PORT", "3000"), ("WORKER_MODE", "development"), ("WORKER_SOCKET", "/x")))
    found = environment.contract(api, Mode.PRODUCTION, port=9000, socket="/run/api.sock")
    assert (found["PORT"], found["WORKER_MODE"], found["WORKER_SOCKET"]) == ("9000", "production", "/run/api.sock")


def test_what_is_told_of_the_contract_is_what_it_sets() -> None:
    """tqunits-contract(7) is generated from these tables."""
    api = worker("api", environment_file=("/etc/api.env",))
    found = environment.contract(api, Mode.PRODUCTION, port=9000, socket="/run/api.sock")
    assert found.keys() == environment.CONTRACT.keys()
    assert environment.folders(api, Instance("api"), target()).keys() == environment.FOLDERS.keys()


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


USUAL: dict[WorkerType, dict[str, str]] = {
    WorkerType.GO: {},
    WorkerType.PYTHON: {"PYTHONUNBUFFERED": "1"},
    WorkerType.NODE: {"NODE_ENV": "development"},
    WorkerType.BUN: {"NODE_ENV": "development"},
    WorkerType.DENO: {"NODE_ENV": "development", "DENO_DIR": "/var/cache/tqunits/workers/api"},
    WorkerType.JAVA: {},
    WorkerType.RUBY: {"RACK_ENV": "development", "RAILS_ENV": "development"},
    WorkerType.PHP: {},
    WorkerType.STATIC: {},
    WorkerType.EXEC: {},
}


@pytest.mark.parametrize("language", WorkerType)
def test_what_is_usual_in_a_runtime_and_the_workers_own_words_win(language: WorkerType) -> None:
    api = worker("api", runtime=runtime(language))
    known = {"CACHE_DIRECTORY": "/var/cache/tqunits/workers/api"}
    plain = environment.contract(worker("api"), Mode.DEVELOPMENT, port=9000, socket=None, folders=known)
    usual = environment.contract(api, Mode.DEVELOPMENT, port=9000, socket=None, folders=known)
    assert usual == {**plain, **USUAL[language]}
    own = {name: f"my {name}" for name in USUAL[language]}
    api = replace(api, environment=tuple(own.items()))
    assert environment.contract(api, Mode.DEVELOPMENT, port=9000, socket=None, folders=known) == {**plain, **own}


def test_an_environment_file_wins_over_what_is_usual_and_not_over_the_limits_of_a_runtime() -> None:
    limited = runtime(WorkerType.NODE, node_max_old_space=96 * MIB)
    text = case(worker("api", runtime=limited, environment_file=("/etc/api.env",))).drop_in("api")
    assert 'Environment="NODE_ENV=production"' in text
    started = service(text, "ExecStart") or ""
    assert re.findall(r"--keep (\S+)", started) == ["NODE_OPTIONS"]


def test_a_build_has_nothing_of_what_is_usual_in_a_runtime() -> None:
    api = worker("api", runtime=runtime(WorkerType.NODE), build=build("make"))
    units = {file.unit: file.content for file in case(api).files()}
    assert "NODE_ENV" in units["tq-worker@api.service"]
    assert "NODE_ENV" not in units["tq-build@api.service"]


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
    ("stop", "drain", "wait"),
    [
        pytest.param(60 * SECOND, 30 * SECOND, "30", id="drain first"),
        pytest.param(30 * SECOND, 60 * SECOND, "29", id="stop first"),
        pytest.param(SECOND, 30 * SECOND, "0.9", id="short"),
        pytest.param(0, 0, "infinity", id="no limit"),
        pytest.param(INFINITY, SECOND, "1", id="infinite"),
    ],
)
def test_a_worker_has_left_the_router_before_systemd_loses_patience(stop: int, drain: int, wait: str) -> None:
    plain = worker("api")
    text = case(replace(plain, timeouts=replace(plain.timeouts, stop=stop, drain=drain))).drop_in("api")
    assert str(service(text, "ExecStop")).endswith(f" --name api --wait {wait} --pid $MAINPID")


@pytest.mark.parametrize(
    ("start", "budget", "patience"),
    [
        pytest.param(60 * SECOND, "60", "65s", id="default"),
        pytest.param(SECOND, "1", "6s", id="short"),
        pytest.param(0, "infinity", "infinity", id="none"),
        pytest.param(INFINITY, "infinity", "infinity", id="infinite"),
    ],
)
def test_the_gates_verdict_comes_before_systemd_loses_patience(start: int, budget: str, patience: str) -> None:
    plain = worker("api")
    text = case(replace(plain, timeouts=replace(plain.timeouts, start=start))).drop_in("api")
    assert f" --budget {budget} --serving " in str(service(text, "ExecStartPost"))
    assert service(text, "TimeoutStartSec") == patience


def test_who_says_ready_itself_has_just_its_time() -> None:
    text = case(worker("api", service_type=ServiceType.NOTIFY)).drop_in("api")
    assert service(text, "TimeoutStartSec") == "1min"


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
    rows = dict(sandbox.directives(placed, (), systemd=252, user_mode=False))
    paths = ("ProtectHome", "BindReadOnlyPaths", "BindPaths", "ReadWritePaths")
    assert {key: rows[key] for key in paths if key in rows} == expected


def _back(path: str) -> dict[str, str]:
    return {"ProtectHome": "tmpfs", "BindReadOnlyPaths": f'"{path}"'}


REQUESTS: Mapping[str, tuple[str, str, dict[str, str]]] = {
    "a home that is his": ("/home/a/x", "/home/a", _back("/home/a")),
    "a folder in root's home": ("/home/a/x/y", "/home/a/x", _back("/home/a/x")),
    "the folder itself": ("/home/a/x", "/home/a/x", _back("/home/a/x")),
    "its YAML alone": ("/home/a/x", "/home/a/x/config/worker.yaml", _back("/home/a/x")),
    "elsewhere, by a link of root's": ("/home/a/x", "/data/x", {"ProtectHome": "yes"}),
    "temporary": ("/tmp/a/x", "/tmp", {"ProtectHome": "yes"}),
    "ordinary": ("/srv/a/x", "/srv/a", {"ProtectHome": "yes"}),
}


@pytest.mark.parametrize(("folder", "not_roots", "expected"), REQUESTS.values(), ids=REQUESTS)
def test_of_a_request_is_put_back_what_nobody_but_root_can_rename(
    folder: str, not_roots: str, expected: dict[str, str]
) -> None:
    placed = worker("api", folder=PurePosixPath(folder), not_roots=NotRoots(PurePosixPath(not_roots), "is bob's"))
    rows = dict(sandbox.directives(placed, (), systemd=252, user_mode=False))
    paths = ("ProtectHome", "BindReadOnlyPaths", "BindPaths", "ReadWritePaths")
    assert {key: rows[key] for key in paths if key in rows} == expected


@pytest.mark.parametrize("hole", Relaxation, ids=lambda r: r.value)
def test_every_relaxation_changes_something_and_is_named(hole: Relaxation) -> None:
    tight, loose = worker("api", sandbox=holes(Profile.STRICT)), worker("api", sandbox=holes(Profile.STRICT, hole))
    assert sandbox.directives(tight, (), systemd=252, user_mode=False) != sandbox.directives(
        loose, (), systemd=252, user_mode=False
    )
    assert f"# relaxed: {hole.value} (" in case(loose).drop_in("api")


@pytest.mark.parametrize("profile", Profile)
def test_a_drop_in_tells_which_sandbox_it_has_and_what_it_could_have(profile: Profile) -> None:
    for relaxed in ((), (Relaxation.PROC,), (Relaxation.HOME, Relaxation.WRITE_EXECUTE)):
        api = worker("api", sandbox=holes(profile, *relaxed))
        assert sandbox.installed(case(api).drop_in("api")) == api.sandbox
    assert sandbox.installed("[Service]\nExecStart=/bin/true\n") is None
    assert sandbox.installed("# sandbox: of another release\n") is None


@pytest.mark.parametrize("profile", Profile)
@pytest.mark.parametrize("user_mode", [False, True])
def test_what_is_missing_is_what_would_change_the_directives(profile: Profile, *, user_mode: bool) -> None:
    own = worker("api", sandbox=holes(profile))
    more = {hole: worker("api", sandbox=holes(profile, hole)) for hole in Relaxation}
    before = sandbox.directives(own, (), systemd=252, user_mode=user_mode)
    changing = {
        hole
        for hole, loose in more.items()
        if sandbox.directives(loose, (), systemd=252, user_mode=user_mode) != before
    }
    assert sandbox.missing(own.sandbox, user_mode=user_mode) == changing


@pytest.mark.parametrize(
    ("user", "group", "listen", "made"),
    [
        pytest.param("worker-api", "worker-api", Listen.TCP, ["worker-api"], id="its own"),
        pytest.param("worker-api", "web", Listen.TCP, ["worker-api"], id="another group"),
        pytest.param("web", "worker-api", Listen.UNIX, ["worker-api"], id="its own group"),
        pytest.param("web", "web", Listen.FD, ["worker-api"], id="its socket's group"),
        pytest.param("web", "web", Listen.TCP, [], id="none"),
    ],
)
def test_the_accounts_that_are_made_are_worker_name(user: str, group: str, listen: Listen, made: list[str]) -> None:
    files = case(worker("api", user=user, group=group, listen=listen)).files()
    (sysusers,) = [file.content for file in files if file.path.name.endswith(".conf") and file.unit is None]
    rows = [line.split()[:2] for line in sysusers.splitlines() if not line.startswith("#")]
    assert rows == [["u", "tqunits"], *(["u", account] for account in made)]


@pytest.mark.parametrize("group", ["worker-api", "web"])
@pytest.mark.parametrize("listen", [Listen.UNIX, Listen.FD])
def test_the_router_joins_the_workers_own_groups_alone(listen: Listen, group: str) -> None:
    files = case(worker("api", listen=listen, group=group)).files()
    routers = next(f.content for f in files if f.unit == name.PROXY_TEMPLATE)
    assert service(routers, "SupplementaryGroups") == "worker-api"


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_missing_template_is_named(template: str) -> None:
    rest = {key: text for key, text in TEMPLATES.items() if key != template}
    one = CASES["several" if template == "tq-backoff.conf.j2" else "options"]
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
    meant = [w for w in one.configuration.workers if w.runs_in(one.configuration.server.mode)]
    assert [w.name for w in snapshot.workers if not w.disabled] == [w.name for w in meant]
    off = [w.name for w in one.configuration.workers if w.enabled is Enabled.FALSE]
    assert [w.name for w in snapshot.workers if w.disabled] == off
    assert [w.name for w in snapshot.workers if w.endpoints] == [w.name for w in one.configuration.running()]
    assert [w.name for w in snapshot.workers if w.static] == [w.name for w in meant if w.type is WorkerType.STATIC]


def test_the_router_is_told_how_slow_a_body_may_be() -> None:
    slow = worker("slow")
    proxy, timeouts = replace(slow.proxy, min_body_rate=7), replace(slow.timeouts, body=3 * SECOND)
    one = case(replace(slow, proxy=proxy, timeouts=timeouts))
    (routed,) = parse_snapshot(routes_snapshot(one.configuration, one.target, one.ports()).encode()).workers
    assert (routed.min_body_rate, routed.timeouts.body_us) == (7, 3 * SECOND)


RUNS = "/var/lib/tqunits/releases/site/runs/1"

STATIC: dict[str, tuple[WorkerType, str, tuple[str, OriginKind] | None, str | None, str | None]] = {
    "no program": (WorkerType.STATIC, "public", None, "/srv/tqunits/workers/site/public", f"{RUNS}/public"),
    "an absolute folder": (WorkerType.STATIC, "/var/www", None, "/var/www", None),
    "beside a program, unasked": (WorkerType.GO, "public", ("static.directory", OriginKind.DEFAULT), None, None),
    "beside a program, asked": (
        WorkerType.GO,
        "dist",
        ("static.directory", OriginKind.WORKER),
        "/srv/tqunits/workers/site/dist",
        f"{RUNS}/dist",
    ),
    "asked by its prefix": (
        WorkerType.PHP,
        "public",
        ("static.prefix", OriginKind.WORKER),
        "/srv/tqunits/workers/site/public",
        f"{RUNS}/public",
    ),
    "asked for all workers": (
        WorkerType.EXEC,
        "www",
        ("static.directory", OriginKind.SERVER),
        "/srv/tqunits/workers/site/www",
        f"{RUNS}/www",
    ),
}


@pytest.mark.parametrize(("kind", "directory", "written", "served", "released"), STATIC.values(), ids=STATIC)
def test_which_folder_the_router_serves(
    kind: WorkerType, directory: str, written: tuple[str, OriginKind] | None, served: str | None, released: str | None
) -> None:
    origins = {written[0]: SettingOrigin(kind=written[1])} if written else {}
    one = case(worker("site", type=kind, static=Static(directory=directory, prefix="/x"), origins=origins))
    (routed,) = parse_snapshot(routes_snapshot(one.configuration, one.target, one.ports()).encode()).workers
    release = ReleasedFiles(link=RUNS, directory=released) if released else None
    assert routed.static == (StaticFiles(directory=served, prefix="/x", release=release) if served else None)
    assert bool(routed.endpoints) is (kind is not WorkerType.STATIC)


def test_a_worker_that_is_switched_off_serves_nothing_and_says_so() -> None:
    """It keeps the routes that no other worker has. A worker for another mode is not meant to be
    here, and has no routes."""
    off = worker("off", type=WorkerType.STATIC, enabled=Enabled.FALSE, routes=("/off", "/on"), hosts=("a.example",))
    on = worker("on", routes=("/on",), hosts=("a.example", "b.example"))
    other = worker("other", enabled=Enabled.DEVELOPMENT)
    gone = worker("gone", enabled=Enabled.FALSE, routes=("/on",), hosts=("b.example",))
    one = case(off, on, other, gone)
    text = routes_snapshot(one.configuration, one.target, one.ports())
    routed = {w.name: w for w in parse_snapshot(text.encode()).workers}
    assert routed.keys() == {"off", "on"}
    assert (routed["off"].disabled, routed["off"].routes, routed["off"].static) == (True, ("/off",), None)
    assert installed_routes(text).keys() == {"on"}  # nobody has to ask for its routes
    assert files_alone(text) == ()


def test_a_program_that_became_a_folder_of_files_is_routed_once() -> None:
    """Its unit still exists, so it counts as one of those that stay; a snapshot must not have two
    workers of one name."""
    old, new = case(worker("site", routes=("/old",))), case(worker("site", type=WorkerType.STATIC, routes=("/new",)))
    before = routes_snapshot(old.configuration, old.target, old.ports())
    after = routes_snapshot(new.configuration, new.target, new.ports())
    assert with_workers(after, before, ["site"]) == after


def test_no_limit_is_zero_in_the_snapshot() -> None:
    plain = worker("api")
    one = case(replace(plain, timeouts=replace(plain.timeouts, read=INFINITY)))
    document = json.loads(routes_snapshot(one.configuration, one.target, one.ports()))
    assert document["workers"][0]["timeouts"]["read_us"] == 0
    assert document["workers"][0]["endpoints"] == ["127.0.0.1:9000"]


def test_the_snapshot_tells_how_clients_are_sent_to_https() -> None:
    one = CASES["options"]
    snapshot = parse_snapshot(routes_snapshot(one.configuration, one.target, one.ports()).encode())
    assert (snapshot.redirect, snapshot.hsts_s) == (True, 86400)


def rendered(one: Case, unit: str) -> list[str]:
    return next(f.content for f in one.files() if f.unit == unit).splitlines()


WATCHED = {
    "a file": (Tls(certificate="/a/c.pem", key="/a/k.pem", redirect=False, hsts=0), ["/a/c.pem", "/a/k.pem", "/a"]),
    "a folder": (Tls(certificate="/a/b", key=None, redirect=False, hsts=0), ["/a/b"]),
}


@pytest.mark.parametrize(("tls", "paths"), WATCHED.values(), ids=WATCHED)
def test_the_certificate_is_watched_and_handed_to_the_router(tls: Tls, paths: list[str]) -> None:
    one = case(tls=tls)
    watch, watcher = (rendered(one, unit) for unit in name.CERTIFICATE_UNITS)
    assert [line.partition("=")[2] for line in watch if line.startswith("PathChanged=")] == paths
    router = rendered(one, name.PROXY_TEMPLATE)
    credentials = [f"tls-certificate:{tls.certificate}"] + ([f"tls-key:{tls.key}"] if tls.key else [])
    assert [line for line in router if line.startswith("LoadCredential=")] == [
        f"LoadCredential={c}" for c in credentials
    ]
    command = next(line for line in router if line.startswith("ExecStart="))
    given = command.partition(" --certificate ")[2]
    key = " --key ${CREDENTIALS_DIRECTORY}/tls-key" if tls.key else ""
    assert given == "${CREDENTIALS_DIRECTORY}/tls-certificate" + key
    key = f" --key {tls.key}" if tls.key else ""
    assert f"ExecStartPre=/usr/bin/tqunits proxy --check --certificate {tls.certificate}{key}" in watcher


def test_without_a_certificate_there_is_no_trace_of_one() -> None:
    assert not any("certificate" in file.content or "LoadCredential" in file.content for file in case().files())


def test_a_changed_certificate_restarts_one_router_process_after_the_other() -> None:
    lines = [line for line in rendered(CASES["options"], name.CERTIFICATE_UNITS[1]) if line.startswith("ExecStart=")]
    *restarts, last = lines
    assert restarts == [f"ExecStart=/bin/systemctl try-restart {name.proxy(n)}" for n in (1, 2)]
    assert last.startswith('ExecStart=/usr/bin/find -L "/etc/tqunits/tls/a 100%% chain.pem" ')  # changed meanwhile?


def test_a_routers_control_socket_is_for_the_managers_user() -> None:
    lines = rendered(case(), name.CONTROL_TEMPLATE)
    assert {"ListenStream=/run/tqunits/proxy/%i/control.sock", "SocketUser=tqunits", "SocketMode=0600"} <= set(lines)
    (sockets,) = (line for line in rendered(case(), name.PROXY_TEMPLATE) if line.startswith("Sockets="))
    assert sockets == rf"Sockets={name.PROXY_SOCKET} tq-proxy-\\x5b::\\x5d:8080.socket tq-proxy-control@%i.socket"


def test_in_a_users_manager_it_is_for_that_user() -> None:
    lines = rendered(CASES["user"], name.CONTROL_TEMPLATE)
    assert {"ListenStream=/run/user/1000/tqunits/proxy/%i/control.sock", "SocketMode=0600"} <= set(lines)
    assert not any(line.startswith("SocketUser=") for line in lines)


WHAT_IT_APPLIES = {
    "nothing in production": (None, None, Mode.PRODUCTION, []),
    "all in development": (None, None, Mode.DEVELOPMENT, ["--new", "--configuration"]),
    "what is written": (False, True, Mode.PRODUCTION, ["--new"]),
    "not what is switched off": (True, False, Mode.DEVELOPMENT, ["--configuration"]),
}


@pytest.mark.parametrize(("enabled", "new", "mode", "flags"), WHAT_IT_APPLIES.values(), ids=WHAT_IT_APPLIES)
@pytest.mark.parametrize("user_mode", [False, True], ids=["system", "user"])
def test_the_manager_is_told_what_it_has_applied(
    enabled: bool | None,  # noqa: FBT001
    new: bool | None,  # noqa: FBT001
    mode: Mode,
    flags: list[str],
    user_mode: bool,  # noqa: FBT001
) -> None:
    """With --user there is no tq-apply.service."""
    one = case(watch=ServerWatch(enabled=enabled, new=new), mode=mode, user_mode=user_mode)
    (command,) = (line for line in rendered(one, name.MANAGER) if line.startswith("ExecStart="))
    words = command.split(" --workers /srv/tqunits/workers", 1)[1].split()
    assert words == ([] if user_mode else flags)


def in_directory(path: str, *, new: bool | None) -> Case:
    workers = WorkersSettings(directory=PurePosixPath(path), port_range=(9000, 9999))
    return case(workers=workers, watch=ServerWatch(enabled=None, new=new))


def at(folder: str, *, watched: bool | None) -> Case:
    api = worker("api", folder=PurePosixPath(folder))
    return case(replace(api, watch=replace(api.watch, enabled=watched)))


WHAT_IT_SEES = {
    "usual": (at("/srv/api", watched=True), "yes", "yes"),
    "a home": (at("/home/ann/api", watched=True), "read-only", "yes"),
    "root's": (at("/root/api", watched=True), "read-only", "yes"),
    "a home of one that is not watched": (at("/home/ann/api", watched=None), "yes", "yes"),
    "temporary": (at("/tmp/api", watched=True), "yes", "no"),
    "new ones": (in_directory("/var/tmp/w", new=True), "yes", "no"),
    "new ones in a home": (in_directory("/home/ann", new=True), "read-only", "yes"),
    "no new ones": (in_directory("/var/tmp/w", new=None), "yes", "yes"),
}


@pytest.mark.parametrize(("one", "homes", "temporary"), WHAT_IT_SEES.values(), ids=WHAT_IT_SEES)
def test_the_manager_sees_the_folders_that_it_watches(one: Case, homes: str, temporary: str) -> None:
    assert {f"ProtectHome={homes}", f"PrivateTmp={temporary}", "ProtectSystem=strict"} <= set(
        rendered(one, name.MANAGER)
    )


def test_more_than_a_line_of_writable_folders_is_refused() -> None:
    many = tuple(f"{at:03}{'x' * 1000}" for at in range(70))
    api = worker("api", writable=many)
    watched = replace(api, watch=replace(api.watch, enabled=True))
    assert list(refusals(configuration(api), target())) == []
    (found,) = refusals(configuration(watched), target())
    assert "a text of " in found.diagnostic().message


def test_a_worker_can_be_taken_out_of_a_snapshot() -> None:
    many, one = case(*samples()), case(*(w for w in samples() if w.name != "api"))
    after = without(routes_snapshot(many.configuration, many.target, many.ports()), ["api"])
    assert after is not None
    assert after == routes_snapshot(one.configuration, one.target, many.ports())
    assert without("not ours", ["api"]) is None
    assert without("[]", ["api"]) is None


NAMES = {
    "tq-worker@api.service": ("api", "tq-worker@.service"),
    "tq-worker@api.socket": ("api", "tq-worker@.socket"),
    "tq-worker@.service": (None, "tq-worker@.service"),
    "tq-worker@API.service": (None, "tq-worker@.service"),
    "tq-worker@a:2.service": ("a", "tq-worker@.service"),
    "tq-proxy@1.service": (None, "tq-proxy@.service"),
    "tq-proxy-control@1.socket": (None, "tq-proxy-control@.socket"),
    "tq.target": (None, "tq.target"),
}


@pytest.mark.parametrize(("unit", "expected"), NAMES.items(), ids=NAMES)
def test_a_units_name_tells_its_worker_and_its_template(unit: str, expected: tuple[str | None, str]) -> None:
    assert (name.worker_of(unit), name.template_of(unit)) == expected


SOCKETS = {
    "tq-worker@api.service": "tq-worker@api.socket",
    "tq-worker@api:2.service": "tq-worker@api:2.socket",
    "tq-proxy@12.service": "tq-proxy-control@12.socket",
    "tq-proxy@.service": None,
    "tq-proxy.socket": None,
    "tq-proxy-control@1.socket": None,
    "tq.target": None,
}


@pytest.mark.parametrize(("unit", "socket"), SOCKETS.items(), ids=SOCKETS)
def test_a_services_name_tells_the_socket_that_is_its_alone(unit: str, socket: str | None) -> None:
    assert name.socket_of(unit) == socket


def test_names_that_systemd_would_refuse_are_none() -> None:
    assert name.is_unit_name("a@b.service")
    assert name.is_unit_name("dev-disk\\x2da.mount")
    for text in ("a", "a.unit", "a b.service", "a%i.service", "@.service", ".service", "a/b.service", "a" * 260):
        assert not name.is_unit_name(text), text
    assert name.is_proxy("tq-proxy@2.service") and not name.is_proxy(name.PROXY_TEMPLATE)
    assert name.is_socket(name.PROXY_SOCKET)
    assert name.is_worker_name("a" * 24) and not name.is_worker_name("a" * 25)
    assert {WorkerType.STATIC} == {w.type for w in samples() if not w.command}


def test_a_worker_is_started_again_for_ever_unless_a_number_is_written() -> None:
    restart = worker("api").restart
    for most, lines in ((0, []), (5, ["RestartPreventExitStatus=199"])):
        one = case(worker("api", restart=replace(restart, max_restarts=most)))
        assert [line for line in one.drop_in("api").splitlines() if line.startswith("RestartPrevent")] == lines
        assert ("--unless /run/tqunits/backoff/api/given-up -- " in one.drop_in("api")) == bool(most)
        assert f"Backoff=1000000 30000000 {most} 300000000" in one.drop_in("api")


def test_no_worker_yaml_makes_a_drop_in_longer_than_its_readers_take() -> None:
    """With the characters that cost most when they are quoted."""
    each = MAX_WORKER_TEXT // 4
    one = worker("api", environment=tuple((f"A{number}", mark * each) for number, mark in enumerate('%\\$"')))
    files = render(configuration(one), target(), dict.fromkeys(one.slots, 9000), TEMPLATES)
    assert MAX_WORKER_TEXT < max(len(file.content.encode()) for file in files) < READ_LIMIT // 2
