"""Files written for TQServer are understood, and each of its spellings is reported."""

from __future__ import annotations

import pytest

from tqunits.errors import Severity
from tqunits.health import HealthType
from tqunits.model import Scaling, Worker
from tqunits.units.environment import runtime_variables

from .parsing import QUIET, SANDBOXED, api, errors, server, shown, valid

WORKER = """\
path: /api
type: bun
name: api
log_file: null
runtime: {go_mem_limit: 128MiB, go_max_procs: 2, max_requests: 0}
timeouts:
  read_timeout_seconds: 20
  write_timeout_seconds: 21
  idle_timeout_seconds: 22
bun: {entrypoint: server.ts, env: {NODE_ENV: production}}
scaling: {min_workers: 1, max_workers: 5, queue_threshold: 10, scale_down_delay: 60}
resources: {max_memory: 256M, max_cpu: 2, max_open_files: 4096}
health_check: {path: /up, interval: 7s, timeout: 3}
restart_policy: {policy: on-failure, max_retries: 9}
logging: {log_file: logs/x.log, level: info}
"""


@pytest.fixture(scope="module")
def translated() -> Worker:
    return valid(WORKER)


def test_its_spellings_become_ours(translated: Worker) -> None:
    assert translated.command == ("bun", "run", "server.ts")
    assert translated.environment == (("NODE_ENV", "production"),)
    assert translated.runtime.go_mem_limit == 128 * 1024**2
    timeouts = translated.timeouts
    assert (timeouts.read, timeouts.write, timeouts.idle) == (20_000_000, 21_000_000, 22_000_000)
    assert translated.scaling == Scaling(
        min_workers=1, max_workers=5, target_inflight=10, scale_down_delay=60_000_000, idle_stop=0
    )
    limits = translated.limits
    assert (limits.memory_max, limits.cpu_quota, limits.limit_nofile.hard) == (256 * 1024**2, 2_000_000, 4096)
    assert (translated.health.path, translated.health.interval, translated.health.timeout) == (
        "/up",
        7_000_000,
        3_000_000,
    )
    assert (translated.restart.policy, translated.restart.max_restarts) == ("on-failure", 9)


def test_each_is_a_note() -> None:
    findings = api(WORKER).diagnostics
    assert {finding.severity for finding in findings} == {Severity.NOTE}
    notes = {(place, message) for place, message, _ in shown(findings)}
    assert ("api.yaml:7:3", "'timeouts.read_timeout_seconds' is TQServer's spelling of 'timeouts.read'") in notes
    assert ("api.yaml:3:1", "'name' is TQServer's and has no effect: a worker is named as its folder") in notes
    journal = "the journal takes the worker's output and rotates it: 'tqunits logs NAME'"
    assert ("api.yaml:4:1", f"'log_file' is TQServer's and has no effect: {journal}") in notes
    assert ("api.yaml:15:1", f"'logging' is TQServer's and has no effect: {journal}") in notes


def test_its_switch_of_the_health_check_is_understood() -> None:
    assert valid("path: /a\ntype: go\nhealth_check: {enabled: false}\nlisten: fd").health.type is HealthType.NONE
    assert valid("path: /a\ntype: go\nhealth_check: {enabled: true, path: /up}").health.type is HealthType.HTTP


def test_go_and_php_blocks_are_understood() -> None:
    go = valid('path: /a\ntype: go\ngo: {go_max_procs: 4, go_mem_limit: "", read_timeout_seconds: 5}')
    assert (go.runtime.go_max_procs, go.runtime.go_mem_limit, go.timeouts.read) == (4, None, 5_000_000)
    php = valid("path: /b\ntype: php\nphp: {binary: php-fpm, settings: {a: b}, pool: {max_workers: 3, mode: dynamic}}")
    assert php.scaling.max_workers == 3


NOT_SET = {
    "nothing in quotes": 'runtime: {go_mem_limit: "", go_max_procs: 2}',
    "in its own block": 'go: {go_mem_limit: "", go_max_procs: 2}',
    "no processors": "runtime: {go_max_procs: 0}",
    "none in its own block": "go: {go_max_procs: 0, go_mem_limit: null}",
}


@pytest.mark.parametrize("yaml", NOT_SET.values(), ids=NOT_SET)
def test_what_is_nothing_to_it_is_not_set(yaml: str) -> None:
    text = f"path: /a\ntype: go\n{yaml}"
    assert errors(api(text).diagnostics) == []
    assert not {"GOMEMLIMIT", *(() if "2" in yaml else ("GOMAXPROCS",))} & set(runtime_variables(valid(text)))


