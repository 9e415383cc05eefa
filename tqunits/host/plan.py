"""What `install` will do: a pure function from the desired and the observed state to a list of
steps, each a value.

The order of the steps makes a crash at any moment harmless (promise P5), and lets a deploy lose no
request (P2):

1. Files are written one by one, each whole, and no file names another one that does not exist yet.
   So the copies of the files that a YAML names are written before the units. Copies that no unit
   names any more are removed last.
   The rule for polkit is written after the units, and removed before them (units/polkit_rule.py).
2. Users are made before a unit that names them is loaded, and before a folder is given to them. A
   home from an earlier release is removed while its worker does not run. Units are enabled, and
   then one daemon-reload makes systemd read everything. A socket of the router that keeps none of
   its addresses is stopped before its file changes: a reload would close it too, but leave an
   active unit without an open socket.
3. A worker that was started by an earlier release and has no file `serving` gets one, so that a
   router of this release serves it. With `--now` routers that have changed are restarted first, one
   after the other, because a worker that stops must find a router with the present leave socket.
   Then workers are started or restarted. The routers learn of them when they are healthy.
4. Instances beyond the configured number are taken down before the routes change: while they are
   in the routes, the routers let their requests end. A replica that becomes its worker's surge is
   stopped in the same step. Its drop-in says that it is a replica until then, because a surge
   that runs belongs to a roll, and no other step stops it or starts it. A worker that is removed
   is first taken out of the routes, then stopped and disabled. Its files are removed last: while
   one of them is left, the next run knows that there is work to finish.

Builds come before all of these steps, and then the rest is planned anew. upkeep.py adds steps
before and after them, which clear away left-overs. After the last step the limits of the units in
`read_back` are read back.

A step whose outcome is already there is not in the plan. This is also the recovery: after a crash
the next run plans what is still missing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from pathlib import PurePosixPath

from tqunits.layout import SYSTEM_LAYOUT
from tqunits.model import Instance, account_of
from tqunits.routing.codec.document import installed_routes, with_workers
from tqunits.units import credentials, name, polkit_rule, shared, turnover, unattended, unitfile, upkeep
from tqunits.units.observed import Observed, ObservedFile, is_newer
from tqunits.units.rendering import RenderedFile
from tqunits.units.steps import (
    Admit,
    CreateUsers,
    Desired,
    Disable,
    Enable,
    Give,
    Options,
    Plan,
    Rehome,
    Reload,
    ReloadDaemon,
    RemoveFile,
    Restart,
    Start,
    Step,
    Stop,
    WriteFile,
)


def make_plan(desired: Desired, observed: Observed, options: Options) -> Plan:
    """Decide what to do. Writes nothing and asks nothing."""
    gone = _orphans(desired, observed)
    leaving = gone if options.prune else ()
    desired = _with_staying(desired, observed, leaving=leaving, is_unattended=options.unattended)
    unit_writes = (*_writes(desired.units, observed), *_refits(desired, observed, leaving=leaving))
    foreign = () if options.replace else _foreign(unit_writes)
    waiting = () if options.now else turnover.waiting(unit_writes, observed)
    rules = tuple(w for w in unit_writes if w.file.path.name == polkit_rule.FILE)
    may_stop = options.now and not options.routers_alone
    demoted = _demoted(unit_writes, observed)
    unit_writes = tuple(w for w in unit_writes if w.file.unit not in waiting and w not in (*rules, *demoted))
    writes = (*_copy_writes(desired, observed), *unit_writes)
    masked = tuple(u for u in desired.enabled if observed.file_states.get(u, "").startswith("masked"))
    running = tuple(u for u in desired.enabled if u not in masked)
    meant = unattended.to_enable(running, observed, options)
    outdated = turnover.outdated(running, desired, observed)
    stale = turnover.with_openings(_stale(running, writes, observed, outdated), running, observed)
    closing = turnover.closing(desired, observed)
    surplus = _surplus(desired, observed)
    spare = frozenset(unit for whose in surplus if observed.runs(unit := name.service(whose)))
    spare |= {service for write in demoted if (service := write.file.unit)}
    to_start = (
        unattended.startable(meant, writes, observed, options)
        if observed.is_up(name.TARGET)
        else _of_target(running, desired, observed, leaving)
    )
    going_on = (u for u in stale if observed.is_up(u) or u not in to_start)
    steps = [
        *_stopped(turnover.emptied(unit_writes, observed)),
        *writes,
        *_users(desired, writes, observed),
        *_rehomings(desired, observed),
        *([Give(desired.given)] if desired.given else ()),
        *(enabling := _enable(meant, observed)),
        *_daemon_reload(unit_writes, enabling, observed),
        *rules,
        *_admissions(observed),
        *(first_routes := _first_routes(desired, observed)),
        *(_router_restarts(running, stale, desired, writes, observed) if options.now else ()),
        *(_starts(to_start, unattended.restartable(stale, options), writes, observed, options) if options.now else ()),
        *_surplus_removal(surplus, demoted if may_stop else (), observed, may_stop=may_stop),
        *(() if first_routes else _new_routes(desired, observed, options)),
        *_departures(desired, observed, gone, options, demoted if may_stop else ()),
        *_spare_copies(desired, observed),
    ]
    return Plan(
        builds=desired.builds,
        steps=(*upkeep.before(observed.remnants, steps), *steps, *upkeep.after(observed.remnants, leaving)),
        read_back=tuple(unit for unit in _services(desired) if unit not in masked and unit not in desired.surges),
        foreign=foreign,
        orphans=() if options.prune else gone,
        pending=_pending((*waiting, *closing, *going_on, *(() if may_stop else sorted(spare))), options),
        masked=masked,
        leaving=leaving,
        outdated=outdated,
        spare=spare,
    )


def _of_target(
    running: tuple[str, ...], desired: Desired, observed: Observed, leaving: Collection[str]
) -> tuple[str, ...]:
    """What is started with the target, as systemd would do it: all that is enabled, so the workers
    too that are left as they are. The target itself is started alone (system/jobs.py)."""
    enabled = (unit for unit, state in observed.file_states.items() if state == "enabled" and name.is_worker(unit))
    spare = {*running, *desired.disabled, *desired.surges}
    others = sorted(unit for unit in enabled if unit not in spare and name.worker_of(unit) not in leaving)
    return (*others, *running)


def _pending(units: Iterable[str], options: Options) -> tuple[str, ...]:
    """Of what waits for a start, what goes on waiting."""
    found = tuple(dict.fromkeys(units))
    meant = unattended.restartable(found, options) if options.now else ()
    return tuple(unit for unit in found if unit not in meant)


def _services(desired: Desired) -> Iterator[str]:
    """The units of the workers that have files in this plan."""
    return (file.unit for file in desired.units if file.unit is not None and unitfile.ledger(file.content))


def removal(observed: Observed, workers: Iterable[str] | None) -> tuple[Step, ...]:
    """The steps that take these workers off the host, or (None) everything of ours.

    The caller plans the routes of single workers, which come from the configuration without them.
    """
    if workers is not None:
        return tuple(_worker_removal(observed, sorted(workers)))
    ours = sorted(path for path, file in observed.files.items() if unitfile.is_ours(file.content) or _is_state(path))
    enabled = (unit for unit, state in observed.file_states.items() if state == "enabled")
    units = sorted({name.TARGET, *observed.units, *enabled})
    return (*_take_down(observed, units, ours), *_copy_removals(observed, observed.copies))


def _writes(files: Iterable[RenderedFile], observed: Observed) -> tuple[WriteFile, ...]:
    """The files that differ, and files whose time is in the future (the clock was set back): no
    process would ever be newer than they are."""
    found = ((file, observed.files.get(file.path)) for file in files)
    return tuple(
        WriteFile(
            file=file,
            before=before.content if before else None,
            keep_time=before is not None
            and before.modified <= observed.now
            and (_same_but_limits(before.content, file.content) or turnover.keeps_open(file, before.content)),
        )
        for file, before in found
        if before is None or before.content != file.content or before.modified > observed.now
    )


def _refits(desired: Desired, observed: Observed, *, leaving: Collection[str]) -> tuple[WriteFile, ...]:
    kept = (file for file in desired.refits if name.worker_of(file.unit or "") not in leaving)
    return tuple(WriteFile(file=file, before=observed.files[file.path].content) for file in kept)


def _admissions(observed: Observed) -> list[Step]:
    """Units that run without their file `serving`: an earlier release has started them, or somebody
    has removed the file."""
    found = ((name.service(whose), file) for whose, file in sorted(observed.unserved.items()))
    held = tuple(file for unit, file in found if observed.is_up(unit))
    return [Admit(held)] if held else []


def _copy_writes(desired: Desired, observed: Observed) -> tuple[WriteFile, ...]:
    """The copies that differ, as in `_writes`. A new copy makes the process of its worker out of
    date, as a new unit file does."""
    found = ((file, observed.copies.get(file.path)) for file in desired.copies)
    return tuple(
        WriteFile(file=file, before=before.content if before else None)
        for file, before in found
        if before is None or before.content != file.content or before.modified > observed.now
    )


def _same_but_limits(before: str, after: str) -> bool:
    """Compares what the texts say, and not the hash in the old one: somebody may have edited it and
    restarted the worker."""
    are_ours = unitfile.ledger(before) is not None and unitfile.ledger(after) is not None
    return are_ours and unitfile.restart_hash(before) == unitfile.restart_hash(after)


def _foreign(writes: Iterable[WriteFile]) -> tuple[PurePosixPath, ...]:
    return tuple(w.file.path for w in writes if w.before is not None and not unitfile.is_ours(w.before))


def _orphans(desired: Desired, observed: Observed) -> tuple[str, ...]:
    """Workers that are no longer configured. A worker of static files only has no drop-in, but it
    has routes."""
    routes = observed.files.get(desired.routes.path)
    routed = installed_routes(routes.content).keys() if routes else set[str]()
    installed = {ledger.worker for ledger in _ledgers(observed.files.values())}
    return tuple(sorted((installed | (routed - desired.files_alone)) - desired.workers))


def _with_staying(desired: Desired, observed: Observed, *, leaving: Collection[str], is_unattended: bool) -> Desired:
    """The shared files, completed with the installed workers that have no files in this plan and
    are not removed; where nobody looks on, with what router and manager have for any worker."""
    rendered = {ledger.worker for ledger in _ledgers(desired.units)}
    drop_ins = [(ledger.worker, file.content) for file in observed.files.values() for ledger in _ledgers([file])]
    staying = [(worker, text) for worker, text in drop_ins if worker not in rendered and worker not in leaving]
    accounts = frozenset(account for _, text in staying for account in shared.accounts_of(text))
    members = frozenset(a for _, text in (drop_ins if is_unattended else staying) for a in shared.accounts_of(text))
    gone = {worker for worker in _orphans(desired, observed) if worker not in leaving}
    served = {*(worker for worker, _ in staying), *gone, *desired.left_alone}  # static ones have no drop-in

    def kept(file: RenderedFile) -> RenderedFile:
        found = observed.files.get(file.path)
        if found is None:
            return file
        if file.path == desired.routes.path:
            return replace(file, content=with_workers(file.content, found.content, served))
        if file.path.name == polkit_rule.FILE:
            return replace(file, content=polkit_rule.with_operators(file.content, found.content, served))
        if file.unit is None:
            return replace(file, content=shared.with_accounts(file.content, found.content, accounts))
        if file.unit in name.IN_GROUPS:
            content = shared.with_open_folders(file.content, found.content) if is_unattended else file.content
            return replace(file, content=shared.with_groups(content, found.content, members))
        return file

    is_more = served or is_unattended
    return replace(desired, units=tuple(map(kept, desired.units)), routes=kept(desired.routes)) if is_more else desired


def _ledgers(files: Iterable[ObservedFile | RenderedFile]) -> Iterable[unitfile.Ledger]:
    return (ledger for file in files if (ledger := unitfile.ledger(file.content)))


def _stale(
    running: Iterable[str], writes: Iterable[WriteFile], observed: Observed, outdated: Collection[str]
) -> tuple[str, ...]:
    """Units whose process is older than its unit files, or than the program that was built for it.

    The target is left out: for it a reload is enough. Its restart would restart all its parts, the
    socket too.
    """
    running = tuple(running)
    rewritten = unattended.rewritten(running, writes)
    parts = (u for u in running if u != name.TARGET)
    return tuple(
        u
        for u in parts
        if observed.runs(u) and (u in outdated or _is_cut_off(u, observed) or _is_stale(u, rewritten, observed))
    )


def _is_cut_off(unit: str, observed: Observed) -> bool:
    """Whether this is the manager, and it runs without its control socket. A restart opens the
    socket: systemd refuses to start a socket while its service runs."""
    return unit == name.MANAGER and not observed.runs(name.MANAGER_SOCKET)


def _stopped(units: tuple[str, ...]) -> list[Step]:
    return [Stop(units)] if units else []


def _is_stale(unit: str, rewritten: Collection[str | None], observed: Observed) -> bool:
    sources = {unit, name.template_of(unit), *(_files_of_socket(unit) if _has_control(unit) else ())}
    if not sources.isdisjoint(rewritten):
        return True
    started = observed.units[unit].started
    times = [f.modified for path, f in observed.files.items() if name.unit_at(path) in sources]
    worker = name.worker_of(unit)
    times += [f.modified for path, f in observed.copies.items() if credentials.worker_of(path) == worker]
    if is_newer(observed.built.get(worker or "", 0), started, observed.now):
        return True
    return started > 0 and any(modified > started for modified in times)


def _users(desired: Desired, writes: Iterable[WriteFile], observed: Observed) -> Iterable[Step]:
    sysusers = [file.path for file in desired.units if file.unit is None and file.path.name != polkit_rule.FILE]
    written = {w.file.path for w in writes}
    return [CreateUsers(path=path) for path in sysusers if path in written or observed.missing_users]


def _daemon_reload(writes: Iterable[WriteFile], enabling: Iterable[Step], observed: Observed) -> Iterable[Step]:
    written = any(w.file.unit is not None for w in writes)
    needed = written or any(enabling) or any(u.needs_reload for u in observed.units.values())
    return [ReloadDaemon()] if needed else []


def _enable(running: Iterable[str], observed: Observed) -> list[Step]:
    missing = tuple(u for u in running if observed.file_states.get(u) != "enabled")
    return [Enable(missing)] if missing else []


def _starts(
    running: tuple[str, ...],
    stale: tuple[str, ...],
    writes: Iterable[WriteFile],
    observed: Observed,
    options: Options,
) -> Iterable[Step]:
    """Everything that is down is started in one step, the target too.

    A worker whose account loses its home stands still between stop and start, with all its
    instances. So these workers go one after the other, and no request waits until another worker is
    drained.
    """
    moving = unattended.restartable((u for u in running if _is_at_home(u, observed) and observed.runs(u)), options)
    restarts = tuple(u for u in stale if name.worker_of(u) and u not in moving)
    anew = tuple(u for u in restarts if _has_new_socket(u, writes, observed))
    kept = tuple(u for u in restarts if u not in anew)
    done = (*stale, *moving, *([name.MANAGER_SOCKET] if name.MANAGER in stale else []))
    down = tuple(u for u in running if u in anew or (u not in done and not observed.is_up(u)))
    stops = _with_sockets(anew, observed)
    steps = [step(units) for step, units in ((Stop, stops), (Restart, kept), (Start, down)) if units]
    movers = dict.fromkeys(worker for unit in moving if (worker := name.worker_of(unit)))
    return [*steps, *(step for worker in movers for step in _move(worker, moving, observed))]


def _move(worker: str, moving: Iterable[str], observed: Observed) -> Iterable[Step]:
    units = tuple(unit for unit in moving if name.worker_of(unit) == worker)
    return Stop(_with_sockets(units, observed)), Rehome((worker,)), Start(units)


def _is_at_home(unit: str, observed: Observed) -> bool:
    """Whether the account of this unit's worker still has a home."""
    worker = name.worker_of(unit)
    return worker is not None and account_of(worker) in observed.homes


