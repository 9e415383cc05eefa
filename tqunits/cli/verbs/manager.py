"""Run the manager.

systemd runs it as tq-manager.service; nobody has to run it by hand. It follows what systemd does
with the workers, checks their health while they run, writes each change of a state to the journal,
and answers 'tqunits events' and 'tqunits ls'. It restarts an instance only if that has failed
health.failure_threshold checks in a row and completes no request. An instance that fails gets no
requests meanwhile, if another one of its worker can take them.

Workers and routers run on without it. After a crash it knows what it knew before, from systemd and
the installed files.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from tqunits.cli.context import Context
from tqunits.control.server import inherited_control
from tqunits.errors import ExitStatus
from tqunits.manager.daemon import ManagerSetup, manage
from tqunits.system.notify import Notifier, inherited_sockets


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `tqunits manager`."""
    parser.add_argument(
        "--control", metavar="SOCKET", type=Path, help="where to make a control socket, if systemd passes none"
    )
    parser.add_argument(
        "--metrics", metavar="ADDRESS:PORT", type=_loopback, help="where to answer GET /metrics (manager.metrics)"
    )
    parser.add_argument(
        "--rolls",
        metavar="N",
        type=int,
        default=1,
        help="how many workers are replaced at once (manager.max_parallel_rolls)",
    )
    parser.add_argument(
        "--workers", metavar="DIR", type=Path, help="the folder of the workers' folders (workers.directory)"
    )
    parser.add_argument(
        "--new", action="store_true", help="have new folders of workers installed by themselves (watch.new)"
    )
    parser.add_argument(
        "--configuration",
        action="store_true",
        help="have changes of tqunits.yaml applied by themselves (watch.enabled)",
    )


def _loopback(text: str) -> str:
    """Such an address. Raises ArgumentTypeError, whose text argparse shows."""
    from tqunits.config.reject import Reject  # a manager without metrics needs neither
    from tqunits.config.words import loopback_address

    try:
        return loopback_address(text)
    except Reject as rejected:
        raise argparse.ArgumentTypeError(f"{rejected.message}: {rejected.hint}") from None


def run(arguments: argparse.Namespace, context: Context) -> ExitStatus:
    """Manage until SIGTERM."""
    notifier = Notifier(os.environ)
    inherited = inherited_control(inherited_sockets(os.environ))
    control = inherited or arguments.control or Path(context.layout.manager_socket)
    manage(
        ManagerSetup(
            layout=context.layout,
            user_mode=context.user_mode,
            control=control,
            notifier=notifier,
            is_journal="JOURNAL_STREAM" in os.environ,
            metrics=arguments.metrics,
            rolls=arguments.rolls,
            workers=arguments.workers or Path(context.layout.workers),
            takes_new=arguments.new,
            applies_configuration=arguments.configuration,
        )
    )
    return ExitStatus.OK
