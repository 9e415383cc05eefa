"""That the benchmarks which need Python alone measure what there is now: each in little, as a process of its own."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path

import pytest

from tqunits.routing.snapshot import parse_snapshot
from tqunits.system import process

ROOT = Path(__file__).parents[1]

BENCHES = {
    "exchange": (("--runs", "1"), r"(?m)^posted: [0-9.]+ us per exchange$"),
    "init": (
        ("--rounds", "1", "--seconds", "0.2", "--only", "node"),
        r"(?m)^node +init( +[0-9.]+){5} +0$",
    ),
    "interpreted": ((str(ROOT / "bench/exchange.py"), "--runs", "1"), r"(?m)^posted: [0-9.]+ us per exchange$"),
    "parse": (("--rounds", "1"), r"(?m)^response, 13 fields( +[0-9.]+){5}$"),
    "splice": (
        ("--rounds", "1", "--seconds", "0.03", "--connections", "2"),
        r"(?m)^ +unix +tcp +64K +splice( +\S+){4}",
    ),
}


@pytest.mark.parametrize("name", BENCHES)
def test_a_benchmark_gives_figures(name: str) -> None:
    arguments, expected = BENCHES[name]
    run = process.run([sys.executable, str(ROOT / "bench" / f"{name}.py"), *arguments], timeout_s=60)
    assert (run.returncode, run.stderr) == (0, "")
    assert re.search(expected, run.stdout), run.stdout


def test_the_routes_of_the_hostile_crowds_are_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "bench")
    scene = importlib.import_module("endurance_scene")
    routes = scene.snapshot([scene.routed("a", "127.0.0.1:1"), scene.routed("files", directory="/srv")], connections=9)
    assert [worker.name for worker in parse_snapshot(routes.encode()).workers] == ["a", "files"]
