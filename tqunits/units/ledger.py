"""A copy of all drop-ins of ours: `/var/lib/tqunits/ledger.json`, which install writes.

A drop-in of ours is all that a worker's start needs, and nothing reads this file while the drop-in
exists. But `systemctl revert` (systemctl(1)) removes every drop-in of a unit. The next install and
tq-repair.service restore a lost drop-in from this file, byte for byte, and with it the port, the
enablement and the source.

Version 1: `{"version": 1, "workers": {NAME: {"source": PATH, "drop_in": TEXT |
null}}}`. NAME is an instance's, `api` or `api:2`, because each instance has a drop-in of its own. A
worker of static files only has none: null. It has instead what a drop-in has in its text:
`source_hash`, the hash of the worker.yaml that is installed, and, if its files are watched,
`watch` (watch_note.py). An earlier release leaves out what it does not know.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import field

from tqunits.layout import SYSTEM_LAYOUT
from tqunits.light_dataclass import dataclass
from tqunits.model import Instance
from tqunits.units import name, unitfile
from tqunits.units.observed import Observed
from tqunits.units.steps import Desired, Plan, RemoveFile, WriteFile

MAX_LEDGER = 64 * 1024 * 1024
"""Bytes: ten times what the greatest number of workers needs."""

MODE = 0o644

_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerEntry:
    """The entry of one instance; for a worker of static files only, of the worker."""

    worker: str
    number: int = 1
    source: str
    drop_in: str | None = field(default=None, repr=False)
    source_hash: str | None = None  # of a worker of static files only, unless an earlier release has written it
    watch: str | None = None  # of a worker of static files only whose files are watched: the note

    @property
    def whose(self) -> Instance:
        """The instance that the drop-in belongs to."""
        return Instance(self.worker, self.number)


def of_drop_in(text: str, unit: str) -> LedgerEntry | None:
    """The entry for this drop-in of that unit; None when it is not a drop-in of a worker."""
    found, whose = unitfile.ledger(text), name.instance_of(unit)
    if found is None or whose is None:
        return None
    return LedgerEntry(worker=found.worker, number=whose.number, source=found.source, drop_in=text)


def of_installation(desired: Desired, observed: Observed, plan: Plan, files_alone: Iterable[LedgerEntry]) -> str:
    """The ledger after the plan is performed. `files_alone`: the workers of static files only, as
    they are installed with it."""
    texts = {path: file.content for path, file in observed.files.items()}
    texts |= {step.file.path: step.file.content for step in plan.steps if isinstance(step, WriteFile)}
    for step in plan.steps:
        if isinstance(step, RemoveFile):  # otherwise a removed drop-in would count as lost, and be put back
            texts.pop(step.path, None)
    entries = {e.whose: e for path, text in texts.items() if (e := of_drop_in(text, name.unit_at(path)))}
    before = observed.files.get(desired.routes.path.with_name(SYSTEM_LAYOUT.ledger.name))
    staying = {*plan.orphans, *desired.left_alone}
    old = load(before.content if before else None)
    alone = {e.whose: e for e in old.values() if e.drop_in is None and e.worker in staying}
    alone |= {entry.whose: entry for entry in files_alone}
    return dump(entry for entry in {**entries, **alone}.values() if entry.worker not in plan.leaving)


def dump(entries: Iterable[LedgerEntry]) -> str:
    """The file's text."""
    ordered = sorted(entries, key=lambda entry: entry.whose)
    workers = {str(entry.whose): _members(entry) for entry in ordered}
    return json.dumps({"version": _VERSION, "workers": workers}, indent=1) + "\n"


def _members(entry: LedgerEntry) -> Mapping[str, str | None]:
    more = {"source_hash": entry.source_hash, "watch": entry.watch}
    known = {key: text for key, text in more.items() if text is not None}
    return {"source": entry.source, "drop_in": entry.drop_in, **known}


def load(text: str | None) -> Mapping[str, LedgerEntry]:
    """The entries, by the names of the instances.

    Any other text counts as an empty ledger: the file is a copy, and install writes it anew.
    """
    try:
        document = json.loads(text or "")
        if document["version"] != _VERSION:
            return {}
        return {known: _entry(known, members) for known, members in document["workers"].items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


def without(text: str, workers: Iterable[str]) -> str:
    """The ledger without these workers."""
    entries, gone = load(text), set(workers)
    return dump(entry for entry in entries.values() if entry.worker not in gone)


def _entry(known: object, members: object) -> LedgerEntry:
    """Raises TypeError, KeyError or ValueError for anything but an entry."""
    whose = name.instance(known) if isinstance(known, str) else None
    if whose is None or not isinstance(members, dict):
        raise TypeError
    source, drop_in = members["source"], members["drop_in"]
    source_hash, watch = members.get("source_hash"), members.get("watch")
    texts = (drop_in, source_hash, watch)
    if not (isinstance(source, str) and all(isinstance(text, str | None) for text in texts)):
        raise TypeError
    if drop_in is not None and getattr(unitfile.ledger(drop_in), "worker", None) != whose.worker:
        raise ValueError
    return LedgerEntry(
        worker=whose.worker,
        number=whose.number,
        source=source,
        drop_in=drop_in,
        source_hash=source_hash,
        watch=watch,
    )
