"""The worker alpha on a booted systemd that has nothing else to do, as bench/host/deploys.py and
bench/host/changes.py measure it: its host, and how long its last start took.

Who imports this has put the tests on Python's path before.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from install.conftest import ROOT, Site
from machine import Machine, wake

UNIT = "tq-worker@alpha.service"


def host(machine: Machine, mode: str) -> Site:
    """A host of this mode with a manager, and without workers."""
    site = Site(machine, (), "/etc/tqunits/tqunits.yaml")
    site.server(f"mode: {mode}\nworkers: {{directory: {ROOT}/workers}}\n")
    wake(machine)
    return site


def start_s(site: Site) -> float:
    """How long its last start took, as systemd says: from "inactive" to "active", so until it was
    healthy. In a roll that is the replica's, for the unit of the surge is forgotten when it has
    ended. It is the same program."""
    moments = [int(site.machine.show(UNIT, f"{when}TimestampMonotonic")) for when in ("InactiveExit", "ActiveEnter")]
    return (moments[1] - moments[0]) / 1e6


def parser(about: str | None, times: str) -> argparse.ArgumentParser:
    """The arguments of both. `about`: the docstring of the benchmark; `times`: what is done 20
    times."""
    found = argparse.ArgumentParser(description=(about or "").partition("\n\n")[0])
    found.add_argument("--times", type=int, default=20, metavar="N", help=f"{times} (20)")
    found.add_argument("--json", metavar="FILE", type=Path, help="write all figures there")
    return found


def write(rows: object, path: Path | None) -> None:
    """Write the figures there, if that was asked for."""
    if path is not None:
        path.write_text(json.dumps(rows, indent=1) + "\n")
