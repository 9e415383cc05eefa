"""Which release an instance runs: the content of its file `serving`, which its own unit has written
(alone/join.py).

The file is the worker's own, so what it says is true of that worker alone, or a lie about itself.

A worker of static files alone has no instance: the routers serve what a link of root's leads to.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from tqunits.lifecycle.release import is_release_id
from tqunits.model import Instance
from tqunits.routing.codec.document import Served
from tqunits.system.release_mark import release_in
from tqunits.units.environment import serving_file


def running_release(whose: Instance, runtime: PurePosixPath) -> str | None:
    """The ID; None for an instance that does not serve, or runs from its worker's own folder."""
    return release_in(serving_file(whose, runtime))


def served_release(files: Served) -> str | None:
    """The ID of the release whose files are served; None: those of the worker's own folder are."""
    if files.release is None:
        return None
    try:
        release = Path(files.release.link).readlink().name
    except OSError:
        return None
    return release if is_release_id(release) else None
