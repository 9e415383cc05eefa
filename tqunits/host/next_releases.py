"""Sees to it that the instances which an install starts run what they should: a new instance of a
worker that runs releases the stable one; a worker that is installed anew its own folder, whatever
it ran before it was uninstalled. A worker of static files alone has one link, which the routers
follow: so this comes before they are told of it.

It is no step of a plan: it changes no file of a unit, and `tqunits deploy` is what decides about
releases.
"""

from __future__ import annotations

from tqunits.host import release_links, release_store
from tqunits.host.prepare import Prepared
from tqunits.host.progress import Tell, Turn
from tqunits.model import Worker
from tqunits.routing.codec.document import folders
from tqunits.units import name


def settle_releases(prepared: Prepared, tell: Tell) -> None:
    """Look at all workers that are to run; wait for a deploy of one whose instances need a release.
    Raises OSError, TqunitsError."""
    if prepared.target.user_mode:
        return
    there = _installed_before(prepared)
    for worker in prepared.present.workers:
        _settle(worker, prepared, tell, is_new=worker.name not in there)


def _installed_before(prepared: Prepared) -> frozenset[str]:
    """The workers that had units or were served. A disabled one was neither."""
    files = prepared.observed.files
    units = {name.worker_of(name.unit_at(path)) for path in files if path.name == name.DROP_IN}
    routes = files.get(prepared.target.layout.routes)
    served = folders(routes.content).keys() if routes is not None else ()
    return frozenset({*served, *(worker for worker in units if worker is not None)})


def _settle(worker: Worker, prepared: Prepared, tell: Tell, *, is_new: bool) -> None:
    layout = prepared.target.layout
    runs = release_links.runs_of(layout, worker.name)
    numbers = [whose.number for whose in worker.instances]
    if not runs or (not is_new and set(numbers) <= runs.keys()):
        return
    with release_store.exclusively(layout, worker.name, lambda holder: tell(Turn(holder))):
        if is_new:
            release_links.clear(layout, worker.name, release_links.runs_of(layout, worker.name))
        else:
            release_links.complete(layout, worker.name, numbers)
