"""Show the deploys of a worker, or of all, the newest first.

Each has its number, the release that it made or ran, whether that was stable (all instances were
healthy on it), git's revision that the folder was checked out at (with a "+" if git saw changes in
it when the release was made, with a "?" if that is not known), when and by whom it was asked for,
what was asked, and how it ended. The last column has the message that was given with it, or the
sentence why it failed.

--json has all that is known of each: its steps, its times, the last lines of a build that failed.

Exit status: 0, 1 when the manager does not answer, 2 with --user, 4 no such worker, 5 not
permitted.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from tqunits.cli import deploy_progress
from tqunits.cli import format as human
from tqunits.cli.context import Context
from tqunits.cli.deploy_words import STYLES
from tqunits.cli.output import Cell, Output
from tqunits.cli.selection import workers_meant
from tqunits.control import deploying
from tqunits.control.deploy_protocol import MOST_DEPLOYS, USUAL_DEPLOYS
from tqunits.errors import ExitStatus, NoSuchWorker
from tqunits.lifecycle.deploys import DeployOutcome, DeployRecord, deploy_body
from tqunits.units import name

_COLUMNS = ("NUMBER", "WORKER", "RELEASE", "STABLE", "REVISION", "WHEN", "WHO", "WHAT", "RESULT", "MESSAGE")
_REVISION_DIGITS = 7
"""As git shows them."""

_CHANGED = {True: "+", False: "", None: "?"}
"""What stands after the revision, by whether the sources differ from it."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `tqunits history`."""
    parser.add_argument("name", metavar="NAME", nargs="?", help="worker, or its unit")
    parser.add_argument(
        "-n",
        "--limit",
        metavar="N",
        type=_limit,
        default=USUAL_DEPLOYS,
        help=f"the last N (by itself {USUAL_DEPLOYS}, at most {MOST_DEPLOYS})",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace, context: Context) -> ExitStatus:
    """Show them."""
    deploy_progress.refuse_user_mode(context)
    found = deploying.history(context.layout, _worker(arguments.name), arguments.limit)
    if arguments.json:
        context.output.json("history", 1, deploys=[deploy_body(record) for record in found])
    elif found:
        _print(found, context.output)
    else:
        context.output.message("nothing was deployed yet")
    return ExitStatus.OK


def _worker(text: str | None) -> str | None:
    """The manager knows deploys of workers that are not installed any more, too. Raises UsageError
    for one of several instances, NoSuchWorker for what is no name."""
    if text is None:
        return None
    (worker,) = workers_meant([text])
    if not name.is_worker_name(worker):
        raise NoSuchWorker(f"no worker can be called {worker!r}", hint="'tqunits ls' lists those that are installed")
    return worker


def _limit(text: str) -> int:
    """Raises ValueError, which argparse reports."""
    number = int(text)
    if not 1 <= number <= MOST_DEPLOYS:
        raise argparse.ArgumentTypeError(f"{text}: from 1 to {MOST_DEPLOYS}")
    return number


def _print(records: Sequence[DeployRecord], output: Output) -> None:
    output.table(_COLUMNS, [_row(record) for record in records])


def _row(record: DeployRecord) -> Sequence[Cell | str]:
    return (
        str(record.number),
        record.worker,
        record.release or "-",
        "yes" if record.was_stable else "-",
        _revision(record),
        human.moment(record.asked_us),
        _who(record.actor),
        record.kind.value,
        Cell(record.outcome.value, STYLES[record.outcome]),
        record.why if record.outcome is DeployOutcome.FAILED else record.message,
    )


def _revision(record: DeployRecord) -> str:
    if record.revision is None:
        return "-"
    return record.revision[:_REVISION_DIGITS] + _CHANGED[record.is_dirty]


def _who(actor: str) -> str:
    """The user's name; his number, if he has no name any more."""
    number, _, user = actor.partition("/")
    return user or number or "-"
