"""Write, enable and (--now) start the units of all workers, or of those that are named.

Every YAML is checked first. An error in tqunits.yaml changes nothing. A worker with an error in its
worker.yaml, or with a request that is not granted, is refused: install says where and why, the
other workers go on, and the exit status is 1. The refused worker stays as it is installed, and
serves.

A worker is not root's if somebody else can change its worker.yaml or a folder above it. Such a
worker has the route /NAME, an account of its own, files below its folder, and what `grants` in
/etc/tqunits/tqunits.yaml gives it ('tqunits docs grants'). With -C DIR every file that is read has
to be root's; --trust accepts the files of others, for this run.

Then install renders tq-worker@NAME.service and the units of the router below /etc/systemd/system,
creates their users, reloads systemd and enables the units. --now also starts them, restarts units
whose files have changed, and returns when every worker is healthy. A change of limits alone is
applied to the running worker without a restart.

A worker with a build is built when its sources have changed since the last build. Only content
counts: not the times of files, and not what builds have made. A build that fails replaces nothing,
and its worker stays as it is installed. With --now a running worker is restarted with the new
build. A worker that was deployed is not built here: 'tqunits deploy' takes what its folder has now.
The router's processes are restarted one after the other when tqunits.yaml has changed, and
after an upgrade of tqunits; without --now install says that they run the code of another release.
An address of `listen` that stays is open all the time. A new address is tried first: if another
program uses it, nothing is changed, and install names that program. A certificate that does not
match its key is refused too.

A second run changes nothing. The files that a worker's YAML names (environment_file, credentials)
are copied if somebody other than root can change what their path leads to; an edit then takes
effect with the next install. Files that tqunits has not written are overwritten only with
--replace, and your own drop-ins are never touched. Workers that are no longer configured stay, and
serve, until 'tqunits apply' or --prune removes them. With NAMEs all other workers stay as they are
installed; changes of the router in tqunits.yaml are applied all the same.

--unchanged takes only installed workers whose YAML was not edited since; install names the others
and leaves them. It builds, starts, restarts and stops no worker, enables and disables none, and
refuses a tqunits.yaml that was edited. With --now the router's processes take their changes. While
another tqunits is at work it waits. The Debian package runs this after an upgrade of tqunits.

If workers are installed and their folder is not there, install does nothing: its disk may not be
mounted. --prune also does nothing if that folder has no worker, or if workers were installed from
another folder (-C); --remove-all removes them all the same. A worker whose own folder is empty, or
is a link that leads nowhere, stays as it is installed and makes the exit status 1.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import replace

from tqunits.cli import changes
from tqunits.cli.context import Context
from tqunits.cli.output import Output
from tqunits.cli.results import add_timeout, status_of, timeout_of, told
from tqunits.cli.selection import workers_meant
from tqunits.cli.wording import Teller, describe
from tqunits.errors import Diagnostic, ExitStatus, UsageError
from tqunits.host import unfit
from tqunits.host.installation import Installation, Outlook, errors_of, install, last_turn, outlook, tell_refused
from tqunits.host.live import Difference
from tqunits.host.prepare import Choice, configured
from tqunits.host.vanishing import INSIST
from tqunits.units import name
from tqunits.units.filediff import unified_diff
from tqunits.units.steps import Options, Plan, Step


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `tqunits install`."""
    parser.add_argument("names", metavar="NAME", nargs="*", help="only these workers")
    parser.add_argument("--now", action="store_true", help="start the workers, restart those that have changed")
    parser.add_argument("--prune", action="store_true", help="remove workers that are no longer configured")
    parser.add_argument("--unchanged", action="store_true", help="only what is installed and not edited since")
    configure_common(parser)


def configure_common(parser: argparse.ArgumentParser) -> None:
    """Arguments that install and apply share."""
    parser.add_argument(
        INSIST,
        dest="remove_all",
        action="store_true",
        help="remove workers that are not configured also when that is all of them, or those of another root",
    )
    parser.add_argument("--replace", action="store_true", help="overwrite files that tqunits has not written")
    configure_run(parser)


def configure_run(parser: argparse.ArgumentParser) -> None:
    """Arguments about how a run is shown, and how long it waits."""
    parser.add_argument("--dry-run", action="store_true", help="print the changes as a diff, and change nothing")
    parser.add_argument("--json", action="store_true", help="print JSON: what was done; with --dry-run, the changes")
    parser.add_argument("-q", "--quiet", action="store_true", help="say nothing but errors")
    add_timeout(parser)


def run(arguments: argparse.Namespace, context: Context) -> ExitStatus:
    """Install."""
    if arguments.names and arguments.prune:
        raise UsageError("--prune is about all workers, NAME about some", hint="leave one of them out")
    if arguments.remove_all and not arguments.prune:
        raise UsageError(f"{INSIST} is about --prune", hint="without it no worker is removed")
    if arguments.unchanged and (arguments.names or arguments.prune):
        raise UsageError("--unchanged is about all that is installed", hint="leave NAME and --prune out")
    options = Options(
        now=arguments.now, prune=arguments.prune, replace=arguments.replace, routers_alone=arguments.unchanged
    )
    return perform(arguments, context, options, workers_meant(arguments.names), waits=bool(arguments.unchanged))


