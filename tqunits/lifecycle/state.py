"""The states of an instance of a worker, and the events that lead from one to another.

`TABLE[state][event]` is the state after the event; every event has an entry in every state, so no
order of events is an error: a signal of systemd may be lost, and a late answer to a health check
may come after the stop. tqunits-contract(7) and docs/lifecycle.md show the table.

systemd decides about processes, so what it reports leads to the same state from everywhere. A
health check changes the state of an instance only while that serves: before its start is complete
the readiness gate decides, and of an instance that stops nobody expects an answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class State(StrEnum):
    """The state of an instance."""

    STARTING = "starting"  # its start is not complete: the readiness gate waits for it
    HEALTHY = "healthy"  # it has passed the gate, and every health check since, or enough of them
    UNHEALTHY = "unhealthy"  # its health checks fail, it takes no requests, or it ended and is started again
    STOPPING = "stopping"  # somebody has asked for its stop: it finishes its requests, then ends
    STOPPED = "stopped"  # no process of it is left, and none was to be
    FAILED = "failed"  # it has ended, and nothing starts it again


class Detail(StrEnum):
    """What the state of an instance alone does not tell."""

    NONE = ""
    HOLDING = "holding"  # it runs, but its file `serving` is gone, so the routers hold its requests
    DRAINING = "draining"  # it is to stop, and finishes the requests that it has
    RESTARTING = "restarting"  # it has ended by itself, and waits for its next start
    FAILING = "failing"  # it runs, and its health checks fail
    HEALTH_CHECK = "health check"  # its start has failed, because it did not pass its health check


class NoInstance(StrEnum):
    """Why a worker has no instance, and so no state."""

    STATIC = "static"  # it consists of files that the router serves
    REFUSED = "refused"  # install has refused what it asks for, or its worker.yaml
    SKIPPED = "skipped"  # install has left it out, because its host lacks something
    NOT_INSTALLED = "not installed"  # no install has been asked for it yet


class Event(StrEnum):
    """What happens to an instance. The first six are systemd's, the other two the manager's."""

    BEGUN = "begun"  # a start has begun: ActiveState=activating
    READY = "ready"  # the start is complete: ActiveState=active
    EXITED = "exited"  # it has ended by itself, and systemd waits to start it again
    LEAVING = "leaving"  # a stop has begun: ActiveState=deactivating
    ENDED = "ended"  # the stop is complete, or it has ended without an error: ActiveState=inactive
    GIVEN_UP = "given up"  # it has ended, and is not started again: ActiveState=failed
    PASSED = "passed"  # `health.success_threshold` checks in a row have passed
    MISSED = "missed"  # a check has failed, or its file `serving` is gone


_OF_SYSTEMD: Final[Mapping[Event, State]] = {
    Event.BEGUN: State.STARTING,
    Event.READY: State.HEALTHY,
    Event.EXITED: State.UNHEALTHY,
    Event.LEAVING: State.STOPPING,
    Event.ENDED: State.STOPPED,
    Event.GIVEN_UP: State.FAILED,
}

TABLE: Final[Mapping[State, Mapping[Event, State]]] = {
    State.STARTING: {**_OF_SYSTEMD, Event.PASSED: State.STARTING, Event.MISSED: State.STARTING},
    State.HEALTHY: {**_OF_SYSTEMD, Event.PASSED: State.HEALTHY, Event.MISSED: State.UNHEALTHY},
    State.UNHEALTHY: {**_OF_SYSTEMD, Event.PASSED: State.HEALTHY, Event.MISSED: State.UNHEALTHY},
    State.STOPPING: {**_OF_SYSTEMD, Event.PASSED: State.STOPPING, Event.MISSED: State.STOPPING},
    State.STOPPED: {**_OF_SYSTEMD, Event.PASSED: State.STOPPED, Event.MISSED: State.STOPPED},
    State.FAILED: {**_OF_SYSTEMD, Event.PASSED: State.FAILED, Event.MISSED: State.FAILED},
}
"""UNHEALTHY has an instance that runs and one that waits for its next start alike; a check is sent
to the first only, so PASSED never comes to the second (manager/checks.py)."""

AT_REST: Final = frozenset({State.STOPPED, State.FAILED})
"""The states of an instance that does not run, and is not started without being asked."""

OF_CHECKS: Final = frozenset({Event.PASSED, Event.MISSED})
"""The events of health checks; the others are systemd's."""

_STARTS: Final = frozenset({"start", "restart"})
"""The types of pending jobs after which a unit runs."""

FIRST: Final = State.STOPPED
"""The state before the first event."""


def after(state: State, event: Event) -> State:
    """The state after the event."""
    return TABLE[state][event]


def of_systemd(event: Event) -> State:
    """The state after an event of systemd, whatever was before. Raises KeyError for one of the
    manager's."""
    return _OF_SYSTEMD[event]


def event_of(active: str, sub: str, *, job: str = "", comes_again: bool = False) -> Event:
    """The event that a unit's ActiveState and SubState tell (org.freedesktop.systemd1(5)).

    `job`: the type of its pending job. Between the stop and the start of a restart the unit is
    inactive. `comes_again`: a pause before its next start runs. Meanwhile systemd 252 has the unit
    as inactive, and 257 as activating (auto-restart-queued).
    """
    if comes_again or sub.startswith("auto-restart"):
        return Event.EXITED
    match active:
        case "active" | "reloading" | "refreshing":
            return Event.READY
        case "activating":
            return Event.BEGUN
        case "deactivating":
            return Event.LEAVING
        case "failed" | "inactive" if job in _STARTS:
            return Event.BEGUN
        case "failed":
            return Event.GIVEN_UP
        case _:
            return Event.ENDED


def of_unit(active: str, sub: str, *, job: str = "", comes_again: bool = False) -> State:
    """The state that systemd alone tells; the arguments are those of event_of."""
    return of_systemd(event_of(active, sub, job=job, comes_again=comes_again))


def detail_of(state: State, sub: str, *, is_unhealthy: bool = False) -> Detail:
    """What a unit of this state, which of_unit has given, and of this SubState tells besides.
    `is_unhealthy`: its last start did not pass its health check."""
    match state:
        case State.STOPPING if sub == "stop":  # ExecStop= runs, which is alone/leave.py
            return Detail.DRAINING
        case State.UNHEALTHY | State.FAILED if is_unhealthy:
            return Detail.HEALTH_CHECK
        case State.UNHEALTHY:
            return Detail.RESTARTING
        case _:
            return Detail.NONE


def comes_again(state: State | NoInstance, detail: Detail) -> bool:
    """Whether it has ended, and waits for its next start."""
    return state is State.UNHEALTHY and detail in {Detail.RESTARTING, Detail.HEALTH_CHECK}


def runs(state: State | NoInstance, detail: Detail) -> bool:
    """Whether its start is complete, and its program has not ended since."""
    return state is State.HEALTHY or (state is State.UNHEALTHY and not comes_again(state, detail))


def words(state: State | NoInstance, more: str) -> str:
    """The state, and in parentheses what it alone does not tell: its detail, or a result of
    systemd's."""
    return f"{state} ({more})" if more else state.value
