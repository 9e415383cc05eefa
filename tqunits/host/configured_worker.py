"""The worker of which a release can be made: configured as it is installed, and able to run one."""

from __future__ import annotations

from tqunits.errors import TqunitsError
from tqunits.host import this_host
from tqunits.host.installed import Installed, installed
from tqunits.layout import Layout
from tqunits.model import Configuration, Worker
from tqunits.units import release_mount


def configured_worker(worker: str, configuration: Configuration, layout: Layout) -> Worker:
    """Find it in the host's own configuration. Raises TqunitsError with what keeps it from running
    releases.

    Its worker.yaml has to be the one that is installed: otherwise its unit would run the release
    with other settings than it was made for.
    """
    found = next((each for each in configuration.workers if each.name == worker), None)
    here = next((each for each in installed(layout) if each.worker == worker), None)
    if found is None or here is None:
        raise _missing(worker, configuration, here)
    if here.ledger.source_hash != found.source_hash:
        raise TqunitsError("its worker.yaml is not what is installed", hint=f"tqunits apply {worker}")
    obstacle = release_mount.obstacle(found, this_host.current(layout, user_mode=False))
    if obstacle:
        raise TqunitsError(f"it can not run releases: {obstacle}", hint=f"'tqunits restart {worker}' takes its folder")
    return found


def _missing(worker: str, configuration: Configuration, here: Installed | None) -> TqunitsError:
    """Why there is no such worker."""
    if here is None:
        return TqunitsError("it is not installed", hint=f"tqunits install --now {worker}")
    if worker in configuration.broken:
        return TqunitsError("its worker.yaml has an error", hint=f"tqunits check {worker}")
    place = configuration.server.workers.directory
    hint = "one that was installed with -C DIR is changed by 'tqunits -C DIR install --now'"
    return TqunitsError(f"it is none of the host's own workers, which are in {place}", hint=hint)
