"""The results of builds in a worker's folder, which the next build replaces."""

from __future__ import annotations

from tqunits.light_dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Made:
    """The results of builds. Paths are relative to the worker's folder."""

    roots: frozenset[str] = frozenset()  # the files and folders that builds have made as new names
    names: frozenset[str] = frozenset()  # these, and everything in them
    whole: frozenset[str] = frozenset()  # folders that the build makes completely, whoever made them before

    def has(self, path: str) -> bool:
        """Whether a build has made this path."""
        return path in self.names or any(path == top or path.startswith(f"{top}/") for top in self.whole)


NOTHING = Made()
"""Before the first build."""
