"""Print the version of tqunits.

With --running also the release whose code each of the router's processes runs: they are asked at
their control sockets, as root. After an upgrade this tells whether all of them are replaced.

Exit status: 0 ok; with --running also 1 a process runs another release or does not say which, 3 no
router runs, 5 not permitted.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping

from tqunits import __version__
from tqunits.cli.context import Context
from tqunits.errors import ExitStatus


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `tqunits version`."""
    parser.add_argument("--running", action="store_true", help="ask the router's processes, too")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace, context: Context) -> ExitStatus:
    """Print it."""
    if not arguments.running:
        _print({}, arguments, context)
        return ExitStatus.OK
    found = _running(context)
    _print(found, arguments, context)
    for unit, release in found.items():
        if release is None:
            context.output.message(f"{unit} does not say which release it runs: see 'systemctl status {unit}'")
        elif release != __version__:
            context.output.message(f"{unit} runs another release: 'tqunits install --now' replaces it")
    if not found:
        context.output.message("no router runs")
        return ExitStatus.NOT_RUNNING
    return ExitStatus.OK if set(found.values()) == {__version__} else ExitStatus.FAILED


def _print(found: Mapping[str, str | None], arguments: argparse.Namespace, context: Context) -> None:
    if arguments.json:
        routers = [{"unit": unit, "release": release} for unit, release in found.items()]
        context.output.json("version", 1, tqunits=__version__, routers=routers if arguments.running else None)
        return
    context.output.line(f"tqunits {__version__}")
    for unit, release in found.items():
        context.output.line(f"{unit} {release or '-'}")


def _running(context: Context) -> Mapping[str, str | None]:
    """Unit of each process of the router that runs -> its release; None: it does not say."""
    from tqunits.control import questions  # what the version alone does not need
    from tqunits.host.observe import running_routers
    from tqunits.system.bus import Bus

    context.require_root("asking the routers")
    with Bus(user_mode=context.user_mode) as bus:
        return {unit: questions.release(unit, context.layout) for unit in running_routers(bus)}
