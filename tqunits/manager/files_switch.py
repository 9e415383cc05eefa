"""Has the routers serve the static files of another release, for a worker without a program.

There is no roll: one link is swapped, the routers follow it at the next request, and there is
nothing that could fail to start.
"""

from __future__ import annotations

from tqunits.host import release_links, release_manifests
from tqunits.manager.hands import Hands
from tqunits.manager.harvests import DeployFailed
from tqunits.manager.roll import Say
from tqunits.routing.codec.document import Served
from tqunits.system import published


class FilesSwitch:
    """The switch of one worker."""

    def __init__(self, hands: Hands, files: Served, say: Say) -> None:
        self._hands = hands
        self._files = files
        self._say = say

    async def to(self, release: str, *, is_made: bool, is_next: bool) -> bool:
        """Have this release served, which is there: whether any file of it is. One of which none is
        served is not stable, because nobody wants to go back to it. `is_made`: it was made for
        this, and its maker has said so. `is_next`: the link leads there. Raises TqunitsError."""
        worker, why = self._files.name, self._unserved(release)
        if why and not is_made:
            self._say("note", f"no file of release {release} is served: {why}", None)
        is_stable = not why and release_links.stable_of(self._hands.layout, worker) == release
        if is_next and (why or is_stable):
            return not why
        if not why:
            self._say("stable", f"the routers serve the files of release {release}", None)
        await self._hands.harvests.point(worker, {1: release}, stable=None if why else release)
        return not why

    def _unserved(self, release: str) -> str:
        """Why the routers will serve no file of it; "" when they will. Raises DeployFailed when
        they serve those of no release."""
        worker, there = self._files.name, self._files.release
        if there is None:
            hint = f"'tqunits deploy {worker}' says why"
            raise DeployFailed(f"its files are in no release: the routers serve {self._files.directory}", hint=hint)
        folder = release_manifests.folder_of(worker, self._hands.layout) / release
        return published.unserved(there.of(str(folder))) or ""
