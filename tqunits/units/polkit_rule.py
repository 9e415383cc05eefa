"""The polkit rule (polkit(8)): what the manager and operators may ask of systemd without being
root.

The rule names whole units, and for each kind of unit its verbs. Each name that it allows has its
unit file on disk as long as the rule is there, so it is written after the unit files and removed
before them: where the template of the workers is missing, StartTransientUnit could make a unit of
an allowed name, which runs as root (measured: systemd 252 and 257).

polkit runs rules in Duktape, which knows ECMAScript 5.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Final

from tqunits.late_pattern import late_pattern
from tqunits.model import MANAGER_USER, Server, Worker
from tqunits.units import name
from tqunits.units.grants import grant_of

FILE: Final = "50-tqunits.rules"

TEMPLATE: Final = f"{FILE}.j2"

MANAGER_VERBS: Final = ("start", "stop", "restart", "reset-failed")
"""What the manager asks of workers and of their builds."""

APPLY_VERBS: Final = ("start",)
"""What the manager asks of tq-apply.service, tq-apply@NAME.service and tq-harvest@NAME.service: a
run that has begun goes on to its end."""

RELEASE_VERBS: Final = ("start", "reset-failed")
"""What the manager asks of tq-release@NAME.service. It runs what the worker's author wrote, as the
worker, and has to bear being run again."""

OPERATOR_VERBS: Final = ("start", "stop", "restart")

FRAGMENTS: Final = (
    name.WORKER_TEMPLATE,
    name.BUILD_TEMPLATE,
    *name.APPLY_UNITS,
    name.HARVEST_TEMPLATE,
    name.RELEASE_TEMPLATE,
)
"""The unit files of the names that the rule allows."""

_OPERATORS: Final = late_pattern(r"^var operators = (\{.*\});$", re.MULTILINE)

Operators = Mapping[str, Collection[str]]
"""Worker -> its operators: users, and groups as %group."""


def operators_of(workers: Iterable[Worker], server: Server) -> Operators:
    """The operators that root's configuration grants."""
    found = {worker.name: grant_of(worker, server).operators for worker in workers}
    return {worker: operators for worker, operators in found.items() if operators}


def values(operators: Operators) -> Mapping[str, object]:
    """The values of the template: JSON, which is JavaScript too."""
    return {
        "user": json.dumps(MANAGER_USER),
        "unit": json.dumps(name.MANAGER),
        "verbs": json.dumps(MANAGER_VERBS),
        "operator_verbs": json.dumps(OPERATOR_VERBS),
        "worker": f"^tq-worker@({name.WORKER_PATTERN})(:{name.NUMBER_PATTERN})?\\.service$",
        "build": f"^tq-build@{name.WORKER_PATTERN}(\\.fetch)?\\.service$",
        "apply": f"^(tq-apply(@{name.WORKER_PATTERN})?|tq-harvest@{name.WORKER_PATTERN})\\.service$",
        "apply_verbs": json.dumps(APPLY_VERBS),
        "release": f"^tq-release@{name.WORKER_PATTERN}\\.service$",
        "release_verbs": json.dumps(RELEASE_VERBS),
        "operators": _dump(operators),
    }


def with_operators(rule: str, before: str, workers: Collection[str]) -> str:
    """The rule with the operators that these workers had before."""
    kept = {worker: found for worker, found in _operators(before).items() if worker in workers}
    return _replaced(rule, {**kept, **_operators(rule)})


def without_operators(rule: str, workers: Collection[str]) -> str:
    """The rule without the operators of these workers."""
    return _replaced(rule, {worker: found for worker, found in _operators(rule).items() if worker not in workers})


def _replaced(rule: str, operators: Operators) -> str:
    if operators == _operators(rule):
        return rule
    return _OPERATORS.sub(lambda _: f"var operators = {_dump(operators)};", rule, count=1)


def _operators(rule: str) -> Operators:
    match = _OPERATORS.search(rule)
    try:
        found = json.loads(match[1]) if match else {}
    except ValueError:
        return {}
    return {worker: tuple(each) for worker, each in found.items() if isinstance(each, list)}


def _dump(operators: Operators) -> str:
    return json.dumps({worker: list(operators[worker]) for worker in sorted(operators)})
