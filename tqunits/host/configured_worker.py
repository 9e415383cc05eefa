"""The worker that can be deployed: configured as it is installed, and able to run releases, or in
development mode, where none is made."""

from __future__ import annotations

from tqunits.errors import TqunitsError
from tqunits.host import this_host
from tqunits.host.installed import folder_use, numbers_of, replicas, served
from tqunits.host.ledger_file import ledger_entries
from tqunits.layout import Layout
from tqunits.model import Configuration, Worker, WorkerType
from tqunits.units import release_mount
from tqunits.units.folder_note import use_of


def configured_worker(worker: str, configuration: Configuration, layout: Layout) -> Worker:
    """Find it in the host's own configuration. Raises TqunitsError with what keeps it from being
    deployed.

    Its worker.yaml has to be the one that is installed: otherwise its unit would run the release
    with other settings than it was made for.
    """
    found = next((each for each in configuration.workers if each.name == worker), None)
    is_installed = bool(numbers_of(worker, layout))
    if found is None or not is_installed:
        raise _missing(worker, configuration, is_installed=is_installed)
    if _installed_source(worker, layout) != found.source_hash:
        raise TqunitsError("its worker.yaml is not what is installed", hint=f"tqunits apply {worker}")
    if not _is_mode_installed(found, layout):
        raise TqunitsError("the mode in tqunits.yaml is not what is installed", hint="tqunits apply")
    if found.in_development:  # no release is made
        return found
    obstacle = release_mount.obstacle(found, this_host.current(layout, user_mode=False))
    if obstacle:
        raise TqunitsError(f"it can not run releases: {obstacle}", hint=f"'tqunits restart {worker}' takes its folder")
    return found


def _is_mode_installed(worker: Worker, layout: Layout) -> bool:
    """Whether its instances run from its folder or from releases as the host's mode is now. Of
    static files alone only the routes tell, and a release of theirs may be missing for other
    reasons."""
    if worker.type is WorkerType.STATIC:
        return not (worker.in_development and any(each.release for each in served(layout) if each.name == worker.name))
    return folder_use(worker.name, layout) is use_of(worker)


def _installed_source(worker: str, layout: Layout) -> str | None:
    """The hash of the worker.yaml that is installed: a drop-in has it, and of static files alone
    the ledger. None: an earlier release has installed them."""
    here = replicas(worker, layout)
    if here:
        return here[0].ledger.source_hash
    entry = ledger_entries(layout).get(worker)
    return entry.source_hash if entry is not None else None


def _missing(worker: str, configuration: Configuration, *, is_installed: bool) -> TqunitsError:
    """Why there is no such worker."""
    if not is_installed:
        return TqunitsError("it is not installed", hint=f"tqunits install --now {worker}")
    if worker in configuration.broken:
        return TqunitsError("its worker.yaml has an error", hint=f"tqunits check {worker}")
    place = configuration.server.workers.directory
    hint = "one that was installed with -C DIR is changed by 'tqunits -C DIR install --now'"
    return TqunitsError(f"it is none of the host's own workers, which are in {place}", hint=hint)
