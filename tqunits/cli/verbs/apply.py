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

--unattended is for runs that nobody watches. What is new is started, and limits, routes and the
router's settings are applied, but no worker is removed, and none that runs is restarted: it keeps
what it was started with until 'tqunits restart', or until the manager replaces it. So a folder that
is gone for a moment is no order, and a bad setting takes nothing down. If tqunits.yaml is gone or
empty, and was not when it was installed, nothing is done. A worker that somebody has
stopped or disabled stays so. An installed worker is built only if its program is missing: 'tqunits
deploy' builds what has changed. A start is waited for no longer than 10 seconds, and a build no
longer than 5 minutes, because others wait for the same lock: 'tqunits ls' shows what came of them.

--note applies nothing. It only notes which workers wait for a restart, because their unit, a secret
or an environment file has changed since they were started; as every install and apply does at its
end. The manager reads that in /var/lib/tqunits/waiting.json.

systemd runs it, too: 'systemctl start tq-apply.service' runs 'tqunits apply --unattended', and
'systemctl start tq-apply@NAME.service' the same for one worker that is installed. Nothing else can
be told to these units. They read the configuration in /etc/tqunits, and their sandbox lets them
write to /etc, to the folders of tqunits below /var and /run, and to the folder of the workers. What
they did is in the journal ('journalctl -u tq-apply'), and they fail where this command fails. The
manager may start them, and root; polkit's rule says so. tq-secrets.path runs 'tqunits apply --note'
when a secret or an environment file of root's has changed that a watched worker uses.

Exit status: 0 all is as it is configured, 1 something is refused or has failed, 4 no configured
worker is called NAME, 5 not permitted, 6 a worker was not healthy in time; with --dry-run 2
something would change. With --unattended and --note it is 0 also when somebody waits for a restart.
"""

from __future__ import annotations

import argparse

from tqunits.cli.context import Context
from tqunits.cli.selection import workers_meant
from tqunits.cli.verbs import install
from tqunits.errors import ExitStatus, UsageError
from tqunits.host import old_runs
from tqunits.host.vanishing import INSIST
from tqunits.units.steps import Options


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `tqunits apply`."""
    parser.add_argument("names", metavar="NAME", nargs="*", help="only these workers; none is removed")
    parser.add_argument("--note", action="store_true", help="apply nothing: only note who waits for a restart")
    parser.add_argument("--unattended", action="store_true", help="remove no worker, and restart none that runs")
    install.configure_common(parser)


def run(arguments: argparse.Namespace, context: Context) -> ExitStatus:
    """Apply."""
    if arguments.names and arguments.remove_all:
        raise UsageError(f"{INSIST} is about all workers, NAME about some", hint="leave one of them out")
    if arguments.note:
        return _note(arguments, context)
    if arguments.unattended and arguments.remove_all:
        raise UsageError(f"{INSIST} removes workers, --unattended none", hint="leave one of them out")
    prune = not (arguments.names or arguments.unattended)
    options = Options(now=True, prune=prune, replace=arguments.replace, unattended=arguments.unattended)
    return install.perform(arguments, context, options, workers_meant(arguments.names), waits=True)


def _note(arguments: argparse.Namespace, context: Context) -> ExitStatus:
    applying = (arguments.unattended, arguments.remove_all, arguments.replace, arguments.dry_run, arguments.json)
    if arguments.names or any(applying):
        raise UsageError("--note applies nothing", hint="leave the other options and NAME out")
    context.require_root("noting who waits for a restart")
    waits = old_runs.look_again(context.premises)
    for worker, wait in ({} if arguments.quiet else waits).items():
        context.output.message(f"{worker} waits for a restart: {wait.why}")
    return ExitStatus.OK
