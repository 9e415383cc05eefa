"""Remove the releases of workers that are more than they are to keep.

The last ones stay, as many as `manager.keep_releases` in tqunits.yaml says, and so does every
release that an instance runs, or is to run with its next start. The manager removes the others by
itself after a deploy; this is for a disk that is full before. Without NAME it is about all
installed workers. Nothing is removed while one of them is being deployed.

Exit status: 0, 1 when it failed, when one is being deployed, or when the manager does not answer,
2 with --user, 4 no such worker, 5 not permitted.
"""

from __future__ import annotations

import argparse

from tqunits.cli.context import Context
from tqunits.cli.deploy_progress import whole_workers
from tqunits.control import deploying
from tqunits.errors import ExitStatus


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `tqunits prune`."""
    parser.add_argument("names", metavar="NAME", nargs="*", help="worker, its unit, or a pattern such as 'api-*'")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace, context: Context) -> ExitStatus:
    """Prune."""
    found = deploying.prune(context.layout, whole_workers(arguments.names, context))
    pruned = {worker: releases for worker, releases in sorted(found.items()) if releases}
    if arguments.json:
        rows = [{"worker": worker, "releases": list(releases)} for worker, releases in pruned.items()]
        context.output.json("prune", 1, pruned=rows)
        return ExitStatus.OK
    for worker, releases in pruned.items():
        context.output.line(f"{worker}: removed {' '.join(releases)}")
    if not pruned:
        context.output.message("nothing to remove: no release is more than is to be kept")
    return ExitStatus.OK
