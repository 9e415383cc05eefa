"""Which paths in a worker's folder its builds have made: `/var/lib/tqunits/made/NAME`, for the
manager, to which they are no sources. Root writes it with its own record of the build (built.py).

Paths end with a NUL. They are the names of files that not everybody may see, perhaps, so only the
manager may read them.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path
from typing import Final

from tqunits.errors import TqunitsError
from tqunits.host import managers_share
from tqunits.layout import Layout
from tqunits.system import files

MOST: Final = 2 << 20
"""Bytes that the manager reads, each time that it looks at a folder: a stranger's build may make
half a million files. Of a folder that a build has made only the folder is named, so most builds
have a dozen paths."""


def read(worker: str, layout: Layout) -> frozenset[str]:
    """The paths; none where nothing was built, or where this process may not see it. Raises
    TqunitsError when there are too many."""
    try:
        text = files.read_regular(Path(layout.made(worker)), MOST)
    except OSError:
        return frozenset()
    except TqunitsError:
        raise TqunitsError(
            f"its builds make more than {MOST >> 20} MiB of names: sources can not be told from them",
            hint="have the build make its files in one folder: only that one is remembered",
        ) from None
    return frozenset(os.fsdecode(text).split("\0")[:-1])


def write(worker: str, layout: Layout, paths: Collection[str]) -> None:
    """Replace them. Raises OSError."""
    path, group = Path(layout.made(worker)), managers_share.group()
    files.make_folder(path.parent)
    content = "".join(f"{each}\0" for each in sorted(paths))
    files.write_atomically(path, content, 0o600 if group is None else 0o640, group=group)
