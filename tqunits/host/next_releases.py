"""Sees to it that the instances which an install starts run what they should: a new instance of a
worker that runs releases the stable one; a worker that is installed anew its own folder, whatever
it ran before it was uninstalled. A worker of static files alone has one link, which the routers
follow: so this comes before they are told of it.

It is no step of a plan: it changes no file of a unit, and `tqunits deploy` is what decides about
releases.
"""

from __future__ import annotations

from collections.abc import Mapping, Set

from tqunits.host import release_links, release_store
from tqunits.host.prepare import Prepared
from tqunits.host.progress import Tell, Turn
from tqunits.model import Instance, Worker
from tqunits.routing.codec.document import folders
from tqunits.units import name


def settle_releases(prepared: Prepared, tell: Tell) -> None:
    """Look at all workers that are to run; wait for a deploy of one whose instances need a release.
    Raises OSError, TqunitsError."""
    if prepared.target.user_mode:
        return
    there = _installed_before(prepared)
    for worker in prepared.present.workers:
        _settle(worker, prepared, tell, there.get(worker.name, frozenset()))


def _installed_before(prepared: Prepared) -> Mapping[str, frozenset[int]]:
    """Worker -> the numbers of the instances that had units; 1 of one that was only served. A
    disabled one was neither."""
    files = prepared.observed.files
    units = (name.instance_of(name.unit_at(path)) for path in files if path.name == name.DROP_IN)
    routes = files.get(prepared.target.layout.routes)
    served = (Instance(worker) for worker in (folders(routes.content) if routes is not None else ()))
    numbers: dict[str, set[int]] = {}
    for whose in (*served, *filter(None, units)):
        numbers.setdefault(whose.worker, set()).add(whose.number)
    return {worker: frozenset(found) for worker, found in numbers.items()}


def _settle(worker: Worker, prepared: Prepared, tell: Tell, before: Set[int]) -> None:
    """`before`: the numbers of its instances that were installed; none: it is new."""
    layout = prepared.target.layout
    links = release_links.runs_of(layout, worker.name).keys()
    numbers = {whose.number for whose in worker.instances}
    if not links or (before and numbers <= before & links and not _beyond(links, numbers)):
        return
    with release_store.exclusively(layout, worker.name, lambda holder: tell(Turn(holder))):
        links = release_links.runs_of(layout, worker.name).keys()  # a deploy may have been waited for
        old = links & numbers - before | _beyond(links, numbers)
        release_links.clear(layout, worker.name, old if before else links)
        if before:
            release_links.complete(layout, worker.name, numbers)


def _beyond(links: Set[int], numbers: Set[int]) -> Set[int]:
    """Those of instances that are not there any more. The first one after the last is the surge's,
    and a roll may be about to start it."""
    return {number for number in links if number > max(numbers) + 1}