def perform(
    arguments: argparse.Namespace,
    context: Context,
    options: Options,
    names: tuple[str, ...] = (),
    *,
    waits: bool = False,
) -> ExitStatus:
    """The whole of install and of apply, which differ in their options alone, and in whether they
    wait for another tqunits that is at work."""
    choice = Choice(
        names=names,
        prune=options.prune,
        remove_all=arguments.remove_all,
        unattended=options.unattended,
        unchanged=options.routers_alone,
        waits=waits,
    )
    if arguments.dry_run:
        return dry_run(context, options, choice, as_json=arguments.json)
    return carry_out(arguments, context, options, choice)


def carry_out(
    arguments: argparse.Namespace,
    context: Context,
    options: Options,
    choice: Choice,
    done_before: tuple[Step, ...] = (),
) -> ExitStatus:
    """Install, and say what was done. `done_before`: steps that the verb has taken already, in
    which case there was something to do."""
    context.require_root("installing units")
    since = last_turn(context.layout)
    loaded = configured(context.premises)  # before anything is locked, built or asked
    context.output.diagnostics(unfit.refuse_unfit(loaded.configured().server, context.layout))
    tell = Teller(context.output, quiet=arguments.quiet)
    done = install(loaded, context.premises, options, choice, tell, since=since, timeout_us=timeout_of(arguments))
    done = replace(done, plan=replace(done.plan, steps=(*done_before, *done.plan.steps)))
    _say(done, context.output)
    status = status_of(done.endings) if done.is_whole else ExitStatus.FAILED  # graver than a matter of time
    if arguments.json:
        context.output.json("install", 1, **changes.installation(done), exit_status=int(status))
    return status


def dry_run(context: Context, options: Options, choice: Choice, *, as_json: bool) -> ExitStatus:
    """Print what would change: exit status 0 when nothing, 2 when something.

    1 when a worker would be refused, or (--now) all of it, for an address that is taken.
    """
    found = outlook(configured(context.premises), context.premises, options, choice)
    return foretold(found, context, options, as_json=as_json)


def foretold(found: Outlook, context: Context, options: Options, *, as_json: bool) -> ExitStatus:
    """The same of what an install was found to do."""
    odd: tuple[Diagnostic, ...] = ()
    if context.user_mode or os.geteuid() == 0:  # nobody else can read a key
        odd = unfit.refuse_unfit(found.prepared.configuration.server, context.layout)
        context.output.diagnostics(odd)
    tell_refused(found.prepared, Teller(context.output, quiet=False))
    difference = unified_diff(found.plan)
    if not as_json:
        context.output.raw(difference)
    for one in found.plan.builds:
        context.output.message(f"would {describe(one)}")
    context.output.diagnostics(found.obstacles)
    status = ExitStatus.USAGE if difference or found.plan.builds else ExitStatus.OK
    if found.prepared.excluded or (options.now and errors_of(found.obstacles)):
        status = ExitStatus.FAILED
    if as_json:
        context.output.json("diff", 1, **changes.difference(found, odd), exit_status=int(status))
    return status


def _say(done: Installation, output: Output) -> None:
    """What the operator should know when all is done."""
    tell, plan = output.message, done.plan
    if done.is_idle:
        tell("nothing to do: everything is as configured")
    for unit in plan.masked:
        tell(f"{unit} is masked, and stays so: systemctl unmask {unit}", style="yellow")
    for worker in done.prepared.edited:
        tell(f"{worker} stays as it is installed: its YAML was edited since ('tqunits diff')", style="yellow")
    for loss in done.prepared.lost:
        tell(loss, style="yellow")
    for worker in plan.orphans:
        tell(f"{worker} is installed but no longer configured; 'tqunits apply' removes it", style="yellow")
    for unit in plan.pending:
        tell(_waits(unit, plan), style="yellow")
    for difference in done.differing:
        _tell_difference(output, difference)
    told(done.endings, output)


def _waits(unit: str, plan: Plan) -> str:
    if unit in plan.outdated:
        return f"{unit} runs the code of another release; 'tqunits install --now' restarts it"
    if unit in plan.spare:
        return f"{unit} is more than its worker is to have, and runs without requests; 'tqunits install --now' stops it"
    if name.is_proxy_socket(unit):
        return f"{unit} still listens where it did; it takes the change with 'tqunits install --now'"
    if name.is_proxy(unit):
        return f"{unit} still runs as it was; 'tqunits install --now' restarts it"
    return f"{unit} still runs as it was; it takes the change with 'tqunits restart' or --now"


def _tell_difference(output: Output, difference: Difference) -> None:
    text = f"{difference.unit}: {difference.directive} is {difference.actual}, asked was {difference.asked}"
    if difference.drop_in:
        output.message(f"{text}; your drop-in {difference.drop_in} decides", style="yellow")
    else:
        output.message(text, style="red")
