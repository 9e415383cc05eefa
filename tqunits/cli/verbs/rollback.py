"""Let a worker run an earlier release again.

ID is a release as 'tqunits history NAME' shows it, in twelve digits. Without it the worker gets the
last release before the present one that was stable: all its instances were healthy on it. A second
rollback goes further back. Nothing is built, so this takes no longer than the starts of the
instances, which are restarted one after the other, as in 'tqunits deploy'.

In development mode there is no release to go to, and a rollback is refused.

What a release has done besides, in a database for one, is not taken back.

Exit status: as of 'tqunits deploy'; 1 also when there is no such release any more.
"""

from __future__ import annotations

import argparse

from tqunits.cli import deploy_progress
from tqunits.cli.context import Context
from tqunits.control.deploy_protocol import DeployOrder
from tqunits.errors import UsageError
from tqunits.lifecycle.deploys import DeployKind
from tqunits.lifecycle.release import is_release_id


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `tqunits rollback`."""
    parser.add_argument("name", metavar="NAME", help="worker, or its unit")
    parser.add_argument(
        "release", metavar="ID", nargs="?", help="the release; without it, the last one that was stable"
    )
    deploy_progress.configure(parser)


def run(arguments: argparse.Namespace, context: Context) -> int:
    """Roll back."""
    worker, *others = deploy_progress.whole_workers([arguments.name], context)
    if others:
        raise UsageError(f"{arguments.name} means {1 + len(others)} workers", hint="name one of them")
    if arguments.release is not None and not is_release_id(arguments.release):
        hint = f"'tqunits history {worker}' lists the releases, each with its twelve digits"
        raise UsageError(f"no release can be called {arguments.release!r}", hint=hint)
    order = DeployOrder((worker,), DeployKind.ROLLBACK, arguments.release, arguments.message)
    return deploy_progress.perform(order, arguments, context)