def _rehomings(desired: Desired, observed: Observed) -> Iterable[Step]:
    """The accounts that lose their homes, for workers that do not run. The others wait for a
    restart or a stop.

    A worker that stays as it is installed keeps its home: its drop-in, of an earlier release, does
    not set HOME=.
    """
    rendered = {ledger.worker for ledger in _ledgers(desired.units)}
    staying = {ledger.worker for ledger in _ledgers(observed.files.values())} - rendered
    workers = {user.removeprefix(account_of("")) for user in observed.homes} - staying
    running = {name.worker_of(unit) for unit in observed.units if name.is_worker(unit) and observed.runs(unit)}
    resting = tuple(sorted(workers - running))
    return [Rehome(resting)] if resting else []


def _has_new_socket(unit: str, writes: Iterable[WriteFile], observed: Observed) -> bool:
    """Whether the socket unit is newer than the process of the service. A restart of the service
    alone would keep the old socket."""
    sources = _files_of_socket(unit)
    started = observed.units[unit].started
    times = (f.modified for path, f in observed.files.items() if name.unit_at(path) in sources)
    return any(w.file.unit in sources for w in writes) or any(modified > started for modified in times)


def _files_of_socket(unit: str) -> Collection[str | None]:
    """The unit files that the socket of a service comes from."""
    socket = name.socket_of(unit) or ""
    return {socket, name.template_of(socket)}


