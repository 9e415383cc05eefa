"""List the workers: state, route, CPU, memory.

Without a name all installed workers are listed, and the exit status is 0. With names or patterns
only these, and the exit status is 3 when one of them does not run (as 'systemctl status').

Those that have failed come first, then those that wait or are not healthy, then the rest, each by
name.

STATE is running, holding (it runs, but its file 'serving' is gone, so the routers hold its
requests), starting (its health check has not passed yet), draining (it is about to stop, and
finishes its requests), stopping, restarting (it failed, and is started again after the shown time,
which grows with each failure; 'tqunits start' does it at once), failed (with systemd's result),
unhealthy (its start has failed, because it did not pass its health check), stopped, disabled
(stopped, and not started at boot), static (files that the router serves: nothing runs), refused or
skipped (by the last install: it is not installed), or not installed (never installed). After it
comes an order about its traffic, if there is one: pause, drain or maintenance (see 'tqunits
resume'). 'tqunits why NAME' explains the state. Below the table are the workers that the last
install has left as they were, with the reason, and the files of workers (environment_file,
credentials) that have changed since install copied them. CPU is the time used since the start;
MEM/MAX the memory, caches included, and its limit. "-" is what does not apply, or what this host
does not count.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tqunits.cli import format as human
from tqunits.cli.context import Context
from tqunits.cli.output import Cell, Output
from tqunits.cli.selection import named
from tqunits.errors import ExitStatus
from tqunits.host import left_out, traffic_file
from tqunits.host.installed import Installed, installed, served, serving
from tqunits.host.left_out import LeftOut, Report
from tqunits.host.stale_copies import changed
from tqunits.host.status import InstanceStatus, State, enabled_at_boot, statuses
from tqunits.model import Instance
from tqunits.routing.codec.document import Served
from tqunits.routing.traffic import DRAIN
from tqunits.system.bus import Bus
from tqunits.units import unitfile

_COLUMNS = ("NAME", "ROUTE", "STATE", "PID", "UPTIME", "RESTARTS", "CPU", "MEM/MAX", "PORT", "USER")

_STYLES: Mapping[State, str] = {
    State.RUNNING: "green",
    State.STARTING: "yellow",
    State.HOLDING: "red",
    State.DRAINING: "yellow",
    State.STOPPING: "yellow",
    State.RESTARTING: "red",
    State.FAILED: "red",
    State.UNHEALTHY: "red",
    State.STOPPED: "dim",
    State.REFUSED: "red",
    State.SKIPPED: "red",
    State.NOT_INSTALLED: "dim",
}

_FIRST = frozenset({State.FAILED, State.UNHEALTHY, State.REFUSED, State.SKIPPED})
_LAST = frozenset({State.RUNNING, State.STATIC, State.STOPPED, State.NOT_INSTALLED})


@dataclass(frozen=True, slots=True, kw_only=True)
class _WorkerRow:
    """What is None does not apply: files have no unit."""

    whose: Instance
    routes: tuple[str, ...]
    hosts: tuple[str, ...]
    status: InstanceStatus
    unit: str | None = None
    source: str | None = None
    port: int | None = None
    socket: str | None = None
    user: str | None = None
    is_enabled: bool | None = None  # at boot
    waiting: tuple[str, ...] = ()  # files that have changed since install copied them
    order: str | None = None  # what an administrator has ordered of its traffic
    left_out: LeftOut | None = None  # by the last install

    @property
    def name(self) -> str:
        """As people have it: `api`, `api:2`."""
        return str(self.whose)

    @property
    def rank(self) -> int:
        """Who needs somebody stands above."""
        return 0 if self.status.state in _FIRST else 2 if self.status.state in _LAST else 1

    @property
    def state(self) -> str:
        """The words of the STATE column."""
        return f"{self._of_unit}, {self.order}" if self.order else self._of_unit

    @property
    def _of_unit(self) -> str:
        if self.status.state is State.STOPPED and self.is_enabled is False:
            return "disabled"
        if self.status.state is State.UNHEALTHY and self.status.comes_again:
            word = "unhealthy (restarting)"
            return word if self.status.next_us is None else f"{word} in {human.span(self.status.next_us)}"
        has_reason = self.status.state in {State.FAILED, State.RESTARTING} and self.status.result != "success"
        word = f"{self.status.state} ({self.status.result})" if has_reason else self.status.state.value
        return word if self.status.next_us is None else f"{word} in {human.span(self.status.next_us)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Absent:
    """A worker that is not installed."""

    name: str
    left_out: LeftOut | None


_Listed = Installed | Served | _Absent


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `tqunits ls`."""
    parser.add_argument("names", metavar="NAME", nargs="*", help="worker, its unit, or a pattern such as 'api-*'")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace, context: Context) -> ExitStatus:
    """List."""
    report = left_out.read(context.layout)
    here: Sequence[Installed | Served] = (*installed(context.layout), *served(context.layout))
    workers: Sequence[_Listed] = (*here, *_absent(here, report))
    if arguments.names:
        workers = named(arguments.names, workers, context)
    rows = _rows(workers, report, context)
    if arguments.json:
        context.output.json("ls", 1, workers=[_json(row) for row in rows])
    elif rows:
        _print(rows, context.output)
    else:
        context.output.message("no workers are installed; 'tqunits install' installs those that are configured")
    is_down = any(row.status.state not in {State.RUNNING, State.STATIC} for row in rows)
    return ExitStatus.NOT_RUNNING if arguments.names and is_down else ExitStatus.OK


