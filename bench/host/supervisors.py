"""tqunits beside pm2 and supervisord, with N processes each, on a booted systemd.

    sudo .venv/bin/python -m bench.host supervisors [--processes N] [--crashes N] [--json]

The worker is the same for all: a small server in Python. One supervisor runs at a time, and
all of it is stopped before the next. pm2 and supervisord run in the machine as services that
systemd-run(1) makes, in no sandbox; bench/rivals.py says where they come from, and has their
settings. Given are of each, in this order:

- the memory of the supervisor's own processes (PSS and RSS), and the share of a core that they use
  (over 20 s), with N processes at rest. Of tqunits that is the manager, which checks each worker
  every 10 s besides; systemd itself (process 1) has a row of its own, since it does the
  supervising, and one without a worker. PSS divides what is shared: Python's memory by the
  workers, too, node's by nothing.
- crash to serving: a worker is killed (kill -9), and its port is asked until another process
  answers (bench/crashes.py), once each at so many workers; the median and the longest.
- the delay that is set before a restart; what the worker's start takes without a supervisor, from
  the fork until it answers (median of 20, just before the crashes); and the overhead, which is the
  rest of the median.
- of tqunits, also what a start of the same units takes that nobody has killed, from the moment when
  systemd is asked for it: with its sandbox, that is the worker's start. "beyond it" is what a crash
  takes more than the delay and this.

tqunits is measured without a delay (restart.delay: 0) and with its default, 1s. The others have
none: restart_delay 0 of pm2 is its default, startsecs=0 of supervisord is not. supervisord looks
once a second for what it has to start.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))

from machine import Machine, wake

from bench.host.control import ROOT, YAML
from bench.host.manager import MANAGER, cpu_s
from bench.rivals import CACHE, VERSIONS, Program, Setting, fetch, pm2, supervisord

Row = dict[str, Any]
CHECKOUT = Path(__file__).parents[2]
IN_MACHINE = f"/opt/tqunits/{CACHE}"
CLIENT = "/srv/bench/crashes.py"
PYTHON = "/opt/tqunits/.venv/bin/python"  # as in tests/machine/root.py: it has pystemd
FIRST_PORT = 20000
SETTLING, RESTING, PAUSE = 15.0, 20.0, 1.0
"""Seconds: after all serve; while CPU time is counted; between two crashes."""

STARTS = 20
WORKER = """\
import os, socket
body = str(os.getpid()).encode()
server = socket.create_server(("127.0.0.1", int(os.environ["WORKER_PORT"])))
while True:
    connection, _ = server.accept()
    connection.recv(4096)
    connection.sendall(b"HTTP/1.1 200 OK\\r\\nConnection: close\\r\\n\\r\\n%b" % body)
    connection.close()
