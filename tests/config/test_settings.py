"""The table of settings and everything generated from it: reference, example files, starting
files."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tqunits.config import reference
from tqunits.config.layers import server_defaults, worker_defaults
from tqunits.config.setting import File, Setting
from tqunits.config.settings import GROUPS, SERVER, SETTINGS, WORKER
from tqunits.config.start_files import starting_files
from tqunits.errors import Severity
from tqunits.model import WorkerType

from .parsing import server, shown, valid, workers

CONFIG = Path(__file__).parents[2] / "config"

DESIGNED = {
    File.WORKER: """path host strip_prefix type enabled command user group environment environment_file
        credentials build.command build.environment build.disk_max release.command listen port
        runtime.go_mem_limit runtime.go_max_procs runtime.max_requests runtime.max_age
        limits.memory_max limits.memory_high limits.cpu_quota limits.cpu_weight limits.tasks_max limits.limit_nofile
        limits.limit_nproc limits.io_weight health.type health.status health.host health.command
        health.path health.interval health.timeout health.failure_threshold
        health.success_threshold health.start_period restart.policy restart.delay restart.max_restarts restart.period
        restart.backoff_max kill_mode stop_signal reload watchdog
        scaling.min_workers scaling.max_workers scaling.target_inflight scaling.scale_down_delay
        scaling.idle_stop timeouts.start timeouts.stop timeouts.drain timeouts.request timeouts.read timeouts.write
        timeouts.idle timeouts.stream proxy.on_client_gone proxy.max_response_head proxy.max_response_fields
        proxy.max_body proxy.max_inflight proxy.queue_timeout proxy.retry proxy.buffer_requests
        watch.enabled watch.paths watch.ignore watch.live watch.debounce watch.max_wait
        sandbox depends.after depends.requires static.directory static.prefix unit""",
    File.SERVER: """mode listen workers.directory workers.port_range proxy.processes proxy.trusted_proxies
        proxy.access_log proxy.max_connections proxy.max_connections_per_client proxy.max_request_line
        proxy.max_head proxy.max_fields timeouts.head timeouts.idle timeouts.drain tls.certificate tls.key
        tls.redirect tls.hsts manager.metrics manager.max_parallel_rolls manager.keep_releases
        watch.enabled watch.new""",
}


def uncommented(example: str) -> str:
    """The example with every setting set."""
    return re.sub(r"(?m)^#(?! \S|$)", "", example)


@pytest.mark.parametrize("file", File)
def test_every_designed_setting_is_in_the_table(file: File) -> None:
    table = WORKER if file is File.WORKER else SERVER
    assert set(DESIGNED[file].split()) - table.keys() == set()


def test_keys_are_unique_and_groups_are_explained() -> None:
    assert len({(setting.file, setting.key) for setting in SETTINGS}) == len(SETTINGS)
    assert {setting.group for setting in SETTINGS if setting.group} == GROUPS.keys()


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda s: f"{s.file}-{s.key}")
def test_every_row_is_complete(setting: Setting[object]) -> None:
    assert setting.doc.endswith(".")
    assert setting.takes
    assert setting.default is not None or setting.key == "path"


@pytest.mark.parametrize("worker_type", WorkerType)
def test_every_default_and_preset_is_read_by_its_own_parser(worker_type: WorkerType) -> None:
    assert worker_defaults(worker_type, "api").keys() == WORKER.keys()
    assert server_defaults().keys() == SERVER.keys()


@pytest.mark.parametrize("file", File)
def test_the_example_file_is_what_the_table_gives(file: File) -> None:
    path = CONFIG / file
    if os.environ.get("TQUNITS_UPDATE_GOLDEN"):
        path.write_text(reference.example(file), encoding="utf-8")
    assert path.read_text(encoding="utf-8") == reference.example(file), "run again with TQUNITS_UPDATE_GOLDEN=1"


def test_the_example_server_file_means_the_defaults() -> None:
    example = reference.example(File.SERVER)
    assert server(example).diagnostics == ()
    assert server(example).server == server().server == server(uncommented(example)).server


def test_the_example_worker_file_means_the_defaults() -> None:
    example = reference.example(File.WORKER)
    right = workers({"example": example})
    assert right.diagnostics == ()
    full = workers({"example": uncommented(example)})
    assert {finding.severity for finding in full.diagnostics} == {Severity.NOTE}, shown(full.diagnostics)
    written = {finding.message.split("'")[1] for finding in full.diagnostics}
    assert written == {key for key, setting in WORKER.items() if not setting.in_effect}


@pytest.mark.parametrize("worker_type", WorkerType)
def test_what_init_writes_is_right(worker_type: WorkerType) -> None:
    files = starting_files("api", worker_type)
    assert valid(files["config/worker.yaml"]).type is worker_type
    assert max(len(line) for line in files["config/worker.yaml"].splitlines()) <= 120


@pytest.mark.parametrize("worker_type", WorkerType)
def test_what_init_offers_is_right_and_has_the_defaults(worker_type: WorkerType) -> None:
    yaml = starting_files("api", worker_type)["config/worker.yaml"]
    written, offered = valid(yaml), valid(uncommented(yaml))
    assert (offered.limits, offered.health) == (written.limits, written.health)
    assert (offered.environment == written.environment) is (worker_type in (WorkerType.PHP, WorkerType.STATIC))


def test_the_reference_tells_each_setting_once() -> None:
    text = reference.text(SETTINGS)
    for setting in SETTINGS:
        assert f"\n{setting.key}: {setting.takes}\n" in text
    noted = re.sub(r"\s+", " ", text).count("Not in effect yet.")
    assert noted == sum(1 for setting in SETTINGS if not setting.in_effect)
    assert all(len(line) <= 100 for line in text.splitlines() if line.startswith(" "))


def test_the_reference_tells_what_programs_preset() -> None:
    found = re.sub(r"\s+", " ", reference.text([WORKER["sandbox"]]))
    assert "java: jit; a command of node, nodejs, npm, npx, yarn, pnpm, bun, bunx, deno, java, dotnet: jit;" in found
    assert "a command of" not in reference.text([WORKER["command"]])


@pytest.mark.parametrize(
    ("key", "keys"),
    [
        ("limits.memory_max", {"limits.memory_max"}),
        ("tls", {"tls.certificate", "tls.key", "tls.redirect", "tls.hsts"}),
        ("listen", {"listen"}),
        ("worker.yaml", set(WORKER)),
        ("defaults.limits.memory_max", {"limits.memory_max"}),
        ("nothing", set()),
    ],
)
def test_docs_select_a_setting_a_group_or_a_file(key: str, keys: set[str]) -> None:
    assert {setting.key for setting in reference.select(key)} == keys


@pytest.mark.parametrize(
    ("key", "hint"),
    [("memory_max", "did you mean 'limits.memory_max'?"), ("limit", "did you mean 'limits'?"), ("xyzzy", None)],
)
def test_docs_know_what_was_meant(key: str, hint: str | None) -> None:
    assert reference.nearest(key) == hint
