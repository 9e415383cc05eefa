"""How the program of a command is recognised, which presets it gives if no type is set, and what
overrides them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tqunits.config.parse import parse_workers
from tqunits.config.presets import BY_PROGRAM
from tqunits.config.programs import Program, program, runtime
from tqunits.model import OriginKind, Profile, Relaxation, WorkerType

from .parsing import QUIET, SANDBOXED, api, server, shown, valid, worker_text

PROGRAMS: dict[tuple[str, ...], tuple[Program | None, WorkerType]] = {
    (): (None, WorkerType.EXEC),
    ("node", "app.js"): (Program(0, "node"), WorkerType.NODE),
    ("/usr/bin/nodejs", "app.js"): (Program(0, "nodejs"), WorkerType.NODE),
    ("/opt/node/bin/node", "app.js"): (Program(0, "node"), WorkerType.NODE),
    ("/opt/node-v20/bin/npm", "start"): (Program(0, "npm"), WorkerType.NODE),
    ("node_modules/.bin/next", "start"): (Program(0, "node"), WorkerType.NODE),
    ("/srv/site/node_modules/.bin/serve2",): (Program(0, "node"), WorkerType.NODE),
    ("bunx", "serve"): (Program(0, "bunx"), WorkerType.BUN),
    ("/usr/lib/jvm/java-17-openjdk-amd64/bin/java", "-jar", "a.jar"): (Program(0, "java"), WorkerType.JAVA),
    ("dotnet", "a.dll"): (Program(0, "dotnet"), WorkerType.EXEC),
    ("venv/bin/gunicorn", "app:app"): (Program(0, "gunicorn"), WorkerType.PYTHON),
    (".venv/bin/python3.11", "-m", "app"): (Program(0, "python"), WorkerType.PYTHON),
    ("python3.13", "app.py"): (Program(0, "python"), WorkerType.PYTHON),
    ("waitress-serve", "app:app"): (Program(0, "waitress-serve"), WorkerType.PYTHON),
    ("php8.2", "artisan", "serve"): (Program(0, "php"), WorkerType.PHP),
    ("php82", "-S", "127.0.0.1:1"): (Program(0, "php"), WorkerType.PHP),
    ("bin/rails", "server"): (Program(0, "rails"), WorkerType.RUBY),
    ("bundle", "exec", "puma"): (Program(0, "bundle"), WorkerType.RUBY),
    ("env", "A=b", "node", "app.js"): (Program(2, "node"), WorkerType.NODE),
    ("/usr/bin/env", "-i", "-u", "HOME", "A=node", "--", "/usr/bin/deno", "run"): (Program(6, "deno"), WorkerType.DENO),
    ("env", "-C", "app", "--unset=node", "php", "a=b"): (Program(4, "php"), WorkerType.PHP),
    ("env", "-S", "node app.js"): (None, WorkerType.EXEC),
    ("env", "A=b"): (None, WorkerType.EXEC),
    ("env", "-u"): (None, WorkerType.EXEC),
    ("bin/node-exporter",): (Program(0, "node-exporter"), WorkerType.EXEC),
    ("bin/node_exporter",): (None, WorkerType.EXEC),
    ("bin/java.sh",): (None, WorkerType.EXEC),
    ("node.js/server",): (Program(0, "server"), WorkerType.EXEC),
    ("php-fpm8.2", "-F"): (Program(0, "php-fpm"), WorkerType.EXEC),
    ("php8.2-fpm",): (None, WorkerType.EXEC),
    ("python3-config",): (None, WorkerType.EXEC),
    ("bin/javac",): (Program(0, "javac"), WorkerType.EXEC),
    ("sh", "-c", "exec node app.js"): (Program(0, "sh"), WorkerType.EXEC),
    ("bin/serve", "node"): (Program(0, "serve"), WorkerType.EXEC),
}


@pytest.mark.parametrize("command", PROGRAMS, ids=" ".join)
def test_a_program_is_known_by_the_whole_of_its_name(command: tuple[str, ...]) -> None:
    assert (program(command), runtime(command)) == PROGRAMS[command]


def test_every_program_that_presets_something_has_a_name_that_is_found() -> None:
    found = [program([name]) for name in BY_PROGRAM]
    assert [each.name for each in found if each is not None] == [*BY_PROGRAM]


PROFILES: dict[str, tuple[str, str, Profile, tuple[OriginKind, str]]] = {
    "its program": ("command: [npm, start]", "", Profile.JIT, (OriginKind.PRESET, "npm")),
    "exec is the default": ("type: exec\ncommand: [node, a.js]", "", Profile.JIT, (OriginKind.PRESET, "node")),
    "behind env": ("command: env A=b java -jar a.jar", "", Profile.JIT, (OriginKind.PRESET, "java")),
    "of the defaults": ("", "defaults: {command: [bun, a.ts]}", Profile.JIT, (OriginKind.PRESET, "bun")),
    "no such program": ("command: [bin/node-exporter]", "", Profile.STANDARD, (OriginKind.DEFAULT, "")),
    "another language's": ("command: [python3, a.py]", "", Profile.STANDARD, (OriginKind.DEFAULT, "")),
    "a type": ("type: python\ncommand: [node, a.js]", "", Profile.STANDARD, (OriginKind.DEFAULT, "")),
    "a type of the defaults": (
        "command: [node, a.js]",
        "defaults: {type: go}",
        Profile.STANDARD,
        (OriginKind.DEFAULT, ""),
    ),
    "a type with a preset": ("type: java\ncommand: [node, a.js]", "", Profile.JIT, (OriginKind.PRESET, "java")),
    "written": ("command: [node, a.js]\nsandbox: strict", "", Profile.STRICT, (OriginKind.WORKER, "")),
    "written for all": (
        "command: [node, a.js]",
        "defaults: {sandbox: strict}",
        Profile.STRICT,
        (OriginKind.SERVER, ""),
    ),
    "relaxed alone": ("command: [node, a.js]\nsandbox: [proc]", "", Profile.JIT, (OriginKind.WORKER, "")),
}


@pytest.mark.parametrize(("yaml", "common", "profile", "origin"), PROFILES.values(), ids=PROFILES)
def test_who_decides_the_profile(yaml: str, common: str, profile: Profile, origin: tuple[OriginKind, str]) -> None:
    worker = valid(f"path: /a\n{yaml}", common)
    found = worker.origins["sandbox"]
    assert (worker.sandbox.profile, (found.kind, found.preset)) == (profile, origin)


LANGUAGES = {
    "": WorkerType.EXEC,
    "type: go\ncommand: [node, a.js]": WorkerType.GO,
    "type: python\ncommand: [bin/start]": WorkerType.PYTHON,
    "command: [/usr/bin/gunicorn, app]": WorkerType.PYTHON,
    "type: exec\ncommand: [bundle, exec, puma]": WorkerType.RUBY,
    "command: [dotnet, a.dll]": WorkerType.EXEC,
    "type: static": WorkerType.STATIC,
}


@pytest.mark.parametrize("yaml", LANGUAGES)
def test_the_language_is_the_types_or_the_programs(yaml: str) -> None:
    assert valid(f"path: /a\n{yaml or 'command: [bin/a]'}").runtime.language is LANGUAGES[yaml]


def test_a_java_worker_with_its_source_is_built() -> None:
    text = replace(worker_text("api", "path: /a\ntype: java"), present=frozenset({"src/Main.java"}))
    result = parse_workers([text], server())
    assert result.configuration is not None
    worker = result.configuration.workers[0]
    assert (worker.build.command, worker.build.fetch) == (("javac", "-d", "bin", "src/Main.java"), None)
    assert worker.origins["build.command"].preset == "java"
    assert valid("path: /a\ntype: java").build.command == ()


SESSIONS, NO_JIT = SANDBOXED[:4], SANDBOXED[4:]

TOLD: dict[str, tuple[str, tuple[str, ...]]] = {
    "its settings come later": (
        "type: php\nphp: {settings: {session.save_path: /x}}",
        ("php", *SANDBOXED, *QUIET, "-d", "session.save_path='/x'", "-S", "127.0.0.1:${WORKER_PORT}", "-t", "public"),
    ),
    "one's own": ("command: [php8.2, artisan, serve]", ("php8.2", *SANDBOXED, "artisan", "serve")),
    "of the type": ("type: php\ncommand: [php, -d, a=b, x]", ("php", *SANDBOXED, "-d", "a=b", "x")),
    "of another type": ("type: python\ncommand: [php, x]", ("php", *SANDBOXED, "x")),
    "behind env": ("command: [env, A=b, /usr/bin/php, x]", ("env", "A=b", "/usr/bin/php", *SANDBOXED, "x")),
    "php-fpm": ("type: php\ncommand: [php-fpm8.2, -F]", ("php-fpm8.2", "-F")),
    "another program": ("type: php\ncommand: [frankenphp, run]", ("frankenphp", "run")),
    "it may compile": ("command: [php, x]\nsandbox: jit", ("php", *SESSIONS, "x")),
    "it may compile by a relaxation": ("command: [php, x]\nsandbox: [strict, write-execute]", ("php", *SESSIONS, "x")),
    "a php.ini of its own": ("command: [php, -c, my.ini, x]", ("php", *NO_JIT, "-c", "my.ini", "x")),
    "a php.ini in one word": ("command: [php, -d, a=b, -cmy.ini]", ("php", *NO_JIT, "-d", "a=b", "-cmy.ini")),
    "a php.ini in full": ("command: [php, --php-ini=a, x]", ("php", *NO_JIT, "--php-ini=a", "x")),
    "an option of the script's": ("command: [php, x, -c, y]", ("php", *SANDBOXED, "x", "-c", "y")),
    "an option's value": ("command: [php, -t, -c, x]", ("php", *SANDBOXED, "-t", "-c", "x")),
    "behind the end of options": ("command: [php, --, -c]", ("php", *SANDBOXED, "--", "-c")),
}


@pytest.mark.parametrize(("yaml", "command"), TOLD.values(), ids=TOLD)
def test_what_php_is_told(yaml: str, command: tuple[str, ...]) -> None:
    assert valid(f"path: /a\n{yaml}").command == command


def test_a_mistake_in_a_command_of_php_is_where_it_stands() -> None:
    found = shown(api('path: /a\ncommand: [php, "-S", "$PORT", "${X}"]').diagnostics)
    assert [place for place, _, _ in found] == ["api.yaml:2:22", "api.yaml:2:31"]


@pytest.mark.parametrize("program", ["php", "gunicorn", "waitress-serve"])
def test_what_knows_of_a_body_by_its_length_gets_it_whole_without_a_type(program: str) -> None:
    worker = valid(f"path: /a\ncommand: [{program}, x]")
    assert (worker.proxy.buffer_requests, worker.origins["proxy.buffer_requests"].preset) == (True, program)
    assert not valid("path: /a\ncommand: [php-fpm, x]").proxy.buffer_requests


def test_relaxations_alone_keep_what_the_program_presets() -> None:
    sandbox = valid("path: /a\ncommand: [node, a.js]\nsandbox: [proc]").sandbox
    assert (sandbox.profile, sandbox.relaxations) == (Profile.JIT, (Relaxation.PROC,))
