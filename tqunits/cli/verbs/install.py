"""Write, enable and (--now) start the units of all workers, or of those that are named.

Every YAML is checked first. An error in tqunits.yaml changes nothing. A worker whose worker.yaml has an error, or that
asks for what it may not have, is refused: it is said where and why, what is installed of it stays and serves, the
others go on, and the exit status is 1.

A worker that is not root's (somebody else can change its worker.yaml, or a folder above it) has the route /NAME, an
account of its own, files below its folder, and what `grants` in /etc/tqunits/tqunits.yaml lets it have ('tqunits docs
grants'). With -C DIR everything that is read has to be root's; --trust takes it as it is, for this run.

Then tq-worker@NAME.service and the units of the router are rendered below /etc/systemd/system, their users are created,
systemd reads them, and they are enabled. With --now they are also started, and restarted where their files have
changed; the command returns when every worker is healthy. A change of limits alone is applied to the running worker,
without a restart.

A worker with a build is built when its sources are not what was built: by their content, whatever their times, and
without what builds have made. A build that fails replaces nothing, and its worker stays as it is installed. With --now
a worker that runs since before is restarted with what was built.
The router's processes are restarted one after the other, for changes of tqunits.yaml and after an upgrade of tqunits
(without --now it is said that they run the code of another release). An address of `listen` that stays is open all the
time. A new one is tried first: where another program has it, nothing is changed, and it is said who. A certificate and
a key that do not fit are refused as well.

A second run changes nothing. The files that a worker's YAML names (environment_file, credentials) are copied, unless
nobody but root can change what their path leads to: an edit takes effect with the next install. Files that tqunits has
not written are never overwritten without --replace, and drop-ins of your own are never touched. Workers that are no
longer configured stay, and are served, until 'tqunits apply' or --prune. With NAMEs all other workers stay as they are
installed; what tqunits.yaml says of the router counts all the same.

When the folder of the workers is not there, although workers are installed, nothing is done: its disk may not be
mounted. With --prune nothing is done either when no worker is in it, or when workers were installed from another folder
(-C): --remove-all says that all of them are to go. A worker whose own folder is empty, or a link that leads nowhere,
stays as it is installed and makes the exit status 1.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from tqunits.cli import building, builds, changes, installation, vanishing
from tqunits.cli.context import Context
from tqunits.cli.jobs import add_timeout, judged, progress, timeout_of, told
from tqunits.errors import Diagnostic, ExitStatus, Severity, TqunitsError, UsageError
from tqunits.host import backoff, build, execute, handover, ledger, left_out, live, traffic
from tqunits.host.left_out import LeftOut
from tqunits.host.plan import make_plan
from tqunits.lifecycle.outcome import JobResult
from tqunits.model import Worker
from tqunits.system import files
from tqunits.system.bus import Bus
from tqunits.units import name
from tqunits.units.steps import Options, Plan, ReloadDaemon, Restart, Start


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `tqunits install`."""
    parser.add_argument("names", metavar="NAME", nargs="*", help="only these workers")
    parser.add_argument("--now", action="store_true", help="start the workers, restart those that have changed")
    parser.add_argument("--prune", action="store_true", help="remove workers that are no longer configured")
    configure_common(parser)


def configure_common(parser: argparse.ArgumentParser) -> None:
    """Arguments that install and apply share."""
    parser.add_argument(
        vanishing.INSIST,
        dest="remove_all",
        action="store_true",
        help="remove workers that are not configured also when that is all of them, or those of another root",
    )
    parser.add_argument("--replace", action="store_true", help="overwrite files that tqunits has not written")
    parser.add_argument("--dry-run", action="store_true", help="print the changes as a diff, and change nothing")
    parser.add_argument("--json", action="store_true", help="print JSON: what was done; with --dry-run, the changes")
    parser.add_argument("-q", "--quiet", action="store_true", help="say nothing but errors")
    add_timeout(parser)


def run(arguments: argparse.Namespace, context: Context) -> ExitStatus:
    """Install."""
    if arguments.names and arguments.prune:
        raise UsageError("--prune is about all workers, NAME about some", hint="leave one of them out")
    if arguments.remove_all and not arguments.prune:
        raise UsageError(f"{vanishing.INSIST} is about --prune", hint="without it no worker is removed")
    options = Options(now=arguments.now, prune=arguments.prune, replace=arguments.replace)
    return perform(arguments, context, options, tuple(name.worker_of(text) or text for text in arguments.names))


