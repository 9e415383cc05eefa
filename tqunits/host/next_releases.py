"""Sees to it that the instances which an install starts run what they should: a new instance of a
worker that runs releases the stable one; a worker that is installed anew its own folder, whatever
it ran before it was uninstalled. A worker of static files alone has one link, which the routers
follow: so this comes before they are told of it. What is closed in a worker's releases is given to
the group that the worker has now (release_access.py), or it could not start.

It is no step of a plan: it changes no file of a unit, and `tqunits deploy` is what decides about
releases.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from pathlib import PurePosixPath

from tqunits.errors import TqunitsError
from tqunits.host import release_access, release_links, release_manifests, release_store
from tqunits.host.prepare import Prepared
from tqunits.host.progress import ReleaseReturn, Tell, Turn
from tqunits.layout import Layout
from tqunits.model import Instance, Worker
from tqunits.routing.codec.document import files_alone, folders, without
from tqunits.units import ledger, name, release_mount, unitfile
from tqunits.units.observed import ObservedFile


def settle_releases(prepared: Prepared, tell: Tell, *, now: bool) -> None:
    """Look at all workers that are to run; wait for a deploy of one whose instances need a release.
    `now`: workers that have changed are restarted. Raises OSError, TqunitsError."""
    if prepared.target.user_mode:
        return
    layout = prepared.target.layout
    there = installed_before(prepared.observed.files, layout)
    in_folder = run_from_folder(prepared.observed.files, layout)
    for worker in prepared.present.workers:
        settle(worker, layout, tell, there.get(worker.name, frozenset()))
        hand_over_releases(worker, layout, tell, now=now)
        release = release_links.runs_of(layout, worker.name).get(1)
        if worker.name in in_folder and release is not None and not release_mount.obstacle(worker, prepared.target):
            tell(ReleaseReturn(worker.name, release))


def installed_before(files: Mapping[PurePosixPath, ObservedFile], layout: Layout) -> Mapping[str, frozenset[int]]:
    """Worker -> the numbers of the instances that had units; 1 of one that was only served. A
    disabled one was neither."""
    units = (name.instance_of(name.unit_at(path)) for path in files if path.name == name.DROP_IN)
    numbers: dict[str, set[int]] = {}
    for whose in (*map(Instance, _served(files, layout)), *filter(None, units)):
        numbers.setdefault(whose.worker, set()).add(whose.number)
    return {worker: frozenset(found) for worker, found in numbers.items()}


def run_from_folder(files: Mapping[PurePosixPath, ObservedFile], layout: Layout) -> frozenset[str]:
    """The workers that were installed in development mode; of files alone those that no release is
    served of, for whatever reason."""
    found = (unitfile.ledger(file.content) for path, file in files.items() if path.name == name.DROP_IN)
    programs = frozenset(each.worker for each in found if each is not None and each.folder_use is not None)
    routes = files.get(layout.routes)
    if routes is None or without(routes.content, ()) is None:
        return programs
    return programs | {each.name for each in files_alone(routes.content) if each.release is None}


def settle(worker: Worker, layout: Layout, tell: Tell, before: Set[int]) -> None:
    """Have each of a worker's links lead to a release that it is to run, and no others stay.
    `before`: the numbers of its instances that were installed; none: it is new. Raises OSError."""
    links = release_links.runs_of(layout, worker.name).keys()
    numbers = release_mount.link_numbers(worker)
    if not links or (before and numbers <= before & links and not _beyond(links, numbers)):
        return
    with release_store.exclusively(layout, worker.name, lambda holder: tell(Turn(holder))):
        links = release_links.runs_of(layout, worker.name).keys()  # a deploy may have been waited for
        old = links & numbers - before | _beyond(links, numbers)
        release_links.clear(layout, worker.name, old if before else links)
        if before:
            release_links.complete(layout, worker.name, numbers)


def hand_over_releases(worker: Worker, layout: Layout, tell: Tell, *, now: bool) -> None:
    """Let a worker with another group than before read its releases. A process that goes on with
    the group of before keeps what it runs; `now`: none goes on. Where this install has yet to make
    the group, nothing is done: the next deploy does it. Raises OSError, TqunitsError."""
    try:
        group = release_access.group_of(worker)
    except TqunitsError:
        return
    there = release_manifests.release_folders(layout, worker.name)
    if not any(release_access.is_another_groups(each, group) for each in there):
        return
    with release_store.exclusively(layout, worker.name, lambda holder: tell(Turn(holder))):
        used = frozenset[str]() if now else release_links.mounted(layout, worker.name)
        for each in release_manifests.release_folders(layout, worker.name):
            if each.name not in used:
                release_access.hand_over(each, group)


def _served(files: Mapping[PurePosixPath, ObservedFile], layout: Layout) -> Iterable[str]:
    """The workers whose files were served. Where the routes are lost, the ledger tells of those
    that are files alone: otherwise they would count as new, and go back to their folders."""
    routes, kept = files.get(layout.routes), files.get(layout.ledger)
    if routes is not None and without(routes.content, ()) is not None:
        return folders(routes.content)
    entries = ledger.load(kept.content if kept is not None else None).values()
    return [entry.worker for entry in entries if entry.drop_in is None]


def _beyond(links: Set[int], numbers: Set[int]) -> Set[int]:
    """Those of instances that are not there any more. The first one after the last is the surge's,
    and a roll may be about to start it."""
    return {number for number in links if number > max(numbers) + 1}
