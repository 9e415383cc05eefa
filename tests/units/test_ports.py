"""Ports: assigned once, and kept for the life of a worker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tqunits.model import Configuration, Enabled, Instance, Listen, NotRoots, Worker, WorkersSettings
from tqunits.units import name
from tqunits.units.ports import assign_ports

from .cases import configuration, metrics_at, worker

LOW, HIGH = 9000, 9009


def site(*workers: Worker) -> Configuration:
    return configuration(
        *workers, workers=WorkersSettings(directory=PurePosixPath("/srv/workers"), port_range=(LOW, HIGH))
    )


def of(ports: Mapping[str, int]) -> dict[Instance, int]:
    """The ports, by the name of each instance."""
    return {whose: port for text, port in ports.items() if (whose := name.instance(text))}


@pytest.mark.parametrize(
    ("workers", "kept", "busy", "ports"),
    [
        pytest.param(["a", "b"], {}, (), {"a": 9000, "b": 9001}, id="lowest-first"),
        pytest.param(["a", "b"], {"b": 9000}, (), {"a": 9001, "b": 9000}, id="kept"),
        pytest.param(["a"], {"a": 4000}, (), {"a": 4000}, id="kept-out-of-range"),
        pytest.param(["a"], {"gone": 9000}, (), {"a": 9001}, id="reserved-for-the-departed"),
        pytest.param(["a"], {"a:2": 9000}, (), {"a": 9001}, id="reserved-for-another-instance"),
        pytest.param(["a"], {"a": 9005, "a:2": 9000}, (), {"a": 9005}, id="each-instance-keeps-its-own"),
        pytest.param(["a"], {}, (9000, 9001), {"a": 9002}, id="busy"),
        pytest.param(["a"], {"a": 9000}, (9000,), {"a": 9000}, id="busy-by-itself"),
    ],
)
def test_assignment(workers: list[str], kept: dict[str, int], busy: tuple[int, ...], ports: dict[str, int]) -> None:
    assigned = assign_ports(site(*map(worker, workers)), of(kept), busy=busy)
    assert (assigned.ports, assigned.refusals) == (of(ports), ())


def test_the_port_of_the_managers_metrics_is_nobodys() -> None:
    taken = configuration(worker("a"), workers=site().server.workers, manager=metrics_at(f"127.0.0.1:{LOW}"))
    assert assign_ports(taken, {}).ports == of({"a": LOW + 1})


NEW: dict[str, int] = {}
FIRST, SECOND = {"a": 9000}, {"b": 9000}  # the worker that is installed with the port
ROOTS, REQUEST = None, NotRoots(PurePosixPath("/srv"), "is bob's")


@pytest.mark.parametrize(
    ("kept", "whose", "refused"),
    [
        pytest.param(NEW, (ROOTS, ROOTS), {"a", "b"}, id="of equals nobody gets it"),
        pytest.param(NEW, (REQUEST, REQUEST), {"a", "b"}, id="of requests neither"),
        pytest.param(NEW, (ROOTS, REQUEST), {"b"}, id="root's wins"),
        pytest.param(FIRST, (ROOTS, ROOTS), {"b"}, id="the installed one keeps it"),
        pytest.param(FIRST, (REQUEST, ROOTS), {"b"}, id="from root's too"),
        pytest.param(SECOND, (ROOTS, REQUEST), {"a"}, id="in either order"),
        pytest.param({"a:2": 9000}, (REQUEST, ROOTS), {"b"}, id="another instance of it keeps it"),
        pytest.param({"gone": 9000}, (ROOTS, REQUEST), {"a", "b"}, id="one that is no longer configured keeps it"),
    ],
)
def test_who_gets_a_port_that_two_have_pinned(
    kept: dict[str, int], whose: tuple[NotRoots | None, NotRoots | None], refused: set[str]
) -> None:
    two = [worker(each, port=9000, not_roots=owner) for each, owner in zip("ab", whose, strict=True)]
    assigned = assign_ports(site(*two), of(kept))
    assert {refusal.worker for refusal in assigned.refusals} == refused
    assert assigned.ports == of({each: 9000 for each in "ab" if each not in refused})


def test_a_pinned_port_is_never_taken_from_whoever_was_assigned_it() -> None:
    assigned = assign_ports(site(worker("a"), worker("b", port=9000)), of({"a": 9000}))
    assert assigned.ports == of({"a": 9000})
    (refusal,) = assigned.refusals
    assert (refusal.worker, refusal.message) == ("b", "port: 9000 is the port of worker 'a', which is installed")


def test_whoever_is_left_alone_keeps_what_is_installed() -> None:
    two = site(worker("a"), worker("b", port=9000))
    assigned = assign_ports(two, of({"a": 9000}), without={"a"})
    assert [refusal.worker for refusal in assigned.refusals] == ["b"]
    assert assigned.ports == {}
    broken = replace(site(worker("b", port=9000)), broken=("a",))
    (refusal,) = assign_ports(broken, of({"a": 9000})).refusals
    assert refusal.hint == "write another, or none"


def test_what_is_gone_keeps_its_port_until_it_is_removed() -> None:
    (refusal,) = assign_ports(site(worker("b", port=9000)), of({"a": 9000})).refusals
    assert refusal.hint == "write another, or none; or remove that worker: tqunits uninstall a"


def test_workers_that_never_run_together_may_pin_the_same() -> None:
    two = site(worker("a", port=9000, enabled=Enabled.DEVELOPMENT), worker("b", port=9000, enabled=Enabled.PRODUCTION))
    for kept in ({}, {"a": 9000}, {"a": 9000, "b": 9000}):
        assigned = assign_ports(two, of(kept))
        assert (assigned.ports, assigned.refusals) == (of({"a": 9000, "b": 9000}), ())


def test_only_tcp_workers_get_one() -> None:
    assert assign_ports(site(replace(worker("a"), listen=Listen.UNIX), worker("b")), {}).ports == of({"b": 9000})


def test_a_full_range_refuses_whom_it_has_no_port_for_and_nobody_else() -> None:
    many = [worker("a", not_roots=REQUEST), worker("b"), worker("c"), worker("z", listen=Listen.UNIX)]
    assigned = assign_ports(site(*many), of({"c": 9000}), busy=range(LOW + 2, HIGH + 1))
    assert assigned.ports == of({"b": 9001, "c": 9000})  # root's workers first
    (refusal,) = assigned.refusals
    assert (refusal.worker, refusal.message) == ("a", "no port is left in 9000-9009")
    assert "workers.port_range" in str(refusal.hint)


@given(
    names=st.sets(st.sampled_from("abcdefgh"), min_size=1),
    kept=st.dictionaries(st.sampled_from("abcdefghxyz"), st.integers(LOW, LOW + 50), max_size=8),
    busy=st.sets(st.integers(LOW, LOW + 3)),
)
def test_no_two_share_a_port_and_what_is_kept_stays(names: set[str], kept: dict[str, int], busy: set[int]) -> None:
    owners = {port: each for each, port in kept.items()}  # two installed workers never share one
    known = of({each: port for port, each in owners.items()})
    wide = configuration(
        *map(worker, sorted(names)),
        workers=WorkersSettings(directory=PurePosixPath("/srv/workers"), port_range=(LOW, LOW + 99)),
    )
    ports = assign_ports(wide, known, busy=busy).ports
    own = set(map(Instance, names))
    assert ports.keys() == own
    assert len(set(ports.values())) == len(ports)
    assert all(ports[whose] == known[whose] for whose in own & known.keys())
    assert not {ports[whose] for whose in own - known.keys()} & (busy | set(known.values()))
    assert assign_ports(wide, ports, busy=ports.values()).ports == ports