"""
RIVALS: dict[str, Callable[[Sequence[Program], str, str], Setting]] = {"supervisord": supervisord, "pm2": pm2}
COLUMNS = ("PSS MiB", "RSS MiB", "% of a core", "crash ms", "longest ms", "delay ms", "start ms", "overhead ms")
OF_UNITS = ("unit start ms", "beyond it ms")


def main() -> int:
    """Measure, and print."""
    arguments = _parser().parse_args()
    if 2 * arguments.crashes > arguments.processes:
        sys.exit("each worker of tqunits crashes once, and it is measured twice: --processes is at least 2 x --crashes")
    try:
        fetch(CHECKOUT)
    except RuntimeError as error:
        sys.exit(f"pm2, supervisord or node can not be fetched, and there is nothing to compare without:\n{error}")
    with Machine.boot() as machine:
        versions = {**VERSIONS, "systemd": machine.systemctl("--version").split()[1]}
        rows = measure(machine, arguments.processes, arguments.crashes)
    if arguments.json:
        print(json.dumps({"versions": versions, "processes": arguments.processes, "rows": rows}, indent=2))
        return 0
    print(f"{arguments.processes} processes; " + ", ".join(f"{name} {version}" for name, version in versions.items()))
    print(f"{'':24}" + "".join(f"{column:>15}" for column in (*COLUMNS, *OF_UNITS)))
    for row in rows:
        cells = (f"{row[column]:.1f}" if column in row else "" for column in (*COLUMNS, *OF_UNITS))
        print(f"{row['supervisor']:24}" + "".join(f"{cell:>15}" for cell in cells))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--processes", type=int, default=100, metavar="N", help="of each supervisor (100)")
    parser.add_argument("--crashes", type=int, default=20, metavar="N", help="that are measured of each (20)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser


def measure(machine: Machine, processes: int, crashes: int) -> list[Row]:
    """The rows, of one machine."""
    wake(machine)
    machine.write(CLIENT, (CHECKOUT / "bench/crashes.py").read_bytes())
    programs = [lay_down(machine, number) for number in range(processes)]
    rows = [rival(machine, name, programs, crashes) for name in RIVALS]
    return [*rows, *tqunits(machine, programs, crashes)]


def lay_down(machine: Machine, number: int) -> Program:
    """Write the program of a worker."""
    folder = f"{ROOT}/workers/w{number:03}"
    machine.write(f"{folder}/src/main.py", WORKER)
    return Program(f"w{number:03}", folder, FIRST_PORT + number, ["python3", "-I", "-S", "src/main.py"])


def rival(machine: Machine, name: str, programs: Sequence[Program], crashes: int) -> Row:
    """The row of another supervisor, which is stopped in the end."""
    say(f"{name}: {len(programs)} processes")
    folder, unit = f"/srv/bench/{name}", f"bench-{name}.service"
    setting = RIVALS[name](programs, folder, IN_MACHINE)
    file = f"{folder}/{setting.file}"
    machine.write(file, setting.text)
    machine.run(["systemd-run", "--quiet", f"--unit={unit}", *setting.words, file], timeout=600)
    workers = settled(machine, programs)
    main = int(machine.show(unit, "MainPID"))
    of_it = machine.run(["pgrep", "--parent", str(main)], check=False).stdout.split()
    row = {"supervisor": name} | at_rest(machine, [main, *sorted({int(pid) for pid in of_it} - set(workers))])
    row |= crashed(machine, programs[:crashes], delay=0)
    machine.systemctl("stop", unit)
    return row


def tqunits(machine: Machine, programs: Sequence[Program], crashes: int) -> list[Row]:
    """Ours: systemd before and after, the manager, and crashes with no delay and with the default.

    Each worker crashes once, because the second pause in a row is longer."""
    before = {"supervisor": "systemd, no worker"} | at_rest(machine, [1])
    say(f"tqunits: install of {len(programs)} workers")
    install(machine, programs, "restart: {delay: 0}\n")
    settled(machine, programs)
    row = {"supervisor": "tqunits, no delay"} | at_rest(machine, [int(machine.show(MANAGER, "MainPID"))])
    after = {"supervisor": "systemd, with workers"} | at_rest(machine, [1])
    row |= of_units(machine, programs[:crashes], crashed(machine, programs[:crashes], delay=0))
    say("tqunits: the default delay")
    install(machine, programs, "")
    settled(machine, programs)
    found = of_units(machine, programs[-crashes:], crashed(machine, programs[-crashes:], delay=1000))
    default = {"supervisor": "tqunits, default"} | found
    return [row, default, after, before]


def install(machine: Machine, programs: Sequence[Program], more: str) -> None:
    """Have them installed and started. So many starts at once take all CPUs, and a unit may exceed
    its time: then once more."""
    machine.write(f"{ROOT}/config/tqunits.yaml", "mode: production\n")
    for program in programs:
        text = YAML.format(name=program.name, memory=64) + f"port: {program.port}\n{more}"
        machine.write(f"{program.folder}/config/worker.yaml", text)
    first = machine.tqunits("-C", ROOT, "install", "--now", timeout=900, check=False)
    if first.returncode:
        say(f"tqunits: install has failed and is tried again: {first.stderr[-500:]}")
        machine.tqunits("-C", ROOT, "install", "--now", timeout=900)


def settled(machine: Machine, programs: Sequence[Program]) -> list[int]:
    """The processes of the workers, some time after all of them serve."""
    client(machine, "serving", *(program.port for program in programs))
    time.sleep(SETTLING)
    return [int(pid) for pid in client(machine, "serving", *(program.port for program in programs))]


def at_rest(machine: Machine, pids: Sequence[int]) -> Row:
    """What these processes have and use."""
    used, begin = sum(cpu_s(machine, pid) for pid in pids), time.monotonic()
    time.sleep(RESTING)
    share = (sum(cpu_s(machine, pid) for pid in pids) - used) / (time.monotonic() - begin)
    pss, rss = (sum(memory(machine, pid, which) for pid in pids) for which in ("Pss:", "Rss:"))
    return {"processes": len(pids), "PSS MiB": pss, "RSS MiB": rss, "% of a core": share * 100}


def memory(machine: Machine, pid: int, which: str) -> float:
    """MiB (proc(5), smaps_rollup)."""
    lines = machine.read(f"/proc/{pid}/smaps_rollup").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(which)) / 1024


def crashed(machine: Machine, programs: Sequence[Program], *, delay: float) -> Row:
    """What crashes of these give, in ms, and starts of the same program just before."""
    one = programs[0]
    start = statistics.median(client(machine, "start", STARTS, FIRST_PORT - 1, *one.command, folder=one.folder))
    taken = client(machine, "crash", PAUSE, *(program.port for program in programs))
    middle = statistics.median(taken)
    return {
        "crash ms": middle,
        "longest ms": max(taken),
        "delay ms": delay,
        "start ms": start,
        "overhead ms": middle - delay - start,
    }


def of_units(machine: Machine, programs: Sequence[Program], row: Row) -> Row:
    """The row, and starts of these workers' units, in ms."""
    units = (word for program in programs for word in (program.port, f"tq-worker@{program.name}.service"))
    start = statistics.median(client(machine, "unit", PAUSE, *units))
    return row | {"unit start ms": start, "beyond it ms": row["crash ms"] - row["delay ms"] - start}


def client(machine: Machine, *words: object, folder: str = "/") -> list[float]:
    """What bench/crashes.py prints."""
    argv = ["env", f"--chdir={folder}", PYTHON, CLIENT, *(str(word) for word in words)]
    found: list[float] = json.loads(machine.run(argv, timeout=900).stdout)
    return found


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
