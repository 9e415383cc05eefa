"""`tqunits ls --watch` and `tqunits events -f` on a booted systemd: what they show after each
change, on a terminal and elsewhere, with a manager and without one."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from .conftest import Site
from .test_manager import MANAGER
from .watching import LIMIT_S, plain, started, terminal

STATE = re.compile(r"(?m)^(\w+)\s+/\S+\s+(\w+)")
AWAY = "the manager does not answer"
BACK = "the manager is back"


def states(document: dict[str, Any]) -> dict[str, str]:
    return {worker["name"]: worker["state"] for worker in document["workers"]}


def is_state(worker: str, state: str) -> Callable[[str], bool]:
    return lambda drawing: dict(STATE.findall(plain(drawing))).get(worker) == state


def two_workers(site: Site) -> None:
    site.worker("alpha")
    site.worker("beta")
    site.install()


def test_each_change_is_a_document(managed: Site) -> None:
    two_workers(managed)
    with started(managed.machine, "ls", "--watch", "--json") as watching:
        first = watching.document()
        assert (first["schema"], first["manager"]) == ("tqunits.ls", True)
        assert states(first) == {"alpha": "healthy", "beta": "healthy"}
        managed.machine.systemctl("stop", "tq-worker@beta")
        found = watching.documents(until=lambda each: states(each)["beta"] == "stopped")
        assert all(states(each)["alpha"] == "healthy" for each in found)
        managed.machine.systemctl("start", "tq-worker@beta")
        later = watching.documents(until=lambda each: states(each)["beta"] == "healthy")
        shown = [first, *found, *later]
        assert all(one != other for one, other in pairwise(shown)), "a change was shown twice"


def test_workers_that_come_and_go_and_orders_are_changes(managed: Site) -> None:
    managed.worker("alpha")
    managed.install()
    with started(managed.machine, "ls", "--watch", "--json") as watching:
        assert states(watching.document()) == {"alpha": "healthy"}
        managed.worker("beta")
        managed.install()
        watching.documents(until=lambda each: states(each) == {"alpha": "healthy", "beta": "healthy"})
        managed.run("pause", "alpha")
        watching.documents(until=lambda each: [worker["order"] for worker in each["workers"]] == ["pause", None])
        managed.run("resume", "alpha")
        managed.run("uninstall", "beta")
        watching.documents(until=lambda each: states(each).get("beta", "not installed") == "not installed")


@pytest.mark.long
def test_blocks_of_those_that_are_named(managed: Site) -> None:
    two_workers(managed)
    with started(managed.machine, "ls", "-w", "bet*") as watching:
        assert watching.line().startswith("NAME")
        assert watching.line().startswith("beta")
        managed.machine.systemctl("restart", "tq-worker@alpha")
        managed.machine.systemctl("stop", "tq-worker@beta")
        assert watching.line() == ""
        seen = [watching.line()]
        while not (seen[-1].startswith("beta") and " stopped " in seen[-1]):
            seen.append(watching.line())
        assert not any(line.startswith("alpha") for line in seen)


@pytest.mark.short("kill")
@pytest.mark.parametrize("end", ["kill", "restart"])
def test_it_survives_the_manager(managed: Site, end: str) -> None:
    two_workers(managed)
    managed.machine.systemctl("restart", "tq-worker@alpha")  # a change; the manager may have come after the start
    with (
        started(managed.machine, "ls", "--watch", "--json") as watching,
        started(managed.machine, "events", "-f", "--json") as events,
    ):
        assert watching.document()["manager"] is True
        assert events.document()["name"] in {"alpha", "beta"}
        command = ("kill", "--signal=KILL", MANAGER) if end == "kill" else ("restart", MANAGER)
        managed.machine.systemctl(*command)
        watching.documents(until=lambda each: each["manager"] is False)
        watching.documents(until=lambda each: each["manager"] is True)
        managed.machine.systemctl("stop", "tq-worker@beta")
        watching.documents(until=lambda each: states(each)["beta"] == "stopped")
        news = events.document()
        while (news["name"], news["after"]) != ("beta", "stopped"):
            news = events.document()
        assert news["number"] <= 2, "the new manager counts from 1"
        for each, said in ((watching, AWAY), (events, "the manager is away")):
            text = each.messages()
            assert (text.count(said), text.count(BACK)) == (1, 1), text


def test_without_a_manager_systemd_tells(managed: Site) -> None:
    two_workers(managed)
    managed.machine.systemctl("stop", MANAGER)
    managed.machine.systemctl("stop", "tq-manager.socket")
    with started(managed.machine, "ls", "--watch", "--json") as watching:
        assert watching.document()["manager"] is False
        assert AWAY in watching.message()
        managed.machine.systemctl("stop", "tq-worker@beta")
        watching.documents(until=lambda each: states(each)["beta"] == "stopped")
        managed.machine.systemctl("start", "tq-manager.socket", MANAGER)
        watching.documents(until=lambda each: each["manager"] is True)
        assert BACK in watching.message()


def test_a_manager_that_was_stopped_stays_so(managed: Site) -> None:
    managed.worker("alpha")
    managed.install()
    with started(managed.machine, "ls", "--watch", "--json") as watching:
        assert watching.document()["manager"] is True
        managed.machine.systemctl("stop", MANAGER)
        watching.documents(until=lambda each: each["manager"] is False)
        managed.machine.systemctl("restart", "tq-worker@alpha")
        watching.documents(until=lambda each: states(each)["alpha"] == "healthy")
        assert managed.machine.show(MANAGER, "ActiveState") == "inactive"


@pytest.mark.long
def test_a_manager_that_hangs_is_away(managed: Site) -> None:
    two_workers(managed)
    with started(managed.machine, "ls", "--watch", "--json") as watching:
        assert watching.document()["manager"] is True
        managed.machine.systemctl("kill", "--signal=STOP", MANAGER)
        watching.documents(until=lambda each: each["manager"] is False)
        managed.machine.systemctl("stop", "tq-worker@beta")
        watching.documents(until=lambda each: states(each)["beta"] == "stopped")
        managed.machine.systemctl("kill", "--signal=CONT", MANAGER)
        watching.documents(until=lambda each: each["manager"] is True)


def test_who_may_not_ask_the_manager_sees_the_changes(managed: Site, alice: str) -> None:
    managed.worker("alpha")
    managed.install()
    with started(managed.machine, "ls", "--watch", "--json", user=alice) as watching:
        assert states(watching.document()) == {"alpha": "healthy"}
        managed.machine.systemctl("stop", "tq-worker@alpha")
        watching.documents(until=lambda each: states(each)["alpha"] == "stopped")


@pytest.mark.long
def test_a_bus_that_starts_anew_ends_nothing(site: Site, alice: str) -> None:
    site.worker("alpha")
    site.install()
    with started(site.machine, "ls", "--watch", "--json", user=alice) as watching:
        assert states(watching.document()) == {"alpha": "healthy"}
        with site.machine.without_bus():
            site.machine.run(["systemctl", "stop", "tq-worker@alpha"])
        watching.documents(until=lambda each: states(each)["alpha"] == "stopped")


def test_a_reader_that_goes_ends_it(managed: Site) -> None:
    managed.worker("alpha")
    managed.install()
    script = f"{managed.machine.tqunits_path} ls --watch | head -1; echo ${{PIPESTATUS[0]}}"
    done = managed.machine.run(["bash", "-c", script])
    head, status = done.stdout.splitlines()
    assert head.startswith("NAME")
    assert (status, done.stderr) == ("141", "")


def test_on_a_terminal_it_stays_in_its_place(managed: Site) -> None:
    two_workers(managed)
    with terminal(managed.machine, "ls", "--watch") as screen:
        screen.sees(is_state("beta", "healthy"))
        managed.machine.systemctl("stop", "tq-worker@beta")
        screen.sees(is_state("beta", "stopped"))
        managed.machine.systemctl("start", "tq-worker@beta")
        screen.sees(is_state("beta", "healthy"))
        screen.resize(30, 2)
        small = screen.sees(lambda drawing: "more lines" in drawing)
        assert plain(small).splitlines()[-1] == "... and 2 more lines"
        assert all(len(line) < 30 for line in plain(small).splitlines())
        screen.resize(200, 50)
        screen.sees(is_state("alpha", "healthy"))
        managed.machine.systemctl("kill", "--signal=KILL", MANAGER)
        screen.sees(lambda drawing: AWAY in drawing)
        screen.sees(lambda drawing: AWAY not in drawing and is_state("alpha", "healthy")(drawing))
        screen.type(b"\x03")
        assert screen.rest().endswith("\x1b[0m\r\n"), screen.drawn[-99:]
        assert screen.process.wait(LIMIT_S) == 130
