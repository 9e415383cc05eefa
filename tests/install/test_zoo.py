"""The worker zoo: each kind of misbehaviour is contained, told as what it is, and nobody else's
trouble."""

from __future__ import annotations

import pytest

from .conftest import Site
from .test_manager import becomes, events, instances, states
from .zoo import KINDS, NEIGHBOUR, populate

ASKING = """\
import socket
while True:
    one = socket.create_connection(("127.0.0.1", 8080))
    one.sendall(b"GET /busy/ HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n")
    one.makefile("rb").read()
"""


def unit(kind: str) -> str:
    return f"tq-worker@{kind}.service"


def seen(site: Site, kind: str) -> list[tuple[str, str]]:
    """What happened to it: event and state."""
    return [(each["event"], each["after"]) for each in events(site, kind)]


@pytest.mark.long
def test_each_kind_is_contained_and_told(managed: Site) -> None:
    populate(managed)
    assert "dies: it exited with status 3\n" in managed.install(status=1)
    before = managed.machine.show(unit(NEIGHBOUR), "MainPID")
    machine = managed.machine

    machine.wait_until(lambda: instances(managed)["dies"]["restarts"] > 0)
    assert "exit-code" in instances(managed)["dies"]["result"]
    assert states(managed)["dies"] in {"unhealthy", "starting", "failed"}

    machine.wait_until(lambda: instances(managed)["hangs"]["requested_restarts"] > 0)
    assert ("missed", "unhealthy") in seen(managed, "hangs")

    machine.wait_until(lambda: ("exited", "unhealthy") in seen(managed, "eats"))
    assert "memory" in next(each["cause"] for each in events(managed, "eats") if each["event"] == "exited")

    machine.wait_until(lambda: machine.show(unit("forks"), "TasksCurrent") == "16")
    machine.systemctl("stop", unit("forks"))
    assert machine.show(unit("forks"), "TasksCurrent") in {"0", "[not set]"}

    becomes(managed, "sick", "unhealthy")
    assert instances(managed)["sick"]["why"].endswith("/health: 500 Internal Server Error: no database")
    assert instances(managed)["sick"]["requested_restarts"] == 0

    machine.systemctl("restart", unit("slow"))
    assert seen(managed, "slow")[-2:] == [("begun", "starting"), ("ready", "healthy")]

    with machine.start(["python3", "-c", ASKING]) as asking:
        try:
            machine.wait_until(lambda: seen(managed, "busy").count(("missed", "unhealthy")) > 1)
            assert instances(managed)["busy"]["requested_restarts"] == 0, "it answers requests"
        finally:
            asking.terminate()
    becomes(managed, "busy", "healthy")

    machine.systemctl("stop", unit("deaf"))
    assert seen(managed, "deaf")[-2][1] == "stopping"
    assert machine.show(unit("deaf"), "MainPID") == "0"

    found = instances(managed)[NEIGHBOUR]
    assert (found["state"], found["restarts"], found["requested_restarts"]) == ("healthy", 0, 0)
    assert machine.show(unit(NEIGHBOUR), "MainPID") == before
    assert managed.get(f"/{NEIGHBOUR}/environment")[0] == 200
    assert set(instances(managed)) == {*KINDS, NEIGHBOUR}
