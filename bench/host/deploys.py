"""How long deploys take on a booted systemd that has nothing else to do: of unchanged sources, of
changed ones, and back; beside a start of the worker, in the same run.

    sudo .venv/bin/python -m bench.host deploys [--times N] [--workers N] [--json FILE]

The time is that of the whole command, `tqunits deploy alpha` or `tqunits rollback alpha`. The start
is systemd's own figure for the same worker after each of them: from the moment when the unit left
"inactive" until it was active, so until it was healthy. There are --workers others beside it, which
do nothing. The worker is in Python (tests/install/rude.py).
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))

from install.conftest import ROOT, Site
from install.hammering import RUDE, rude
from machine import Machine

from bench import alpha


def unchanged(site: Site, _: int) -> None:
    site.run("deploy", "alpha")


def changed(site: Site, number: int) -> None:
    site.machine.write(f"{ROOT}/workers/alpha/src/main.py", f"{RUDE}\n# version {number}\n")
    site.run("deploy", "alpha")


def back(site: Site, _: int) -> None:
    """To another release that is there: without an ID each rollback goes further back."""
    script = 'cd /var/lib/tqunits/releases/alpha; ls -d ???????????? | grep -v "$(basename "$(readlink runs/1)")"'
    site.run("rollback", "alpha", site.machine.run(["sh", "-c", script]).stdout.split()[0])


SCENARIOS: dict[str, Callable[[Site, int], None]] = {"changed": changed, "unchanged": unchanged, "rollback": back}


def main() -> int:
    """Measure, and print."""
    parser = alpha.parser(__doc__, "how often each is done")
    parser.add_argument("--workers", type=int, default=0, metavar="N", help="workers beside it (0)")
    arguments = parser.parse_args()
    rows = {}
    with Machine.boot() as machine:
        site = _site(machine, arguments.workers)
        print(f"{'scenario':<12}{'median s':>10}{'p90 s':>8}{'start s':>9}", flush=True)
        for name, action in SCENARIOS.items():
            times, starts = _measured(site, action, arguments.times)
            rows[name] = {"seconds": times, "starts": starts}
            p90 = sorted(times)[int(0.9 * (len(times) - 1))]
            print(
                f"{name:<12}{statistics.median(times):>10.3f}{p90:>8.3f}{statistics.median(starts):>9.3f}", flush=True
            )
    alpha.write(rows, arguments.json)
    return 0


def _site(machine: Machine, others: int) -> Site:
    """A host with a manager, and the worker alpha that has been deployed twice."""
    site = alpha.host(machine, "production")
    for number in range(others):
        site.worker(f"w{number}")
    rude(site)
    for number in range(2):
        changed(site, -1 - number)
    return site


def _measured(site: Site, action: Callable[[Site, int], None], times: int) -> tuple[list[float], list[float]]:
    seconds, starts = [], []
    for number in range(times):
        begin = time.monotonic()
        action(site, number)
        seconds.append(time.monotonic() - begin)
        starts.append(alpha.start_s(site))
    return seconds, starts


if __name__ == "__main__":
    sys.exit(main())
