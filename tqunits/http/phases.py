"""The states of a connection: two tables, for a client's connection and for a worker's. No I/O.

`table[state][event]` is the state after that event. To the data path each state is an object that
has the states after it as attributes, so an event costs what an attribute costs (20 ns; a look-up
by a member of an enumeration takes 90): `self.phase = self.phase.answered`. An event that a state
does not have is an AttributeError: a fault of ours, which ends the connection
(proxy/reactor/fault.py) before it can answer the wrong request.

Any connection may be closed in any state; proxy/ decides what a close means there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeVar

Table = Mapping[str, Mapping[str, str]]

CLIENT: Final[Table] = {
    "HEAD": {"asked": "BUSY", "answered": "HEAD", "ended": "LINGER"},
    "BUSY": {"answered": "HEAD", "switched": "TUNNEL", "ended": "LINGER"},
    "TUNNEL": {},
    "LINGER": {},
}
"""HEAD: between requests, or in a head. BUSY: an exchange with a worker, or a file is being sent.
TUNNEL: after a valid 101. LINGER: the last answer is sent, and what still comes is read, because a
TCP reset could destroy the answer (RFC 9112 §9.6).

`asked`: a request goes to a worker or is answered with a file; `answered`: the whole answer is
sent, or it was the router's own, and the next request may come; `switched`: the worker's 101 is
sent; `ended`: no more requests are answered.
"""

WORKER: Final[Table] = {
    "CONNECTING": {"connected": "HEAD"},
    "IDLE": {"asked": "HEAD"},
    "HEAD": {"responded": "BODY", "completed": "IDLE", "switched": "TUNNEL"},
    "BODY": {"completed": "IDLE"},
    "TUNNEL": {},
}
"""HEAD: a request is being sent or was sent, and the head of its response is awaited. IDLE: without
a request, usually in the pool.

`connected`: for the request that it was opened for; `asked`: by a later request; `responded`: the
head of a final response has come, but not its whole body; `completed`: the whole body has come, and
the connection may be used again; `switched`: 101.
"""


class _State:
    """A state of a table. It has a slot for every event, and in it, where the table has that event,
    what follows."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name


class ClientPhase(_State):
    """A state of CLIENT."""

    __slots__ = ("answered", "asked", "ended", "switched")

    answered: ClientPhase
    asked: ClientPhase
    ended: ClientPhase
    switched: ClientPhase


class WorkerPhase(_State):
    """A state of WORKER."""

    __slots__ = ("asked", "completed", "connected", "responded", "switched")

    asked: WorkerPhase
    completed: WorkerPhase
    connected: WorkerPhase
    responded: WorkerPhase
    switched: WorkerPhase


Phase = TypeVar("Phase", ClientPhase, WorkerPhase)


def _states(kind: type[Phase], table: Table) -> dict[str, Phase]:
    """The states of a table, each with those that follow it."""
    states = {name: kind(name) for name in table}
    for name, events in table.items():
        for event, after in events.items():
            setattr(states[name], event, states[after])
    return states


CLIENT_PHASES: Final = _states(ClientPhase, CLIENT)
WORKER_PHASES: Final = _states(WorkerPhase, WORKER)
