"""Sees to it that the instances which an install starts run what they should: a new instance of a
worker that runs releases the stable one; a worker that is installed anew its own folder, whatever
it ran before it was uninstalled.

It is no step of a plan: it changes no file of a unit, and `tqunits deploy` is what decides about
releases.
"""

from __future__ import annotations

from tqunits.host import release_links, release_store
from tqunits.host.prepare import Prepared
from tqunits.host.progress import Tell, Turn
from tqunits.model import Worker
from tqunits.units import name


def settle_releases(prepared: Prepared, tell: Tell) -> None:
    """Look at all workers that are to run; wait for a deploy of one whose instances need a release.
    Raises OSError, TqunitsError."""
    if prepared.target.user_mode:
        return
    there = {name.worker_of(name.unit_at(path)) for path in prepared.observed.files if path.name == name.DROP_IN}
    for worker in prepared.workers:
        _settle(worker, prepared, tell, is_new=worker.name not in there)


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
