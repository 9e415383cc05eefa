"""Print the version of tqunits.

With --running also the release whose code each of the router's processes and the manager run: they
are asked at their control sockets, as root. After an upgrade this tells whether all of them are
replaced. A manager that is away is no error: nobody needs it.

Exit status: 0 ok; with --running also 1 a process runs another release, or a router does not say
which, 3 no router runs, 5 not permitted.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping

from tqunits import __version__
from tqunits.cli.context import Context
from tqunits.errors import ExitStatus
from tqunits.light_dataclass import dataclass

_MANAGER = "tq-manager.service"


@dataclass(frozen=True, slots=True)
class _RunningReleases:
    """What runs."""

    routers: Mapping[str, str | None]  # unit -> release; None: it does not say
    manager: tuple[str, int] | None  # its release and process; None: it does not answer


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `tqunits version`."""
    parser.add_argument("--running", action="store_true", help="ask the router's processes and the manager, too")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace, context: Context) -> ExitStatus:
    """Print it."""
    found = _running(context) if arguments.running else None
    if arguments.json:
        context.output.json("version", 1, tqunits=__version__, **_members(found))
    else:
        context.output.line(f"tqunits {__version__}")
        for line in _lines(found) if found is not None else ():
            context.output.line(line)
    if found is None:
        return ExitStatus.OK
    for message in _messages(found):
        context.output.message(message)
    return _status(found)


def _members(found: _RunningReleases | None) -> Mapping[str, object]:
    if found is None:
        return {"routers": None, "manager": None}
    routers = [{"unit": unit, "release": release} for unit, release in found.routers.items()]
    manager = dict(zip(("release", "pid"), found.manager, strict=True)) if found.manager is not None else None
    return {"routers": routers, "manager": manager}


def _lines(found: _RunningReleases) -> Iterator[str]:
    for unit, release in found.routers.items():
        yield f"{unit} {release or '-'}"
    if found.manager is not None:
        release, pid = found.manager
        yield f"{_MANAGER} {release}, process {pid}"


def _messages(found: _RunningReleases) -> Iterator[str]:
    for unit, release in found.routers.items():
        if release is None:
            yield f"{unit} does not say which release it runs: see 'systemctl status {unit}'"
        elif release != __version__:
            yield _other(unit)
    if not found.routers:
        yield "no router runs"
    if found.manager is None:
        yield f"the manager does not answer: see 'systemctl status {_MANAGER}'"
    elif found.manager[0] != __version__:
        yield _other(_MANAGER)


def _other(unit: str) -> str:
    return f"{unit} runs another release: 'tqunits install --now' replaces it"


def _status(found: _RunningReleases) -> ExitStatus:
    if not found.routers:
        return ExitStatus.NOT_RUNNING
    releases = {*found.routers.values(), __version__ if found.manager is None else found.manager[0]}
    return ExitStatus.OK if releases == {__version__} else ExitStatus.FAILED


def _running(context: Context) -> _RunningReleases:
    """The manager is asked only while its unit runs: a question would start it."""
    from tqunits.control import managers, questions  # what the version alone does not need
    from tqunits.host.observe import manager_runs, running_routers
    from tqunits.system.bus import Bus

    context.require_root("asking the routers")
    with Bus(user_mode=context.user_mode) as bus:
        routers = {unit: questions.release(unit, context.layout) for unit in running_routers(bus)}
        manager = managers.running(context.layout) if manager_runs(bus) else None
    return _RunningReleases(routers, manager)
