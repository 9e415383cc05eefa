"""Whatever happens on disk, to the manager and by hand, in an order that nobody has thought of:
when it is quiet again, what lies on disk is served, nobody has lost a request, and all that is said
is true. The operations are those of chaos.py."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pytest

from .changing import await_watch, unsuperseded
from .chaos import COMMON, LINKED, NAMES, PROGRAM, SET_COMMON, WORKERS, YAML, Draw, Operation
from .conftest import ROOT, Site
from .hammering import check, hammered
from .test_backoff import wait

CASES = {"short": (1, 3), **{f"seed {seed}": (seed, 15) for seed in range(2, 12)}}
"""Each with its seed, and the number of bursts, of up to three operations each."""

MORE_DESCRIPTORS, MORE_KIB = 10, 30_000
"""Of one manager, than when it was quiet for the first time."""

TRUE_OF = {"watch", "left-out", "configuration", "drift", "secrets", "programs", "drop-ins"}
"""What `doctor` checks that an operation may change. Not `units`: a run of root's that has failed
stays so until the next one, also when what was wrong was mended by a run for one worker, or taken
back."""

AT_WORK = """\
systemctl list-jobs --no-legend
systemctl list-units --plain --no-legend --state=activating,deactivating 'tq-*'
"""

LOOK = "for each in 1 2 3 4; do tqunits ls > /dev/null || true; done"

COST = """\
pid=$(systemctl show --value --property=MainPID tq-manager.service)
echo $pid $(ls /proc/$pid/fd | wc -l) $(sed -n 's/VmRSS:[[:space:]]*\\([0-9]*\\) kB/\\1/p' /proc/$pid/status)
"""

READ = f"""\
cd {WORKERS}
for worker in *; do
    setting=$(sed -n 's/.*SETTING: \\(.*\\)}}/\\1/p' $worker/config/worker.yaml)
    echo $worker $(cat $worker/src/version.txt)/$setting/$(sed s/SECRET=// $worker/.env)
done
sed -n 's/.*COMMON: \\(.*\\)}}}}/\\1/p' {COMMON}
"""


@dataclass
class Host:
    """The host, and what was done with it."""

    site: Site
    draw: Draw
    done: list[str] = field(default_factory=list)
    pending: dict[str, Operation] = field(default_factory=dict)  # worker -> what is to be mended
    rolls: Counter[str] = field(default_factory=Counter[str])  # that may have been, since the beginning
    costs: dict[int, tuple[int, int]] = field(default_factory=dict)  # of each manager: descriptors, KiB of memory

    def burst(self) -> None:
        """Some operations; in the end nothing is left wrong."""
        for _ in range(self.draw.random.randint(1, 3)):
            worker, name, operation = self.draw.operation()
            if operation.is_alone or worker in self.pending:
                self.mend()
            self.do(worker, name, operation)
            if self.draw.random.random() < 0.4:  # as long as people look, work goes on
                self.run("", "a look", LOOK)
            if operation.is_alone or self.draw.random.random() < 0.3:
                self.mend()
        self.mend()

    def do(self, worker: str, name: str, operation: Operation) -> None:
        self.run(worker, name, operation.line)
        self.rolls.update(dict.fromkeys([worker] if worker else NAMES, operation.rolls))
        if operation.mend:
            self.pending[worker] = operation

    def mend(self) -> None:
        for worker, operation in self.pending.items():
            self.run(worker, "mended", operation.mend)
        self.pending.clear()

    def run(self, worker: str, name: str, line: str) -> None:
        self.done.append(f"{worker or 'host'}: {name}")
        self.site.machine.run(["sh", "-euc", self.draw.line(line, worker)])

    def cost(self) -> None:
        """A manager holds no more descriptors and memory than before."""
        pid, descriptors, memory = map(int, self.site.machine.run(["sh", "-euc", COST]).stdout.split())
        before = self.costs.setdefault(pid, (descriptors, memory))
        assert descriptors <= before[0] + MORE_DESCRIPTORS, f"{descriptors} descriptors after {self.done}"
        assert memory <= before[1] + MORE_KIB, f"{memory} KiB after {self.done}"

    # What is true

    def disk(self) -> dict[str, str]:
        """What each worker is to answer."""
        *own, common = self.site.machine.run(["sh", "-euc", READ]).stdout.splitlines()
        return {worker: f"{what}/{common}" for worker, what in (line.split() for line in own)}

    def served(self, worker: str) -> str:
        return str(self.site.get(f"/{worker}/?id=7")[1]).split(" ")[-1].removesuffix(".end")

    def history(self, worker: str) -> list[dict[str, Any]]:
        return list(json.loads(self.site.run("history", worker, "--json"))["deploys"])

    def wrong(self) -> list[object]:
        """What is not as it is to be when all is quiet; it ends with the first."""
        if at_work := self.site.machine.run(["sh", "-euc", AT_WORK]).stdout:
            return ["at work", at_work]
        disk = self.disk()
        served = {worker: self.served(worker) for worker in disk}
        if disk != served:
            return ["on disk, served", disk, served]
        listed = json.loads(self.site.machine.tqunits("ls", "--json").stdout)
        if listed["unapplied"]:
            return ["unapplied", listed["unapplied"]]
        if disk.keys() != {row["name"] for row in listed["workers"]}:
            return ["listed", listed]
        for row in listed["workers"]:
            if row["state"] != "healthy" or row["left_out"] or row["restart_due"] or row["waiting"]:
                return ["listed", row]
        found = [each for worker in NAMES for each in self.history(worker)]
        if going := [each for each in found if each["outcome"] in {"waiting", "running"}]:
            return ["deploys that go on", going]
        asked = ["curl", "-s", "--unix-socket", "/run/tqunits/manager/control.sock", "http://manager/watches"]
        watches = json.loads(self.site.machine.run(asked, check=False).stdout or '{"watches": []}')["watches"]
        if {each["worker"] for each in watches} != disk.keys():
            return ["watched", watches]
        doctor = json.loads(self.site.machine.tqunits("doctor", "--json", check=False).stdout)["findings"]
        if problems := [each for each in doctor if each["level"] != "ok" and each["check"] in TRUE_OF]:
            return ["doctor", problems]
        return [each for each in watches if each["state"] != "watches" or any(map(each.get, ("why", "refused")))]

    def is_quiet(self) -> bool:
        try:
            return not self.wrong()
        except (ValueError, KeyError):  # the manager is away
            return False

    def settle(self) -> None:
        """Wait until all is as it lies on disk."""
        try:
            wait(self.site, lambda: self.is_quiet() and self.is_quiet())  # what has just begun is seen by the second
        except Exception as error:
            raise AssertionError(f"{self.wrong()} after {self.done}") from error

    def last(self) -> int:
        """The number of the last deploy or restart of all workers."""
        return max((each["number"] for worker in NAMES for each in self.history(worker)), default=0)

    def rolls_since(self, worker: str, number: int) -> list[dict[str, Any]]:
        """Deploys and restarts after that one."""
        return [each for each in unsuperseded(self.history(worker)) if each["number"] > number]


@pytest.fixture
def chaos(developing: Site, request: pytest.FixtureRequest) -> Host:
    """Three workers that are watched; the folder of one of them is a link."""
    site, (seed, _) = developing, CASES[request.node.callspec.params["case"]]
    for worker in NAMES:
        site.worker(worker, YAML, program=PROGRAM)
        site.machine.write(f"{WORKERS}/{worker}/src/version.txt", "v0\n")
        site.machine.write(f"{WORKERS}/{worker}/.env", "SECRET=v0\n")
    site.machine.run(["chown", "40123", f"{WORKERS}/alpha/.env"])  # so it is copied
    site.machine.run(["sh", "-euc", f"mv {WORKERS}/{LINKED} {ROOT}/first; ln -s {ROOT}/first {WORKERS}/{LINKED}"])
    site.machine.write(COMMON, "")
    host = Host(site, Draw(seed))
    host.run("", "common", SET_COMMON)
    site.install()
    for worker in NAMES:
        await_watch(site, worker)
    return host


@pytest.mark.timeout(1800)
@pytest.mark.short("short")
@pytest.mark.parametrize("case", CASES)
def test_what_lies_on_disk_is_served(chaos: Host, case: str) -> None:
    site, since = chaos.site, chaos.site.machine.cursor()
    with hammered(site, 4) as report:
        for _ in range(CASES[case][1]):
            last, before = chaos.last(), chaos.rolls.copy()
            chaos.burst()
            chaos.settle()
            chaos.cost()
            for worker in NAMES:
                rolls = chaos.rolls_since(worker, last)
                assert len(rolls) <= chaos.rolls[worker] - before[worker], f"{worker}: {rolls} after {chaos.done}"
    check(site, report)
    for unit in ("tq-manager.service", "tq-apply*.service"):  # a worker that does not start has its own
        assert "Traceback" not in site.machine.journal(unit, since)
