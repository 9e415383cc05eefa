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


def apply(control_group: str, *, nofile: int, nproc: int) -> None:
    """Give every process of a unit these limits; INFINITY is none. Raises PermissionError."""
    wanted = {resource.RLIMIT_NOFILE: _limit(nofile), resource.RLIMIT_NPROC: _limit(nproc)}
    done: frozenset[int] = frozenset()
    for _ in range(_ROUNDS):
        fresh = cgroup.pids(control_group) - done
        if not fresh:
            return
        for pid in fresh:
            for kind, limit in wanted.items():
                _apply(pid, kind, limit)
        done |= fresh


def _apply(pid: int, kind: int, limit: int) -> None:
    with suppress(ProcessLookupError):  # it has ended meanwhile
        hard = resource.prlimit(pid, kind)[1]
        if hard == limit:
            return
        try:
            resource.prlimit(pid, kind, (limit, limit))
        except PermissionError:
            if not _is_higher(limit, hard):
                raise


def _is_higher(limit: int, than: int) -> bool:
    return than != resource.RLIM_INFINITY and (limit == resource.RLIM_INFINITY or limit > than)


def _limit(value: int) -> int:
    return resource.RLIM_INFINITY if value == INFINITY else value
