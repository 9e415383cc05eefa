"""Rules across files, warnings, and how all findings are put together."""

from __future__ import annotations

import pytest

from tqunits.config import ineffective
from tqunits.config.findings import MAX_PER_FILE
from tqunits.config.parse import WorkerText, parse_workers
from tqunits.errors import Diagnostic, Severity

from .parsing import WORKERS, api, errors, server, shown, text, worker_text, workers

ACROSS: dict[str, tuple[dict[str, str], tuple[str, str, str]]] = {
    "port-of-the-router": (
        {"api": "path: /a\ntype: go\nport: 8080"},
        ("api.yaml:3:7", "port: the router listens on 8080", "take another, or none"),
    ),
    "name-of-no-unit": (
        {"Api": "path: /a\ntype: go"},
        ("Api.yaml:1:1", "'Api' is no worker's name", "rename the folder: a-z first, then a-z, 0-9, - and _"),
    ),
    "name-too-long": (
        {"a" * 25: "path: /a\ntype: go"},
        (
            f"{'a' * 25}.yaml:1:1",
            f"'{'a' * 25}' is too long for a worker's name",
            "rename the folder: at most 24 characters",
        ),
    ),
}


@pytest.mark.parametrize(("contents", "expected"), ACROSS.values(), ids=ACROSS)
def test_what_no_worker_may_have_whatever_the_others_are(
    contents: dict[str, str], expected: tuple[str, str, str]
) -> None:
    result = workers(contents)
    assert errors(result.diagnostics) == [expected]
    assert result.configuration is not None
    assert result.configuration.broken == tuple(contents)


def test_the_port_of_the_metrics_is_no_workers() -> None:
    found = workers({"api": "path: /a\ntype: go\nport: 9109"}, "manager: {metrics: '[::1]:9109'}").diagnostics
    assert errors(found) == [("api.yaml:3:7", "port: the manager listens on 9109", "take another, or none")]


def test_a_wrong_worker_is_not_in_the_way_of_a_right_one() -> None:
    result = workers({"api": "path: /a\ntype: go", "blog": "path: /a\ntype: go\nport: x", "web": "- 1"})
    assert result.configuration is not None
    assert [worker.name for worker in result.configuration.workers] == ["api"]
    assert result.configuration.broken == ("blog", "web")
    assert result.configuration.names == {"api", "blog", "web"}


APART = {
    "other-host": {"api": "path: /a\ntype: go\nhost: x.org", "blog": "path: /a\ntype: go\nhost: y.org"},
    "any-host": {"api": "path: /a\ntype: go\nhost: x.org", "blog": "path: /a\ntype: go"},
    "segment-border": {"api": "path: /api\ntype: go", "blog": "path: /apix\ntype: go"},
    "other-mode": {
        "api": "path: /a\ntype: go\nport: 9000\nenabled: development",
        "blog": "path: /a\ntype: go\nport: 9000\nenabled: production",
    },
    "disabled": {"api": "path: /a\ntype: go\nenabled: no", "blog": "path: /a\ntype: go"},
}


@pytest.mark.parametrize("contents", APART.values(), ids=APART)
def test_workers_that_never_meet_may_share(contents: dict[str, str]) -> None:
    result = workers(contents)
    assert errors(result.diagnostics) == []
    assert result.configuration is not None
    assert result.configuration.broken == ()


TAKES = {
    "below another's": (
        {"api": "path: /api\ntype: go", "v2": "type: go\npath: [/v2, /api/v2]"},
        [("v2.yaml:2:13", "path: /api/v2 takes requests from worker 'api'", "that one's route is in api.yaml:1:7")],
    ),
    "far below another's": (
        {"api": "path: /api\ntype: go", "v2": "path: /api/a/b/c\ntype: go"},
        [("v2.yaml:1:7", "path: /api/a/b/c takes requests from worker 'api'", "that one's route is in api.yaml:1:7")],
    ),
    "the same with a host": (
        {"api": "path: /api\ntype: go", "v2": "path: /api\nhost: x.org\ntype: go"},
        [("v2.yaml:1:7", "path: x.org/api takes requests from worker 'api'", "that one's route is in api.yaml:1:7")],
    ),
    "below another's with a host": (
        {"api": "path: /api\ntype: go", "v2": "path: /api/v2\nhost: x.org\ntype: go"},
        [("v2.yaml:1:7", "path: x.org/api/v2 takes requests from worker 'api'", "that one's route is in api.yaml:1:7")],
    ),
    "of the nearest alone": (
        {"a": "path: /a\ntype: go", "b": "path: /a/b\ntype: go", "c": "path: /a/b/c\ntype: go"},
        [
            ("b.yaml:1:7", "path: /a/b takes requests from worker 'a'", "that one's route is in a.yaml:1:7"),
            ("c.yaml:1:7", "path: /a/b/c takes requests from worker 'b'", "that one's route is in b.yaml:1:7"),
        ],
    ),
    "from the root is what routes are for": (
        {"index": "path: /\ntype: go", "v2": "path: /v2\ntype: go"},
        [],
    ),
    "its own": ({"api": "path: [/api, /api/v2]\ntype: go"}, []),
    "on another host": (
        {"api": "path: /api\nhost: y.org\ntype: go", "v2": "path: /api/v2\nhost: x.org\ntype: go"},
        [],
    ),
    "in another mode": (
        {"api": "path: /api\nenabled: development\ntype: go", "v2": "path: /api/v2\nenabled: production\ntype: go"},
        [],
    ),
}