PHP = """\
path: /blog
type: php
enabled: true
php:
  settings: {max_execution_time: "30", error_reporting: E_ALL & ~E_NOTICE, error_log: "a;b $x", open_basedir: }
  pool: {manager: dynamic, min_workers: 2, max_workers: 10, start_workers: 3, max_requests: 1000, request_timeout: 30}
document_root: ./web
logging: {level: info, access_log: true, slow_log: {enabled: true, threshold: 1s}}
""".replace("open_basedir: }", "open_basedir: ''}")


def test_the_settings_of_php_take_effect() -> None:
    assert errors(api(PHP).diagnostics) == []
    options = ("max_execution_time=30", "error_reporting=E_ALL & ~E_NOTICE", "error_log='a;b $$x'", "open_basedir=")
    told = tuple(word for option in options for word in ("-d", option))
    assert valid(PHP).command == ("php", *SANDBOXED, *QUIET, *told, "-S", "127.0.0.1:${WORKER_PORT}", "-t", "./web")


def test_its_document_root_is_told_as_its_spelling() -> None:
    assert ("api.yaml:7:1", "'document_root' is TQServer's spelling of 'php.document_root'", None) in shown(
        api(PHP).diagnostics
    )


PHP_MISTAKES = {
    "name": ("{'a b': 1}", "3:18", "'a b' is no name of a PHP setting", None),
    "line": ('{a: "x\\ny"}', "3:21", "'x\ny' has the control character 0x0a in it", "remove it"),
    "quote": (
        '{a: "it\'s;"}',
        "3:21",
        "'it's;' has a ' in it, which no quotes of php.ini take",
        "put it in a php.ini: php -c FILE",
    ),
}


@pytest.mark.parametrize(("settings", "place", "message", "hint"), PHP_MISTAKES.values(), ids=PHP_MISTAKES)
def test_what_php_would_read_otherwise_is_refused(settings: str, place: str, message: str, hint: str | None) -> None:
    found = errors(api(f"path: /a\ntype: php\nphp: {{settings: {settings}}}").diagnostics)
    assert found == [(f"api.yaml:{place}", f"php.settings: {message}", hint)]


@pytest.mark.parametrize(
    ("type_", "hint"),
    [("php", "write it in the command: -d memory_limit=1G"), ("python", "remove it, or set type: php")],
)
def test_settings_that_reach_no_command_are_a_warning(type_: str, hint: str) -> None:
    found = api(f"path: /a\ntype: {type_}\ncommand: [php, x.php]\nphp: {{settings: {{memory_limit: 1G}}}}").diagnostics
    message = "php.settings has no effect: it is for the command that type php presets"
    assert [(f.severity, f.message, f.hint) for f in found] == [(Severity.WARNING, message, hint)]


def test_both_spellings_at_once_are_an_error() -> None:
    found = errors(api("path: /a\ntype: go\ntimeouts: {read: 1s, read_timeout_seconds: 2}").diagnostics)
    assert found == [("api.yaml:3:22", "'timeouts.read' is set twice in this file", "also on line 3: keep one of them")]


def test_an_unknown_key_in_its_blocks_is_an_error() -> None:
    found = errors(api("path: /a\ntype: go\ngo: {go_mem: 1}").diagnostics)
    assert [(place, message) for place, message, _ in found] == [("api.yaml:3:6", "unknown key 'go_mem'")]


SERVER = """\
server: {port: 8081, read_timeout_seconds: 30, idle_timeout_seconds: 100, log_file: x.log}
workers:
  directory: /srv/w
  port_range_start: 10000
  port_range_end: 19999
  shutdown_grace_period_ms: 500
file_watcher: {debounce_ms: 20}
"""


def test_its_server_file_becomes_ours() -> None:
    result = server(SERVER)
    assert errors(result.diagnostics) == []
    settings = result.server
    assert settings.listen == ("0.0.0.0:8081", "[::]:8081")
    assert (str(settings.workers.directory), settings.workers.port_range) == ("/srv/w", (10000, 19999))
    assert settings.timeouts.idle == 100_000_000
    worker = valid("path: /a\ntype: go", SERVER)
    assert (worker.timeouts.read, worker.timeouts.stop, worker.watch.debounce) == (30_000_000, 500_000, 20_000)


@pytest.mark.parametrize(
    ("written", "listen"),
    [
        ("{host: 127.0.0.1, port: 80}", ("127.0.0.1:80",)),
        ("{host: 127.0.0.1}", ("127.0.0.1:8080",)),
        ('{host: "", port: 80}', ("0.0.0.0:80", "[::]:80")),
    ],
    ids=["both", "host", "any-host"],
)
def test_host_and_port_become_addresses(written: str, listen: tuple[str, ...]) -> None:
    assert server(f"server: {written}").server.listen == listen
