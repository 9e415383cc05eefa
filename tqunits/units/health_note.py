"""The line in a drop-in's ledger with the rules of the worker's health checks: the manager checks
by it, and reads no YAML.

It is not part of what a running worker gets by a restart: a change of `health.interval` restarts
nobody.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Final

from tqunits import health
from tqunits.health import Health, HealthType

_NUMBERS: Final = ("interval", "timeout", "failure_threshold", "success_threshold", "start_period")


def note(rules: Health) -> str:
    """The line."""
    fields = asdict(rules) | {"type": rules.type.value, "status": health.printed(rules.status)}
    return json.dumps({key: value for key, value in fields.items() if value is not None and key != "command"})


def read(line: str) -> Health | None:
    """The inverse of `note`, but for the command, which is its gate's alone; None for anything
    else."""
    try:
        fields = json.loads(line)
        numbers = {key: int(fields[key]) for key in _NUMBERS}
        if min(numbers.values()) < 0:
            return None
        return Health(
            type=HealthType(fields["type"]),
            path=str(fields["path"]),
            host=str(fields["host"]) if "host" in fields else None,
            status=health.read(str(fields["status"])),
            command=(),
            **numbers,
        )
    except (ValueError, LookupError, TypeError, RecursionError):
        return None
