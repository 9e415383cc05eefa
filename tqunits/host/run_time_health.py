"""What only the manager knows of instances that run: whether their health checks pass now.

systemd knows of the check at the start alone. So where the manager has found an instance unhealthy,
its status is that; and where no manager answers, the caller should say that nobody checks.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace

from tqunits.control import managers
from tqunits.host.status import InstanceStatus
from tqunits.layout import Layout
from tqunits.lifecycle import state
from tqunits.lifecycle.state import Detail, Event, State
from tqunits.light_dataclass import dataclass


@dataclass(frozen=True, slots=True)
class RunTimeHealth:
    """What the manager has said."""

    is_known: bool  # it has answered; False also for who may not ask. An operator knows of his workers
    failing: Mapping[str, tuple[int, str]]  # unit -> its process, and what is wrong with its answers

    def of(self, unit: str, status: InstanceStatus) -> InstanceStatus:
        """The status with that: for the process that the manager has asked, and no other."""
        pid, _ = self.failing.get(unit, (None, ""))
        if status.state is not State.HEALTHY or pid is None or pid != status.pid:
            return status
        return replace(status, state=state.after(status.state, Event.MISSED), detail=Detail.FAILING)

    def why(self, unit: str, status: InstanceStatus) -> str:
        """What is wrong with the answers of an instance; "" for one whose checks pass."""
        return self.failing[unit][1] if status.detail is Detail.FAILING else ""


UNKNOWN = RunTimeHealth(is_known=False, failing={})


def may_ask(*, user_mode: bool) -> bool:
    """Whether the manager tells this user about all instances, so that no answer means that it is
    away."""
    return user_mode or os.geteuid() == 0


def ask(layout: Layout) -> RunTimeHealth:
    """Ask the manager. It tells an operator of his workers alone, and others of none."""
    found = managers.instances(layout)
    if found is None:
        return UNKNOWN
    failing = {}
    for each in found:
        unit, pid, why = each.get("unit"), each.get("pid"), each.get("why")
        is_failing = each.get("state") == State.UNHEALTHY and isinstance(each.get("check"), dict)
        if is_failing and isinstance(unit, str) and isinstance(pid, int) and isinstance(why, str):
            failing[unit] = (pid, why)
    return RunTimeHealth(is_known=True, failing=failing)
