"""Which socket unit has which address, and the steps from one set of addresses to another,
interrupted at any point."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tqunits.host.plan import make_plan
from tqunits.host.routes import routes_snapshot
from tqunits.system.process import run
from tqunits.units import addresses, name, observed, steps, turnover
from tqunits.units.rendering import RenderedFile, render, sockets_of
from tqunits.units.steps import Disable, Enable, ReloadDaemon, RemoveFile, Restart, Start, Step, Stop, WriteFile

from .cases import TEMPLATES, Case, configuration, server, target

A, B, C, NARROW = "0.0.0.0:80", "127.0.0.2:81", "[::1]:82", "127.0.0.1:80"
SPARE = "/run/tqunits/proxy/http.sock"
FIRST = name.PROXY_SOCKET
NOW = steps.Options(now=True)


def of(address: str) -> str:
    return name.proxy_socket(address)


PLACES: Mapping[str, tuple[list[str], addresses.Places, addresses.Places]] = {
    "new": ([A, B], {}, {FIRST: (A,), of(B): (B,)}),
    "the order is of no weight": ([B, A], {FIRST: (A,), of(B): (B,)}, {FIRST: (A,), of(B): (B,)}),
    "one more": ([C, A], {FIRST: (A,)}, {FIRST: (A,), of(C): (C,)}),
    "one less": ([A], {FIRST: (A,), of(B): (B,)}, {FIRST: (A,)}),
    "the first one goes": ([B], {FIRST: (A,), of(B): (B,)}, {FIRST: (SPARE,), of(B): (B,)}),
    "the first one is changed": ([C, B], {FIRST: (A,), of(B): (B,)}, {FIRST: (C,), of(B): (B,)}),
    "the spare one gives way": ([B, C], {FIRST: (SPARE,), of(B): (B,)}, {FIRST: (C,), of(B): (B,)}),
    "of an earlier release": ([B, C, A], {FIRST: (A, B)}, {FIRST: (A, B), of(C): (C,)}),
    "which loses one": ([B], {FIRST: (A, B)}, {FIRST: (B,)}),
    "written otherwise": (["[0:0::1]:82"], {FIRST: (C,)}, {FIRST: (C,)}),
    "twice": ([A, A], {}, {FIRST: (A,)}),
}


@pytest.mark.parametrize(("listen", "installed", "expected"), PLACES.values(), ids=PLACES)
def test_an_address_stays_where_it_is(
    listen: list[str], installed: addresses.Places, expected: addresses.Places
) -> None:
    assert addresses.places(listen, installed, SPARE) == expected


@pytest.mark.parametrize("address", [A, C, "/run/my-app/http.sock", "/run/ä b", "[2001:db8::1]:443"])
def test_units_are_called_as_systemd_escape_would(address: str) -> None:
    assert name.proxy_socket(address) == f"tq-proxy-{run(['systemd-escape', address]).stdout.strip()}.socket"
    assert name.is_proxy_socket(name.proxy_socket(address))
    assert name.is_unit_name(name.proxy_socket(address))


def test_other_sockets_are_no_address_of_the_router() -> None:
    for unit in (
        "tq-proxy-control@1.socket",
        "tq-worker@api.socket",
        "tq-proxy-certificate.path",
        "tq-proxy@1.service",
    ):
        assert not name.is_proxy_socket(unit)


OVERLAPPING = [(A, NARROW), (A, A), ("[::]:82", C), ("/run/a", "/run/a")]
APART = [(NARROW, B), (A, "[::]:80"), ("/run/a", "/run/b"), ("/run/a", A), ("0.0.0.0:1", NARROW)]


def test_only_one_of_two_overlapping_addresses_can_be_open() -> None:
    for one, other in OVERLAPPING:
        assert addresses.overlap(one, other) and addresses.overlap(other, one), (one, other)
    for one, other in APART:
        assert not addresses.overlap(one, other) and not addresses.overlap(other, one), (one, other)


@dataclass
class Host:
    """How systemd handles sockets, as measured on 252 and 257: a reload reads the file, a start is
    refused while the service runs, and a process has the sockets that were open when it started."""

    observed: observed.Observed
    open: dict[str, tuple[str, ...]] = field(default_factory=dict)  # socket unit -> the addresses that systemd has open
    had: dict[str, frozenset[str]] = field(default_factory=dict)  # process -> the addresses that it accepts from
    clock: int = 1000

    def perform(self, made: Iterable[Step], stays: Iterable[str] = ()) -> None:
        """At each moment an address that stays is open in systemd, or in its process; at the end
        all are open in systemd."""
        for step in made:
            self.clock += 1
            self._perform(step)
            assert set(stays) <= set(addresses.all_of(self.open)), step

    def _perform(self, step: Step) -> None:
        match step:
            case ReloadDaemon():
                files = addresses.installed(self.observed.files)
                self.open |= {u: tuple(set(self.open[u]) & set(files[u])) for u in set(self.open) & files.keys()}
            case Stop(units):
                for unit in units:
                    self._stop(unit)
            case Restart(units) | Start(units):
                for unit in units:
                    if isinstance(step, Restart) or unit not in self.observed.units:
                        self._start(unit)
            case _:
                self._lay_down(step)

    def _lay_down(self, step: Step) -> None:
        files, states = dict(self.observed.files), dict(self.observed.file_states)
        match step:
            case WriteFile(file=file, keep_time=keep):
                time = files[file.path].modified if keep else self.clock
                files[file.path] = observed.ObservedFile(content=file.content, modified=time)
            case RemoveFile(path=path):
                del files[path]
            case Enable(units):
                states |= dict.fromkeys(units, "enabled")
            case Disable(units):
                states = {unit: state for unit, state in states.items() if unit not in units}
            case _:
                pass
        self.observed = replace(self.observed, files=files, file_states=states)

    def _stop(self, unit: str) -> None:
        self.open.pop(unit, None)
        self.had.pop(unit, None)
        units = {each: state for each, state in self.observed.units.items() if each != unit}
        self.observed = replace(self.observed, units=units)

    def _start(self, unit: str) -> None:
        if name.is_proxy_socket(unit):
            assert name.proxy(1) not in self.had, f"{unit}: service already active, refusing"
            self._open(unit)
        if name.is_proxy(unit):
            self._stop(unit)
            (template,) = (f.content for p, f in self.observed.files.items() if p.name == name.PROXY_TEMPLATE)
            (wants,) = (line for line in template.splitlines() if line.startswith("Sockets="))
            sockets = [u.replace("\\\\", "\\") for u in wants.removeprefix("Sockets=").split() if "@" not in u]
            for socket in sockets if unit == name.proxy(1) else ():
                if socket not in self.open:
                    self._open(socket)
            self.had[unit] = frozenset(a for u in sockets for a in self.open.get(u, ()))
        state = observed.ObservedUnit(state="active", started=self.clock, needs_reload=False)
        self.observed = replace(self.observed, units={**self.observed.units, unit: state})

    def _open(self, unit: str) -> None:
        """Every holder of an address that is still open is in the way."""
        new = addresses.installed(self.observed.files)[unit]
        had = {*addresses.all_of(self.open), *(address for found in self.had.values() for address in found)}
        assert not addresses.overlapping(new, sorted(had)), f"{unit}: address already in use"
        self.open[unit] = new
        state = observed.ObservedUnit(state="active", started=self.clock, needs_reload=False)
        self.observed = replace(self.observed, units={**self.observed.units, unit: state})


def desired(listen: Sequence[str], processes: int, observed: observed.Observed) -> steps.Desired:
    site = configuration(listen=tuple(listen), proxy=replace(server().proxy, processes=processes))
    case = Case(site, target())
    places = sockets_of(site.server, case.target.layout, addresses.installed(observed.files))
    files = render(site, case.target, {}, TEMPLATES, None, places)
    routes = routes_snapshot(site, case.target, {})
    proxies = [name.proxy(number) for number in range(1, processes + 1)]
    known = {*observed.units, *observed.file_states, *(path.name for path in observed.files)}
    surplus = {u for u in known if name.is_proxy(u) or name.is_proxy_socket(u)} - {*proxies, *places}
    return steps.Desired(
        units=files,
        copies=(),
        routes=RenderedFile(path=case.target.layout.routes, content=routes, mode=0o644, unit=None),
        workers=frozenset(),
        enabled=(*places, *proxies, name.TARGET),
        disabled=tuple(sorted(surplus)),
    )


def plan(listen: Sequence[str], processes: int, host: Host, options: steps.Options = NOW) -> steps.Plan:
    return make_plan(desired(listen, processes, host.observed), host.observed, options)


def installed(listen: Sequence[str], processes: int = 1) -> Host:
    host = Host(observed.Observed(files={}, copies={}, units={}, file_states={}, missing_users=frozenset()))
    host.perform(plan(listen, processes, host).steps)
    return host


LISTS = st.lists(st.sampled_from([A, B, C, NARROW]), min_size=1, max_size=3, unique=True).filter(
    lambda found: not {A, NARROW} <= set(found)
)


@given(before=LISTS, middle=LISTS, after=LISTS, processes=st.tuples(*[st.integers(1, 3)] * 3), cut=st.integers(0, 30))
def test_what_stays_is_open_all_the_time_wherever_a_run_is_cut_off(
    before: list[str], middle: list[str], after: list[str], processes: tuple[int, int, int], cut: int
) -> None:
    host = installed(before, processes[0])
    host.perform(plan(middle, processes[1], host).steps[:cut], set(before) & set(middle))
    was_open = set(addresses.all_of(host.open))
    host.perform(plan(after, processes[2], host).steps, set(before) & set(middle) & set(after) & was_open)
    assert set(addresses.all_of(host.open)) - {SPARE} == set(after)
    assert set(host.had) == {name.proxy(number) for number in range(1, processes[2] + 1)}
    assert {found - {SPARE} for found in host.had.values()} == {frozenset(after)}
    assert plan(after, processes[2], host).steps == ()


@given(before=LISTS, after=LISTS, processes=st.integers(1, 2))
def test_without_now_nothing_that_is_open_is_closed(before: list[str], after: list[str], processes: int) -> None:
    host = installed(before, processes)
    host.perform(plan(after, processes, host, steps.Options()).steps, before)
    waits = plan(after, processes, host, steps.Options()).pending
    assert bool(waits) == (set(before) != set(after))
    host.perform(plan(after, processes, host).steps, set(before) & set(after))
    assert set(addresses.all_of(host.open)) - {SPARE} == set(after)


def jobs(made: steps.Plan) -> list[tuple[str, tuple[str, ...]]]:
    return [(type(s).__name__, s.units) for s in made.steps if isinstance(s, Start | Restart | Stop)]


def test_processes_are_restarted_one_by_one_and_a_new_socket_is_asked_for_at_last() -> None:
    restarts = [("Restart", (name.proxy(1),)), ("Restart", (name.proxy(2),))]
    assert jobs(plan([A, B], 2, installed([A], 2))) == [*restarts, ("Start", (of(B),))]
    assert jobs(plan([A], 2, installed([A, B], 2))) == [("Stop", (of(B),)), *restarts]


def test_an_address_that_is_in_the_way_is_let_go_by_all_processes_first() -> None:
    others = (name.proxy(2),)
    expected = [("Stop", (FIRST,)), ("Stop", others), ("Restart", (name.proxy(1),)), ("Start", others)]
    assert jobs(plan([NARROW], 2, installed([A], 2))) == [*expected, ("Start", (FIRST,))]


def test_the_order_of_the_list_changes_nothing() -> None:
    assert plan([B, A], 1, installed([A, B])).steps == ()


def test_another_text_of_a_socket_closes_nothing_and_restarts_nobody() -> None:
    host = installed([A, B])
    (path,) = (path for path in host.observed.files if path.name == FIRST)
    before = host.observed.files[path]
    changed = {**host.observed.files, path: replace(before, content=before.content + "# of before\n")}
    host.observed = replace(host.observed, files=changed)
    made = plan([A, B], 1, host).steps
    assert [type(step) for step in made] == [WriteFile, ReloadDaemon]
    host.perform(made, [A, B])
    assert plan([A, B], 1, host).steps == ()


def test_other_code_of_ours_is_said_and_taken_by_one_process_after_the_other() -> None:
    host = installed([A], 2)
    host.observed = replace(host.observed, codes={name.proxy(1): "before", name.proxy(2): "c0de"})
    made = plan([A], 2, host, steps.Options())
    assert (made.pending, made.outdated, made.steps) == ((name.proxy(1),), frozenset({name.proxy(1)}), ())
    assert jobs(plan([A], 2, host)) == [("Restart", (name.proxy(1),))]


def test_the_sockets_of_a_tree_are_found() -> None:
    case = Case(configuration(), target())
    assert turnover.sockets(case.files()) == {FIRST: ("0.0.0.0:8080",), of("[::]:8080"): ("[::]:8080",)}
    assert all(PurePosixPath(file.path).name == file.unit for file in case.files() if file.unit in {FIRST})
