"""Show what install would change in files, as a unified diff.

With --prune (as 'tqunits apply' does it) the files of workers that are no longer configured are
shown as removed. Which workers would be built, and why, is said on stderr.

Exit status: 0 nothing differs, 2 something does, or is to be built; 1 install would refuse a
worker.
"""

from __future__ import annotations

import argparse

from tqunits.cli.context import Context
from tqunits.cli.verbs import install
from tqunits.errors import ExitStatus
from tqunits.host.prepare import Choice
from tqunits.units.steps import Options


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `tqunits diff`."""
    parser.add_argument("--prune", action="store_true", help="also show what apply would remove")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace, context: Context) -> ExitStatus:
    """Print the diff."""
    choice = Choice(prune=arguments.prune)
    return install.dry_run(context, Options(prune=arguments.prune, replace=True), choice, as_json=arguments.json)
