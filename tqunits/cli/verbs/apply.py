"""Make the host equal to the configuration: install, restart what has changed, remove what is gone.

The same as 'tqunits install --now --prune': new workers are installed and started, changed ones are
restarted, workers whose folder has vanished are taken out of the routes, stopped, disabled and
removed. Their data below /var/lib/tqunits and their users stay ('tqunits uninstall --purge NAME'
removes those as well). Everything that install checks is checked first, and what is wrong is said
with its file, line and column.

With NAMEs it is the same as 'tqunits install --now NAME': only these workers are installed and
restarted, no worker is removed, and all others stay as they are installed. A worker whose folder
has vanished is no NAME here. Changes of the router in tqunits.yaml are applied all the same.

It differs from install in one more point: while another tqunits is at work it waits, says so, and
then reads all files again. install refuses instead.

systemd runs it, too: 'systemctl start tq-apply.service' runs 'tqunits apply', and 'systemctl start
tq-apply@NAME.service' runs 'tqunits apply NAME' for a worker that is installed. Nothing else can be
told to these units. They read the configuration in /etc/tqunits, and their sandbox lets them write
to /etc, to the folders of tqunits below /var and /run, and to the folder of the workers. What they
did is in the journal ('journalctl -u tq-apply'), and they fail where this command fails. The
manager may start them, and root; polkit's rule says so.

Exit status: 0 all is as it is configured, 1 something is refused or has failed, 4 no configured
worker is called NAME, 5 not permitted, 6 a worker was not healthy in time; with --dry-run 2
something would change.
"""

from __future__ import annotations

import argparse

from tqunits.cli.context import Context
from tqunits.cli.selection import workers_meant
from tqunits.cli.verbs import install
from tqunits.errors import ExitStatus, UsageError
from tqunits.host.vanishing import INSIST
from tqunits.units.steps import Options


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `tqunits apply`."""
    parser.add_argument("names", metavar="NAME", nargs="*", help="only these workers; none is removed")
    install.configure_common(parser)


def run(arguments: argparse.Namespace, context: Context) -> ExitStatus:
    """Apply."""
    if arguments.names and arguments.remove_all:
        raise UsageError(f"{INSIST} is about all workers, NAME about some", hint="leave one of them out")
    options = Options(now=True, prune=not arguments.names, replace=arguments.replace)
    return install.perform(arguments, context, options, workers_meant(arguments.names), waits=True)
