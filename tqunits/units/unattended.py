"""What a run starts and restarts of workers, and what it leaves alone because nobody looks on.

`Options.unattended`: systemd applies the configuration by itself. A folder that has vanished for
a moment must be no order then, and a bad setting must take no good process down. So what is new is
started, and a worker that runs is not restarted: it waits (host/old_runs.py). A worker that
somebody has stopped or disabled stays so.

Whoever may write a worker.yaml can cause such a run, and others wait for its lock, an administrator
too. So it waits for no start that takes long, and for a build of a new worker no longer than
LONGEST_BUILD_US.

`Options.routers_alone`: an upgrade of the package. No worker is started, restarted or stopped.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final

from tqunits.units import credentials, name, unitfile
from tqunits.units.observed import Observed
from tqunits.units.steps import Options, WriteFile

LONGEST_START_US: Final = 10_000_000
"""µs. A start that has not failed by then goes on by itself, and the manager follows it."""

LONGEST_BUILD_US: Final = 300_000_000
"""µs. A build that takes longer is somebody's who runs `tqunits apply`."""


def restartable(units: Iterable[str], options: Options) -> tuple[str, ...]:
    """Those that may be restarted."""
    are_spared = options.routers_alone or options.unattended
    return tuple(unit for unit in units if not (are_spared and name.worker_of(unit)))


def startable(
    units: Iterable[str], writes: Iterable[WriteFile], observed: Observed, options: Options
) -> tuple[str, ...]:
    """Those that may be started while the target is up."""
    if not options.unattended:
        return restartable(units, options)
    units = tuple(units)
    anew = rewritten(units, writes)
    return tuple(unit for unit in units if name.worker_of(unit) is None or _is_to_begin(unit, anew, observed))


def to_enable(units: Iterable[str], observed: Observed, options: Options) -> tuple[str, ...]:
    """Those that may be enabled: somebody has disabled a unit that was installed to be enabled, and
    is not."""
    if not options.unattended:
        return tuple(units)
    noted = ((name.unit_at(path), unitfile.ledger(file.content)) for path, file in observed.files.items())
    known = {unit for unit, ledger in noted if ledger is not None and ledger.enabled}
    return tuple(unit for unit in units if unit not in known or observed.file_states.get(unit) == "enabled")


def rewritten(running: Iterable[str], writes: Iterable[WriteFile]) -> frozenset[str | None]:
    """The units with a file that is written, and is more than live settings. One copy of a secret
    is for all instances."""
    writes = tuple(writes)
    copied = {credentials.worker_of(w.file.path) for w in writes if w.file.is_secret}
    whole = {w.file.unit for w in writes if not w.keep_time and not w.file.is_secret}
    return frozenset({*whole, *(unit for unit in running if name.worker_of(unit) in copied)})


def _is_to_begin(unit: str, anew: Collection[str | None], observed: Observed) -> bool:
    """Whether it has never run since the host's start; or it has failed, and gets another unit now.
    One that has ended without a failure was stopped by somebody."""
    found = observed.units.get(unit)
    if found is None or found.started == 0:
        return True
    return unit in anew and found.state in {"failed", "activating"}
