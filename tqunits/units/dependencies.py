"""The units that a worker depends on, or that depend on it. A worker that is not root's needs a
grant for them.

A start of the worker starts every unit that it wants or requires, whoever owns that unit. A unit
that it is ordered after can be made to wait in a circle, and a unit that it is ordered before waits
for it. So another worker's unit counts as any other unit.

A unit has several names (systemd.unit(5), UNIT FILE LOAD PATH: aliases): sshd.service is
ssh.service. So names are compared in the form that systemd itself has for them (system/aliases.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from tqunits.boot import BOOT_TARGETS, is_ending
from tqunits.model import Instance, Worker
from tqunits.units import name
from tqunits.units.refusal import Refusal, refusal

Dependencies = tuple[tuple[str, str], ...]
Instances = Mapping[str, Sequence[Instance]]
"""Worker -> its processes, in the order of their numbers."""

ORDERED = frozenset(("After", "Before", "Wants"))
"""The directives of `unit:` that name units."""


def foreign_dependencies(worker: Worker) -> Dependencies:
    """(setting key, unit name) of every unit in the worker's YAML, except its own, in the order of
    the settings."""
    named = [
        *(("depends.after", unit) for unit in worker.depends.after),
        *(("depends.requires", unit) for unit in worker.depends.requires),
        *(
            (f"unit.{section}.{directive}", unit)
            for section, directive, value in worker.unit
            if section == "Unit" and directive in ORDERED
            for unit in value.split()
        ),
    ]
    return tuple(dict.fromkeys((key, unit) for key, unit in named if name.worker_of(unit) != worker.name))


def all_instances(units: Iterable[str], instances: Instances) -> Iterator[str]:
    """The units that are meant: a worker is meant as a whole, so its first instance's unit stands
    for all of them."""
    for unit in units:
        whose = name.instance_of(unit)
        known = instances.get(whose.worker, ()) if whose and unit == name.service(whose.worker) else ()
        yield from map(name.service, known) if known else (unit,)


def refusals(worker: Worker, aliases: Mapping[str, str]) -> Iterator[Refusal]:
    """Aliases of units that no worker may name. config/unit_names.py refuses the names
    themselves."""
    for key, unit in foreign_dependencies(worker):
        name_of_it = aliases.get(unit, unit)
        if name_of_it != unit and is_nobodys(name_of_it):
            message = f"{key}: {unit} is {name_of_it} under another name"
            yield refusal(worker, message, "remove it", key, "unit", item=unit)


def is_nobodys(unit: str) -> bool:
    """Whether no worker may depend on this unit, not even with a grant. Ask for the canonical name
    as well."""
    return is_ending(unit) or unit in BOOT_TARGETS
