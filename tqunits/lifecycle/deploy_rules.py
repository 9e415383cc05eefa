"""What one deploy is to another: which ones are kept, which one takes another's place, and which
failure still counts.

A restart is a record among the deploys of its worker, and says nothing about its releases. So it
pushes no deploy out of the history, which a rollback reads, and hides none that has failed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from tqunits.lifecycle.deploys import DeployKind, DeployOutcome, DeployRecord

KEPT: Final = 50
"""Deploys that are kept of each worker: ten times the releases that are."""

KEPT_RESTARTS: Final = 10
"""Restarts that are kept besides: who looks for one looks for one of the last."""

MOST_KEPT: Final = KEPT + KEPT_RESTARTS

_COVERED: Final = {
    DeployKind.DEPLOY: frozenset(DeployKind),
    DeployKind.ROLLBACK: frozenset(DeployKind),
    DeployKind.BUILD: frozenset({DeployKind.BUILD}),  # it runs nothing
    DeployKind.RESTART: frozenset[DeployKind](),  # it makes no release; a second one joins the first (`joined`)
}
"""Kind -> those that need not be done any more when one of this kind was asked for."""


def surplus(deploys: Sequence[DeployRecord]) -> tuple[int, ...]:
    """The numbers of those of a worker that are not kept. `deploys`: the oldest first."""
    restarts = [each for each in deploys if each.kind is DeployKind.RESTART]
    others = [each for each in deploys if each.kind is not DeployKind.RESTART]
    return (*_oldest(restarts, KEPT_RESTARTS), *_oldest(others, KEPT))


def superseded(kind: DeployKind, pending: Iterable[DeployRecord]) -> tuple[DeployRecord, ...]:
    """Those that an order of this kind takes the place of. One that has begun is finished."""
    covered = _COVERED[kind]
    return tuple(each for each in pending if each.outcome is DeployOutcome.WAITING and each.kind in covered)


def joined(kind: DeployKind, pending: Iterable[DeployRecord]) -> DeployRecord | None:
    """The one that does what an order of this kind asks for: a restart that has not begun. So
    nobody who asked for it is told that it was not done."""
    if kind is not DeployKind.RESTART:
        return None
    waiting = (each for each in pending if each.outcome is DeployOutcome.WAITING)
    return next((each for each in waiting if each.kind is DeployKind.RESTART), None)


def last_failure(deploys: Iterable[DeployRecord]) -> DeployRecord | None:
    """The last of these, if it has failed; after restarts that did not, the last deploy before
    them. `deploys`: the newest first."""
    for place, each in enumerate(deploys):
        if each.kind is not DeployKind.RESTART or (place == 0 and each.outcome is DeployOutcome.FAILED):
            return each if each.outcome is DeployOutcome.FAILED else None
    return None


def _oldest(deploys: Sequence[DeployRecord], kept: int) -> list[int]:
    """Of those that have ended, as many as there are too many."""
    ended = [each.number for each in deploys if each.outcome.is_ended]
    return ended[: max(0, len(deploys) - kept)]