def _has_control(unit: str) -> bool:
    """Whether this service has a control socket, which it requires (Sockets=)."""
    return name.is_proxy(unit) or unit == name.MANAGER


def _with_sockets(services: tuple[str, ...], observed: Observed) -> tuple[str, ...]:
    """These services and their sockets that listen. A router's socket stays after its process, and
    would start it again.

    A worker's socket is stopped by StopWhenUnneeded=, in a job of its own after the service's. A
    start that comes before this job cancels it, and the worker gets the old socket.
    """
    sockets = (socket for unit in services if (socket := name.socket_of(unit)))
    return (*services, *(u for u in sockets if u not in services and observed.runs(u)))


def _first_routes(desired: Desired, observed: Observed) -> list[Step]:
    """The first routes. A router can not start without them, and no router runs that they could
    mislead."""
    return [] if desired.routes.path in observed.files else [WriteFile(file=desired.routes, before=None)]


def _new_routes(desired: Desired, observed: Observed, options: Options) -> Iterable[Step]:
    """Routes that have changed, after the workers that they lead to are healthy."""
    before = observed.files[desired.routes.path].content
    if before == desired.routes.content:
        return []
    proxies = [u for u in desired.enabled if name.is_proxy(u)]
    running = tuple(u for u in proxies if options.now or observed.runs(u))
    write = WriteFile(file=desired.routes, before=before)
    return [write, Reload(running)] if running else [write]


