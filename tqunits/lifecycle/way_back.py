"""Which releases a worker can go back to, from its deploys."""

from __future__ import annotations

from collections.abc import Iterable

from tqunits.lifecycle.deploys import DeployKind, DeployRecord


def ways_back(deploys: Iterable[DeployRecord], present: str | None) -> tuple[str, ...]:
    """The releases that were stable before the present one, the nearest first. `deploys`: the
    oldest first.

    A rollback takes back what came after its release. So a second one goes further back, and not
    forward again to a release that was left because it was bad. A restart changes no release.
    """
    ran: list[str] = []
    for each in deploys:
        if each.kind is DeployKind.RESTART or each.release is None or not each.was_stable:
            continue
        if each.kind is DeployKind.ROLLBACK and each.release in ran:
            del ran[_last(ran, each.release) + 1 :]
        elif ran[-1:] != [each.release]:
            ran.append(each.release)
    if present in ran:
        del ran[_last(ran, present) :]
    return tuple(release for release in dict.fromkeys(reversed(ran)) if release != present)


def _last(ran: list[str], release: str) -> int:
    """The last place of a release that is there."""
    return len(ran) - 1 - ran[::-1].index(release)
