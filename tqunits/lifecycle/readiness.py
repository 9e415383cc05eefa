"""Which running instances of a worker are taken out of the traffic because their health checks
fail. No I/O, no clock.

An instance that fails is taken out at once, if another one of its worker can take its requests: one
that is healthy, or will be in a moment. The last instance of a worker stays in: a program that
answers its health check with an error often answers its clients all the same, and requests that
would all be refused gain nothing from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tqunits.lifecycle.state import State
from tqunits.model import Instance

_EXPECTED: Final = frozenset({State.HEALTHY, State.STARTING, State.STOPPING})
"""An instance in one of these states takes requests, or an end of that is in sight: a stop of one
of several is nearly always the first half of a restart."""


def unready(states: Mapping[Instance, State], failing: frozenset[Instance]) -> frozenset[Instance]:
    """Those of `failing` that get no traffic. `states`: all instances of all workers, a surge only
    while it is healthy. `failing`: those that run and fail their checks."""
    covered = {whose.worker for whose, state in states.items() if state in _EXPECTED}
    return frozenset(whose for whose in failing if whose.worker in covered)
