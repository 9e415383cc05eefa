"""The samples' worker.yaml: valid without a remark, and one of each kind."""

from __future__ import annotations

from pathlib import PurePosixPath

from sample import COMMANDS, WORKERS

from tqunits.config.parse import Text, WorkerText, parse_server, parse_workers
from tqunits.model import Configuration, Profile, WorkerType


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
