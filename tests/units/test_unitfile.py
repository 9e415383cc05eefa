"""The syntax of unit files, the ledger, and which changes need a restart."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tqunits.model import KillMode, Listen, RestartPolicy, Worker
from tqunits.resources import Descriptors
from tqunits.units.limits import LIMIT_DIRECTIVES, limit_directives, limit_properties
from tqunits.units.unitfile import (
    LEDGER,
    Assignment,
    dump,
    header,
    last_value,
    ledger,
    notes_of,
    parse,
    restart_hash,
    sets,
)
from units.cases import MIB, case, limits, worker

SYNTAX = {
    "plain": ("[A]\nB=c\n", [("A", "B", "c")]),
    "blanks": ("[A]\n  B = c d \n", [("A", "B", "c d")]),
    "comments": ("# x\n[A]\n;y=1\n#B=1\nB=c\n", [("A", "B", "c")]),
    "continuation": ("[A]\nB=c\\\n# between\n  d\nE=f\n", [("A", "B", "c d"), ("A", "E", "f")]),
    "two backslashes": ("[A]\nB=c\\\\\nE=f\n", [("A", "B", "c\\\\"), ("A", "E", "f")]),
    "blank behind a backslash": ("[A]\nB=c\\ \nE=f\n", [("A", "B", "c\\"), ("A", "E", "f")]),
    "continuation at the end": ("[A]\nB=c\\", [("A", "B", "c")]),
    "empty value": ("[A]\nB=\n", [("A", "B", "")]),
    "value with an equals sign": ("[A]\nB=c=d\n", [("A", "B", "c=d")]),
    "carriage returns": ("[A]\r\nB=c\r\n", [("A", "B", "c")]),
    "no other line ends": ("[A]\nB=c\u2028D=e\x0bF=g\n", [("A", "B", "c\u2028D=e\x0bF=g")]),
    "noise": ("[A]\nnothing\nB=c\n", [("A", "B", "c")]),
}


@pytest.mark.parametrize(("text", "expected"), SYNTAX.values(), ids=SYNTAX)
def test_a_unit_file_is_read_as_systemd_reads_it(text: str, expected: list[tuple[str, str, str]]) -> None:
    assert list(parse(text)) == [Assignment(*row) for row in expected]


WORDS = st.text(st.characters(categories=("L", "N")), min_size=1, max_size=8)


@given(st.lists(st.builds(Assignment, WORDS, WORDS, WORDS | st.just(""))))
def test_what_is_written_is_read_back(assignments: list[Assignment]) -> None:
    assert list(parse(dump(assignments))) == assignments


PIECES = (
    f"[{LEDGER}]",
    f" [{LEDGER}]",
    f"[{LEDGER}] ",
    "[Service]",
    "Worker=a",
    "#x",
    "A=b\\",
    "A=b\\\\",
    "\\",
    "",
    "A=b\r",
)


@given(st.lists(st.sampled_from(PIECES), max_size=12).map("\n".join))
def test_the_ledger_is_read_as_the_whole_would_be(text: str) -> None:
    assert notes_of(text) == tuple(each for each in parse(text) if each.section == LEDGER)


def test_the_last_assignment_holds() -> None:
    assert last_value("[Service]\nUser=a\nUser=b\n[X]\nUser=c\n", "Service", "User") == "b"
    assert last_value("", "Service", "User") is None
    assert sets("[Service]\nMemoryMax=1G\n", "MemoryMax")
    assert not sets("[Service]\n#MemoryMax=1G\n", "MemoryMax")


def test_the_ledger_says_what_is_installed() -> None:
    installed = worker("api", routes=("/api", "/v1"), hosts=("example.org",), source_hash="ab" * 32)
    notes = ledger(case(installed).drop_in("api"))
    assert notes is not None
    assert (notes.worker, notes.port, notes.socket, notes.enabled) == ("api", 9000, None, True)
    assert (notes.routes, notes.hosts, notes.source_hash) == (("/api", "/v1"), ("example.org",), "ab" * 32)
    assert notes.source == "/srv/tqunits/workers/api/config/worker.yaml"


@pytest.mark.parametrize(
    ("listen", "socket"),
    [(Listen.UNIX, "/run/tqunits/workers/api/http.sock"), (Listen.FD, "/run/tqunits/sockets/api.sock")],
    ids=["unix", "fd"],
)
def test_the_ledger_of_a_socket_has_no_port(listen: Listen, socket: str) -> None:
    notes = ledger(case(worker("api", listen=listen)).drop_in("api"))
    assert notes is not None
    assert (notes.port, notes.socket) == (None, socket)


@pytest.mark.parametrize("port", ["", "many", "٣", "-1"])
def test_a_damaged_port_is_no_port(port: str) -> None:
    notes = ledger(f"{header('x', '0')}\n[X-Tqunits]\nWorker=api\nPort={port}\n")
    assert notes is not None
    assert notes.port is None


BASE = worker("api")
NO_RESTART = {
    "limits": worker("api", limits=limits(memory_max=MIB, memory_high=MIB, cpu_quota=10_000, io_weight=7)),
    "hard limit": worker("api", limits=limits(limit_nofile=Descriptors(1024, 4096))),
    "hosts": worker("api", hosts=("example.org",)),
    "source": worker("api", source_hash="f" * 64),
    "stop": worker("api", timeouts=replace(BASE.timeouts, stop=1, drain=1)),
    "restart": worker("api", restart=replace(BASE.restart, delay=1, policy=RestartPolicy.NO)),
    "signals": worker("api", signals=replace(BASE.signals, kill_mode=KillMode.MIXED, stop="SIGINT", reload="SIGHUP")),
}
RESTART = {
    "environment": worker("api", environment=(("A", "b"),)),
    "command": worker("api", command=("bin/other",)),
    "route": worker("api", routes=("/other",)),
    "port": worker("api", port=9100),
    "soft limit": worker("api", limits=limits(limit_nofile=Descriptors(2048, 524288))),  # programs raise it themselves
    "watchdog": worker("api", signals=replace(BASE.signals, watchdog=1)),  # the program reads $WATCHDOG_USEC
    "pass-through": worker("api", unit=(("Service", "Nice", "5"),)),
    "start": worker("api", timeouts=replace(BASE.timeouts, start=1)),  # the time that the gate has
}


@pytest.mark.parametrize("changed", NO_RESTART.values(), ids=NO_RESTART)
def test_what_a_running_worker_can_take_asks_for_no_restart(changed: Worker) -> None:
    assert restart_of(changed) == restart_of(BASE)


@pytest.mark.parametrize("changed", RESTART.values(), ids=RESTART)
def test_what_only_a_new_process_sees_asks_for_a_restart(changed: Worker) -> None:
    assert restart_of(changed) != restart_of(BASE)


def restart_of(rendered: Worker) -> str:
    text = case(rendered).drop_in("api")
    notes = ledger(text)
    assert notes is not None
    assert notes.restart_hash == restart_hash(text)
    return notes.restart_hash


@pytest.mark.parametrize("high", [None, 5 * MIB], ids=["no high", "high"])
def test_each_limit_that_is_set_can_be_read_back(high: int | None) -> None:
    limited = worker("api", limits=limits(memory_high=high))
    directives = [directive for directive, _ in limit_directives(limited.limits)]
    spelled = {"CPUQuotaPerSecUSec": "CPUQuota", "LimitNOFILESoft": "LimitNOFILE"}
    assert sorted({spelled.get(p, p) for p in limit_properties(limited)}) == sorted(directives)
    assert set(directives) <= LIMIT_DIRECTIVES