def _router_restarts(
    running: tuple[str, ...], stale: tuple[str, ...], desired: Desired, writes: Iterable[WriteFile], observed: Observed
) -> Iterable[Step]:
    """The processes are restarted one after the other. A socket is opened in the restart of the
    first one, which requires it (Sockets=), between stop and start: systemd refuses to start a
    socket while its service runs.

    A new address that overlaps with an open one can be opened only when no process has the old one
    any more. Then the other processes are stopped meanwhile. Unchanged addresses stay open all the
    time. The last step reports whether the new sockets were opened.
    """
    restarts = tuple(u for u in stale if not (name.worker_of(u) or name.is_proxy_socket(u) or u == name.MANAGER_SOCKET))
    opening = tuple(u for u in stale if name.is_proxy_socket(u))
    emptied = turnover.emptied(writes, observed)
    shut = (*turnover.closing(desired, observed), *(u for u in opening if observed.runs(u) and u not in emptied))
    others = tuple(u for u in restarts if not name.is_proxy(u))
    first, *rest = tuple(u for u in restarts if name.is_proxy(u)) or ("",)
    away: tuple[str, ...] = ()
    if turnover.needs_room(opening, emptied, desired, observed):
        known = dict.fromkeys((*rest, *observed.units))
        away = tuple(u for u in known if name.is_proxy(u) and u != first and observed.runs(u))
    anew = _old_controls(others, writes, observed)
    steps = [*_stopped(shut), *_stopped(anew), *([Restart(others)] if others else [])]
    steps += _stopped(_with_sockets(away, observed))
    for unit in (first, *rest) if first else ():
        old = _old_controls((unit,), writes, observed)
        steps += [Start((unit,))] if unit in away else [*_stopped(old), Restart((unit,))]
    return [*steps, *([Start(opening)] if opening else [])]


