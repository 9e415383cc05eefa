"""The list of `tqunits ls`: what is known of the workers at one moment, as a table and as a
document.

Its rows come from the installed files, from systemd, and from the manager, if that answers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from tqunits.cli import condition, old_starts
from tqunits.cli import format as human
from tqunits.cli.context import Context
from tqunits.cli.output import Cell, Output
from tqunits.cli.selection import named
from tqunits.cli.watch_words import FolderWatched, WatchAnswer, told
from tqunits.host import left_out, traffic_file
from tqunits.host.installed import Installed, served, serving, slots
from tqunits.host.left_out import LeftOut, Report
from tqunits.host.run_time_health import RunTimeHealth
from tqunits.host.running_release import running_release, served_release
from tqunits.host.stale_copies import changed
from tqunits.host.status import InstanceStatus, enabled_at_boot, statuses
from tqunits.lifecycle.state import AT_REST, Detail, NoInstance, State
from tqunits.light_dataclass import dataclass
from tqunits.model import Instance
from tqunits.routing.codec.document import Served
from tqunits.routing.traffic import DRAIN
from tqunits.system.bus import Bus
from tqunits.units import unitfile

AWAY = "the manager does not answer, so nobody checks the health of running workers: 'systemctl status tq-manager'"
_COLUMNS = ("NAME", "ROUTE", "STATE", "PID", "UPTIME", "RESTARTS", "CPU", "MEM/MAX", "PORT", "USER")
_RELEASE = "RELEASE"  # the last column, so that the others keep their places

_FIRST = frozenset({State.FAILED, NoInstance.REFUSED, NoInstance.SKIPPED})
_LAST = frozenset({State.HEALTHY, State.STOPPED, NoInstance.STATIC, NoInstance.NOT_INSTALLED})
_WELL = frozenset({State.HEALTHY, NoInstance.STATIC})


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerRow:
    """One line of the list. What is None does not apply: files have no unit."""

    whose: Instance
    routes: tuple[str, ...]
    hosts: tuple[str, ...]
    found: InstanceStatus | NoInstance
    unit: str | None = None
    source: str | None = None
    port: int | None = None
    socket: str | None = None
    user: str | None = None
    is_enabled: bool | None = None  # at boot
    is_surge: bool = False  # no replica: it runs during a roll only
    waiting: tuple[str, ...] = ()  # files that have changed since install copied them
    order: str | None = None  # what an administrator has ordered of its traffic
    left_out: LeftOut | None = None  # by the last install
    why: str = ""  # what is wrong with its answers to health checks
    release: str | None = None  # the ID of the one that its process runs, or that the routers serve
    unwatched: str = ""  # why changes of its folder do not take effect, though they should
    restart_due: str = ""  # what has changed since its start that a restart alone takes

    @property
    def name(self) -> str:
        """As people have it: `api`, `api:2`."""
        return str(self.whose)

    @property
    def title(self) -> str:
        """The name in the table."""
        return f"{self.name} (surge)" if self.is_surge else self.name

    @property
    def rank(self) -> int:
        """Who needs somebody stands above."""
        return 0 if self.state in _FIRST else 2 if self.state in _LAST else 1

    @property
    def status(self) -> InstanceStatus | None:
        """None: it has no instance."""
        return self.found if isinstance(self.found, InstanceStatus) else None

    @property
    def state(self) -> State | NoInstance:
        """Of its instance, or why it has none."""
        return self.found.state if isinstance(self.found, InstanceStatus) else self.found

    @property
    def words(self) -> str:
        """The words of the STATE column."""
        return ", ".join(filter(None, self._words()))

    def _words(self) -> Iterator[str]:
        if self.state is State.STOPPED and self.is_enabled is False:
            yield "disabled"
        elif self.status is None:
            yield self.state
        else:
            yield condition.words(self.status)
            yield condition.next_start(self.status)
        yield self.order or ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Absent:
    """A worker that is not installed."""

    name: str
    left_out: LeftOut | None


_Listed = Installed | Served | _Absent


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """The workers at one moment."""

    rows: Sequence[WorkerRow]
    is_known: bool  # the manager has told how health checks end
    is_all: bool = True  # nobody was named
    unapplied: str = ""  # why tqunits.yaml, as it is, is not applied by itself

    @property
    def is_well(self) -> bool:
        """Whether each of them is healthy or static. A surge is only passing through."""
        return all(row.state in _WELL for row in self.rows if not row.is_surge)

    @property
    def lasting(self) -> Listing:
        """The same without what changes all the time: times, and what is used of CPU and memory."""
        return replace(self, rows=[replace(row, found=_lasting(row.found)) for row in self.rows])

    def members(self) -> Mapping[str, object]:
        """The members of the document `tqunits.ls`."""
        rows = [_json(row) for row in self.rows]
        return {"manager": self.is_known, "unapplied": self.unapplied or None, "workers": rows}


def look(names: Sequence[str], health: RunTimeHealth, context: Context) -> Listing:
    """List the workers of these names and patterns, or all. Raises NoSuchWorker, TqunitsError."""
    report = left_out.read(context.layout)
    here: Sequence[Installed | Served] = (*slots(context.layout), *served(context.layout))
    workers: Sequence[_Listed] = (*here, *_absent(here, report))
    if names:
        workers = named(names, workers, context)
    # The manager has answered a moment ago, or is not asked: a question would start it.
    watched = (told(context.layout) if health.is_known else None) or WatchAnswer({})
    rows = _rows(workers, report, health, watched.folders, context)
    return Listing(rows=rows, is_known=health.is_known, is_all=not names, unapplied=watched.unapplied)


def show(found: Listing, output: Output) -> None:
    """Print the table, and below it what is to be said of single workers."""
    if found.rows:
        _print(found.rows, output)
    elif not found.is_all:
        output.message("it does not run: a surge is listed during a roll only")
    else:
        output.message("no workers are installed; 'tqunits install' installs those that are configured")
    if found.unapplied:
        output.message(f"tqunits.yaml, as it is now, is not applied: {found.unapplied}", style="yellow")


def _lasting(found: InstanceStatus | NoInstance) -> InstanceStatus | NoInstance:
    if isinstance(found, NoInstance):
        return found
    return replace(found, uptime_us=None, next_us=None, cpu_ns=None, memory=None)


def _absent(here: Sequence[Installed | Served], report: Report) -> list[_Absent]:
    """Those that are not installed, though there is a folder, or were, and left out by the last
    install."""
    names = {_worker(each) for each in here}
    folders = left_out.uninstalled(report, names)
    return [_Absent(name=name, left_out=report.workers.get(name)) for name in folders]


def _rows(
    workers: Sequence[_Listed],
    report: Report,
    health: RunTimeHealth,
    watched: Mapping[str, FolderWatched],
    context: Context,
) -> list[WorkerRow]:
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
        shown = [each for each in units if not (each.ledger.is_surge and found[each.unit].state in AT_REST)]
        rows += [
            replace(
                _of_unit(worker, found[worker.unit], health, is_enabled=worker.unit in enabled),
                release=running_release(worker.instance, context.layout.runtime),
            )
            for worker in shown
        ]
    waits = old_starts.waits(context.layout)
    orders = {worker: order.order for worker, order in traffic_file.orders(context.layout).items()}
    alone = {str(whose): DRAIN for whose in traffic_file.drained(context.layout)}
    rows = [
        replace(
            row,
            left_out=report.workers.get(row.whose.worker),
            order=orders.get(row.whose.worker, alone.get(row.name)),
            restart_due=old_starts.why_old(row.whose.worker, row.status, waits),
            unwatched=watched[row.whose.worker].trouble
            if row.whose.number == 1 and row.whose.worker in watched
            else "",
        )
        for row in rows
    ]
    return sorted(rows, key=lambda row: (row.rank, row.whose))


def _of_absent(worker: _Absent) -> WorkerRow:
    return WorkerRow(whose=Instance(worker.name), routes=(), hosts=(), found=left_out.instead(worker.left_out))


def _worker(listed: Installed | Served) -> str:
    return listed.worker if isinstance(listed, Installed) else listed.name


def _of_unit(worker: Installed, seen: InstanceStatus, health: RunTimeHealth, *, is_enabled: bool) -> WorkerRow:
    ledger, status = worker.ledger, health.of(worker.unit, seen)
    return WorkerRow(
        whose=worker.instance,
        routes=ledger.routes,
        hosts=ledger.hosts,
        found=status,
        unit=worker.unit,
        source=ledger.source,
        port=ledger.port,
        socket=ledger.socket,
        user=unitfile.last_value(worker.text, "Service", "User"),
        is_enabled=is_enabled,
        is_surge=ledger.is_surge,
        waiting=changed(ledger.copies),
        why=health.why(worker.unit, status),
    )


def _of_files(worker: Served) -> WorkerRow:
    return WorkerRow(
        whose=Instance(worker.name),
        routes=worker.routes,
        hosts=worker.hosts,
        found=NoInstance.STATIC,
        release=served_release(worker),
    )


def _print(rows: Sequence[WorkerRow], output: Output) -> None:
    if any(row.release for row in rows):
        output.table((*_COLUMNS, _RELEASE), [[*_cells(row), row.release or "-"] for row in rows])
    else:
        output.table(_COLUMNS, [_cells(row) for row in rows])
    for row in rows:
        if row.status is not None and row.status.detail is Detail.HOLDING:
            text = "runs, but somebody has removed its file 'serving', so its requests are held"
            output.message(f"{row.name} {text}; 'tqunits repair' serves it again, as a router asks for", style="red")
        if row.why:
            output.message(f"{row.name} fails its health checks: {row.why}", style="red")
        if row.left_out is not None:
            output.message(f"{row.name} is left out by the last install: {row.left_out.reason}", style="yellow")
        if row.restart_due:
            advice = f"'tqunits restart {row.whose.worker}' takes it"
            output.message(f"{row.name} runs as it was started: {row.restart_due}; {advice}", style="yellow")
        if row.unwatched:
            output.message(f"{row.name}: {row.unwatched}", style="yellow")
        for path in row.waiting:
            output.message(f"{row.name} gets {path} as it is now with 'tqunits install --now'", style="yellow")


def _cells(row: WorkerRow) -> list[Cell | str]:
    return [
        row.title,
        " ".join(row.routes),
        Cell(row.words, "yellow" if row.order else condition.STYLES[row.state]),
        *(_of_process(row.status) if row.status else ["-"] * 5),
        str(row.port or (f"unix:{row.socket}" if row.socket else "-")),
        row.user or "-",
    ]


def _of_process(status: InstanceStatus) -> list[Cell | str]:
    """PID to MEM/MAX."""
    memory = f"{human.size(status.memory)}/{human.size(status.memory_max)}" if status.memory is not None else "-"
    return [
        str(status.pid or "-"),
        human.span(status.uptime_us),
        Cell(str(status.restarts), "yellow" if status.restarts else ""),
        human.cpu(status.cpu_ns),
        memory,
    ]


def _json(row: WorkerRow) -> Mapping[str, object]:
    return {
        "name": row.name,
        "unit": row.unit,
        "source": row.source,
        "routes": list(row.routes),
        "hosts": list(row.hosts),
        **condition.members(row.state, row.status),
        "why": row.why or None,
        "enabled": row.is_enabled,
        "port": row.port,
        "socket": row.socket,
        "user": row.user,
        "release": row.release,
        "waiting": list(row.waiting),
        "restart_due": row.restart_due or None,
        "unwatched": row.unwatched or None,
        "order": row.order,
        "surge": row.is_surge,
        "left_out": None if row.left_out is None else {"kind": row.left_out.kind, "reason": row.left_out.reason},
    }
