"""What may be installed without anybody having read it: workers that are installed, from the YAML
that still lies there.

An upgrade of the package renders them anew, for it may know better directives. What has been edited
since, or was never installed, is for `tqunits install` and whoever runs it. The installed files say
from which YAML they are: a drop-in of its worker.yaml, the target of tqunits.yaml.

Of tqunits.yaml its settings count and not its text: the package brings this file, and with it
comments that are another release's. dpkg has put them in place before it runs this.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import PurePosixPath

from tqunits.errors import Mark, TqunitsError
from tqunits.layout import Layout
from tqunits.light_dataclass import dataclass
from tqunits.model import Configuration, Instance
from tqunits.units import name, unitfile
from tqunits.units.observed import Observed, ObservedFile
from tqunits.units.steps import Desired

Files = Mapping[PurePosixPath, ObservedFile]


@dataclass(frozen=True, slots=True)
class Unchanged:
    """Names of workers: those that are installed as they are configured, and those that are
    installed and configured otherwise."""

    same: frozenset[str]
    edited: tuple[str, ...]


def look(configuration: Configuration, before: Files, layout: Layout) -> Unchanged:
    """Compare what is configured with what is installed. Raises TqunitsError when tqunits.yaml is
    not what was installed: then nothing is known of what it would change."""
    _refuse_edited_server(configuration, before, layout)
    found = (unitfile.ledger(file.content) for file in before.values())
    installed = {each.worker: each.source_hash for each in found if each is not None}
    now = {worker.name: worker.source_hash for worker in configuration.workers}
    same = frozenset(each for each, digest in installed.items() if now.get(each) == digest)
    return Unchanged(same, tuple(sorted(configuration.names & installed.keys() - same)))


def as_enabled(desired: Desired, restored: Collection[Instance], observed: Observed, layout: Layout) -> Desired:
    """Whether a worker starts at boot is as it is. `restored`: those whose unit was gone with the
    package and has come back; of them it is as they were installed."""
    units = map(name.service, restored)
    back = {unit for unit in units if _starts_at_boot(observed.files.get(name.drop_in(unit, layout.units)))}
    kept = {unit for unit in desired.enabled if observed.file_states.get(unit) == "enabled"}
    others = [unit for unit in desired.enabled if name.worker_of(unit) is None]
    return replace(
        desired,
        enabled=(*sorted({*back, *kept} - {*others}), *others),
        disabled=tuple(unit for unit in desired.disabled if name.worker_of(unit) is None),
    )


def _starts_at_boot(drop_in: ObservedFile | None) -> bool:
    found = unitfile.ledger(drop_in.content) if drop_in is not None else None
    return found is not None and found.enabled


def _refuse_edited_server(configuration: Configuration, before: Files, layout: Layout) -> None:
    target = before.get(layout.units / name.TARGET)
    if target is None:
        return  # nothing is installed, and what is in effect by default nobody has to read
    keys = (unitfile.SETTINGS_HASH, unitfile.SOURCE_HASH)  # an earlier release has noted the second alone
    installed = {unitfile.last_value(target.content, unitfile.SERVER, key) for key in keys}
    if installed.isdisjoint({configuration.server.settings_hash, configuration.server.source_hash}):
        source = str(configuration.server.source)
        raise TqunitsError(
            "it is not as it was installed, so nothing is installed anew",
            hint="'tqunits diff' shows what it changes, 'tqunits install --now' applies it",
            mark=Mark(source, 1, 1),
        )
