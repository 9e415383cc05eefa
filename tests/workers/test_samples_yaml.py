"""The samples' worker.yaml: valid without findings, and one of each kind; and the dependencies of
each, as in their README."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path, PurePosixPath

from sample import COMMANDS, WORKERS

from tqunits.config.parse import Text, WorkerText, parse_server, parse_workers
from tqunits.model import Configuration, Profile, WorkerType

PACKAGES = {"python3": None, "go": "golang-go", "node": "nodejs"}
"""The Debian package of a program; None: tqunits itself depends on it."""

NOT_IN_PYTHON3 = {"distutils", "ensurepip", "idlelib", "lib2to3", "tkinter", "turtle", "venv"}
"""Modules of the standard library that Debian has in packages of their own."""


def configuration() -> Configuration:
    root = PurePosixPath("/checkout")
    server = parse_server(None, [], source=root / "config/tqunits.yaml", root=root)
    texts = [
        WorkerText(
            name=name,
            folder=root / "workers" / name,
            text=Text(path=root / "workers" / name / "config/worker.yaml", content=content),
            not_roots=None,
        )
        for name in sorted(COMMANDS)
        for content in [(WORKERS / name / "config/worker.yaml").read_bytes()]
    ]
    result = parse_workers(texts, server)
    assert result.diagnostics == ()
    assert result.configuration is not None
    return result.configuration


def test_there_is_one_of_each_kind() -> None:
    assert {w.name: (w.type, w.routes, w.sandbox.profile) for w in configuration().workers} == {
        "admin": (WorkerType.NODE, ("/admin",), Profile.JIT),
        "api": (WorkerType.GO, ("/api",), Profile.STANDARD),
        "blog": (WorkerType.PYTHON, ("/blog", "/journal"), Profile.STANDARD),
        "index": (WorkerType.PYTHON, ("/",), Profile.STRICT),
    }


def test_each_runs_the_program_that_is_there() -> None:
    for worker in configuration().workers:
        if worker.build.command:
            assert worker.build.command[-2:] == (worker.command[0], "./src")
        else:
            assert worker.command == COMMANDS[worker.name]


def test_the_readme_tells_what_each_needs() -> None:
    rows = re.findall(
        r"^\| `(\w+)` \| .* \| (.*) \|$", (WORKERS / "README.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    needed = {name: re.findall(r"`([a-z][a-z-]*)`", text) for name, text in rows}
    programs = {w.name: (w.build.command or w.command)[0] for w in configuration().workers}
    assert needed == {name: [package] if (package := PACKAGES[of]) else [] for name, of in programs.items()}
    assert {name for name, text in rows if text.startswith("nothing")} == {"blog", "index"}


def test_those_in_python_need_nothing_but_python3() -> None:
    for path in WORKERS.glob("*/src/*.py"):
        own = {each.stem for each in path.parent.glob("*.py")}
        assert imported(path) - own <= sys.stdlib_module_names - NOT_IN_PYTHON3, path


def imported(path: Path) -> set[str]:
    """The first part of the names of all modules that it imports."""
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
    return {name.partition(".")[0] for name in names}
