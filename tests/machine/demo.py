"""`make demo`: the sample workers on a systemd of their own, shown by the commands that an
administrator would type.

Runs on the distribution's Python alone. Ends with status 0 only if every step did what it should.
  --stay   leave the machine up      --shell   a shell in it      --down   end it
"""

import argparse
import json
import os
import select
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from .booted import STOP_SECONDS, Machine
from .host import ENVIRONMENT, MachineError
from .limits import kernel_file

STATE = Path("/run/tqunits-demo.json")  # of the machine that stays: its keeper, and how to enter it
ANSWER_SECONDS = 60.0  # the default of timeouts.start, which the sample workers use
UNIT = "tq-worker@api.service"
SITE = "http://localhost:8080"
REQUESTS = ("/", "/api/", "/blog/", "/admin/")
LIMITS = ("MemoryMax", "CPUQuota", "TasksMax")


def main() -> int:
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    actions = parser.add_mutually_exclusive_group()
    for name in "stay", "shell", "down":
        actions.add_argument(f"--{name}", action="store_true")
    arguments = parser.parse_args()
    try:
        if arguments.shell:
            return _shell()
        if arguments.down:
            return _down()
        return _demo(stay=arguments.stay)
    except MachineError as error:
        print(f"\ndemo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def _demo(*, stay: bool) -> int:
    if stay and _kept() is not None:
        raise MachineError("a machine is up already: `make shell` enters it, `make down` ends it")
    began = time.monotonic()
    _heading("A throw-away machine: systemd as PID 1 over this host's own tree")
    with Machine.boot() as machine:
        print(f"booted in {time.monotonic() - began:.1f} s; nothing that happens in it reaches this host")
        _show_all(machine)
        _heading(f"All of it in {time.monotonic() - began:.1f} s")
        if stay:
            _keep(machine)
            return 0
    print("The machine is gone, and all that was in it.")
    return 0


def _show_all(machine: Machine) -> None:
    _heading("Install: every folder of /srv/tqunits/workers becomes a unit")
    _show(machine, ["ls", "/srv/tqunits/workers"])
    _show(machine, ["tqunits", "install", "--now"])
    _heading("The workers answer through the router")
    for path in REQUESTS:
        wait = ["curl", "--silent", "--fail", "--output", "/dev/null", "--max-time", "5", SITE + path]
        machine.wait_until(wait, timeout=ANSWER_SECONDS)
        _show(machine, ["curl", "-si", SITE + path])
    _heading("One table of them")
    _show(machine, ["tqunits", "ls"])
    _heading("Each is a unit like any other")
    _show(machine, ["systemctl", "status", "--no-pager", "tq-worker@api"])
    _heading("Its limits, as the kernel has them")
    _show(machine, ["grep", "-H", "", *(kernel_file(machine, UNIT, setting) for setting in LIMITS)])


def _show(machine: Machine, argv: Sequence[str]) -> None:
    """Print the command as a user would type it, then its output while it runs."""
    print(f"\n# {shlex.join(argv)}", flush=True)
    environment = {**ENVIRONMENT, "TERM": os.environ.get("TERM", "dumb")}
    status = subprocess.run(machine.command(argv), env=environment, stdin=subprocess.DEVNULL, check=False).returncode
    if status != 0:
        raise MachineError(f"{' '.join(argv)} ended with status {status}\n\n{machine.journal_tail()}")


def _heading(text: str) -> None:
    bold, plain = ("\033[1m", "\033[0m") if sys.stdout.isatty() else ("", "")
    print(f"\n{bold}== {text}{plain}", flush=True)


def _keep(machine: Machine) -> None:
    machine.detach()
    entry = machine.command(["/bin/bash", "--login"])
    STATE.write_text(json.dumps({"keeper": machine.keeper.pid, "shell": entry}), encoding="utf-8")
    print(f"The machine stays up.\n  in:   make shell    (or: nsenter -t {machine.pid} -m -u -i -n -p -C -r -w)")
    print("  out:  make down     (or: poweroff, inside)")


def _kept() -> dict[str, object] | None:
    """The machine that was left running, unless it has ended since."""
    try:
        state = dict(json.loads(STATE.read_text(encoding="utf-8")))
        alive = b"machine.keeper" in Path(f"/proc/{state['keeper']}/cmdline").read_bytes()
    except (OSError, ValueError):
        return None
    return state if alive else None


def _shell() -> int:
    match _kept():
        case {"shell": list(argv)}:
            environment = {**ENVIRONMENT, "TERM": os.environ.get("TERM", "dumb")}
            return subprocess.run(argv, env=environment, check=False).returncode
        case _:
            raise MachineError("no machine is up: `make demo ARGS=--stay` boots one and leaves it up")


def _down() -> int:
    match _kept():
        case {"keeper": int(pid)}:
            end = os.pidfd_open(pid)
            os.kill(pid, signal.SIGTERM)
            select.select([end], [], [], STOP_SECONDS)
            os.close(end)
        case _:
            print("No machine is up.")
    STATE.unlink(missing_ok=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
