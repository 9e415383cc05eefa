"""Print the version of tqunits."""

from __future__ import annotations

import argparse

from tqunits import __version__
from tqunits.cli.context import Context
from tqunits.errors import ExitStatus


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `tqunits version`."""
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace, context: Context) -> ExitStatus:
    """Print it."""
    if arguments.json:
        context.output.json("version", 1, tqunits=__version__)
    else:
        context.output.line(f"tqunits {__version__}")
    return ExitStatus.OK
