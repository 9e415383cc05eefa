"""Every kind of mistake in worker.yaml: the exact place, message and hint."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest

from tqunits.config.parse import WorkerText, parse_workers

from .mistakes_of_folders import OF_FOLDERS
from .mistakes_of_running import OF_RUNNING
from .mistakes_of_watching import OF_WATCHING
from .parsing import Mistake, api, errors, server, text

OF_FILES: dict[str, Mistake] = {
    "unknown-key": Mistake(
        "path: /a\ntype: go\nlimits: {memory_mx: 256M}", 3, 10, "unknown key 'memory_mx'", "did you mean 'memory_max'?"
    ),
    "unknown-key-of-a-group": Mistake(
        "path: /a\ntype: go\nmemory_max: 1G", 3, 1, "unknown key 'memory_max'", "did you mean 'limits.memory_max'?"
    ),
    "unknown-key-far-off": Mistake(
        "path: /a\ntype: go\nfrobnicate: 1", 3, 1, "unknown key 'frobnicate'", "'tqunits docs' lists all settings"
    ),
    "key-twice": Mistake("path: /a\ntype: go\npath: /b", 3, 1, "'path' is written twice", "first on line 1"),
    "path-missing": Mistake("type: go", 1, 1, "path is missing", "write the route, such as path: /api"),
    "path-empty": Mistake("path:\ntype: go", 1, 6, "path: is empty", "write at least one"),
    "path-relative": Mistake("path: api\ntype: go", 1, 7, "path: 'api' does not begin with /", "write /api"),
    "path-dots": Mistake("path: /a/../b\ntype: go", 1, 7, "path: '/a/../b' has empty or dot segments", "write /a/b"),
    "path-query": Mistake(
        "path: '/a?b'\ntype: go",
        1,
        7,
        "path: '/a?b' has characters in it that no route has",
        "letters, digits and ._~!$&'()+,;=:@- between slashes; no query, no #, no spaces",
    ),
    "path-wildcard": Mistake(
        "path: /a/*\ntype: go",
        1,
        7,
        "path: '/a/*' has characters in it that no route has",
        "no wildcards: a prefix takes everything below it",
    ),
    "path-space": Mistake(
        "path: /a b\ntype: go",
        1,
        7,
        "path: '/a b' has characters in it that no route has",
        "letters, digits and ._~!$&'()+,;=:@- between slashes; no query, no #, no spaces",
    ),
    "path-in-list-twice": Mistake("path: [/a, /b, /a/]\ntype: go", 1, 16, "path: '/a' is in the list twice", None),
    "host-wildcard": Mistake(
        "path: /a\ntype: go\nhost: '*.example.org'",
        3,
        7,
        "host: '*.example.org' is a wildcard",
        "list each name: host: [a.example.org, b.example.org]",
    ),
    "host-upper-case": Mistake(
        "path: /a\ntype: go\nhost: [a.org, WWW.Example.org]",
        3,
        15,
        "host: 'WWW.Example.org' is no host name",
        "write www.example.org",
    ),
    "host-with-port": Mistake(
        "path: /a\ntype: go\nhost: example.org:80",
        3,
        7,
        "host: 'example.org:80' has a port or scheme in it",
        "write example.org",
    ),
    "type-misspelled": Mistake(
        "path: /a\ntype: pyhton",
        2,
        7,
        "type: 'pyhton' is not one of go, python, node, bun, deno, java, ruby, php, static, exec",
        "did you mean 'python'?",
    ),
    "command-missing": Mistake(
        "path: /a\ntype: exec",
        1,
        1,
        "command is missing",
        "write the command, or a type that presets one: go, python, node, bun, deno, java, ruby, php",
    ),
    "user-root": Mistake(
        "path: /a\ntype: go\nuser: root",
        3,
        7,
        "user: a worker never runs as root",
        "leave it out: the worker gets a user of its own",
    ),
    "user-of-the-manager": Mistake(
        "path: /a\ntype: go\nuser: tqunits",
        3,
        7,
        "user: a worker never runs as tqunits",
        "leave it out: the worker gets a user of its own",
    ),
    "user-of-the-router": Mistake(
        "path: /a\ntype: go\nuser: tq-proxy",
        3,
        7,
        "user: a worker never runs as tq-proxy",
        "leave it out: the worker gets a user of its own",
    ),
    "user-zero": Mistake(
        "path: /a\ntype: go\nuser: '00'",
        3,
        7,
        "user: a worker never runs as 00",
        "leave it out: the worker gets a user of its own",
    ),
    "user-of-another-worker": Mistake(
        "path: /a\ntype: go\nuser: worker-web",
        3,
        7,
        "user: worker-web is the account of another worker",
        "leave it out: this one's own is worker-api",
    ),
    "user-nearly-its-own": Mistake(
        "path: /a\ntype: go\nuser: worker-api2",
        3,
        7,
        "user: worker-api2 is the account of another worker",
        "leave it out: this one's own is worker-api",
    ),
    "group-of-another-worker": Mistake(
        "path: /a\ntype: go\nlisten: unix\ngroup: worker-web",
        4,
        8,
        "group: worker-web is the account of another worker",
        "leave it out: this one's own is worker-api",
    ),
    "group-of-the-router": Mistake(
        "path: /a\ntype: go\ngroup: tq-proxy",
        3,
        8,
        "group: the group tq-proxy is tqunits' own",
        "leave it out: the worker gets a group of its own",
    ),
    "group-of-the-manager": Mistake(
        "path: /a\ntype: go\ngroup: tqunits",
        3,
        8,
        "group: the group tqunits is tqunits' own",
        "leave it out: the worker gets a group of its own",
    ),
    "group-root": Mistake(
        "path: /a\ntype: go\ngroup: root",
        3,
        8,
        "group: the group root is as good as root",
        "leave it out: the worker gets a group of its own",
    ),
    "group-number": Mistake(
        "path: /a\ntype: go\ngroup: 65534", 3, 8, "group: '65534' is a number", "write the name of the group"
    ),
    "user-hexadecimal": Mistake(
        "path: /a\ntype: go\nuser: 0x0",
        3,
        7,
        "user: '0x0' is no name of a user",
        "at most 31 of a-z, 0-9, - and _, no digit or - first",
    ),
    "user-number": Mistake(
        "path: /a\ntype: go\nuser: 1000", 3, 7, "user: '1000' is a number", "write the name of the user"
    ),
    "group-docker": Mistake(
        "path: /a\ntype: go\ngroup: docker",
        3,
        8,
        "group: the group docker is as good as root",
        "leave it out: the worker gets a group of its own",
    ),
    "variable-reserved": Mistake(
        "path: /a\ntype: go\nenvironment:\n  WORKER_PORT: 80",
        4,
        3,
        "environment: WORKER_PORT is set by tqunits or systemd",
        "set 'port' instead",
    ),
    "variable-name": Mistake(
        "path: /a\ntype: go\nenvironment: {2x: a}",
        3,
        15,
        "environment: '2x' is no name of a variable",
        "letters, digits and _, no digit first",
    ),
    "variable-list": Mistake(
        "path: /a\ntype: go\nenvironment: {A: [x]}", 3, 18, "environment: takes one value, not a list", None
    ),
    "environment-list": Mistake(
        "path: /a\ntype: go\nenvironment: [A=b]",
        3,
        14,
        "environment: takes a mapping of names to values",
        "write {name: value}, or one 'name: value' per line below it",
    ),
    "port-privileged": Mistake(
        "path: /a\ntype: go\nport: 80",
        3,
        7,
        "port: port 80 needs privilege, which no worker has",
        "take one from 1024 to 65535",
    ),
    "port-out-of-range": Mistake(
        "path: /a\ntype: go\nport: 70000",
        3,
        7,
        "port: 70000 is not within 1 and 65535",
        "take one from 1024 to 65535",
    ),
    "boolean": Mistake(
        "path: /a\ntype: go\nstrip_prefix: maybe", 3, 15, "strip_prefix: 'maybe' is neither true nor false", None
    ),
    "group-is-no-mapping": Mistake(
        "path: /a\ntype: go\nlimits: 5",
        3,
        9,
        "limits: holds settings, one 'key: value' per line",
        "such as {memory_max: 512M}",
    ),
    "value-is-a-mapping": Mistake(
        "path: {a: b}\ntype: go", 1, 7, "path: takes a list, not a mapping", "write [one, two]"
    ),
    "value-is-a-list": Mistake("path: /a\ntype: [go]", 2, 7, "type: takes one value, not a list", None),
    "depends-suffix": Mistake(
        "path: /a\ntype: go\ndepends: {after: [postgresql]}",
        3,
        19,
        "depends.after: there is no worker 'postgresql'",
        "for a unit of this host write postgresql.service",
    ),
    "depends-on-poweroff": Mistake(
        "path: /a\ntype: go\ndepends: {requires: poweroff.target}",
        3,
        21,
        "depends.requires: starting poweroff.target would end the host's work",
        "remove it",
    ),
    "depends-on-itself": Mistake(
        "path: /a\ntype: go\ndepends: {requires: tq-worker@api.service}",
        3,
        21,
        "depends.requires: a worker can not depend on itself",
        "remove it",
    ),
    "sandbox": Mistake(
        "path: /a\ntype: go\nsandbox: none",
        3,
        10,
        "sandbox: 'none' is neither a profile nor a relaxation",
        "see 'tqunits docs sandbox'",
    ),
    "sandbox-two-profiles": Mistake(
        "path: /a\ntype: go\nsandbox: [strict, legacy]",
        3,
        10,
        "sandbox: strict and legacy are both profiles",
        "write one, and relaxations",
    ),
    "build-user": Mistake(
        "path: /a\ntype: go\nuser: build-web",
        3,
        7,
        "user: a worker never runs as build-web",
        "leave it out: the worker gets a user of its own",
    ),
    "build-group": Mistake(
        "path: /a\ntype: go\ngroup: build-web",
        3,
        8,
        "group: the group build-web is tqunits' own",
        "leave it out: the worker gets a group of its own",
    ),
    "unit-privilege": Mistake(
        "path: /a\ntype: go\nunit: {Service: {User: root}}",
        3,
        18,
        "unit: 'User' is not passed through",
        "use the setting 'user'",
    ),
    "unit-exec": Mistake(
        "path: /a\ntype: go\nunit:\n  Service:\n    ExecStartPre: +/bin/sh",
        5,
        5,
        "unit: 'ExecStartPre' is not passed through",
        "use the setting 'build.command'",
    ),
    "unit-section": Mistake(
        "path: /a\ntype: go\nunit: {Install: {WantedBy: x}}",
        3,
        8,
        "unit: 'Install' is no section to pass through",
        "only Unit and Service can be passed through",
    ),
    "unit-wrong-section": Mistake(
        "path: /a\ntype: go\nunit: {Unit: {Nice: 5}}",
        3,
        15,
        "unit: 'Nice' is not passed through",
        "it belongs under Service:",
    ),
    "unit-capability": Mistake(
        "path: /a\ntype: go\nunit: {Service: {CapabilityBoundingSet: CAP_NET_ADMIN}}",
        3,
        18,
        "unit: 'CapabilityBoundingSet' is not passed through",
        "what is harmless is listed by 'tqunits docs unit'; for the rest there is systemctl edit",
    ),
    "merge-key": Mistake(
        "base: &b {path: /a}\n<<: *b",
        2,
        1,
        "merge keys (<<) are not read",
        "repeat the keys, or put them in defaults: of tqunits.yaml",
    ),
    "tag": Mistake(
        "path: !!python/object:os.system /a",
        1,
        7,
        "the tag tag:yaml.org,2002:python/object:os.system has no meaning here",
        "write the value without it",
    ),
    "second-document": Mistake(
        "path: /a\ntype: go\n---\npath: /b", 3, 1, "a second document begins here", "one file holds one document"
    ),
    "tab": Mistake("path: /a\nlimits:\n\tmemory_max: 1G", 3, 1, "a tab can not indent YAML", "use spaces"),
    "colon-in-text": Mistake(
        "path: /a\ncommand: bin/api --x: y",
        2,
        21,
        "not valid YAML: mapping values are not allowed in this context",
        "put a text that has ': ' in it in quotes",
    ),
    "bracket-open": Mistake(
        "path: [/a\ntype: go",
        2,
        5,
        "not valid YAML: did not find expected ',' or ']'",
        "a bracket is not closed, or a comma is missing",
    ),
    "no-mapping": Mistake("- path: /a", 1, 1, "the file holds settings, one 'key: value' per line", None),
}

TABLES = (OF_FILES, OF_RUNNING, OF_FOLDERS, OF_WATCHING)
IN_WORKER = {key: mistake for table in TABLES for key, mistake in table.items()}


def test_no_mistake_hides_another() -> None:
    assert len(IN_WORKER) == sum(map(len, TABLES))


@pytest.mark.parametrize("mistake", IN_WORKER.values(), ids=IN_WORKER)
def test_a_mistake_in_worker_yaml_is_said_with_its_place_and_a_hint(mistake: Mistake) -> None:
    result = api(mistake.yaml)
    place = f"api.yaml:{mistake.line}:{mistake.column}"
    assert errors(result.diagnostics) == [(place, mistake.message, mistake.hint)]
    assert result.configuration is not None
    assert (result.configuration.workers, result.configuration.broken) == ((), ("api",))


SERVED = {
    "of a worker without a program": ("path: /a\ntype: static", ["api.yaml:1:1"]),
    "beside a program": ("path: /a\ntype: go\nstatic: {prefix: /x}", ["api.yaml:1:1"]),
    "not served": ("path: /a\ntype: go", []),
    "elsewhere": ("path: /a\ntype: static\nstatic: {directory: /srv/x}", []),
}


@pytest.mark.parametrize(("yaml", "places"), SERVED.values(), ids=SERVED)
def test_files_of_a_worker_whose_own_folder_is_below_run(yaml: str, places: list[str]) -> None:
    one = WorkerText(
        name="api", folder=PurePosixPath("/run/site/workers/api"), text=text("api.yaml", yaml), not_roots=None
    )
    found = errors(parse_workers([one], server()).diagnostics)
    assert [place for place, message, _ in found if "nothing below /run is served" in message] == places
