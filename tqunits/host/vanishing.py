"""Installed workers that are missing from the configuration: what install, apply and diff do with
them.

If a worker's folder is gone, install leaves the worker alone and apply removes it. If the folder
exists but is empty, like a mount point without its disk, both leave it alone and say so. If all
workers are gone, nothing is done (units/vanished.py). A tqunits.yaml that is gone or empty is no
order to a run that nobody watches.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from tqunits.errors import Diagnostic, Mark, Severity, TqunitsError
from tqunits.layout import Layout
from tqunits.model import Configuration
from tqunits.units import ledger, name, quote, unitfile
from tqunits.units.observed import ObservedFile
from tqunits.units.vanished import Sources, WorkersFolder, doubt

INSIST = "--remove-all"
"""The option that removes them all the same."""


def installed_from(before: Mapping[PurePosixPath, ObservedFile], layout: Layout) -> Sources:
    """Every installed worker, and where it was installed from."""
    text = before.get(layout.ledger)
    remembered = {entry.worker: entry.source for entry in ledger.load(text.content if text else None).values()}
    drop_ins = {found.worker: found.source for file in before.values() if (found := unitfile.ledger(file.content))}
    return {worker: PurePosixPath(path) if path else None for worker, path in {**remembered, **drop_ins}.items()}


def held(configuration: Configuration, sources: Sources) -> Mapping[str, Diagnostic]:
    """Installed workers whose folder exists and is empty: name -> what to say."""
    gone = ((worker, source) for worker, source in sources.items() if source and worker not in configuration.names)
    found = ((worker, _held(worker, Path(source).parents[1])) for worker, source in gone)
    return {worker: finding for worker, finding in found if finding is not None}


def refuse_doubtful(configuration: Configuration, sources: Sources, *, prune: bool) -> None:
    """Raise TqunitsError when workers that are missing can not be meant to be removed."""
    directory = configuration.server.workers.directory
    found = WorkersFolder(directory=directory, is_there=Path(directory).is_dir(), configured=configuration.names)
    why = doubt(found, {worker: source for worker, source in sources.items() if worker not in configuration.names})
    if why is not None and (prune or not found.is_there):
        insist = f"; to remove all that is not configured: {INSIST}" if prune else ""
        raise TqunitsError(f"{why.reason}: nothing was changed", hint=why.hint + insist)


def refuse_uninstalled(layout: Layout) -> None:
    """Raise TqunitsError when nothing of tqunits is installed. For runs that nobody watches: one of
    them may have waited for an uninstall of all, or the manager has started it in its last
    moment."""
    if not Path(layout.units / name.TARGET).exists():
        raise TqunitsError(
            "tqunits is not installed here any more: nothing was changed", hint="tqunits install --now brings it back"
        )


def refuse_emptied(configuration: Configuration, before: Mapping[PurePosixPath, ObservedFile], layout: Layout) -> None:
    """Raise TqunitsError when tqunits.yaml is gone or empty, and has said something when it was
    installed. For runs that nobody watches: it may be about to be written."""
    target = before.get(layout.units / name.TARGET)
    source = str(configuration.server.source)
    noted = unitfile.last_value(target.content, unitfile.SERVER, unitfile.SOURCE) if target is not None else None
    if noted is not None and quote.untext(noted) == source and _is_blank(Path(source)):
        raise TqunitsError(
            "it is gone or empty, and was not when it was installed: nothing was changed",
            hint="write it; 'tqunits apply' applies it as it is",
            mark=Mark(source, 1, 1),
        )


def _is_blank(path: Path) -> bool:
    try:
        return path.stat().st_size == 0 or not path.read_bytes().strip()
    except FileNotFoundError:
        return True


def _held(worker: str, folder: Path) -> Diagnostic | None:
    if not os.path.lexists(folder) or _shows_something(folder):
        return None
    what = "leads nowhere" if folder.is_symlink() else "is empty"
    return Diagnostic(
        severity=Severity.ERROR,
        message=f"{worker} is installed, and its folder {what}",
        mark=Mark(str(folder), 1, 1),
        hint=f"mount its disk; or remove {folder}: then 'tqunits apply' removes the worker",
    )


def _shows_something(folder: Path) -> bool:
    """Whether the folder has any content. A folder that we may not look at counts as having some. A
    new file system has a lost+found (mke2fs(8))."""
    try:
        return bool(set(os.listdir(folder)) - {"lost+found"})  # noqa: PTH208 - names are enough
    except FileNotFoundError:
        return False
    except OSError:
        return True
