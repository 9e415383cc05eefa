"""The second home of what the drop-ins remember: `/var/lib/tqunits/ledger.json`, which install writes.

A drop-in of ours is all that a worker's start needs, and nothing reads this file while it is there. But systemd's own
commands take drop-ins away: `systemctl revert` (systemctl(1)) removes every one of a unit. What is lost is put back
from here, to the letter, by the next install and by tq-repair.service: the port, the enablement, the source.

Version 1: `{"version": 1, "workers": {NAME: {"source": PATH, "drop_in": TEXT | null}}}`; who is files alone has no
drop-in.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from tqunits.layout import SYSTEM_LAYOUT
from tqunits.units import name, unitfile
from tqunits.units.observed import Observed
from tqunits.units.steps import Desired, Plan

MAX_LEDGER = 64 * 1024 * 1024
"""Bytes: ten times what as many workers as there may be need."""

MODE = 0o644

_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What is remembered of one worker."""

    worker: str
    source: str
    drop_in: str | None = field(default=None, repr=False)


def of_drop_in(text: str) -> Entry | None:
    """What there is to remember of this file; None for what is no drop-in of a worker's."""
    found = unitfile.ledger(text)
    if found is None:
        return None
    return Entry(worker=found.worker, source=found.source, drop_in=text)


def of_installation(desired: Desired, observed: Observed, plan: Plan, files_alone: Mapping[str, str]) -> str:
    """The ledger once the plan is done. `files_alone`: the configured workers that are that -> their worker.yaml."""
    rendered = (file.content for file in (*desired.refits, *desired.units))  # of one worker the last counts
    texts = [*(file.content for file in observed.files.values()), *rendered]
    entries = {entry.worker: entry for text in texts if (entry := of_drop_in(text))}
    before = observed.files.get(desired.routes.path.with_name(SYSTEM_LAYOUT.ledger.name))
    staying = {*plan.orphans, *desired.left_alone}
    old = load(before.content if before else None)
    alone = {worker: entry for worker, entry in old.items() if entry.drop_in is None and worker in staying}
    alone |= {worker: Entry(worker=worker, source=source) for worker, source in files_alone.items()}
    return dump(entry for worker, entry in {**entries, **alone}.items() if worker not in plan.leaving)


def dump(entries: Iterable[Entry]) -> str:
    """The file's text."""
    ordered = sorted(entries, key=lambda entry: entry.worker)
    workers = {entry.worker: {"source": entry.source, "drop_in": entry.drop_in} for entry in ordered}
    return json.dumps({"version": _VERSION, "workers": workers}, indent=1) + "\n"


def load(text: str | None) -> Mapping[str, Entry]:
    """The entries by name. What is no ledger of ours remembers nothing: it is a copy, and install writes it anew."""
    try:
        document = json.loads(text or "")
        if document["version"] != _VERSION:
            return {}
        return {worker: _entry(worker, members) for worker, members in document["workers"].items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


def without(text: str, workers: Iterable[str]) -> str:
    """The same ledger, that knows nothing of these workers."""
    entries, gone = load(text), set(workers)
    return dump(entry for entry in entries.values() if entry.worker not in gone)


def _entry(worker: object, members: object) -> Entry:
    """Raises TypeError, KeyError or ValueError for what is none."""
    if not isinstance(worker, str) or not isinstance(members, dict) or not name.is_worker_name(worker):
        raise TypeError
    source, drop_in = members["source"], members["drop_in"]
    if not (isinstance(source, str) and isinstance(drop_in, str | None)):
        raise TypeError
    if drop_in is not None and getattr(unitfile.ledger(drop_in), "worker", None) != worker:
        raise ValueError
    return Entry(worker=worker, source=source, drop_in=drop_in)