def _old_controls(restarts: tuple[str, ...], writes: Iterable[WriteFile], observed: Observed) -> tuple[str, ...]:
    """Control sockets to be made anew, of the router's processes and of the manager. Each one is
    stopped alone; it comes back in the restart of its service: systemd refuses to start a socket
    while its service runs."""
    here = (u for u in restarts if _has_control(u) and u in observed.units)
    anew = tuple(u for u in here if _has_new_socket(u, writes, observed))
    return tuple(u for u in _with_sockets(anew, observed) if u not in anew)


def _departures(
    desired: Desired, observed: Observed, gone: tuple[str, ...], options: Options, demoted: Iterable[WriteFile]
) -> Iterable[Step]:
    """Units that are configured not to run; with --prune also workers that are no longer
    configured. `demoted`: new surges, which are disabled already."""
    idle = (*desired.disabled, *sorted(desired.surges - {write.file.unit for write in demoted}))
    enabled = tuple(u for u in idle if observed.file_states.get(u) == "enabled")
    closing = turnover.closing(desired, observed)
    active = tuple(u for u in _with_sockets(desired.disabled, observed) if observed.runs(u) and u not in closing)
    steps: list[Step] = [Stop(active)] if active and options.now else []
    steps += [Disable(enabled)] if enabled else []
    removals = _spare_units(desired, observed, stay=() if options.now else closing)
    steps += removals
    steps += [ReloadDaemon()] if enabled or removals else []
    return [*steps, *_worker_removal(observed, gone)] if options.prune and gone else steps


