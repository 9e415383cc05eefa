"""What clients see of restarts and of new routes, on a booted systemd: nothing, is the promise;
here are the counts.

    sudo .venv/bin/python -m bench.host restarts [--clients N] [--times N]
        [--only SCENARIO]... [--json FILE]

Clients keep asking, GET and POST with a body in turn, each on a connection that it keeps
(tests/install/hammer.py). The worker dies of SIGTERM at once, whatever runs
(tests/install/rude.py). Meanwhile the worker is restarted, or the router, or other workers come and
go, or the worker is killed; one thing at a time, each as soon as the one before is done. An answer
is wrong when it came as a whole one and was not: cut short, or another's. What a crash had begun is
counted apart: a POST that may have been done, an answer that had begun. Exit status 1 when another
request failed.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))

from install.conftest import Site
from install.hammering import hammered, noted, rude
from machine import Machine

Row = dict[str, Any]
COLUMNS = (
    ("scenario", -24),
    ("times", 6),
    ("seconds", 8),
    ("requests", 9),
    ("failed", 7),
    ("begun", 6),
    ("POSTs", 8),
    ("doubled", 8),
    ("lost", 6),
    ("wrong", 6),
)


def restart_worker(site: Site, number: int) -> None:
    site.machine.systemctl("restart", "tq-worker@alpha")


def restart_router(site: Site, number: int) -> None:
    site.machine.systemctl("restart", "tq-proxy@*")


def kill_worker(site: Site, number: int) -> None:
    """And until it is back."""
    before = site.machine.show("tq-worker@alpha.service", "InvocationID")
    site.machine.systemctl("kill", "--signal=KILL", "tq-worker@alpha")
    site.machine.wait_until(lambda: site.machine.show("tq-worker@alpha.service", "InvocationID") != before)
    site.machine.wait_until(lambda: site.machine.show("tq-worker@alpha.service", "ActiveState") == "active")


def change_routes(site: Site, number: int) -> None:
    """One worker comes, then it gets another route, then it goes."""
    if number % 3 == 2:
        site.remove_worker("beta")
        site.run("apply")
        return
    site.yaml("beta", f"path: /beta{number}\ntype: python\ncommand: [python3, src/main.py]\n")
    site.machine.write("/srv/site/workers/beta/src/main.py", (TESTS / "install" / "rude.py").read_bytes())
    site.install()


TESTS = Path(__file__).parents[2] / "tests"
SCENARIOS: dict[str, tuple[Callable[[Site, int], None], int, str]] = {
    "worker": (restart_worker, 100, "listen: tcp\n"),
    "worker, listen: unix": (restart_worker, 100, "listen: unix\n"),
    "worker, listen: fd": (restart_worker, 100, "listen: fd\n"),
    "router": (restart_router, 20, ""),
    "routes": (change_routes, 20, ""),
    "crash": (kill_worker, 20, ""),
}


def main() -> int:
    """Measure, and print."""
    arguments = _parser().parse_args()
    print("".join(_placed(title, width) for title, width in COLUMNS), flush=True)
    rows = []
    for name in arguments.only or SCENARIOS:
        rows.append(scenario(name, arguments.clients, arguments.times))
        print("".join(_placed(rows[-1][title], width) for title, width in COLUMNS), flush=True)
        for why, count in rows[-1]["why"].items():
            print(f"    {count} x {why}", flush=True)
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n")
    return 1 if any(row["failed"] or row["doubled"] or row["lost"] or row["wrong"] for row in rows) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--clients", type=int, default=200, metavar="N", help="that ask at once (200)")
    parser.add_argument("--times", type=int, metavar="N", help="how often it happens (100 for a worker, else 20)")
    parser.add_argument("--only", choices=SCENARIOS, action="append", help="one scenario; repeatable")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write all counts there, and the router's journal")
    return parser


def scenario(name: str, clients: int, times: int | None) -> Row:
    """One row, on a machine of its own."""
    action, usual, yaml = SCENARIOS[name]
    with Machine.boot() as machine:
        site = Site(machine)
        machine.write("/srv/site/config/tqunits.yaml", "mode: production\n")
        rude(site, yaml)
        begin = time.monotonic()
        with hammered(site, clients) as report:
            for number in range(times or usual):
                action(site, number)
        seconds = time.monotonic() - begin
        return _row(name, times or usual, seconds, report, site)


def _row(name: str, times: int, seconds: float, report: Row, site: Site) -> Row:
    seen, why = noted(site), report["failed"]
    begun = {words: count for words, count in why.items() if name == "crash" and _is_begun(words)}
    failed = {words: count for words, count in why.items() if words not in begun}
    return {
        "scenario": name,
        "times": times,
        "seconds": round(seconds),
        "requests": report["good"] + sum(why.values()),
        "failed": sum(failed.values()),
        "begun": sum(begun.values()),
        "POSTs": len(report["posted"]),
        "doubled": sum(count > 1 for count in seen.values()),
        "lost": len(set(report["answered"]) - seen.keys()),
        "wrong": sum(count for why, count in failed.items() if "another's answer" in why),
        "why": why,
        "journal": site.machine.journal("tq-proxy@1").splitlines()[-200:] if failed else [],
    }


def _is_begun(why: str) -> bool:
    """Whether a crash may fail that request: nobody knows whether the POST was done, and half an
    answer is out."""
    return (why.startswith("POST") and "502" in why) or "IncompleteReadError" in why


def _placed(value: object, width: int) -> str:
    return f"{value:<{-width}}" if width < 0 else f"{value!s:>{width}}"


if __name__ == "__main__":
    sys.exit(main())
