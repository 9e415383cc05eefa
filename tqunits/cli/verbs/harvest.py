"""Make a release of a worker, and decide which release its instances run at their next start.

systemd runs it as tq-harvest@NAME.service; nobody has to run it by hand. The manager asks for it,
in a file of its own, and reads what came of it. So 'tqunits deploy' and 'tqunits rollback' are what
starts it. It runs as root, because a release is root's: what a worker runs is changed by nobody
else afterwards.

The order is read as the text of a stranger. It can ask for a release of the worker's sources as
they are, and name releases of this worker that are there. In development mode its folder is built
instead, where it lies.

Exit status: 0 the order was answered, also if the answer is that its build has failed; 1 there is
no order that can be read, 4 no such worker is installed, 5 not permitted.
"""

from __future__ import annotations

import argparse

from tqunits.cli.context import Context
from tqunits.errors import ExitStatus, NoSuchWorker, UsageError
from tqunits.host.harvesting import harvest
from tqunits.system.bus import Bus
from tqunits.units import name


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `tqunits harvest`."""
    parser.add_argument("name", metavar="NAME", help="the worker")


def run(arguments: argparse.Namespace, context: Context) -> ExitStatus:
    """Carry out the order."""
    if context.user_mode:
        raise UsageError("releases are for the host's own services", hint="with --user a worker runs from its folder")
    context.require_root("harvest")
    if not name.is_worker_name(arguments.name):
        raise NoSuchWorker(f"no worker can be called {arguments.name!r}")
    with Bus(user_mode=False) as bus:
        result = harvest(arguments.name, context.premises, bus)
    if result.why:
        context.output.message(f"{arguments.name}: {result.why}", style="yellow")
    elif result.in_folder:
        what = "is built in its folder" if result.is_new else "has its folder as it is"
        context.output.message(f"{arguments.name}: {what}")
    elif result.release is not None:
        context.output.message(
            f"{arguments.name}: release {result.release} {'is made' if result.is_new else 'is there'}"
        )
    return ExitStatus.OK