def _spare_units(desired: Desired, observed: Observed, *, stay: Collection[str]) -> list[Step]:
    """Files of units that are not needed any more: sockets of configured workers that now listen in
    another way; the certificate's watch without a certificate; builds and release commands of
    workers that have none any more; sockets of addresses that the router no longer has, except
    those in `stay`.
    """
    gone = {unit for unit in desired.disabled if name.comes_and_goes(unit) and unit not in stay}
    found = [(p, f) for p, f in observed.files.items() if p.name in gone]
    found += [(p, observed.files[p]) for p in _spare_preparations(desired, observed)]
    return [RemoveFile(path=path, before=file.content) for path, file in found if unitfile.is_ours(file.content)]


def _spare_preparations(desired: Desired, observed: Observed) -> Iterator[PurePosixPath]:
    """The drop-ins of builds and release commands which a worker with files in this plan does not
    have any more."""
    rendered = {file.path for file in desired.units}
    workers = {ledger.worker for ledger in _ledgers(desired.units)}
    for path in observed.files:
        worker = name.prepared_by(name.unit_at(path)) if path.name == name.DROP_IN and path not in rendered else None
        if worker in workers:
            yield path


def _spare_copies(desired: Desired, observed: Observed) -> Iterable[Step]:
    """Copies that a worker does not name any more. A worker without files in this plan keeps the
    copies that its unit names."""
    rendered = {ledger.worker for ledger in _ledgers(desired.units)}
    wanted = {file.path for file in desired.copies}
    known = (path for path in observed.copies if credentials.worker_of(path) in rendered)
    return _copy_removals(observed, (path for path in known if path not in wanted))


def _copy_removals(observed: Observed, paths: Iterable[PurePosixPath]) -> list[Step]:
    return [RemoveFile(path=path, before=observed.copies[path].content, is_secret=True) for path in sorted(paths)]


def _worker_removal(observed: Observed, workers: Iterable[str]) -> Iterable[Step]:
    workers = tuple(workers)
    found = {whose for whose in _known_instances(observed) if whose.worker in workers}
    instances = sorted(found | set(map(Instance, workers)))
    units = [*_units_of(instances), *(u for w in workers for u in (name.build(w), name.fetch(w), name.release(w)))]
    ours = _files_about(observed, units, instances)
    copies = [path for path in observed.copies if credentials.worker_of(path) in workers]
    return [*_take_down(observed, units, ours), *_copy_removals(observed, copies)]


