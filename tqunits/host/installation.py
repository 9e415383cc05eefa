"""Installs what is configured, under the lock. The caller is told of each change.

Everything is known before the first change (prepare.py), except what builds make. So builds come
first, and then everything is looked at again. The plan is performed step by step (execute.py), and
the limits are read back from systemd.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path, PurePosixPath

from tqunits.errors import Diagnostic, Severity, TqunitsError
from tqunits.host import endings, execute, left_out, live, lost_drop_ins, old_runs, prepare, rebuild, vanishing
from tqunits.host.builder import Builder
from tqunits.host.endings import Ending
from tqunits.host.left_out import LeftOut
from tqunits.host.live import Difference
from tqunits.host.next_releases import settle_releases
from tqunits.host.plan import make_plan
from tqunits.host.premises import Premises
from tqunits.host.prepare import Choice, Prepared
from tqunits.host.progress import Exclusion, Omission, Restoration, StepStart, Tell, Turn, tell_findings
from tqunits.host.sources import Loaded
from tqunits.layout import Layout
from tqunits.light_dataclass import dataclass
from tqunits.model import Worker
from tqunits.system import files
from tqunits.system.bus import Bus, require_bus
from tqunits.units import name, unattended
from tqunits.units.kept import kept_instances
from tqunits.units.steps import Options, Plan, ReloadDaemon


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """The outcome of an install."""

    prepared: Prepared
    plan: Plan
    endings: tuple[Ending, ...]
    differing: tuple[Difference, ...]  # limits that systemd has with another value than the configuration

    @property
    def is_whole(self) -> bool:
        """Whether every chosen worker is installed as it is configured. How its jobs ended does not
        count."""
        return self.prepared.is_whole and all(found.drop_in is not None for found in self.differing)

    @property
    def is_idle(self) -> bool:
        """Whether there was nothing to do and nothing to say."""
        plan = self.plan
        something = plan.builds or plan.steps or plan.orphans or plan.pending or self.differing
        return not something and self.prepared.is_whole


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What an install would do."""

    prepared: Prepared
    plan: Plan
    obstacles: tuple[Diagnostic, ...]  # what is in the way of addresses; an error where the address can not be had


def last_turn(layout: Layout) -> int:
    """When the lock was last taken or released. Ask before the configuration is read: what `tqunits
    scale` writes under the lock may come after that."""
    return files.last_turn(Path(layout.install_lock))


def install(
    loaded: Loaded, premises: Premises, options: Options, choice: Choice, tell: Tell, *, since: int, timeout_us: int
) -> Installation:
    """Install. `since`: the last turn before `loaded` was read; if there was one since then, it is
    read again.

    Raises ConfigurationError, NoSuchWorker or TqunitsError when nothing can be installed at all.
    """
    layout = premises.layout
    require_bus(user_mode=premises.user_mode)
    with _turn(layout, choice, tell, since) as has_changed, Bus(user_mode=premises.user_mode) as bus:
        if choice.unattended:
            vanishing.refuse_uninstalled(layout)
        loaded = prepare.configured(premises) if has_changed else loaded
        restored = lost_drop_ins.put_back(layout, bus)
        for path in restored:
            tell(Restoration(path))
        back = (name.instance_of(name.unit_at(path)) for path in map(PurePosixPath, restored))
        choice = replace(choice, restored=tuple(whose for whose in back if whose is not None))
        prepared = _built(loaded, premises, bus, options, choice, tell, timeout_us)
        tell_findings(tell, prepared.warnings)
        _tell_omissions(prepared, tell)
        tell_refused(prepared, tell)
        plan = prepare.with_ledger(make_plan(prepared.desired, prepared.observed, options), prepared)
        _report_left_out(layout, prepared)
        settle_releases(prepared, tell, now=options.now and not (options.routers_alone or options.unattended))
        results = execute.execute(plan, layout, bus, timeout_us=timeout_us, tell=tell, is_unattended=options.unattended)
        plan, differing = _with_limits(prepared, plan, bus, layout, tell)
        old_runs.note(layout, bus, prepared.observed.units)
        ended = endings.judged(results, layout, user_mode=premises.user_mode)
        return Installation(prepared=prepared, plan=plan, endings=ended, differing=differing)


def outlook(loaded: Loaded, premises: Premises, options: Options, choice: Choice) -> Outlook:
    """What an install would do. Changes nothing, and does not ask systemd. Raises the same as
    `install`."""
    prepared = prepare.prepare(loaded, premises, None, choice)
    plan = make_plan(prepared.desired, prepared.observed, options)
    running = () if choice.unchanged else prepared.present.running()
    settled = _settled(prepared) if choice.unattended else ()
    builds = tuple(rebuild.would_build(running, premises.layout, settled=settled))
    return Outlook(
        prepared=prepared,
        plan=replace(plan, builds=builds, steps=(*prepared.put_back, *plan.steps)),
        obstacles=prepare.obstacles(prepared, is_asked=False),
    )


def tell_refused(prepared: Prepared, tell: Tell) -> None:
    """Tell what is wrong with single workers. The other workers are installed all the same."""
    tell_findings(tell, prepared.objections)
    for worker in prepared.excluded:
        tell(Exclusion(worker))