def perform(
    arguments: argparse.Namespace, context: Context, options: Options, names: tuple[str, ...] = ()
) -> ExitStatus:
    """The whole of install and of apply, which differ in their options alone."""
    choice = installation.Choice(names=names, prune=options.prune, remove_all=arguments.remove_all)
    if arguments.dry_run:
        return dry_run(context, options, choice, as_json=arguments.json)
    context.require_root("installing units")
    loaded = installation.configured(context)  # before anything is locked, built or asked
    context.output.diagnostics(installation.refuse_unfit(loaded.configured().server, context.layout))
    say = (lambda _: None) if arguments.quiet else context.output.message
    with Bus(user_mode=context.user_mode) as bus, files.lock(Path(context.layout.install_lock)):
        for path in ledger.put_back(context.layout, bus):
            say(f"put back {path}, which somebody has removed")
        prepared = installation.prepare(loaded, context, bus, choice)
        installation.refuse_foreign(make_plan(prepared.desired, prepared.observed, options))
        builder = _builder(bus, prepared, arguments, context, say)
        _refuse_taken(context, installation.obstacles(prepared), now=options.now)
        outcome = building.build_due(prepared.present.running(), builder, context.layout, say)
        if outcome.skipped or outcome.built:  # a build may have made a file that was not there
            loaded = installation.configured(context)
            prepared = installation.prepare(loaded, context, bus, choice, skipped=outcome.skipped)
        context.output.diagnostics(prepared.warnings)
        _tell_skipped(prepared, context)
        _tell_refused(context, prepared)
        plan = installation.with_ledger(make_plan(prepared.desired, prepared.observed, options), prepared)
        installation.remove_leftovers(context.layout)
        live.recover(context.layout, bus)
        waiting = partial(progress, context, quiet=arguments.quiet)
        traffic.wanted(context.layout, _started(plan))
        _report_left_out(context, prepared, names)
        results = execute.execute(plan, bus, timeout_us=timeout_of(arguments), say=say, progress=waiting)
        handover.remove_marks(context.layout)
        backoff.forget(context.layout, plan.leaving)
        workers = [w for w in prepared.workers if name.service(w.name) not in plan.masked]
        differing = _settle_limits(workers, plan, bus, say)
        live.realize(workers, context.layout, bus)
        limited = execute.apply_process_limits(workers, bus)
        plan = replace(plan, pending=tuple(sorted({*plan.pending, *limited})))
        return _conclude(context, prepared, plan, results, differing, outcome.built, as_json=arguments.json)


def _started(plan: Plan) -> frozenset[str]:
    """The workers that are started or restarted: whoever was stopped is not any more."""
    units = (unit for step in plan.steps if isinstance(step, Start | Restart) for unit in step.units)
    return frozenset(worker for unit in units if (worker := name.worker_of(unit)))


def dry_run(context: Context, options: Options, choice: installation.Choice, *, as_json: bool) -> ExitStatus:
    """Print what would change: exit status 0 when nothing, 2 when something.

    1 when a worker would be refused, or (--now) all of it, for an address that is taken.
    """
    prepared = installation.prepare(installation.configured(context), context, None, choice)
    unfit: tuple[Diagnostic, ...] = ()
    if context.user_mode or os.geteuid() == 0:  # nobody else can read a key
        unfit = installation.refuse_unfit(prepared.configuration.server, context.layout)
        context.output.diagnostics(unfit)
    _tell_refused(context, prepared)
    plan = make_plan(prepared.desired, prepared.observed, options)
    plan = replace(plan, steps=(*prepared.put_back, *plan.steps))
    difference = installation.unified_diff(plan)
    if not as_json:
        context.output.raw(difference)
    due = list(builds.would_build(prepared.present.running(), context.layout))
    for one in due:
        context.output.message(f"would build {one.text}")
    obstacles = installation.obstacles(prepared, is_asked=False)
    context.output.diagnostics(obstacles)
    status = ExitStatus.USAGE if difference or due else ExitStatus.OK
    if prepared.refused or prepared.broken or (options.now and _errors(obstacles)):
        status = ExitStatus.FAILED
    if as_json:
        members = changes.difference(prepared, plan, due, (*unfit, *obstacles))
        context.output.json("diff", 1, **members, exit_status=int(status))
    return status


def _refuse_taken(context: Context, obstacles: Sequence[Diagnostic], *, now: bool) -> None:
    """Raise TqunitsError when the router could not listen as it is configured to. Without --now that is for later."""
    errors = _errors(obstacles)
    if now and errors:
        context.output.diagnostics(each for each in obstacles if each is not errors[0])
        raise TqunitsError(errors[0].message, hint=errors[0].hint, mark=errors[0].mark)
    context.output.diagnostics(replace(each, severity=Severity.WARNING) for each in obstacles)


def _errors(found: Sequence[Diagnostic]) -> list[Diagnostic]:
    return [each for each in found if each.severity is Severity.ERROR]


def _tell_refused(context: Context, prepared: installation.Prepared) -> None:
    """One's mistake is not another's: the others go on."""
    context.output.diagnostics((*prepared.errors, *(refusal.diagnostic() for refusal in prepared.refused)))
    for worker in dict.fromkeys((*prepared.broken, *(refusal.worker for refusal in prepared.refused))):
        context.output.message(f"refused {worker}: what is installed of it stays", style="yellow")