def _known_instances(observed: Observed) -> set[Instance]:
    """Of all workers that are installed or run."""
    known = {*observed.units, *observed.file_states, *map(name.unit_at, observed.files)}
    return {whose for unit in known if (whose := name.instance_of(unit))}


def _surplus(desired: Desired, observed: Observed) -> list[Instance]:
    """Instances beyond the configured number of their worker."""
    rendered = {whose for unit in _services(desired) if (whose := name.instance_of(unit))}
    workers = {whose.worker for whose in rendered}
    return sorted(whose for whose in _known_instances(observed) - rendered if whose.worker in workers)


def _demoted(writes: Iterable[WriteFile], observed: Observed) -> tuple[WriteFile, ...]:
    """The drop-ins of replicas that run, and are to be their workers' surges."""
    return tuple(
        write
        for write in writes
        if observed.runs(write.file.unit or "") and _is_surge(write.file.content) and not _is_surge(write.before or "")
    )


def _is_surge(text: str) -> bool:
    found = unitfile.ledger(text)
    return found is not None and found.is_surge


def _units_of(instances: Iterable[Instance]) -> list[str]:
    return [u for whose in instances for u in (name.socket(whose), name.service(whose), name.mount(whose))]


def _files_about(observed: Observed, units: Iterable[str], instances: Collection[Instance]) -> list[PurePosixPath]:
    """Our files of these units, and of what follows the failures of these instances."""
    about = {*units, *map(name.backoff, instances), *map(name.failure, instances)}
    return sorted(p for p, f in observed.files.items() if name.unit_at(p) in about and unitfile.is_ours(f.content))


def _surplus_removal(
    surplus: Iterable[Instance], demoted: Collection[WriteFile], observed: Observed, *, may_stop: bool
) -> Iterable[Step]:
    """Take down instances that are too many, and stop replicas that become surges. Where no worker
    may be stopped, those that run stay until the next start of the host."""
    gone = [whose for whose in surplus if may_stop or not observed.runs(name.service(whose))]
    staying = [unit for whose in surplus if whose not in gone for unit in _units_of([whose])]
    units = _units_of(gone)
    files = _files_about(observed, units, gone)
    enabled = tuple(unit for unit in staying if observed.file_states.get(unit) == "enabled")
    resting = [whose for write in demoted if (whose := name.instance_of(write.file.unit or ""))]
    return [
        *([Disable(enabled)] if enabled else []),
        *_take_down(observed, [*_units_of(resting), *units], files),
        *demoted,
        *([ReloadDaemon()] if demoted else []),
    ]


def _take_down(observed: Observed, units: list[str], files: list[PurePosixPath]) -> Iterable[Step]:
    loaded = [u for u in units if observed.state(u) != "inactive"]
    enabled = tuple(u for u in units if observed.file_states.get(u) == "enabled")
    steps: list[Step] = [Stop(_in_order_of_stopping(loaded, whole=name.TARGET in units))] if loaded else []
    steps += [Disable(enabled)] if enabled else []
    steps += [RemoveFile(path=path, before=observed.files[path].content) for path in files]
    return [*steps, ReloadDaemon()] if files else steps


def _in_order_of_stopping(units: Iterable[str], *, whole: bool) -> tuple[str, ...]:
    """The order of a stop: the target before its parts, if everything stops; the sockets of single
    services last.

    systemd queues a job for each unit in a call of its own. A connection to a socket, after its
    service has ended and before the socket has its stop job, starts the service again; this cancels
    the stop jobs of everything that the service requires. The target's job queues those of its
    parts in one transaction, whether the target is active or not. The sockets come last because a
    worker that stops (ExecStop=) still asks at the router's leave socket.
    """
    parts = [unit for unit in units if unit != name.TARGET]
    sockets = {name.socket_of(unit) for unit in parts}
    return (*([name.TARGET] if whole else []), *sorted(parts, key=sockets.__contains__))


def _is_state(path: PurePosixPath) -> bool:
    return path.name == SYSTEM_LAYOUT.routes.name  # the same in every layout; JSON has no comments to mark it
