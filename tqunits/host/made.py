"""What builds have made of a worker's folder, so that the next one replaces it, and nothing
else."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Made:
    """What builds have brought home. Paths below the worker's folder."""

    roots: frozenset[str] = frozenset()  # the files and folders that they made where there was nothing
    names: frozenset[str] = frozenset()  # these, and all in them
    whole: frozenset[str] = frozenset()  # folders that the build makes anew from top to bottom, whoever did it before

    def has(self, path: str) -> bool:
        """Whether that is a build's."""
        return path in self.names or any(path == top or path.startswith(f"{top}/") for top in self.whole)


NOTHING = Made()
"""Before the first build."""
