"""How an instance is: in words, and as --json has it."""

from __future__ import annotations

from collections.abc import Mapping

from tqunits.cli import format as human
from tqunits.host.status import InstanceStatus
from tqunits.lifecycle import state
from tqunits.lifecycle.state import Detail, NoInstance, State

STYLES: Mapping[str, str] = {
    State.STARTING: "yellow",
    State.HEALTHY: "green",
    State.UNHEALTHY: "red",
    State.STOPPING: "yellow",
    State.STOPPED: "dim",
    State.FAILED: "red",
    NoInstance.STATIC: "",
    NoInstance.REFUSED: "red",
    NoInstance.SKIPPED: "red",
    NoInstance.NOT_INSTALLED: "dim",
}
"""How a terminal shows them."""


def words(status: InstanceStatus) -> str:
    """Its state, and in parentheses systemd's result, if that says more than the detail."""
    has_result = status.detail is Detail.RESTARTING or (status.state is State.FAILED and not status.detail)
    is_telling = has_result and status.result != "success"
    return state.words(status.state, status.result if is_telling else status.detail)


def next_start(status: InstanceStatus) -> str:
    """When it is started again; "" if it is not, or if nobody knows."""
    return "" if status.next_us is None else f"again in {human.span(status.next_us)}"


def members(found: State | NoInstance, status: InstanceStatus | None) -> Mapping[str, object]:
    """What a document has of it. `status`: None without an instance."""
    return {
        "state": found.value,
        "detail": (status.detail.value or None) if status else None,
        "result": status.result if status else None,
        "pid": status.pid if status else None,
        "uptime_us": status.uptime_us if status else None,
        "restarts": status.restarts if status else None,
        "next_try_us": status.next_us if status else None,
        "cpu_ns": status.cpu_ns if status else None,
        "memory": status.memory if status else None,
        "memory_max": status.memory_max if status else None,
    }
