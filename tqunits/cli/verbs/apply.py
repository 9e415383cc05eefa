"""Make the host equal to the configuration: install, restart what has changed, remove what is gone.

The same as 'tqunits install --now --prune': new workers are installed and started, changed ones are
restarted, workers whose folder has vanished are taken out of the routes, stopped, disabled and
removed. Their data below /var/lib/tqunits and their users stay ('tqunits uninstall --purge NAME'
removes those as well).
"""

from __future__ import annotations

import argparse

from tqunits.cli.context import Context
from tqunits.cli.verbs import install
from tqunits.errors import ExitStatus
from tqunits.units.steps import Options


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `tqunits apply`."""
    install.configure_common(parser)


def run(arguments: argparse.Namespace, context: Context) -> ExitStatus:
    """Apply."""
    return install.perform(arguments, context, Options(now=True, prune=True, replace=arguments.replace))