def errors_of(found: Sequence[Diagnostic]) -> list[Diagnostic]:
    """The obstacles that are in the way now."""
    return [each for each in found if each.severity is Severity.ERROR]


def _turn(layout: Layout, choice: Choice, tell: Tell, since: int) -> AbstractContextManager[bool]:
    """The lock of whoever changes what is installed. In it: whether another one has had it since
    then. It is waited for before D-Bus is opened: the bus closes a connection that says nothing for
    30 s (dbus-daemon(1), auth_timeout)."""
    wait = (lambda holder: tell(Turn(holder))) if choice.waits else False
    return files.lock(Path(layout.install_lock), wait=wait, since=since)


def _built(
    loaded: Loaded, premises: Premises, bus: Bus, options: Options, choice: Choice, tell: Tell, timeout_us: int
) -> Prepared:
    """Run the builds that are due; returns all that is known afterwards."""
    prepared = prepare.prepare(loaded, premises, bus, choice)
    prepare.refuse_foreign(make_plan(prepared.desired, prepared.observed, options))
    _refuse_taken(prepare.obstacles(prepared), tell, now=options.now and not options.routers_alone)
    if choice.unchanged:  # its sources may be others than those that anybody has seen built
        return prepared
    most_us = min(timeout_us, unattended.LONGEST_BUILD_US) if choice.unattended else timeout_us
    builder = Builder(bus=bus, files=prepared.desired.units, tell=tell, timeout_us=most_us)
    own = None if premises.user_mode else builder  # with --user builds run as the user
    outcome = rebuild.build_due(
        prepared.present.running(), own, premises.layout, tell, settled=_settled(prepared) if choice.unattended else ()
    )
    if outcome.skipped or outcome.built:  # a build may have made a file that was missing
        again = prepare.configured(premises)
        prepared = prepare.prepare(again, premises, bus, choice, outcome)
    return prepared


def _settled(prepared: Prepared) -> frozenset[str]:
    """The workers that are installed. A build would replace the program of one that runs, and
    nobody looks on."""
    return frozenset(kept_instances(prepared.observed.files))


def _refuse_taken(obstacles: Sequence[Diagnostic], tell: Tell, *, now: bool) -> None:
    """Raise TqunitsError when the router could not listen on its addresses. Without --now they are
    only told of."""
    errors = errors_of(obstacles)
    if now and errors:
        tell_findings(tell, (each for each in obstacles if each is not errors[0]))
        raise TqunitsError(errors[0].message, hint=errors[0].hint, mark=errors[0].mark)
    tell_findings(tell, (replace(each, severity=Severity.WARNING) for each in obstacles))


def _tell_omissions(prepared: Prepared, tell: Tell) -> None:
    installed = {name.worker_of(name.unit_at(path)) for path in prepared.observed.files if path.name == name.DROP_IN}
    for lack in prepared.skipped:
        tell(Omission(lack, lack.worker in installed))


def _report_left_out(layout: Layout, prepared: Prepared) -> None:
    """For `ls` and `why`, which read no YAML, or want to know what was the matter then."""
    left = {worker: _of_error(errors[0]) for worker, errors in prepared.broken.items()}
    for refusal in prepared.refused:
        found = refusal.diagnostic()
        left.setdefault(refusal.worker, LeftOut("refused", found.message, found.hint or ""))
    left |= {lack.worker: LeftOut("skipped", lack.reason, lack.hint or "") for lack in prepared.skipped}
    directory = str(prepared.configuration.server.workers.directory)
    meant = prepared.configuration.names - prepared.others if prepared.others else None
    left_out.write(layout, directory, left, meant)


def _of_error(error: Diagnostic) -> LeftOut:
    """The first error of a worker, and its place."""
    place = f"{error.mark}: " if error.mark else ""
    return LeftOut("refused", f"{place}{error.message}", error.hint or "")


def _with_limits(
    prepared: Prepared, plan: Plan, bus: Bus, layout: Layout, tell: Tell
) -> tuple[Plan, tuple[Difference, ...]]:
    """Have running units obey their new limits. Returns the plan, with the units that take them at
    their next start, and the limits that systemd has with another value."""
    known = {name.worker_of(unit) for unit in plan.read_back}
    workers = [worker for worker in prepared.workers if worker.name in known]
    differing = _read_back(workers, plan, bus, tell)
    live.realize(workers, layout, bus)
    limited = live.apply_process_limits(workers, bus)
    return replace(plan, pending=tuple(sorted({*plan.pending, *limited}))), differing


def _read_back(workers: Sequence[Worker], plan: Plan, bus: Bus, tell: Tell) -> tuple[Difference, ...]:
    """Read the limits back from systemd. If they differ from the files, reload once more first."""
    differing = live.differences(workers, bus)
    if any(d.drop_in is None for d in differing) and ReloadDaemon() not in plan.steps:
        tell(StepStart(ReloadDaemon()))  # an earlier run was cut off between writing files and the reload
        bus.reload_daemon()
        differing = live.differences(workers, bus)
    return differing