def _absent(here: Sequence[Installed | Served], report: Report) -> list[_Absent]:
    """Those that are not installed, though there is a folder, or were, and left out by the last
    install."""
    names = {_worker(each) for each in here}
    folders = left_out.uninstalled(report, names)
    return [_Absent(name=name, left_out=report.workers.get(name)) for name in folders]


def _rows(workers: Sequence[_Listed], report: Report, context: Context) -> list[_WorkerRow]:
    """Who needs somebody first, then by name."""
    units = [worker for worker in workers if isinstance(worker, Installed)]
    rows = [_of_files(worker) for worker in workers if isinstance(worker, Served)]
    rows += [_of_absent(worker) for worker in workers if isinstance(worker, _Absent)]
    if units:
        with Bus(user_mode=context.user_mode) as bus:
            found = statuses(
                bus, (worker.unit for worker in units), serving(units, context.layout), context.layout.runtime
            )
        enabled = enabled_at_boot(Path(context.layout.units))
        rows += [_of_unit(worker, found[worker.unit], is_enabled=worker.unit in enabled) for worker in units]
    orders = {worker: order.order for worker, order in traffic_file.orders(context.layout).items()}
    alone = {str(whose): DRAIN for whose in traffic_file.drained(context.layout)}
    rows = [
        replace(
            row,
            left_out=report.workers.get(row.whose.worker),
            order=orders.get(row.whose.worker, alone.get(row.name)),
        )
        for row in rows
    ]
    return sorted(rows, key=lambda row: (row.rank, row.whose))


def _of_absent(worker: _Absent) -> _WorkerRow:
    kind = worker.left_out.kind if worker.left_out is not None else ""
    state = State(kind) if kind in {State.REFUSED, State.SKIPPED} else State.NOT_INSTALLED
    return _WorkerRow(whose=Instance(worker.name), routes=(), hosts=(), status=InstanceStatus(state=state))


def _worker(listed: Installed | Served) -> str:
    return listed.worker if isinstance(listed, Installed) else listed.name


def _of_unit(worker: Installed, status: InstanceStatus, *, is_enabled: bool) -> _WorkerRow:
    ledger = worker.ledger
    return _WorkerRow(
        whose=worker.instance,
        routes=ledger.routes,
        hosts=ledger.hosts,
        status=status,
        unit=worker.unit,
        source=ledger.source,
        port=ledger.port,
        socket=ledger.socket,
        user=unitfile.last_value(worker.text, "Service", "User"),
        is_enabled=is_enabled,
        waiting=changed(ledger.copies),
    )


def _of_files(worker: Served) -> _WorkerRow:
    return _WorkerRow(
        whose=Instance(worker.name),
        routes=worker.routes,
        hosts=worker.hosts,
        status=InstanceStatus(state=State.STATIC),
    )


def _print(rows: Sequence[_WorkerRow], output: Output) -> None:
    output.table(_COLUMNS, [_cells(row) for row in rows])
    for row in rows:
        if row.status.state is State.HOLDING:
            text = "runs, but somebody has removed its file 'serving', so its requests are held"
            output.message(f"{row.name} {text}; 'tqunits repair' serves it again, as a router asks for", style="red")
        if row.left_out is not None:
            output.message(f"{row.name} is left out by the last install: {row.left_out.reason}", style="yellow")
        for path in row.waiting:
            output.message(f"{row.name} gets {path} as it is now with 'tqunits install --now'", style="yellow")


def _cells(row: _WorkerRow) -> list[Cell | str]:
    status = row.status
    memory = f"{human.size(status.memory)}/{human.size(status.memory_max)}" if status.memory is not None else "-"
    return [
        row.name,
        " ".join(row.routes),
        Cell(row.state, "yellow" if row.order else _STYLES.get(status.state, "")),
        str(status.pid or "-"),
        human.span(status.uptime_us),
        Cell(str(status.restarts) if row.unit else "-", "yellow" if status.restarts else ""),
        human.cpu(status.cpu_ns),
        memory,
        str(row.port or (f"unix:{row.socket}" if row.socket else "-")),
        row.user or "-",
    ]


def _json(row: _WorkerRow) -> Mapping[str, object]:
    status = row.status
    return {
        "name": row.name,
        "unit": row.unit,
        "source": row.source,
        "routes": list(row.routes),
        "hosts": list(row.hosts),
        "state": status.state.value,
        "enabled": row.is_enabled,
        "result": status.result if row.unit else None,
        "pid": status.pid,
        "uptime_us": status.uptime_us,
        "restarts": status.restarts if row.unit else None,
        "next_try_us": status.next_us,
        "cpu_ns": status.cpu_ns,
        "memory": status.memory,
        "memory_max": status.memory_max,
        "port": row.port,
        "socket": row.socket,
        "user": row.user,
        "waiting": list(row.waiting),
        "order": row.order,
        "left_out": None if row.left_out is None else {"kind": row.left_out.kind, "reason": row.left_out.reason},
    }