@pytest.mark.parametrize(("contents", "expected"), TAKES.values(), ids=TAKES)
def test_a_route_that_takes_requests_from_another_one_is_a_note(
    contents: dict[str, str], expected: list[tuple[str, str, str | None]]
) -> None:
    result = workers(contents)
    assert shown(result.diagnostics) == expected
    assert {finding.severity for finding in result.diagnostics} <= {Severity.NOTE}


NO_ERRORS: dict[str, tuple[str, Severity, tuple[str, str, str]]] = {
    "not-in-effect-yet": (
        "path: /a\ntype: go\nscaling:\n  max_workers: 1",
        Severity.NOTE,
        (
            "api.yaml:4:3",
            "'scaling.max_workers' is not in effect yet",
            "it is read and checked, and does nothing so far",
        ),
    ),
    "slash-at-the-end": (
        "path: [/a/]\ntype: go",
        Severity.NOTE,
        ("api.yaml:1:8", "path: '/a/' is taken as '/a'", "leave the last slash out"),
    ),
    "port-without-tcp": (
        "path: /a\ntype: go\nlisten: unix\nport: 9000",
        Severity.WARNING,
        ("api.yaml:4:7", "port has no meaning with listen: unix", "remove it"),
    ),
    "go-memory": (
        "path: /a\ntype: go\nlimits: {memory_max: 1G}\nruntime: {go_mem_limit: 2GiB}",
        Severity.WARNING,
        (
            "api.yaml:4:25",
            "runtime.go_mem_limit: 2G is more than limits.memory_max",
            "Go keeps its memory below it, so write less than 1G",
        ),
    ),
    "short-start": (
        "path: /a\ntype: go\ntimeouts: {start: 2s}",
        Severity.WARNING,
        (
            "api.yaml:3:19",
            "timeouts.start: 2s is less than health.timeout, so one slow check fails the start",
            "write more than 5s",
        ),
    ),
    "long-drain": (
        "path: /a\ntype: go\ntimeouts: {drain: 5min}",
        Severity.WARNING,
        (
            "api.yaml:3:19",
            "timeouts.drain: 5min is more than timeouts.stop, so a stop cuts requests off earlier",
            "write 'stop: 5min' too",
        ),
    ),
    "endless-drain": (
        "path: /a\ntype: go\ntimeouts: {drain: 0, stop: 1h}",
        Severity.WARNING,
        (
            "api.yaml:3:19",
            "timeouts.drain: infinity is more than timeouts.stop, so a stop cuts requests off earlier",
            "write 'stop: infinity' too",
        ),
    ),
    "nothing-asked": (
        "path: /a\ntype: go\nhealth: none",
        Severity.WARNING,
        (
            "api.yaml:3:9",
            "health.type: none: requests that come before it listens fail, at each start",
            "type: tcp waits until it listens, and asks nothing else",
        ),
    ),
    "null-of-a-group": (
        "path: /a\ntype: go\nlimits: null",
        Severity.WARNING,
        ("api.yaml:3:9", "limits: null changes nothing: its settings keep their defaults", "leave it out"),
    ),
}


@pytest.mark.parametrize(("yaml", "severity", "expected"), NO_ERRORS.values(), ids=NO_ERRORS)
def test_what_is_odd_is_said_and_stops_nothing(yaml: str, severity: Severity, expected: tuple[str, str, str]) -> None:
    result = api(yaml)
    assert shown(result.diagnostics) == [expected]
    assert [finding.severity for finding in result.diagnostics] == [severity]
    assert result.configuration is not None


