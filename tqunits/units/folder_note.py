"""The line in a drop-in's ledger which says that the worker runs from its own folder, in
development mode, and how a deploy takes that folder: the manager deploys by it, and reads no YAML.

It is not part of what a running worker gets by a restart. A worker without a program has no such
line.
"""

from __future__ import annotations

from enum import StrEnum

from tqunits.model import Worker


class FolderUse(StrEnum):
    """How a deploy takes the folder."""

    BUILT = "built"  # it is built there, and then the instances are replaced
    PLAIN = "plain"  # it has no build: they are replaced with the folder as it is


def use_of(worker: Worker) -> FolderUse | None:
    """Of a worker as it is configured. None: a deploy makes a release of its folder."""
    if not worker.in_development:
        return None
    return FolderUse.BUILT if worker.build.command else FolderUse.PLAIN


def read(line: str) -> FolderUse | None:
    """The inverse, from the line; None for anything else."""
    return next((use for use in FolderUse if use.value == line), None)
