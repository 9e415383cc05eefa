"""Which release an instance runs: the content of its file `serving`, which its own unit has written
(alone/join.py).

The file is the worker's own, so what it says is true of that worker alone, or a lie about itself.
"""

from __future__ import annotations

from pathlib import PurePosixPath

from tqunits.model import Instance
from tqunits.system.release_mark import release_in
from tqunits.units.environment import serving_file


def running_release(whose: Instance, runtime: PurePosixPath) -> str | None:
    """The ID; None for an instance that does not serve, or runs from its worker's own folder."""
    return release_in(serving_file(whose, runtime))
