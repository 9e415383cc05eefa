"""Resource limits of running processes: changed in place by prlimit(2), so that a worker need not restart for them.

systemd applies LimitNOFILE= and LimitNPROC= to processes that it starts; neither a daemon-reload nor SetUnitProperties
touches those that run. A limit is set for the soft and the hard value alike, as systemd does for a single number, and
only where the hard one differs: a program may have lowered its own soft limit on purpose.

Raising a hard limit needs CAP_SYS_RESOURCE, which neither a user's own manager nor root in many a container has. What
can not be raised stays: systemd does the same when it starts a process (setrlimit_closest() in its source).
"""

from __future__ import annotations

import resource
from contextlib import suppress

from tqunits.model import INFINITY
from tqunits.system import cgroup

_ROUNDS = 4  # a process may fork while we walk: its child has the old limit, and shows up in the next round


def apply(control_group: str, *, nofile: int, nproc: int) -> bool:
    """Give every process of a unit these limits; INFINITY is none. Whether all have them now.

    Not all have them where a limit is to rise and we lack CAP_SYS_RESOURCE (a container, a user's own manager).
    """
    wanted = {resource.RLIMIT_NOFILE: _limit(nofile), resource.RLIMIT_NPROC: _limit(nproc)}
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


def _apply(pid: int, kind: int, limit: int) -> bool:
    with suppress(ProcessLookupError):  # it has ended meanwhile
        try:
            if resource.prlimit(pid, kind)[1] != limit:
                resource.prlimit(pid, kind, (limit, limit))
        except PermissionError:
            return False
    return True


def _limit(value: int) -> int:
    return resource.RLIM_INFINITY if value == INFINITY else value
