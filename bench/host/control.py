"""How long the commands take with 10, 100 and 300 workers, on a booted systemd.

Run it as root: `.venv/bin/python -m bench.host control`.

Each command is a whole process as a user starts it; the median of ROUNDS is given, in seconds. The
workers are the smallest that the contract allows, so that what is measured is ours and systemd's.
Prints a table, and JSON with --json.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))

from machine import Machine

SIZES = (10, 100, 300)
ROUNDS = 5
ROOT = "/srv/bench"
WORKER = """\
import os, socket
server = socket.create_server(("127.0.0.1", int(os.environ["WORKER_PORT"])))
while True:
    connection, _ = server.accept()
    connection.recv(4096)
    connection.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 0\\r\\nConnection: close\\r\\n\\r\\n")
    connection.close()
"""
YAML = "path: /{name}\ntype: exec\ncommand: [python3, -I, -S, src/main.py]\nlimits: {{memory_max: {memory}M}}\n"


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="numbers of workers")
    arguments = parser.parse_args()
    rows = [measure(size) for size in arguments.sizes]
    if arguments.json:
        print(json.dumps(rows, indent=2))
        return
    print("  ".join(f"{column:>14}" for column in rows[0]))
    for row in rows:
        print("  ".join(f"{value:>14.3f}" if isinstance(value, float) else f"{value:>14}" for value in row.values()))


def measure(size: int) -> dict[str, float | int]:
    """One row: a fresh machine with so many workers."""
    with Machine.boot() as machine:
        lay_down(machine, size, memory=64)
        figures: dict[str, float | int] = {"workers": size}
        figures["help"] = median(machine, "--help")
        figures["check"] = median(machine, "check")
        figures["render"] = median(machine, "render")
        figures["install"] = timed(machine, "install")
        figures["again"] = median(machine, "install")
        figures["install --now"] = timed(machine, "install", "--now")
        figures["ls"] = median(machine, "ls")
        figures["why"] = median(machine, "why", "w000")
        figures["doctor"] = median(machine, "doctor")
        lay_down(machine, size, memory=96)
        figures["new limits"] = timed(machine, "install", "--now")
        figures["uninstall"] = timed(machine, "uninstall", "--all", "--purge", "--yes")
        return figures


def lay_down(machine: Machine, size: int, *, memory: int, more: str = "", program: str = WORKER) -> None:
    """Write the workers' folders. `more`: lines of their YAML."""
    machine.write(f"{ROOT}/config/tqunits.yaml", "mode: production\n")
    for number in range(size):
        folder = f"{ROOT}/workers/w{number:03}"
        machine.write(f"{folder}/config/worker.yaml", YAML.format(name=f"w{number:03}", memory=memory) + more)
        machine.write(f"{folder}/src/main.py", program)


def median(machine: Machine, *arguments: str) -> float:
    return statistics.median(timed(machine, *arguments) for _ in range(ROUNDS))


def timed(machine: Machine, *arguments: str) -> float:
    return seconds(lambda: machine.tqunits("-C", ROOT, *arguments, timeout=600))


def seconds(action: Callable[[], object]) -> float:
    begin = time.perf_counter()
    action()
    return time.perf_counter() - begin


if __name__ == "__main__":
    main()
