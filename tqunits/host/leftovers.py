"""Finds and removes what interrupted runs, earlier releases and removed workers have left. The plan
decides what is removed."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from tqunits.host import builder, handover, live, pauses, traffic_file
from tqunits.layout import Layout
from tqunits.system import files
from tqunits.units import credentials, name
from tqunits.units.observed import Remnants


def remnants(layout: Layout) -> Remnants:
    """All of these. A folder that we may not read counts as empty."""
    return Remnants(
        unread=tuple(map(PurePosixPath, _unread(layout))),
        marks=tuple(map(PurePosixPath, handover.marks(layout))),
        has_shadows=live.has_shadows(layout),
        stopped=traffic_file.stopped(layout),
        pauses=pauses.remembered(layout),
    )


def discard(path: PurePosixPath) -> None:
    """Remove a file, a link, or a folder with its content."""
    found = Path(path)
    if found.is_symlink() or found.is_dir():
        files.remove_tree(found)
    else:
        found.unlink(missing_ok=True)


def _unread(layout: Layout) -> list[Path]:
    journals = name.access_journal(layout.units).parent if layout.sysusers else None
    folders = (layout.units, journals, layout.state, credentials.folder(layout.state), layout.sysusers, layout.polkit)
    temporary = (path for folder in folders if folder for path in files.leftovers(Path(folder)))
    return [*dict.fromkeys(temporary), *(builder.of_before() if layout.sysusers else ())]
