"""The static files of a worker that runs releases. A module of its own, because verbs that only ask
which folder is served do without the rest of the routes (routing/snapshot.py)."""

from __future__ import annotations

from tqunits.light_dataclass import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleasedFiles:
    """The folder that the router serves instead, as long as the worker's link to a release is
    there."""

    link: str  # absolute; root's (units/release_mount.py)
    directory: str  # absolute: the link, or a folder below it

    def of(self, release: str) -> str:
        """The folder that is served when the link leads to this release, which is there."""
        return f"{release}{self.directory.removeprefix(self.link)}"
