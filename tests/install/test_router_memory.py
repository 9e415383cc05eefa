"""A router whose clients make it exceed MemoryMax= is killed by the kernel, and the next one gets
its sockets."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from .conftest import LISTEN, Site
from .control import echo, pid

pytestmark = pytest.mark.usefixtures("repairing")

ROUTER = "tq-proxy@1.service"
OVERRIDES = "/etc/systemd/system/tq-proxy@.service.d"
SERVING = "/run/tqunits/workers/alpha/serving"
GO = "/run/go"
LITTLE = f"[Service]\nMemoryMax=48M\nExecStartPre=/bin/sh -c 'until [ -e {GO} ]; do sleep 0.05; done'\n"
"""A router without clients takes some 30 MiB. The next one does not start until the test allows
it."""

CLIENTS = 900
BODY = b"POST /alpha/ HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 100_000
"""More memory than the router takes for one request that it holds: 72 KiB there, the rest in the
kernel."""


@pytest.fixture
def little(site: Site) -> Iterator[Site]:
    """A router with little memory, and a worker to which it may send no requests."""
    echo(site)
    site.machine.write(f"{OVERRIDES}/50-test.conf", LITTLE)
    site.machine.write(GO, "")
    site.machine.systemctl("daemon-reload")
    site.machine.systemctl("restart", ROUTER)
    assert site.get("/alpha/") == (200, "ok")
    site.unwatched()
    site.machine.remove(GO)
    site.machine.remove(SERVING)
    yield site
    site.machine.write(GO, "")
    site.machine.remove(f"{OVERRIDES}/50-test.conf")
    site.machine.systemctl("daemon-reload")
    site.machine.systemctl("restart", ROUTER, check=False)
    site.machine.remove(GO)
    site.machine.systemctl("start", "tq-repair.path")


def press(site: Site, router: int) -> None:
    """Requests that wait in the router, until the router ends."""
    with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
        for number in range(CLIENTS):
            client = stack.enter_context(site.machine.connect(LISTEN))
            client.setblocking(False)
            client.send(BODY)
            if number % 50 == 0 and pid(site, ROUTER) != router:
                return


def test_a_router_beyond_memory_max_is_killed_and_the_next_one_has_its_sockets(little: Site) -> None:
    router, worker = pid(little, ROUTER), pid(little, "tq-worker@alpha.service")
    listening = little.machine.show("tq-proxy.socket", "InactiveExitTimestampMonotonic")
    press(little, router)
    little.machine.wait_until(lambda: little.machine.show(ROUTER, "SubState") == "start-pre")
    assert "status=9/KILL" in little.machine.journal(ROUTER)
    with little.machine.connect(LISTEN) as client:  # no router runs, and no connection is refused
        client.sendall(b"GET /alpha/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        little.machine.write(SERVING, "")
        little.machine.write(GO, "")
        client.settimeout(30)
        with client.makefile("rb") as answer:
            assert answer.read().endswith(b"\r\n\r\nok")
    assert little.machine.show(ROUTER, "NRestarts") == "1"
    assert pid(little, ROUTER) not in {0, router}
    assert pid(little, "tq-worker@alpha.service") == worker
    assert little.machine.show("tq-proxy.socket", "InactiveExitTimestampMonotonic") == listening
