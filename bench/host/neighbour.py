"""What a worker notices of the cold build of another one, on a booted systemd.

    sudo .venv/bin/python -m bench.host neighbour [--pairs N] [--rate R] [--json FILE]

The worker is asked at a steady rate, and a latency counts from when a request was due
(bench/endurance/honest.py). The other worker is in Go. `tqunits build` builds it with empty caches,
and with `GOFLAGS=-a`, for Go before 1.20 has its own library compiled already. In each pair there
is a window that is as long as a build, and one in which a build runs, in an order that alternates.
Prints each pair with the ratio of its p99s, and the median of the ratios and their range. Exit
status 1 when a request failed.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess  # noqa: TID251 - a client that is spoken to, not part of the package
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))

from install.conftest import ROOT, Site, in_etc
from install.zoo import NEIGHBOUR
from machine import Machine, wake

from bench.host.zoo import ECHO, HONEST, report, said

BUILT = "built"
PROGRAM = (Path(__file__).parents[2] / "tests/install/apps/go/src/main.go").read_text(encoding="utf-8")
YAML = f"path: /{BUILT}\ntype: go\nbuild: {{environment: {{GOFLAGS: -a}}}}\n"
EACH = 100
"""Requests a second of one connection of honest.py."""
SETTLING = 2.0
"""Seconds between two windows, for what the one before has left to do."""

Pair = tuple[dict[str, Any], dict[str, Any]]
"""The reports of the window without a build, and of the one with it."""


class Builds:
    """The builds of the other worker, each of a program that was not built before."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.number = 0
        self.seconds = 0.0  # that the last one took

    def prepare(self) -> None:
        """Change the program, and empty the caches."""
        self.number += 1
        text = f"{PROGRAM}\n// {self.number}\n"
        self.site.machine.write(f"{ROOT}/workers/{BUILT}/src/main.go", text)
        self.site.machine.remove(f"/var/cache/tqunits/builds/{BUILT}")

    def run(self) -> None:
        begin = time.monotonic()
        self.site.run("build", BUILT, timeout=900)
        self.seconds = time.monotonic() - begin


def main() -> int:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--pairs", type=int, default=5, metavar="N", help="of windows (5)")
    parser.add_argument(
        "--rate", type=int, default=200, metavar="R", help=f"requests a second, in steps of {EACH} (200)"
    )
    parser.add_argument("--json", metavar="FILE", type=Path, help="write all figures there")
    arguments = parser.parse_args()
    with Machine.boot() as machine:
        pairs = measure(in_etc(machine), arguments.pairs, max(1, arguments.rate // EACH))
    ratios = [ratio(each) for each in pairs]
    print(f"p99 with a build to p99 without: {statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})")
    if arguments.json is not None:
        rows = [{"without": without, "building": building} for without, building in pairs]
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n")
    return 1 if any(window["failed"] for each in pairs for window in each) else 0


def measure(site: Site, pairs: int, connections: int) -> list[Pair]:
    """The reports of all pairs."""
    machine, builds = site.machine, Builds(site)
    wake(machine)
    site.worker(NEIGHBOUR, program=ECHO)
    site.yaml(BUILT, YAML)
    machine.write(f"{ROOT}/workers/{BUILT}/go.mod", "module built\n\ngo 1.19\n")
    builds.prepare()
    site.run("install", "--now", timeout=900)
    builds.prepare()
    builds.run()  # tells how long one takes
    machine.write("/srv/bench/honest.py", HONEST)
    command = ["python3", "/srv/bench/honest.py", "8080", f"/{NEIGHBOUR}", str(connections), "0"]
    with machine.start(command, stdin=subprocess.PIPE) as client:
        found = [pair(builds, client, is_calm_first=number % 2 == 0) for number in range(pairs)]
        client.terminate()
    return found


def pair(builds: Builds, client: subprocess.Popen[str], *, is_calm_first: bool) -> Pair:
    """Both windows, in this order or the other."""
    order = (False, True) if is_calm_first else (True, False)
    reports = {is_building: window(builds, client, is_building=is_building) for is_building in order}
    found = reports[False], reports[True]
    print(
        f"without {said(found[0])}    building {said(found[1])}    {builds.seconds:.1f} s, {ratio(found):.2f}",
        flush=True,
    )
    return found


def window(builds: Builds, client: subprocess.Popen[str], *, is_building: bool) -> dict[str, Any]:
    """The report of a build's time, with a build or without."""
    builds.prepare()
    time.sleep(SETTLING)
    report(client)
    if is_building:
        builds.run()
    else:
        time.sleep(builds.seconds)
    return report(client)


def ratio(both: Pair) -> float:
    """The p99 with a build to the p99 without."""
    without, building = both
    return float(building["p99_us"] / without["p99_us"])


if __name__ == "__main__":
    sys.exit(main())
