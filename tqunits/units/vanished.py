"""Installed workers that are not configured any more: are they to be removed, or is a disk not
mounted?

If the folder of one worker is removed, that worker is meant. But if the folder of all workers is
missing or empty, a disk may be missing. And if workers were installed from another folder, they are
missing only because this run looks elsewhere.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import PurePosixPath

from tqunits.light_dataclass import dataclass

Sources = Mapping[str, PurePosixPath | None]
"""Worker -> the worker.yaml that it was installed from; None: unknown."""

_NAMED = 5
"""How many names fit into a sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkersFolder:
    """The content of the folder of the workers."""

    directory: PurePosixPath
    is_there: bool
    configured: Collection[str]  # every worker in it, with and without errors


@dataclass(frozen=True, slots=True)
class Doubt:
    """Why missing workers are not removed, and what to do."""

    reason: str
    hint: str


def doubt(found: WorkersFolder, gone: Sources) -> Doubt | None:
    """Why these workers, which are installed but not configured, may not be meant to be removed."""
    if not gone:
        return None
    unmounted = "mount its disk, or correct workers.directory; 'tqunits uninstall' removes single workers"
    if not found.is_there:
        absent = f"the folder of the workers, {found.directory}, is not there"
        return Doubt(f"{absent}, and {_are(gone)} installed", unmounted)
    if not found.configured:
        return Doubt(f"no worker is in {found.directory}, and {_are(gone)} installed", unmounted)
    elsewhere = {name: source for name, source in gone.items() if source and not _is_in(source, found.directory)}
    if elsewhere:
        reason = f"{_are(elsewhere)} installed from {_folders(elsewhere)}, not from {found.directory}"
        return Doubt(reason, "'tqunits uninstall' removes single workers; or say which root is meant (-C)")
    return None


def sentence(names: Iterable[str]) -> str:
    """`a, b and 298 more`."""
    ordered = sorted(names)
    more = f" and {len(ordered) - _NAMED} more" if len(ordered) > _NAMED else ""
    return f"{', '.join(ordered[:_NAMED])}{more}"


def _are(names: Collection[str]) -> str:
    return f"{sentence(names)} {'is' if len(names) == 1 else 'are'}"


def _is_in(source: PurePosixPath, directory: PurePosixPath) -> bool:
    return source.is_relative_to(directory)


def _folders(sources: Sources) -> str:
    """DIRECTORY of each DIRECTORY/NAME/config/worker.yaml."""
    return sentence({str(source.parents[min(2, len(source.parents) - 1)]) for source in sources.values() if source})
