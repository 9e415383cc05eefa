"""Make a release of what a worker's folder has now, and let the worker run it.

The manager does it: it looks whether anything has changed, builds, copies what came of it to a
release that nobody changes any more, and restarts the instances one after the other, so that no
request is lost. When one of them does not get healthy, those that have been restarted get the
release before again. A deploy whose build fails changes nothing at all.

The routers then serve the static files of the release, too. A worker of static files alone has
nothing to start: the routers serve those of the release at once.

In development mode (`mode` of tqunits.yaml) there are no releases: the folder is built where it
lies, and the instances are replaced in the same way.

Without NAME all installed workers are deployed. Where nothing has changed, nothing is done. A
worker that does not run is not started: its next start is with the release. If a worker has a
deploy that has not begun, the newer one takes its place.

Each step is told as it is taken. Ctrl-C ends the telling, and not the deploy; --detach returns as
soon as the manager has written down what is to be done. 'tqunits history' shows how it ended, and
'tqunits rollback' takes it back. --json prints one JSON object a line.

Exit status: 0 each deploy is done, or nothing has changed, 1 one failed (it says why), another took
its place, or the manager does not answer, 2 with --user, 4 no such worker, 5 not permitted, 130
interrupted.
"""

from __future__ import annotations

import argparse

from tqunits.cli import deploy_progress
from tqunits.cli.context import Context
from tqunits.control.deploy_protocol import DeployOrder
from tqunits.lifecycle.deploys import DeployKind


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `tqunits deploy`."""
    parser.add_argument("names", metavar="NAME", nargs="*", help="worker, its unit, or a pattern such as 'api-*'")
    deploy_progress.configure(parser)


def run(arguments: argparse.Namespace, context: Context) -> int:
    """Deploy."""
    workers = deploy_progress.whole_workers(arguments.names, context)
    order = DeployOrder(workers, DeployKind.DEPLOY, message=arguments.message)
    return deploy_progress.perform(order, arguments, context)
