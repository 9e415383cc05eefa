"""The unit of a worker's `release.command`: the content of the drop-in of tq-release@NAME.service.

The command runs as the worker, in its sandbox, with its limits, its data and its credentials, while
the worker's instances serve. So it has nothing that belongs to one process: no port, no socket, no
runtime folder, and none of the worker's variables that are made of these. It sees the new release
at the path of the worker's folder, through a link as an instance does (release_mount.py): that of
the surge's number, which leads to the new release before that of any replica does. In development
mode there is no release: it sees the folder itself, as the instances do.

Directives of `unit:` are not taken over: they are for a service that stays, and one such as
Restart= would keep systemd from loading this unit, which runs once and ends.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from tqunits import placeholders
from tqunits.model import Host, Mode, Worker
from tqunits.placeholders import PlaceholderKind
from tqunits.units import as_worker, build_units, command_lines, credentials, environment, name, quote, release_mount
from tqunits.units.unitfile import Copy

TIMEOUT = build_units.TIMEOUT
"""µs. What prepares a release may take as long as what makes it."""

_CREDENTIALS = "CREDENTIALS_DIRECTORY"
_RUNTIME = "RUNTIME_DIRECTORY"


def has_any(worker: Worker, target: Host) -> bool:
    """Whether the worker has this unit: it has a `release.command`, and can be deployed."""
    if not worker.release_command or target.user_mode:
        return False
    return worker.in_development or not release_mount.obstacle(worker, target)


def values(
    worker: Worker, mode: Mode, target: Host, home: Mapping[str, str], copies: tuple[Copy, ...]
) -> Mapping[str, object]:
    """The values of the template tq-release.conf.j2. `home`: the variable HOME, if it is set for
    the worker. Raises TqunitsError for a value that no unit can express."""
    folders = _folders(worker, target)
    contract = environment.contract(_without_process(worker), mode, port=None, socket=None, folders=folders)
    variables = {**home, **contract}
    program = environment.fill_in_release(worker, {**contract, **folders})
    argv = command_lines.run_once(worker, command_lines.in_folder(worker, program), target)
    return {
        **as_worker.values(worker, release_mount.command_slot(worker), argv, variables, target),
        "description": quote.text(f"Release command of worker {worker.name}"),
        "credentials": credentials.directives(worker, target.layout.state, copies),
    }


def _folders(worker: Worker, target: Host) -> Mapping[str, str]:
    """The folders that systemd gives it. That of credentials is named after the unit."""
    found = dict(environment.folders(worker, worker.instances[0], target))
    del found[_RUNTIME]
    if _CREDENTIALS in found:
        found[_CREDENTIALS] = str(target.layout.runtime.parent / "credentials" / name.release(worker.name))
    return found


def _without_process(worker: Worker) -> Worker:
    """The worker without the variables that are made of its port, its socket or its runtime
    folder."""
    kept = ((variable, value) for variable, value in worker.environment if not _is_of_process(value))
    return replace(worker, environment=tuple(kept))


def _is_of_process(value: str) -> bool:
    found = (each for each in placeholders.in_value(value) if each.kind is PlaceholderKind.NAMED)
    return any(each.name in placeholders.OF_A_PROCESS for each in found)
