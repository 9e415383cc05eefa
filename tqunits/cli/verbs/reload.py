"""Have workers read their configuration again, without a restart.

Each gets the signal that `reload` in its worker.yaml names; its process and its connections stay.
What it makes of the signal is the program's own: the command returns when it is sent. Changes of
worker.yaml are not what is read again: 'tqunits install --now' is for those. With --all those that
have no `reload` are left alone.

Exit status: 0 all were told, 1 one was not (it does not run, or has no `reload`), 4 no such worker,
5 not permitted.
"""

from __future__ import annotations

import argparse

from tqunits.cli.context import Context
from tqunits.cli.lifecycle import configure_waiting, finish
from tqunits.cli.results import progress, timeout_of
from tqunits.cli.selection import add_names, select
from tqunits.errors import ExitStatus
from tqunits.host.installed import Installed, installed
from tqunits.lifecycle.outcome import JobResult
from tqunits.lifecycle.state import State, of_unit
from tqunits.system.bus import Bus
from tqunits.system.jobs import Jobs
from tqunits.units import unitfile


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `tqunits reload`."""
    add_names(parser, all_means="every worker that runs and can be reloaded")
    configure_waiting(parser)


def run(arguments: argparse.Namespace, context: Context) -> ExitStatus:
    """Reload those that can be; say of the others why not."""
    chosen = select(arguments, installed(context.layout), context)
    with Bus(user_mode=context.user_mode) as bus:
        found = {unit.name: of_unit(unit.active, unit.sub) for unit in bus.list_units([w.unit for w in chosen])}
        able = [worker for worker in chosen if _reason(worker, found) is None]
        refused = [] if arguments.all else [(w.unit, reason) for w in chosen if (reason := _reason(w, found))]
        results = Jobs(bus).run(
            "ReloadUnit",
            [worker.unit for worker in able],
            timeout_us=timeout_of(arguments),
            block=not arguments.no_block,
            on_wait=progress(context),
        )
        told = (JobResult(unit=unit, result="refused", message=reason) for unit, reason in refused)
        return finish((*told, *results), [worker.unit for worker in able], arguments, context)


def _reason(worker: Installed, states: dict[str, State]) -> str | None:
    """Why it can not be reloaded; None: it can."""
    if unitfile.last_value(worker.text, "Service", "ExecReload") is None:
        return f"has no `reload` in its worker.yaml; 'tqunits restart {worker.name}' restarts it"
    if states.get(worker.unit) is not State.HEALTHY:
        return f"does not run; 'tqunits start {worker.name}' starts it"
    return None
