"""Whether a worker that is not root's can reach its folder with the rights of its own account.

Where a sandbox hides homes, PID 1 mounts only the part of the path that root controls
(units/sandbox.py, `put_back`). The worker walks the rest itself. So no folder on the rest may be
closed to its account, and a link that leads out of the mounted part is broken.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator

from tqunits.light_dataclass import dataclass
from tqunits.model import Worker
from tqunits.system.ownership import Anchor, anchor, has_acl, open_below
from tqunits.units import sandbox

_ELSEWHERE = "keep it below /srv, or in a folder of root's"


@dataclass(frozen=True, slots=True)
class FolderRefusal:
    """Why a worker could not enter its folder, and what to do."""

    reason: str
    hint: str


def folder_refusal(worker: Worker) -> FolderRefusal | None:
    """What is wrong with the path to the folder of a worker that is not root's; None for a worker
    of root's, and where nothing is hidden.

    A worker whose folder is not hidden enters it with its own rights anyway (systemd.exec(5),
    WorkingDirectory=). Links of root's on the path are not checked. Reads the host, and raises
    nothing.
    """
    folder, not_roots = worker.folder, worker.not_roots
    if not_roots is None or not sandbox.is_hidden(worker):
        return None
    if sandbox.put_back(worker) is None:
        return FolderRefusal(f"{folder} leads through {not_roots.path}, where others decide what is there", _ELSEWHERE)
    try:
        with anchor(folder, users=(0,)) as found:
            return next(_on_the_way(found), None)
    except OSError as error:
        return FolderRefusal(f"{folder} can not be looked at: {error.strerror}", _ELSEWHERE)


def _on_the_way(found: Anchor) -> Iterator[FolderRefusal]:
    """What is wrong with each folder below the last one of root's."""
    for count in range(1, len(found.rest) + 1):
        here = found.path.joinpath(*found.rest[:count])
        try:
            descriptor = open_below(found.descriptor, found.rest[:count], os.O_PATH | os.O_DIRECTORY)
        except OSError as error:
            if error.errno not in (errno.ELOOP, errno.ENOTDIR):
                raise
            yield FolderRefusal(f"{here} is a symbolic link, or no folder", "put the folder itself there")
            return
        try:
            is_closed = not os.fstat(descriptor).st_mode & stat.S_IXOTH and not has_acl(descriptor)
        finally:
            os.close(descriptor)
        if is_closed:
            yield FolderRefusal(f"{here} is closed to the worker's account", f"chmod o+x {here}, or {_ELSEWHERE}")
