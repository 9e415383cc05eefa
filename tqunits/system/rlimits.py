"""Resource limits of running processes: changed in place by prlimit(2), so that a worker need not
restart for them.

systemd applies LimitNOFILE= and LimitNPROC= to processes that it starts; neither a daemon-reload
nor SetUnitProperties changes running ones. Here only a process whose hard limit differs gets the
new limits; it keeps a soft limit that it has raised itself. If only the soft limit is new, nobody
knows whether the program has chosen the old one, so the new one applies at the next start.

Raising a hard limit needs CAP_SYS_RESOURCE, which a user's own manager and root in many containers
do not have. A limit that can not be raised stays. systemd does the same when it starts a process
(setrlimit_closest() in its source), so no process can get more than the service manager itself has.
"""

from __future__ import annotations

import resource
from contextlib import suppress

from tqunits.model import INFINITY
from tqunits.system import cgroup

_ROUNDS = 4  # a process may fork meanwhile; its child has the old limit, and is found in the next round


def apply(control_group: str, *, nofile: tuple[int, int], nproc: int) -> bool:
    """Give every process of a unit these limits (`nofile`: soft, hard); INFINITY: no limit.

    Returns whether all processes now have what a new start would give them. They do not if a limit
    has to be raised and we lack CAP_SYS_RESOURCE (a container, a user's own manager).
    """
    wanted = {resource.RLIMIT_NOFILE: nofile, resource.RLIMIT_NPROC: (nproc, nproc)}
    done: frozenset[int] = frozenset()
    refused = False
    for _ in range(_ROUNDS):
        fresh = cgroup.pids(control_group) - done
        if not fresh:
            break
        given = [_apply(pid, kind, limit) for pid in fresh for kind, limit in wanted.items()]
        refused = refused or not all(given)
        done |= fresh
    return not refused


def _apply(pid: int, kind: int, limit: tuple[int, int]) -> bool:
    soft, hard = map(_limit, limit)
    with suppress(ProcessLookupError):  # it has ended meanwhile
        try:
            had_soft, had_hard = resource.prlimit(pid, kind)
        except PermissionError:
            return False
        if had_hard == hard:
            return True
        try:
            resource.prlimit(pid, kind, (_least(_most(soft, had_soft), hard), hard))
        except PermissionError:
            managers = _managers(kind)
            return _least(had_hard, managers) == managers
    return True


def _managers(kind: int) -> int:
    """The hard limit of the service manager; if we may not read it, our own."""
    try:
        return resource.prlimit(1, kind)[1]
    except (PermissionError, ProcessLookupError):
        return resource.getrlimit(kind)[1]


def _least(one: int, other: int) -> int:
    return min((one, other), key=_measure)


def _most(one: int, other: int) -> int:
    return max((one, other), key=_measure)


def _measure(limit: int) -> float:
    """RLIM_INFINITY is -1 to Python."""
    return float("inf") if limit == resource.RLIM_INFINITY else limit


def _limit(value: int) -> int:
    return resource.RLIM_INFINITY if value == INFINITY else value
