"""Asks the manager for deploys, and follows them (deploy_protocol.py has the requests).

A deploy is the manager's: it goes on without whoever has asked for it. So an order whose answer is
lost may have been taken, and the error says where to look.

A connection to the socket of a manager that does not run starts it by its socket unit. That is
meant here, also for whoever follows: a deploy that was cut off is finished, or undone, by the next
manager.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, TypeVar

from tqunits.control import deploy_protocol, manager_protocol, managers, protocol, questions
from tqunits.control.deploy_protocol import NOT_READABLE, DeployOrder, Progressed, Pruned, PruneQuestion
from tqunits.control.questions import Unanswered
from tqunits.errors import NoSuchWorker, TqunitsError
from tqunits.layout import Layout
from tqunits.lifecycle.deploys import DeployRecord

PATIENCE_S: Final = 30.0
"""For an answer that the manager gives at once, after it has started, and has written a thousand
deploys to the disk."""

PRUNE_PATIENCE_S: Final = 600.0
"""For the removal of releases: each may have a million files."""

_UNKNOWN: Final = 404
_CONFLICT: Final = 409

_T = TypeVar("_T")


class Away(TqunitsError):
    """Nobody answers at the manager's socket."""

    def __init__(self) -> None:
        hint = "'systemctl start tq-manager' starts it, and 'systemctl status tq-manager' tells why it does not run"
        super().__init__("the manager does not answer, and deploys are its work", hint=hint)


def deploy(layout: Layout, order: DeployOrder) -> Sequence[DeployRecord]:
    """The deploys that the manager has written down for this order. Raises Away, NoSuchWorker,
    NotPermitted, TqunitsError."""
    request = protocol.order(deploy_protocol.DEPLOY, deploy_protocol.deploy_order_body(order))
    lost = TqunitsError(
        "the manager has ended before it said whether it has taken this",
        hint="'tqunits history' shows whether it did",
    )
    return _asked(layout, request, deploy_protocol.deploys_in, lost=lost)


def history(layout: Layout, worker: str | None, limit: int, *, patience: float = PATIENCE_S) -> Sequence[DeployRecord]:
    """The last deploys of a worker, or of all, the newest first. Raises as `deploy`. `patience`:
    seconds in all."""
    request = protocol.question(deploy_protocol.history_target(worker, limit))
    return _asked(layout, request, deploy_protocol.deploys_in, lost=Away(), patience=patience)


def progress(layout: Layout, numbers: Iterable[int], *, after: int, wait_us: int) -> Progressed:
    """Those of at most MOST_NUMBERS deploys that have changed since that event, for which it waits.
    Raises as `deploy`; Away also when the manager ends meanwhile."""
    request = protocol.question(deploy_protocol.progress_target(numbers, after, wait_us))
    try:
        return _asked(layout, request, deploy_protocol.progress_in, lost=Away(), patience=PATIENCE_S + wait_us / 1e6)
    except NoSuchWorker as unknown:  # 404: of a deploy here
        raise TqunitsError(unknown.message, hint="'tqunits history' lists those that are known") from None


def prune(layout: Layout, asked: PruneQuestion) -> Mapping[str, Pruned]:
    """Worker -> what was removed of it. Raises as `deploy`."""
    request = protocol.order(deploy_protocol.PRUNE, deploy_protocol.prune_body(asked))
    lost = TqunitsError("the manager has ended before it was done", hint="run it again: it removes what is left")
    return _asked(layout, request, deploy_protocol.pruned_in, lost=lost, patience=PRUNE_PATIENCE_S)


def _asked(
    layout: Layout,
    request: bytes,
    read: Callable[[Mapping[str, object]], _T],
    *,
    lost: TqunitsError,
    patience: float = PATIENCE_S,
) -> _T:
    """`lost`: what to raise when somebody has taken the request and not answered."""
    try:
        answer = questions.exchange(Path(layout.manager_socket), request, patience=patience)
    except Unanswered:
        raise lost from None
    if answer is None:
        raise Away
    status, body = answer
    found = manager_protocol.document(body)
    if found is None:
        raise _unreadable()
    if status != 200:
        raise _refusal(status, str(found.get("error")))
    try:
        return read(found)
    except NOT_READABLE:
        raise _unreadable() from None


def _refusal(status: int, text: str) -> TqunitsError:
    if status == _UNKNOWN:
        return NoSuchWorker(text, hint="'tqunits ls' lists those that are installed")
    return TqunitsError(text) if status == _CONFLICT else managers.refusal(status, text)


def _unreadable() -> TqunitsError:
    hint = "'systemctl restart tq-manager', if 'tqunits version --running' shows that it runs another release"
    return TqunitsError("the manager's answer is not one that this release understands", hint=hint)
