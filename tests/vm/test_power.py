"""The power is cut at a random moment of install, apply or upgrade: the next boot has only whole
files, and the next run completes (promise P5).

A host is in one of four states: two configurations by two releases of the package. Each cut is on
the way from one state to a neighbour, and the next run completes that way. First the host goes
through all four states without a cut. This records every file of each state, and the work of each
way in seconds of the emulator's processor time: wall time would depend on the load of the host.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from deb.host import APT, APT_SECONDS
from deb.package import later
from install.crash import assert_each_file_is_whole, configure

from .conftest import VirtualHost

pytestmark = [pytest.mark.vm, pytest.mark.timeout(1800)]

OTHER = {"one": "two", "two": "one"}
ONLY_IN = {"one": "gamma", "two": "beta"}  # of the workers of install.crash; alpha is in both
SHORT, LONG = range(5), range(5, 20)

Tree = dict[str, str]


@dataclass(frozen=True)
class State:
    variant: str
    deb: Path


@dataclass
class Ways:
    """The host, its state, and what is known of the states and of the ways between them."""

    host: VirtualHost
    debs: tuple[Path, Path]
    at: State
    trees: dict[State, Tree] = field(default_factory=dict)
    work: dict[str, float] = field(default_factory=dict)

    def target(self, operation: str) -> State:
        if operation == "upgrade":
            return State(self.at.variant, self.debs[self.at.deb == self.debs[0]])
        return State(OTHER[self.at.variant], self.at.deb)

    def command(self, operation: str, target: State) -> list[str]:
        if operation == "upgrade":
            return [*APT, self.host.lay_down(target.deb)]
        configure(self.host, target.variant)
        self.host.machine.run(["sync"])  # only our own writes are to be cut, not the administrator's before
        verb = ["apply"] if operation == "apply" else ["install", "--now", "--prune"]
        return [self.host.machine.tqunits_path, *verb]

    def walk(self, operation: str) -> None:
        """Go to the next state without a cut, and record its files and the work."""
        target = self.target(operation)
        command = self.command(operation, target)
        before = self.host.machine.work()
        self.host.machine.run(command, timeout=APT_SECONDS)
        self.work[operation] = self.host.machine.work() - before
        self.arrive(target)

    def cut(self, operation: str, part: float) -> str:
        """Cut the power after so much of the work, boot, check, and go on; gives a figure."""
        machine, old, target = self.host.machine, self.trees[self.at], self.target(operation)
        running = machine.begin(self.command(operation, target))
        is_over = machine.finishes_within(running, part * self.work[operation])
        machine.cut_power()
        machine.power_on()
        machine.await_boot()
        now, new = self.host.lasting_files(), self.trees[target]
        assert_each_file_is_whole(now, old, new)
        self.host.assert_sound()
        assert self.host.get("/alpha/health") == (200, "ok")
        changed = [path for path in old | new if old.get(path) != new.get(path)]
        done = [path for path in changed if now.get(path) == new.get(path)]
        if operation == "upgrade":  # a package that is not unpacked whole has to be given to dpkg again, as here
            configure = machine.run(["dpkg", "--configure", "-a"], check=False, merge=True, timeout=APT_SECONDS)
            assert configure.returncode == 0 or "you should\n reinstall it" in configure.stdout, configure.stdout
        self.host.machine.run(self.command(operation, target), timeout=APT_SECONDS)
        self.arrive(target)
        when = f"{part:.0%} of {self.work[operation]:.1f} s" + (", was over" if is_over else "")
        return f"{operation} cut at {when}: {len(done)} of {len(changed)} files new; boot {machine.boot_seconds:.1f} s"

    def arrive(self, target: State) -> None:
        """Everything is as it should be: nothing is left to do, every file is known, the workers
        serve."""
        self.host.install()
        assert "nothing to do" in self.host.install()
        tree = self.host.lasting_files()
        assert self.trees.setdefault(target, tree) == tree
        for name in ("alpha", ONLY_IN[target.variant]):
            assert self.host.get(f"/{name}/health") == (200, "ok"), name
        assert self.host.running_workers() == {"alpha", ONLY_IN[target.variant]}
        assert self.host.get("/alpha/environment")[1]["VARIANT"] == target.variant
        self.at = target


@pytest.fixture(scope="module")
def ways(host: VirtualHost, deb: Path, folder: Path) -> Ways:
    """The host with a configuration, after it has gone through all states."""
    start = State("one", deb)
    found = Ways(host, (deb, later(deb, folder)), start)
    configure(host, start.variant)
    host.run("apply", timeout=APT_SECONDS)
    found.arrive(start)
    for operation in ("install", "upgrade", "apply", "upgrade"):
        found.walk(operation)
    assert found.at == start
    assert len(found.trees) == 4
    return found


@pytest.mark.parametrize("number", [*SHORT, *(pytest.param(n, marks=pytest.mark.long) for n in LONG)])
def test_a_power_cut_leaves_every_unit_whole_and_the_next_run_completes(
    number: int, ways: Ways, figure: Callable[[str], None]
) -> None:
    operation = ("install", "apply", "upgrade")[number % 3]
    figure(ways.cut(operation, random.random()))
