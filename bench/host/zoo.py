"""What the neighbour of workers that misbehave notices, on a booted systemd.

    sudo .venv/bin/python -m bench.host zoo [--pairs N] [--seconds S] [--json FILE]

tests/install/zoo.py has the workers: one dies at once, one hangs, one eats memory, one forks
without end, one ignores SIGTERM, one answers its checks with 500, one starts slowly, one is busy.
In each pair their neighbour is asked for S seconds while they are stopped, and for S seconds while
they all run, in an order that alternates. The clients are those of bench/endurance/honest.py: they
ask at a steady rate, and a latency counts from when a request was due. Prints each pair, and the
ratio of the p99 with and without the others: the median of the pairs, and their range."""

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

from install.conftest import Site
from install.zoo import KINDS, NEIGHBOUR, populate
from machine import Machine, wake

HONEST = (Path(__file__).parents[1] / "endurance" / "honest.py").read_bytes()
KEPT, FRESH = 4, 2
ECHO = """\
import asyncio, os
async def serve(reader, writer):
    try:
        while True:
            head = await reader.readuntil(b"\\r\\n\\r\\n")
            lines = head.lower().split(b"\\r\\n")
            length = next((int(line[15:]) for line in lines if line.startswith(b"content-length:")), 0)
            await reader.readexactly(length)
            text = b"%b %d" % (head.split(b" ", 2)[1].rpartition(b"/")[2], length)
            writer.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n%b" % (len(text), text))
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()
async def main():
    await (await asyncio.start_server(serve, "127.0.0.1", int(os.environ["WORKER_PORT"]))).serve_forever()
asyncio.run(main())
"""


def main() -> int:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--pairs", type=int, default=5, metavar="N", help="of phases (5)")
    parser.add_argument("--seconds", type=float, default=15, metavar="S", help="that each phase takes (15)")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write all figures there")
    arguments = parser.parse_args()
    with Machine.boot() as machine:
        pairs = measure(Site(machine), arguments.pairs, arguments.seconds)
    ratios = [zoo["p99_us"] / calm["p99_us"] for calm, zoo in pairs]
    print(f"p99 with the zoo to p99 without: {statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})")
    if arguments.json is not None:
        arguments.json.write_text(json.dumps([{"calm": calm, "zoo": zoo} for calm, zoo in pairs], indent=1) + "\n")
    return 1 if any(phase["failed"] for pair in pairs for phase in pair) else 0


def measure(site: Site, pairs: int, seconds: float) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """The reports of each pair: without the zoo, and with it."""
    machine = site.machine
    wake(machine)
    machine.write("/srv/site/config/tqunits.yaml", "mode: production\n")
    populate(site)
    site.worker(NEIGHBOUR, program=ECHO)
    site.install(status=1)  # one dies at once
    machine.write("/srv/bench/honest.py", HONEST)
    command = ["python3", "/srv/bench/honest.py", "8080", f"/{NEIGHBOUR}", str(KEPT), str(FRESH)]
    with machine.start(command, stdin=subprocess.PIPE) as client:
        found = [pair(site, client, seconds, is_calm_first=number % 2 == 0) for number in range(pairs)]
        client.terminate()
    return found


def pair(
    site: Site, client: subprocess.Popen[str], seconds: float, *, is_calm_first: bool
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Both phases, in this order or the other."""
    reports = {
        wild: phase(site, client, seconds, wild=wild) for wild in ((False, True) if is_calm_first else (True, False))
    }
    calm, zoo = reports[False], reports[True]
    print(f"without {said(calm)}    with {said(zoo)}", flush=True)
    return calm, zoo


def phase(site: Site, client: subprocess.Popen[str], seconds: float, *, wild: bool) -> dict[str, Any]:
    """The report of so many seconds, after all have been started or stopped."""
    units = [f"tq-worker@{kind}.service" for kind in KINDS]
    site.machine.run(["systemctl", "start" if wild else "stop", "--no-block", *units], check=False)
    time.sleep(3)
    report(client)
    time.sleep(seconds)
    return report(client)


def report(client: subprocess.Popen[str]) -> dict[str, Any]:
    """What came of the requests since the last report (bench/endurance/honest.py)."""
    assert client.stdin is not None
    assert client.stdout is not None
    client.stdin.write("\n")
    client.stdin.flush()
    found: dict[str, Any] = json.loads(client.stdout.readline())
    return found


def said(figures: dict[str, Any]) -> str:
    """A phase in a line."""
    failed = sum(figures["failed"].values())
    return f"p50 {figures['p50_us'] / 1000:.2f} ms, p99 {figures['p99_us'] / 1000:.2f} ms, {failed} failed"


if __name__ == "__main__":
    sys.exit(main())
