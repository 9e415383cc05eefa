"""The model of valid files: presets, defaults, their order, and the origin of each value."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest

from tqunits.config.parse import parse_server
from tqunits.config.settings import SERVER, WORKER
from tqunits.model import INFINITY, BuildRules, OriginKind, Profile, Relaxation, Sandbox, WorkerType
from tqunits.resources import Share

from .parsing import QUIET, SANDBOXED, server, valid

PRESETS: dict[WorkerType, tuple[tuple[str, ...], tuple[str, ...], Profile]] = {
    WorkerType.GO: (("go", "build", "-o", "bin/api", "./src"), ("bin/api",), Profile.STANDARD),
    WorkerType.PYTHON: ((), ("python3", "src/main.py"), Profile.STANDARD),
    WorkerType.NODE: ((), ("node", "src/main.js"), Profile.JIT),
    WorkerType.BUN: ((), ("bun", "run", "index.ts"), Profile.JIT),
    WorkerType.DENO: (
        (),
        ("deno", "run", "--allow-net", "--allow-env", "--allow-read", "main.ts"),
        Profile.JIT,
    ),
    WorkerType.JAVA: ((), ("java", "-cp", "bin", "Main"), Profile.JIT),
    WorkerType.RUBY: ((), ("puma", "--bind", "tcp://127.0.0.1:${WORKER_PORT}"), Profile.STANDARD),
    WorkerType.PHP: (
        (),
        ("php", *SANDBOXED, *QUIET, "-S", "127.0.0.1:${WORKER_PORT}", "-t", "public"),
        Profile.STANDARD,
    ),
    WorkerType.STATIC: ((), (), Profile.STANDARD),
}


@pytest.mark.parametrize("worker_type", PRESETS, ids=str)
def test_a_type_presets_build_command_and_sandbox(worker_type: WorkerType) -> None:
    worker = valid(f"path: /a\ntype: {worker_type}")
    assert (worker.build.command, worker.command, worker.sandbox.profile) == PRESETS[worker_type]


def test_every_type_with_a_runtime_presets_a_command() -> None:
    assert PRESETS.keys() == {*WorkerType} - {WorkerType.EXEC}
    assert {kind for kind, (_, command, _) in PRESETS.items() if not command} == {WorkerType.STATIC}


def test_the_defaults_are_those_of_the_design() -> None:
    worker = valid("path: /a\ntype: go")
    assert (worker.user, worker.group) == ("worker-api", "worker-api")
    assert (worker.limits.memory_max, worker.limits.cpu_quota, worker.limits.tasks_max) == (
        512 * 1024**2,
        1_000_000,
        512,
    )
    assert (worker.timeouts.start, worker.timeouts.request) == (60_000_000, 0)
    settings = server().server
    assert settings.listen == ("0.0.0.0:8080", "[::]:8080")
    assert settings.workers.port_range == (9000, 9999)
    assert str(settings.workers.directory) == "/srv/tqunits/workers"


def test_every_setting_has_an_origin() -> None:
    assert valid("path: /a\ntype: go").origins.keys() == WORKER.keys()
    assert server().server.origins.keys() == SERVER.keys()


def test_worker_yaml_wins_over_defaults_over_the_preset_over_the_table() -> None:
    common = "defaults:\n  limits: {memory_max: 1G, tasks_max: 64}\n  sandbox: legacy"
    worker = valid("path: /a\ntype: node\nlimits:\n  tasks_max: 99", common)
    assert (worker.limits.memory_max, worker.limits.tasks_max) == (1024**3, 99)
    origins = {key: (origin.kind, str(origin.mark or "")) for key, origin in worker.origins.items()}
    assert origins["limits.tasks_max"] == (OriginKind.WORKER, "api.yaml:4:3")
    assert origins["limits.memory_max"] == (OriginKind.SERVER, "tqunits.yaml:2:12")
    assert origins["sandbox"] == (OriginKind.SERVER, "tqunits.yaml:3:3")
    assert origins["command"] == (OriginKind.PRESET, "")
    assert origins["limits.cpu_quota"] == (OriginKind.DEFAULT, "")


def test_the_type_may_come_from_the_defaults() -> None:
    assert valid("path: /a", "defaults: {type: python}").command == ("python3", "src/main.py")


def test_mappings_of_defaults_and_worker_add_up_name_by_name() -> None:
    common = "defaults: {environment: {A: 1, B: 2}, unit: {Service: {Nice: 5, LimitSTACK: 8M}}}"
    worker = valid("path: /a\ntype: go\nenvironment: {B: 3, C: 4}\nunit: {Service: {Nice: 7}}", common)
    assert worker.environment == (("A", "1"), ("B", "3"), ("C", "4"))
    assert worker.unit == (("Service", "Nice", "7"), ("Service", "LimitSTACK", "8M"))


def test_later_drop_ins_win_key_by_key() -> None:
    result = server("mode: production\nproxy: {processes: 2}", "proxy: {processes: 3}", "mode: development")
    assert (result.server.mode, result.server.proxy.processes) == ("development", 3)
    assert str(result.server.origins["proxy.processes"].mark) == "0.yaml:1:9"


def test_sizes_spans_and_shares_become_numbers() -> None:
    worker = valid(
        "path: /a\ntype: go\nlimits: {memory_max: 80%, memory_high: 70%, cpu_quota: infinity, tasks_max: infinity}\n"
        "restart: {delay: 1min 30s}"
    )
    assert (worker.limits.memory_max, worker.limits.memory_high) == (Share(permyriad=8000), Share(permyriad=7000))
    assert (worker.limits.cpu_quota, worker.limits.tasks_max, worker.restart.delay) == (INFINITY, INFINITY, 90_000_000)


SANDBOXES = {
    "profile": ("strict", Sandbox(profile=Profile.STRICT, relaxations=())),
    "list": ("[strict, netlink]", Sandbox(profile=Profile.STRICT, relaxations=(Relaxation.NETLINK,))),
    "relaxation": ("[netlink]", Sandbox(profile=Profile.JIT, relaxations=(Relaxation.NETLINK,))),
    "mapping": ("{relax: [proc, home]}", Sandbox(profile=Profile.JIT, relaxations=(Relaxation.PROC, Relaxation.HOME))),
}


@pytest.mark.parametrize(("written", "sandbox"), SANDBOXES.values(), ids=SANDBOXES)
def test_a_sandbox_is_a_profile_and_relaxations(written: str, sandbox: Sandbox) -> None:
    assert valid(f"path: /a\ntype: node\nsandbox: {written}").sandbox == sandbox


def test_a_command_may_be_one_text() -> None:
    assert valid("path: /a\ncommand: bin/api --name 'a b'").command == ("bin/api", "--name", "a b")


def test_relative_paths_are_in_the_workers_folder() -> None:
    worker = valid("path: /a\ntype: go\nenvironment_file: [env, /etc/env]\ncredentials: {t: secret/t}")
    assert worker.environment_file == ("/srv/tqunits/workers/api/env", "/etc/env")
    assert worker.credentials == (("t", "/srv/tqunits/workers/api/secret/t"),)


def test_a_group_follows_the_user() -> None:
    assert valid("path: /a\ntype: go\nuser: www").group == "www"


def test_the_hash_changes_with_the_file_and_with_the_defaults() -> None:
    plain = valid("path: /a\ntype: go").source_hash
    assert plain == valid("path: /a\ntype: go").source_hash
    assert plain != valid("path: /a\ntype: go ").source_hash
    common = valid("path: /a\ntype: go", "defaults: {limits: {tasks_max: 9}}").source_hash
    assert plain != common
    assert common == valid("path: /a\ntype: go", "# other layout\ndefaults:\n  limits:\n    tasks_max: 9").source_hash


def test_the_hash_of_settings_changes_with_what_they_say_alone() -> None:
    text = "mode: development\ndefaults: {limits: {tasks_max: 9}}"
    same = "# Other comments.\ndefaults:\n  limits:\n    tasks_max: 9 # more\nmode: 'development'\n"
    assert server(same).server.settings_hash == server(text).server.settings_hash
    assert server(same).server.source_hash != server(text).server.source_hash
    others = ("", "mode: development", text.replace("9", "8"), text.replace("mode: development", "mode: production"))
    assert server(text).server.settings_hash not in {server(other).server.settings_hash for other in others}


def test_below_a_root_everything_is_relative_to_it() -> None:
    root = PurePosixPath("/home/me/site")
    result = parse_server(None, [], source=root / "config/tqunits.yaml", root=root)
    assert result.server.workers.directory == root / "workers"
    assert result.diagnostics == ()


BUILDS = ["[make, all]", "make all", "{command: [make, all]}", "{command: make all}"]


@pytest.mark.parametrize("written", BUILDS)
def test_a_build_is_a_command_line_or_a_mapping(written: str) -> None:
    build = valid(f"path: /a\ntype: go\nbuild: {written}").build
    assert build == BuildRules(command=("make", "all"), environment=(), disk_max=4 << 30, fetch=None)


def test_a_build_has_variables_and_a_bound_of_its_own() -> None:
    common = "defaults:\n  build: {environment: {GOPRIVATE: example.org, CGO_ENABLED: 1}, disk_max: 8G}"
    worker = valid("path: /a\ntype: go\nbuild:\n  environment:\n    CGO_ENABLED: 0\n  disk_max: 1G", common)
    assert dict(worker.build.environment) == {"GOPRIVATE": "example.org", "CGO_ENABLED": "0"}
    assert worker.build.disk_max == 1 << 30
    assert worker.build.command == ("go", "build", "-o", "bin/api", "./src")


@pytest.mark.parametrize("yaml", ["type: go", "type: go\nbuild: {disk_max: 1G}"])
def test_a_preset_build_loads_before_it_builds(yaml: str) -> None:
    fetch = valid(f"path: /a\n{yaml}").build.fetch
    assert fetch is not None
    assert fetch.command == ("go", "mod", "download")


@pytest.mark.parametrize("yaml", ["type: go\nbuild: [go, build]", "type: exec\ncommand: [bin/a]"])
def test_what_somebody_wrote_is_one_step(yaml: str) -> None:
    assert valid(f"path: /a\n{yaml}").build.fetch is None


@pytest.mark.parametrize("nothing", ["build: []", "build:", "build: {command: []}"])
def test_a_build_may_be_nothing(nothing: str) -> None:
    assert valid(f"path: /a\ntype: go\n{nothing}").build.command == ()
