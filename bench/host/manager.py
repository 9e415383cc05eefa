"""What the manager costs with N workers at rest, on a booted systemd.

    sudo .venv/bin/python -m bench.host manager [--sizes N...] [--seconds S] [--interval SPAN]

The workers are as those of bench/host/control.py, with an HTTP check each `--interval` (10s). Given
are the manager's memory (PSS, when all have been checked, and after S seconds), the share of a core
that it used in these S seconds, and how late the checks were: the longest and the median time
between two checks of one instance, as the worker has seen them come."""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from itertools import pairwise
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))

from machine import Machine, wake

from bench.host.control import ROOT, lay_down

WORKER = """\
import os, socket, time
server = socket.create_server(("127.0.0.1", int(os.environ["WORKER_PORT"])))
times = open(os.environ["STATE_DIRECTORY"] + "/times", "a", buffering=1)
while True:
    connection, _ = server.accept()
    if connection.recv(4096).startswith(b"GET /health"):
        times.write(f"{time.time():.3f}\\n")
    connection.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 0\\r\\nConnection: close\\r\\n\\r\\n")
    connection.close()
"""
MANAGER = "tq-manager.service"


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[60, 300], help="numbers of workers (60 300)")
    parser.add_argument("--seconds", type=float, default=60, metavar="S", help="that are measured (60)")
    parser.add_argument("--interval", default="10s", metavar="SPAN", help="between two checks (10s)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    rows = [measure(size, arguments.seconds, arguments.interval) for size in arguments.sizes]
    if arguments.json:
        print(json.dumps(rows, indent=2))
        return
    print("  ".join(f"{column:>16}" for column in rows[0]))
    for row in rows:
        print("  ".join(f"{value:>16.2f}" if isinstance(value, float) else f"{value:>16}" for value in row.values()))


def measure(size: int, seconds: float, interval: str) -> dict[str, float | int]:
    """One row, on a machine of its own."""
    with Machine.boot() as machine:
        wake(machine)
        lay_down(machine, size, memory=64, more=f"health: {{interval: {interval}}}\n", program=WORKER)
        machine.tqunits("-C", ROOT, "install", "--now", timeout=900)
        time.sleep(15)
        process = int(machine.show(MANAGER, "MainPID"))
        begin, since = cpu_s(machine, process), time.time()
        first = pss_mib(machine, process)
        time.sleep(seconds)
        used, later = cpu_s(machine, process) - begin, pss_mib(machine, process)
        gaps = [gap for number in range(size) for gap in between(machine, f"w{number:03}", since)]
        return {
            "workers": size,
            "PSS MiB": first,
            "later MiB": later,
            "% of a core": used / (time.time() - since) * 100,
            "gap median s": statistics.median(gaps),
            "longest s": max(gaps),
            "checks": len(gaps),
        }


def between(machine: Machine, worker: str, since: float) -> list[float]:
    """The times between two checks of a worker, after `since`."""
    times = [float(line) for line in machine.read(f"/var/lib/tqunits/workers/{worker}/times").split()]
    return [later - at for at, later in pairwise(times) if at >= since]


def cpu_s(machine: Machine, process: int) -> float:
    """Seconds of CPU that a process has used (proc(5), utime and stime)."""
    fields = machine.read(f"/proc/{process}/stat").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def pss_mib(machine: Machine, process: int) -> float:
    """Its memory, with its share of what it shares (proc(5), smaps_rollup)."""
    lines = machine.read(f"/proc/{process}/smaps_rollup").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


if __name__ == "__main__":
    main()
