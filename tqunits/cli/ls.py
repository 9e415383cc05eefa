"""List the workers: state, route, CPU, memory.

Without a name all installed workers are listed, and the exit status is 0. With names or patterns only these, and the
exit status is 3 when one of them does not run (as 'systemctl status').

STATE is running, starting (its health check has not answered yet), stopping, restarting (it failed; systemd starts it
again in a moment), failed (with systemd's result), stopped, or disabled (stopped, and not started at boot).
CPU is the time used since the start; MEM/MAX the memory, caches included, and its limit. "-" is what does not apply, or
what this host does not count.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tqunits.cli import format as human
from tqunits.cli.context import Context
from tqunits.cli.output import Cell, Output
from tqunits.cli.selection import Installed, installed, named
from tqunits.errors import ExitStatus
from tqunits.system.bus import Bus
from tqunits.system.status import State, Status, enabled_at_boot, statuses
from tqunits.units import unitfile

_COLUMNS = ("NAME", "ROUTE", "STATE", "PID", "UPTIME", "RESTARTS", "CPU", "MEM/MAX", "PORT", "USER")

_STYLES: Mapping[State, str] = {
    State.RUNNING: "green",
    State.STARTING: "yellow",
    State.STOPPING: "yellow",
    State.RESTARTING: "red",
    State.FAILED: "red",
    State.UNHEALTHY: "red",
    State.STOPPED: "dim",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    worker: Installed
    status: Status
    user: str
    is_enabled: bool  # at boot

    @property
    def state(self) -> str:
        """The word of the STATE column."""
        if self.status.state is State.STOPPED and not self.is_enabled:
            return "disabled"
        has_reason = self.status.state in {State.FAILED, State.RESTARTING} and self.status.result != "success"
        return f"{self.status.state} ({self.status.result})" if has_reason else self.status.state.value


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `tqunits ls`."""
    parser.add_argument("names", metavar="NAME", nargs="*", help="worker, its unit, or a pattern such as 'api-*'")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace, context: Context) -> ExitStatus:
    """List."""
    workers = installed(context.layout)
    if arguments.names:
        workers = named(arguments.names, workers, context)
    rows = _rows(workers, context)
    if arguments.json:
        context.output.json("ls", 1, workers=[_json(row) for row in rows])
    elif rows:
        _print(rows, context.output)
    else:
        context.output.message("no workers are installed; 'tqunits install' installs those that are configured")
    is_down = any(row.status.state is not State.RUNNING for row in rows)
    return ExitStatus.NOT_RUNNING if arguments.names and is_down else ExitStatus.OK


def _rows(workers: Sequence[Installed], context: Context) -> list[_Row]:
    if not workers:
        return []
    with Bus(user_mode=context.user_mode) as bus:
        found = statuses(bus, (worker.unit for worker in workers))
    enabled = enabled_at_boot(Path(context.layout.units))
    return [_Row(worker=w, status=found[w.unit], user=_user(w), is_enabled=w.unit in enabled) for w in workers]


def _user(worker: Installed) -> str:
    return next((a.value for a in unitfile.parse(worker.text) if a.name == "User"), "")


def _print(rows: Sequence[_Row], output: Output) -> None:
    output.table(_COLUMNS, [_cells(row) for row in rows])


def _cells(row: _Row) -> list[Cell | str]:
    status, ledger = row.status, row.worker.ledger
    memory = f"{human.size(status.memory)}/{human.size(status.memory_max)}" if status.memory is not None else "-"
    return [
        row.worker.name,
        " ".join(ledger.routes),
        Cell(row.state, _STYLES[status.state]),
        str(status.pid or "-"),
        human.span(status.uptime_us),
        Cell(str(status.restarts), "yellow" if status.restarts else ""),
        human.cpu(status.cpu_ns),
        memory,
        str(ledger.port or (f"unix:{ledger.socket}" if ledger.socket else "-")),
        row.user or "-",
    ]


def _json(row: _Row) -> Mapping[str, object]:
    status, ledger = row.status, row.worker.ledger
    return {
        "name": row.worker.name,
        "unit": row.worker.unit,
        "source": ledger.source,
        "routes": list(ledger.routes),
        "hosts": list(ledger.hosts),
        "state": status.state.value,
        "enabled": row.is_enabled,
        "result": status.result,
        "pid": status.pid,
        "uptime_us": status.uptime_us,
        "restarts": status.restarts,
        "cpu_ns": status.cpu_ns,
        "memory": status.memory,
        "memory_max": status.memory_max,
        "port": ledger.port,
        "socket": ledger.socket,
        "user": row.user or None,
    }
