"""Make a release of what a worker's folder has now, and run nothing of it.

The same as the first half of 'tqunits deploy': the worker goes on with the release that it has. A
later deploy of the same sources finds this release, and does not build it again.

In development mode the folder is built where it lies, and a later deploy finds it so.

Exit status: as of 'tqunits deploy'.
"""

from __future__ import annotations

import argparse

from tqunits.cli import deploy_progress
from tqunits.cli.context import Context
from tqunits.control.deploy_protocol import DeployOrder
from tqunits.lifecycle.deploys import DeployKind


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `tqunits build`."""
    parser.add_argument("names", metavar="NAME", nargs="+", help="worker, its unit, or a pattern such as 'api-*'")
    deploy_progress.configure(parser)


def run(arguments: argparse.Namespace, context: Context) -> int:
    """Build."""
    workers = deploy_progress.whole_workers(arguments.names, context)
    order = DeployOrder(workers, DeployKind.BUILD, message=arguments.message)
    return deploy_progress.perform(order, arguments, context)
