"""The benchmarks that need Python alone still run with the present code. Each is run with small
numbers, as a process of its own."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from bench.endurance import scene
from tqunits.routing.codec.schema import parse_snapshot
from tqunits.system import process

ROOT = Path(__file__).parents[1]

BENCHES = {
    "exchange": (("bench.python", "exchange", "--runs", "1"), r"(?m)^posted: [0-9.]+ us per exchange$"),
    "init": (
        ("bench.init", "--rounds", "1", "--seconds", "0.2", "--only", "node"),
        r"(?m)^node +init( +[0-9.]+){5} +0$",
    ),
    "interpreted": (
        ("bench.python", "interpreted", str(ROOT / "bench/python/exchange.py"), "--runs", "1"),
        r"(?m)^posted: [0-9.]+ us per exchange$",
    ),
    "parse": (("bench.python", "parse", "--rounds", "1"), r"(?m)^response, 13 fields( +[0-9.]+){5}$"),
    "splice": (
        ("bench.python", "splice", "--rounds", "1", "--seconds", "0.03", "--connections", "2"),
        r"(?m)^ +unix +tcp +64K +splice( +\S+){4}",
    ),
}


@pytest.mark.parametrize("name", BENCHES)
def test_a_benchmark_gives_figures(name: str) -> None:
    arguments, expected = BENCHES[name]
    run = process.run([sys.executable, "-m", *arguments], timeout_s=60)
    assert (run.returncode, run.stderr) == (0, "")
    assert re.search(expected, run.stdout), run.stdout


ENTRIES = {
    "router": (("--only", "none"), "no such case; there are: bare-1"),
    "endurance": (("--only", "none"), "no such case; there are: soak"),
    "python": (("none",), "name one of: exchange, fuzz, interpreted, parse, splice"),
    "host": (("none",), "name one of: changes, control, deploys, manager, neighbour, restarts, supervisors, zoo"),
    "init": (("--only", "none"), "invalid choice: 'none'"),
}


@pytest.mark.parametrize("name", ENTRIES)
def test_each_folder_is_run_by_its_name(name: str) -> None:
    arguments, expected = ENTRIES[name]
    run = process.run([sys.executable, "-m", f"bench.{name}", *arguments], timeout_s=60)
    assert run.returncode != 0
    assert expected in run.stderr


def test_no_folder_is_forgotten() -> None:
    assert {path.parent.name for path in (ROOT / "bench").glob("*/__main__.py")} == set(ENTRIES)


@pytest.mark.parametrize("name", ["control", "neighbour", "restarts", "supervisors"])
def test_what_needs_a_machine_finds_what_it_imports(name: str) -> None:
    run = process.run([sys.executable, "-m", "bench.host", name, "--help"], timeout_s=60)
    assert (run.returncode, run.stderr) == (0, "")


def test_the_routes_of_the_hostile_crowds_are_understood() -> None:
    routes = scene.snapshot([scene.routed("a", "127.0.0.1:1"), scene.routed("files", directory="/srv")], connections=9)
    assert [worker.name for worker in parse_snapshot(routes.encode()).workers] == ["a", "files"]
