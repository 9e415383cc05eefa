"""Remove the releases of workers that are more than they are to keep, and caches of builds.

The last ones stay, as many as `manager.keep_releases` in tqunits.yaml says, and so does every
release that an instance runs, or is to run with its next start. The manager removes the others by
itself after a deploy; this is for a disk that is full before. Without NAME it is about all
installed workers. Nothing is removed while one of them is being deployed.

With --caches the caches of their builds are removed, too: the next build of such a worker loads and
compiles everything anew. That frees the most, and mends a cache that is broken. The caches of a
worker never get larger than its build.disk_max.

Exit status: 0, 1 when it failed, when one is being deployed, or when the manager does not answer,
2 with --user, 4 no such worker, 5 not permitted.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict

from tqunits.cli.context import Context
from tqunits.cli.deploy_progress import whole_workers
from tqunits.control import deploying
from tqunits.control.deploy_protocol import Pruned, PruneQuestion, in_requests
from tqunits.errors import ExitStatus


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `tqunits prune`."""
    parser.add_argument("names", metavar="NAME", nargs="*", help="worker, its unit, or a pattern such as 'api-*'")
    parser.add_argument("--caches", action="store_true", help="also remove what builds keep for the next ones")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace, context: Context) -> ExitStatus:
    """Prune."""
    workers = whole_workers(arguments.names, context)
    questions = (PruneQuestion(some, arguments.caches) for some in in_requests(workers))
    answers = (deploying.prune(context.layout, asked) for asked in questions)
    found = sorted((worker, each) for answer in answers for worker, each in answer.items() if each != Pruned())
    pruned = dict(found)
    if arguments.json:
        rows = [{"worker": worker, **asdict(each)} for worker, each in pruned.items()]
        context.output.json("prune", 1, pruned=rows)
        return ExitStatus.OK
    for worker, each in pruned.items():
        removed = [*each.releases, *(["the caches of its builds"] if each.caches else [])]
        context.output.line(f"{worker}: removed {', '.join(removed)}")
    if not pruned:
        what = "no release is more than is to be kept" + (", and no build has a cache" if arguments.caches else "")
        context.output.message(f"nothing to remove: {what}")
    return ExitStatus.OK
