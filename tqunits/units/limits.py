"""A worker's limits: as the directives of its drop-in, and as the D-Bus properties that systemd
must have afterwards.

Both come from resources.LIMITS, so what is read back after an install (promise P4) is compared with
what was written. A change of limits alone needs no restart: at a reload systemd applies a cgroup's
limits to running processes, and system/rlimits.py does so for the limits of processes.
"""

from __future__ import annotations

from collections.abc import Mapping

from tqunits.model import Worker
from tqunits.resources import LIMITS, Amount, Descriptors, LimitDirective, Limits, Measure, Share
from tqunits.units import quote

LIMIT_DIRECTIVES = frozenset(directive.name for directive in LIMITS.values())
"""Every directive that `limit_directives` can return."""


def limit_directives(limits: Limits) -> tuple[tuple[str, str], ...]:
    """Directive and value for [Service], in the order of systemd.resource-control(5)."""
    rows = ((directive, limits.amount(name)) for name, directive in LIMITS.items())
    return tuple((directive.name, _text(directive, amount)) for directive, amount in rows if amount is not None)


def _text(directive: LimitDirective, amount: Amount) -> str:
    if isinstance(amount, Descriptors):
        return _descriptors(amount)
    if isinstance(amount, Share) or directive.measure is Measure.BYTES:
        return quote.memory(amount)
    return quote.quota(amount) if directive.measure is Measure.CPU else quote.count(amount)


def _descriptors(files: Descriptors) -> str:
    """SOFT:HARD, or one number for both (systemd.exec(5), PROCESS PROPERTIES)."""
    hard = quote.count(files.hard)
    return hard if files.soft == files.hard else f"{quote.count(files.soft)}:{hard}"


def limit_properties(worker: Worker) -> Mapping[str, int | Share]:
    """D-Bus property and value of every limit that the worker's drop-in sets.

    Bytes, tasks and weights as they are; CPU in microseconds per second; a Share of the physical
    memory.
    """
    properties: dict[str, int | Share] = {}
    for name, directive in LIMITS.items():
        amount = worker.limits.amount(name)
        if isinstance(amount, Descriptors):
            properties |= {directive.property_name: amount.hard, f"{directive.property_name}Soft": amount.soft}
        elif amount is not None:
            properties[directive.property_name] = amount
    return properties


def directive_of(property_name: str) -> str:
    """The directive that sets one of the properties of `limit_properties`."""
    found = ((each.name, each.property_name) for each in LIMITS.values())
    return next(name for name, its in found if property_name in {its, f"{its}Soft"})