def _report_left_out(context: Context, prepared: installation.Prepared, names: tuple[str, ...]) -> None:
    """For `ls` and `why`, which read no YAML, or want to know what was the matter then."""
    left = {worker: _of_error(errors[0]) for worker, errors in prepared.broken.items()}
    for refusal in prepared.refused:
        left.setdefault(
            refusal.worker, LeftOut("refused", refusal.diagnostic().message, refusal.diagnostic().hint or "")
        )
    left |= {lack.worker: LeftOut("skipped", lack.reason, lack.hint or "") for lack in prepared.skipped}
    directory = str(prepared.configuration.server.workers.directory)
    left_out.write(context.layout, directory, left, frozenset(names) if names else None)


def _of_error(error: Diagnostic) -> LeftOut:
    """The first thing that is wrong with a worker, and where."""
    place = f"{error.mark}: " if error.mark else ""
    return LeftOut("refused", f"{place}{error.message}", error.hint or "")


def _builder(
    bus: Bus, prepared: installation.Prepared, arguments: argparse.Namespace, context: Context, say: execute.Say
) -> build.Builder | None:
    """What runs builds; None with --user, where they are the user's own."""
    if context.user_mode:
        return None
    waiting = partial(progress, context, quiet=arguments.quiet)
    timeout = timeout_of(arguments)
    return build.Builder(bus=bus, files=prepared.desired.units, say=say, timeout_us=timeout, progress=waiting)


def _tell_skipped(prepared: installation.Prepared, context: Context) -> None:
    installed = {path.parent.name.removesuffix(".d") for path in prepared.observed.files if path.name == name.DROP_IN}
    for lack in prepared.skipped:
        stays = "; it stays as it is installed" if name.service(lack.worker) in installed else ""
        context.output.message(f"skipped {lack.worker}: {lack.reason}{stays}", style="yellow")
        if lack.hint:
            context.output.message(f"    hint: {lack.hint}")


def _settle_limits(workers: Sequence[Worker], plan: Plan, bus: Bus, say: execute.Say) -> tuple[execute.Difference, ...]:
    """Read the limits back from systemd, after one more reload if they are not those of the files."""
    differing = execute.differences(workers, bus)
    if any(d.drop_in is None for d in differing) and ReloadDaemon() not in plan.steps:
        say("daemon-reload")  # an earlier run was cut off between its files and its reload
        bus.reload_daemon()
        differing = execute.differences(workers, bus)
    return differing


def _conclude(
    context: Context,
    prepared: installation.Prepared,
    plan: Plan,
    results: tuple[JobResult, ...],
    differing: tuple[execute.Difference, ...],
    built: tuple[str, ...],
    *,
    as_json: bool,
) -> ExitStatus:
    """Say what the operator should know, and find the exit status that does not lie."""
    tell = context.output.message
    if not (built or plan.steps or plan.orphans or plan.pending or differing) and prepared.is_whole:
        tell("nothing to do: everything is as configured")
    for unit in plan.masked:
        tell(f"{unit} is masked, and stays so: systemctl unmask {unit}", style="yellow")
    for loss in prepared.lost:
        tell(loss, style="yellow")
    for worker in plan.orphans:
        tell(f"{worker} is installed but no longer configured; 'tqunits apply' removes it", style="yellow")
    for unit in plan.pending:
        tell(_waits(unit, plan), style="yellow")
    for difference in differing:
        _tell_difference(context, difference)
    ended = judged(results, context)
    status = told(ended, context)
    if any(difference.drop_in is None for difference in differing) or not prepared.is_whole:
        status = ExitStatus.FAILED  # graver than a matter of time
    if as_json:
        members = changes.installation(prepared, plan, built=built, differing=differing, ended=ended)
        context.output.json("install", 1, **members, exit_status=int(status))
    return status


def _waits(unit: str, plan: Plan) -> str:
    if unit in plan.outdated:
        return f"{unit} runs the code of another release; 'tqunits install --now' restarts it"
    if name.is_proxy_socket(unit):
        return f"{unit} still listens where it did; it takes the change with 'tqunits install --now'"
    if name.is_proxy(unit):
        return f"{unit} still runs as it was; 'tqunits install --now' restarts it"
    return f"{unit} still runs as it was; it takes the change with 'tqunits restart' or --now"


def _tell_difference(context: Context, difference: execute.Difference) -> None:
    text = f"{difference.unit}: {difference.directive} is {difference.actual}, asked was {difference.asked}"
    if difference.drop_in:
        context.output.message(f"{text}; your drop-in {difference.drop_in} decides", style="yellow")
    else:
        context.output.message(text, style="red")
