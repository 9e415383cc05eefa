"""The releases that an instance has to do with: the one that it runs, the one of its next start,
and its worker's last stable one.

The first is what the instance itself says, or a link that the routers follow (running_release.py);
the others are links of root's (release_links.py).
"""

from __future__ import annotations

from tqunits.host import release_links
from tqunits.host.running_release import running_release, served_release
from tqunits.layout import Layout
from tqunits.light_dataclass import dataclass
from tqunits.model import Instance
from tqunits.routing.codec.document import Served


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceReleases:
    """Their IDs."""

    running: str | None = None  # None: it does not serve, or runs from its worker's own folder
    next_start: str | None = None  # None: its next start runs from that folder
    stable: str | None = None  # None: no release was wholly healthy yet


def releases_of(whose: Instance, layout: Layout, *, in_folder: bool = False) -> InstanceReleases:
    """Look at them. `in_folder`: the worker runs from its folder, whatever links there are. Raises
    OSError when the links can not be read."""
    links = {} if in_folder else release_links.runs_of(layout, whose.worker)
    return InstanceReleases(
        running=running_release(whose, layout.runtime),
        next_start=links.get(whose.number),
        stable=release_links.stable_of(layout, whose.worker),
    )


def releases_of_files(files: Served, layout: Layout) -> InstanceReleases:
    """Of a worker of static files alone, which the routers serve at once as the link says. Raises
    OSError."""
    now = served_release(files)
    return InstanceReleases(running=now, next_start=now, stable=release_links.stable_of(layout, files.name))
