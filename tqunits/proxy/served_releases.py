"""Which release each instance serves with, for the access log: its file `serving` says it
(system/release_mark.py).

The router looks at these files all the time, also because of whoever may write there. So a file is
opened only when it is another one than at the last look, or was changed since.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

from tqunits.model import Instance
from tqunits.system.release_mark import release_in

_Mark = tuple[int, int, int, int]
"""What tells a file from another, and from itself before a change. Its clock may stand still
between two writes, so its size counts too."""


class ServedReleases:
    """The releases as they were last read."""

    def __init__(self) -> None:
        self._read: dict[Instance, tuple[_Mark, str]] = {}

    def of(self, instance: Instance, serving: Path) -> str:
        """The ID of the release; "" for an instance that runs none, or does not say."""
        try:
            found = os.lstat(serving)
        except OSError:
            return ""
        mark = found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
        known = self._read.get(instance)
        if known is None or known[0] != mark:
            known = self._read[instance] = mark, release_in(str(serving)) or ""
        return known[1]

    def keep_only(self, here: Collection[Instance]) -> None:
        """Forget all others."""
        for gone in self._read.keys() - here:
            del self._read[gone]
