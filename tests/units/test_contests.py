"""Which worker gets a route that several workers request."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tqunits.model import Enabled, NotRoots, Worker
from tqunits.units.contests import InstalledRoutes, refusals, routes_of

from .cases import worker

ROOTS, REQUEST = None, NotRoots(PurePosixPath("/srv"), "is bob's")
SHOP = ("", "/shop")


def shop(name: str, not_roots: NotRoots | None, **changes: object) -> Worker:
    return worker(name, **{"routes": ("/shop",), "not_roots": not_roots, **changes})


def losers(
    *workers: Worker,
    has: dict[str, tuple[str, str]] | None = None,
    left: tuple[str, ...] = (),
    gone: tuple[str, ...] = (),
) -> list[str]:
    installed = InstalledRoutes({name: frozenset({route}) for name, route in (has or {}).items()})
    return sorted({each.worker for each in refusals(workers, installed, left_alone=left, gone=gone)})


@pytest.mark.parametrize(
    ("whose", "has", "expected"),
    [
        pytest.param((ROOTS, ROOTS), {}, ["a", "b"], id="of equals nobody gets it"),
        pytest.param((REQUEST, REQUEST), {}, ["a", "b"], id="of requests neither"),
        pytest.param((ROOTS, REQUEST), {}, ["b"], id="root's wins"),
        pytest.param((REQUEST, ROOTS), {"a": SHOP}, ["b"], id="whoever has it keeps it, from root's too"),
        pytest.param((ROOTS, REQUEST), {"b": SHOP}, ["a"], id="in either order"),
        pytest.param((ROOTS, ROOTS), {"a": SHOP}, ["b"], id="among root's too"),
        pytest.param((ROOTS, ROOTS), {"a": ("", "/old")}, ["a", "b"], id="another route does not count"),
        pytest.param((ROOTS, ROOTS), {"a": ("x.org", "/shop")}, ["a", "b"], id="nor another host"),
    ],
)
def test_of_two(
    whose: tuple[NotRoots | None, NotRoots | None], has: dict[str, tuple[str, str]], expected: list[str]
) -> None:
    assert losers(*(shop(name, owner) for name, owner in zip("ab", whose, strict=True)), has=has) == expected


def test_what_is_left_alone_keeps_its_routes() -> None:
    assert losers(shop("a", ROOTS), has={"b": SHOP}, left=("b",)) == ["a"]
    assert losers(shop("a", ROOTS), left=("b",)) == []


def test_what_is_gone_keeps_them_from_a_request_alone() -> None:
    assert losers(shop("a", ROOTS), has={"b": SHOP}, gone=("b",)) == []
    assert losers(shop("a", REQUEST), has={"b": SHOP}, gone=("b",)) == ["a"]
    (refusal,) = refusals([shop("a", REQUEST)], InstalledRoutes({"b": frozenset({SHOP})}), left_alone=(), gone=("b",))
    assert refusal.hint == "'tqunits uninstall b' removes it"


def test_who_is_refused_keeps_what_it_has_and_so_on() -> None:
    """b is refused because of a's route, so it keeps its old one, which c requests."""
    a, b, c = shop("a", ROOTS), shop("b", ROOTS), worker("c", routes=("/old",))
    assert losers(a, b, c, has={"a": SHOP, "b": ("", "/old")}) == ["b", "c"]


def test_who_moves_makes_room() -> None:
    moved, new = worker("a", routes=("/new",)), shop("b", REQUEST)
    assert losers(moved, new, has={"a": SHOP}) == []


def test_workers_that_never_run_together_may_share() -> None:
    assert losers(shop("a", ROOTS, enabled=Enabled.DEVELOPMENT), shop("b", ROOTS, enabled=Enabled.PRODUCTION)) == []
    assert losers(shop("a", ROOTS, enabled=Enabled.FALSE), shop("b", ROOTS)) == []


def test_hosts_are_apart_unless_they_are_the_same() -> None:
    assert losers(shop("a", ROOTS, hosts=("x.org",)), shop("b", ROOTS)) == []
    assert losers(shop("a", ROOTS, hosts=("x.org", "y.org")), shop("b", REQUEST, hosts=("y.org",))) == ["b"]


def test_the_place_of_the_other_is_said() -> None:
    (refusal,) = refusals([shop("a", ROOTS), shop("b", REQUEST)], InstalledRoutes({}), left_alone=(), gone=())
    assert refusal.message == "path: /shop is the route of worker 'a' too"
    assert refusal.hint == "it is in /srv/tqunits/workers/a/config/worker.yaml:1:1"


NAMES = "abcde"
ROUTES = st.sets(st.sampled_from(["/1", "/2", "/3"]), min_size=1)


@given(
    asked=st.dictionaries(st.sampled_from(NAMES), st.tuples(ROUTES, st.booleans()), min_size=1),
    owners=st.dictionaries(st.sampled_from(["/1", "/2", "/3"]), st.sampled_from(NAMES)),
    left=st.sets(st.sampled_from(NAMES)),
)
def test_no_two_have_one_route_afterwards(
    asked: dict[str, tuple[set[str], bool]], owners: dict[str, str], left: set[str]
) -> None:
    has = {name: frozenset(("", route) for route, owner in owners.items() if owner == name) for name in NAMES}
    workers = [
        worker(name, routes=tuple(sorted(routes)), not_roots=ROOTS if is_roots else REQUEST)
        for name, (routes, is_roots) in asked.items()
        if name not in left
    ]
    refused = {each.worker for each in refusals(workers, InstalledRoutes(has), left_alone=left, gone=())}
    after = {w.name: routes_of(w.hosts, w.routes) for w in workers if w.name not in refused}
    staying = {name: has[name] for name in left | refused}
    served = [route for routes in (*after.values(), *staying.values()) for route in routes]
    assert len(served) == len(set(served))
    for each in workers:  # a worker that requests only what it has keeps it
        if routes_of(each.hosts, each.routes) <= has[each.name]:
            assert each.name not in refused