def test_a_setting_to_come_is_noted_once_when_it_is_a_default_and_never_when_nobody_wrote_it() -> None:
    common = server("defaults: {scaling: {max_workers: 3}}")
    assert [f.message for f in common.diagnostics] == ["'scaling.max_workers' is not in effect yet"]
    result = parse_workers([worker_text("api", "path: /a\ntype: go"), worker_text("b", "path: /b\ntype: go")], common)
    assert result.diagnostics == ()


def test_install_warns_of_settings_to_come_in_the_files_that_are_meant() -> None:
    common = server("defaults: {scaling: {max_workers: 3}}")
    texts = [worker_text("api", "path: /a\ntype: go\nruntime: {max_age: 1s}"), worker_text("b", "path: /b\ntype: go")]
    configuration = parse_workers(texts, common).configuration
    assert configuration is not None
    of_all, of_b = (ineffective.warnings(configuration, names) for names in ({"api", "b"}, {"b"}))
    assert [finding.message for finding in of_all] == [
        "'runtime.max_age' is not in effect yet",
        "'scaling.max_workers' is not in effect yet",
    ]
    assert of_b == of_all[1:]
    assert {finding.severity for finding in of_all} == {Severity.WARNING}


def test_a_shared_user_is_a_warning() -> None:
    result = workers({"a": "path: /a\ntype: go\nuser: www", "b": "path: /b\ntype: go\nuser: www"})
    hint = "they can read and kill each other: leave user out, or accept that"
    assert shown(result.diagnostics) == [("b.yaml:3:7", "user: www is the user of worker 'a' too", hint)]


NOT_SHARED = {
    "folders to be renamed": {"A1": "path: /a\ntype: go", "B1": "path: /b\ntype: go"},
    "one without a process": {"a": "path: /a\ntype: go\nuser: www", "b": "path: /b\ntype: static\nuser: www"},
    "in modes of their own": {
        "a": "path: /a\ntype: go\nuser: www\nenabled: development",
        "b": "path: /b\ntype: go\nuser: www\nenabled: production",
    },
    "one that is off": {"a": "path: /a\ntype: go\nuser: www", "b": "path: /b\ntype: go\nuser: www\nenabled: no"},
    "another's, which is a mistake": {"a": "path: /a\ntype: go\nuser: worker-b", "b": "path: /b\ntype: go"},
}


@pytest.mark.parametrize("files", NOT_SHARED.values(), ids=NOT_SHARED)
def test_a_user_that_nobody_shares_is_none(files: dict[str, str]) -> None:
    found = workers(files).diagnostics
    assert [f.message for f in found if "is the user of worker" in f.message] == []


def test_a_file_that_others_may_write_is_a_warning() -> None:
    written = text("api.yaml", "path: /a\ntype: go", writable_by_others=True)
    file = WorkerText(name="api", folder=WORKERS, text=written, not_roots=None)
    result = parse_workers([file], server())
    assert [(f.severity, f.hint) for f in result.diagnostics] == [(Severity.WARNING, "chmod go-w api.yaml")]


def test_all_mistakes_of_all_files_come_at_once_by_place() -> None:
    result = workers({"b": "path: b\nport: 1\ntype: go", "a": "nonsense: 1\npath: /a\ntype: go"})
    assert [place for place, _, _ in errors(result.diagnostics)] == ["a.yaml:1:1", "b.yaml:1:7", "b.yaml:2:7"]


def test_the_workers_are_checked_when_the_server_is_wrong() -> None:
    result = workers({"api": "path: api\ntype: go"}, "mode: x")
    assert [place for place, _, _ in errors(result.diagnostics)] == ["api.yaml:1:7"]


def test_an_error_of_the_server_alone_leaves_no_configuration() -> None:
    assert workers({"api": "path: /api\ntype: go"}, "mode: x").configuration is None


def test_the_source_line_comes_with_the_finding() -> None:
    finding: Diagnostic = api("path: /a\ntype: go\nlimits: {memory_mx: 256M}  # too much").diagnostics[0]
    assert finding.source == "limits: {memory_mx: 256M}  # too much"


def test_a_file_full_of_mistakes_does_not_drown_the_reader() -> None:
    result = api("path: /a\ntype: go\n" + "".join(f"key{at}: 1\n" for at in range(5000)))
    assert len(result.diagnostics) == MAX_PER_FILE


@pytest.mark.parametrize(
    "yaml",
    ["type: go", "type: static", "type: static\nstatic: {directory: /srv/www, prefix: /x}", "type: go\nstatic: {}"],
)
def test_a_right_worker_gives_no_finding(yaml: str) -> None:
    result = api(f"path: /a\n{yaml}")
    assert (result.diagnostics, result.configuration is None) == ((), False)
