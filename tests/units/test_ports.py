"""Ports: assigned once, kept for life."""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tqunits.errors import ConfigurationError
from tqunits.model import Configuration, Listen, Worker, WorkersSettings
from tqunits.units.ports import assign_ports

from .cases import configuration, worker

LOW, HIGH = 9000, 9009


def site(*workers: Worker) -> Configuration:
    return configuration(
        *workers, workers=WorkersSettings(directory=PurePosixPath("/srv/workers"), port_range=(LOW, HIGH))
    )


@pytest.mark.parametrize(
    ("workers", "kept", "busy", "ports"),
    [
        pytest.param(["a", "b"], {}, (), {"a": 9000, "b": 9001}, id="lowest-first"),
        pytest.param(["a", "b"], {"b": 9000}, (), {"a": 9001, "b": 9000}, id="kept"),
        pytest.param(["a"], {"a": 4000}, (), {"a": 4000}, id="kept-out-of-range"),
        pytest.param(["a"], {"gone": 9000}, (), {"a": 9001}, id="reserved-for-the-departed"),
        pytest.param(["a"], {}, (9000, 9001), {"a": 9002}, id="busy"),
        pytest.param(["a"], {"a": 9000}, (9000,), {"a": 9000}, id="busy-by-itself"),
    ],
)
def test_assignment(workers: list[str], kept: dict[str, int], busy: tuple[int, ...], ports: dict[str, int]) -> None:
    assert assign_ports(site(*map(worker, workers)), kept, busy=busy) == ports


def test_a_pinned_port_is_taken_from_whoever_had_it() -> None:
    pinned = replace(worker("b"), port=9000)
    assert assign_ports(site(worker("a"), pinned), {"a": 9000}) == {"a": 9001, "b": 9000}


def test_only_tcp_workers_get_one() -> None:
    assert assign_ports(site(replace(worker("a"), listen=Listen.UNIX), worker("b")), {}) == {"b": 9000}


def test_a_full_range_is_an_error_that_names_the_worker() -> None:
    with pytest.raises(ConfigurationError) as caught:
        assign_ports(site(worker("a")), {}, busy=range(LOW, HIGH + 1))
    (finding,) = caught.value.diagnostics
    assert "'a'" in finding.message
    assert "workers.port_range" in str(finding.hint)


@given(
    names=st.sets(st.sampled_from("abcdefgh"), min_size=1),
    kept=st.dictionaries(st.sampled_from("abcdefghxyz"), st.integers(LOW, LOW + 50), max_size=8),
    busy=st.sets(st.integers(LOW, LOW + 3)),
)
def test_no_two_share_a_port_and_what_is_kept_stays(names: set[str], kept: dict[str, int], busy: set[int]) -> None:
    owners = {port: name for name, port in kept.items()}  # installed workers never share one
    known = {name: port for port, name in owners.items()}
    wide = configuration(
        *map(worker, sorted(names)),
        workers=WorkersSettings(directory=PurePosixPath("/srv/workers"), port_range=(LOW, LOW + 99)),
    )
    ports = assign_ports(wide, known, busy=busy)
    assert ports.keys() == names
    assert len(set(ports.values())) == len(ports)
    assert all(ports[name] == known[name] for name in names & known.keys())
    assert not {ports[name] for name in names - known.keys()} & (busy | set(known.values()))
    assert assign_ports(wide, ports, busy=ports.values()) == ports
