"""Which worker gets a route that several workers ask for.

No worker may take what another one has. So the worker that is installed with a route keeps it.
Among new workers root's comes first. Of equal ones all are refused, because nobody knows which one
is meant. A worker that is left alone (its YAML has an error, or it is refused) keeps its installed
routes. A worker that is no longer configured is served until it is removed: only a worker of root's
can take its route before that.

Two workers conflict only if both would run in the same mode: one for development and one for
production do not.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

from tqunits.light_dataclass import dataclass
from tqunits.model import Worker
from tqunits.units.refusal import Refusal, place, refusal

Route = tuple[str, str]
"""Host ("" for any) and prefix."""


@dataclass(frozen=True, slots=True)
class InstalledRoutes:
    """The routes that the routers have now, by worker."""

    routes: Mapping[str, frozenset[Route]]


def routes_of(hosts: Iterable[str], routes: Iterable[str]) -> frozenset[Route]:
    """Every route of a worker on every host of it."""
    prefixes = tuple(routes)
    return frozenset((host, route) for host in (tuple(hosts) or ("",)) for route in prefixes)


def refusals(
    workers: Iterable[Worker], installed: InstalledRoutes, *, left_alone: Collection[str], gone: Collection[str]
) -> tuple[Refusal, ...]:
    """Why some of these workers can not have their routes.

    `left_alone`: configured workers that stay as they are installed. `gone`: installed workers that
    are not configured any more. A worker that is refused here becomes one that is left alone, so
    this is repeated until nothing changes.
    """
    left = {worker.name: worker for worker in workers}
    staying = set(left_alone)
    found: list[Refusal] = []
    while refused := _round(left.values(), installed, staying, gone):
        found += refused
        staying |= {each.worker for each in refused}
        left = {name: worker for name, worker in left.items() if name not in staying}
    return tuple(found)


def _round(
    workers: Collection[Worker], installed: InstalledRoutes, staying: Collection[str], gone: Collection[str]
) -> list[Refusal]:
    """The workers that lose to one that stays; if there are none, those that lose to each other."""
    return [*_against_staying(workers, installed, staying, gone)] or [*_among(workers, installed)]


def _against_staying(
    workers: Iterable[Worker], installed: InstalledRoutes, staying: Collection[str], gone: Collection[str]
) -> Iterator[Refusal]:
    """The workers that ask for a route of a worker which this install does not change."""
    holders = {route: name for name, routes in installed.routes.items() if name in staying for route in routes}
    departed = {route: name for name, routes in installed.routes.items() if name in gone for route in routes}
    for worker in workers:
        for route in sorted(_routes(worker)):
            holder = holders.get(route)
            if holder is not None:
                yield _refused(worker, route, f"is the route of worker '{holder}', which is installed", "write another")
            elif worker.not_roots is not None and route in departed:
                holder = departed[route]
                hint = f"'tqunits uninstall {holder}' removes it"
                yield _refused(worker, route, f"is the route of worker '{holder}', which is installed", hint)


def _among(workers: Iterable[Worker], installed: InstalledRoutes) -> Iterator[Refusal]:
    claims: dict[Route, list[Worker]] = {}
    for worker in workers:
        for route in _routes(worker):
            claims.setdefault(route, []).append(worker)
    for route, claimants in sorted(claims.items()):
        for worker in claimants if len(claimants) > 1 else ():
            winner = _winner(worker, claimants, route, installed)
            if winner is not None:
                reason = f"is the route of worker '{winner.name}' too"
                its = place(winner, "path", item=winner.routes.index(route[1]))
                yield _refused(worker, route, reason, f"it is in {its}")


def _winner(worker: Worker, claimants: Iterable[Worker], route: Route, installed: InstalledRoutes) -> Worker | None:
    """Another worker with at least as good a claim, which would run in one of the same modes."""

    def rank(claimant: Worker) -> tuple[bool, bool]:
        return route in installed.routes.get(claimant.name, ()), claimant.not_roots is None

    rivals = (other for other in claimants if other is not worker and other.modes & worker.modes)
    return next((rival for rival in rivals if rank(rival) >= rank(worker)), None)


def _routes(worker: Worker) -> frozenset[Route]:
    return routes_of(worker.hosts, worker.routes) if worker.modes else frozenset()


def _refused(worker: Worker, route: Route, reason: str, hint: str) -> Refusal:
    return refusal(worker, f"path: {''.join(route)} {reason}", hint, "path", item=worker.routes.index(route[1]))
