"""The command lines of a worker's unit: its program, perhaps behind the launcher, the gate after
its start, and leave before its stop (tqunits/alone/)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import chain

from tqunits.health import OK, HealthType, printed
from tqunits.model import INFINITY, Host, Instance, ServiceType, Worker
from tqunits.units import credentials, environment, failure_pause, quote

_LEAVE_MARGIN_US = 1_000_000
"""A drain ends this long before TimeoutStopSec=."""

_GATE_MARGIN_US = 5_000_000
"""TimeoutStartSec= is this much longer than `timeouts.start`, at which the gate gives up: it has
seen why, and systemd, on a host where many start at once, would end it before it can say so."""


def in_folder(worker: Worker, argv: tuple[str, ...]) -> tuple[str, ...]:
    """A program with a slash lies in the worker's folder; a plain name is systemd's to find."""
    first = str(worker.folder / argv[0]) if "/" in argv[0] else argv[0]
    return (first, *argv[1:])


def launched(worker: Worker, whose: Instance, program: tuple[str, ...], target: Host) -> tuple[str, ...]:
    """The argv of ExecStart=: the program itself, unless variables, its path or `max_restarts` need
    a launcher."""
    return _launched(worker, program, target, _given_up(whose, target) if worker.restart.max_restarts else [])


def run_once(worker: Worker, program: tuple[str, ...], target: Host) -> tuple[str, ...]:
    """The same for a program that runs beside the worker, however often that has failed."""
    return _launched(worker, program, target, [])


def _launched(worker: Worker, program: tuple[str, ...], target: Host, unless: list[str]) -> tuple[str, ...]:
    files = [f"{source.id}={source.path}" for source in credentials.sources(worker) if source.has_variables]
    if not files and not unless and quote.is_executable(program[0]):
        return program
    keep = environment.runtime_variables(worker)
    options = chain.from_iterable([*(("--environment", file) for file in files), *(("--keep", name) for name in keep)])
    return (*target.argv_alone("launch"), *options, *unless, "--", *program)


def _given_up(whose: Instance, target: Host) -> list[str]:
    """The file that tq-backoff@ makes when the worker has failed too often."""
    return ["--unless", str(failure_pause.given_up_file(whose, target.layout.runtime))]


def asked(worker: Worker, port: int | None, socket: str | None, values: Mapping[str, str]) -> tuple[str, ...]:
    """The health check as options of the gate's; what is usual is not said. Empty: nothing is asked
    at a start."""
    if not _has_gate(worker):
        return ()
    health = worker.health
    words = ["--socket", socket] if socket else ["--port", str(port)]
    if health.type is not HealthType.HTTP:
        words += ["--type", health.type.value]
    else:
        words += ["--path", health.path]
        words += ["--host-field", health.host] if health.host is not None else []
        words += ["--status", printed(health.status)] if health.status != OK else []
    words += ["--probe-timeout", _seconds(health.timeout), "--budget", _seconds(worker.timeouts.start)]
    if health.type is HealthType.COMMAND:
        program = in_folder(worker, environment.fill_in_health(worker, values))
        words += chain.from_iterable(("--run", word) for word in program)
    return tuple(words)


def _has_gate(worker: Worker) -> bool:
    return worker.service_type is not ServiceType.NOTIFY and worker.health.type is not HealthType.NONE


def started(whose: Instance, target: Host, options: tuple[str, ...]) -> str:
    """The command line of ExecStartPost=, after which the routers send requests: the gate's, if it
    has `options` (see `asked`).

    systemd puts the process in for $MAINPID: this one dollar sign is meant.
    """
    place = environment.place(whose, target.layout.runtime)
    if not options:
        return quote.command([*target.argv_alone("join"), *place.values()])
    return f"{quote.command([*target.argv_alone('gate'), *options, *_place(whose, target)])} --pid $MAINPID"


def _place(whose: Instance, target: Host) -> Iterable[str]:
    return chain.from_iterable(environment.place(whose, target.layout.runtime).items())


def leave(worker: Worker, whose: Instance, target: Host) -> str:
    """The command line of ExecStop=. It ends before TimeoutStopSec=, which would count as a failure
    of the worker."""
    stop, drain = (span or INFINITY for span in (worker.timeouts.stop, worker.timeouts.drain))
    wait = _seconds(min(drain, stop if stop == INFINITY else stop - min(_LEAVE_MARGIN_US, stop // 10)))
    return f"{quote.command([*target.argv_alone('leave'), *_place(whose, target), '--wait', wait])} --pid $MAINPID"


def start_patience(worker: Worker) -> int:
    """TimeoutStartSec=: the gate's budget and more, where there is one; 0 is no limit."""
    start = worker.timeouts.start
    return start + _GATE_MARGIN_US if _has_gate(worker) and start not in (0, INFINITY) else start


def _seconds(span: int) -> str:
    """A span as the gate reads it; 0 is no limit."""
    if span in (0, INFINITY):
        return "infinity"
    whole, rest = divmod(span, 1_000_000)
    return f"{whole}.{rest:06d}".rstrip("0").rstrip(".")
