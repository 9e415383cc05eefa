"""Nothing is lost (promise P2): restarts of workers and of the router, and new routes, under clients that keep asking.

The worker here is as rude as a worker can be: SIGTERM ends it at once, whatever runs. That nobody notices is the work
of the router, and of the drain before the stop. bench/restarts.py does the same with more of everything.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .conftest import ROOT, Site

HAMMER = (Path(__file__).parent / "hammer.py").read_text(encoding="utf-8")
RUDE = '''\
"""Answers with the number of the request and what came of its body; notes every POST; dies of SIGTERM."""

import asyncio
import os

notes = os.open(os.path.join(os.environ["STATE_DIRECTORY"], "posts"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
FILL = b"." * 20000


async def serve(reader, writer):
    try:
        while True:
            head = await reader.readuntil(b"\\r\\n\\r\\n")
            lines = head.lower().split(b"\\r\\n")
            length = next((int(line[15:]) for line in lines if line.startswith(b"content-length:")), 0)
            body = await reader.readexactly(length)
            identity = head.split(b" ", 2)[1].partition(b"id=")[2]
            if head.startswith(b"POST"):
                os.write(notes, identity + b"\\n")
            answer = b"%b %d %b.end" % (identity, len(body), FILL)
            writer.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n%b" % (len(answer), answer))
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", int(os.environ["WORKER_PORT"]), backlog=1000)
    await server.serve_forever()


asyncio.run(main())
'''


@contextmanager
def hammered(site: Site, clients: int) -> Iterator[dict[str, Any]]:
    """Clients that ask meanwhile; afterwards the value has their report."""
    site.machine.write(f"{ROOT}/hammer.py", HAMMER)
    site.machine.remove(f"{ROOT}/enough")
    report: dict[str, Any] = {}
    command = ["python3", f"{ROOT}/hammer.py", "127.0.0.1:8080", "/alpha/", str(clients), f"{ROOT}/enough"]
    with site.machine.start(command) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        try:
            yield report
        finally:
            site.machine.write(f"{ROOT}/enough", "")
        report |= json.loads(process.stdout.readline())


def noted(site: Site) -> Counter[str]:
    """How often the worker has seen each POST."""
    return Counter(site.machine.read("/var/lib/tqunits/workers/alpha/posts").split())


def check(site: Site, report: dict[str, Any]) -> None:
    """No request failed; every POST was done once, whether it was answered or not."""
    assert report["failed"] == {}
    assert report["good"] > 100
    seen = noted(site)
    assert set(seen.values()) == {1}
    assert seen.keys() == set(report["posted"]) == set(report["answered"])


def rude(site: Site) -> None:
    site.worker("alpha", "restart: {max_restarts: 1000}\n", program=RUDE)
    site.install()


def test_restarts_of_a_worker_lose_nothing(site: Site) -> None:
    rude(site)
    with hammered(site, 40) as report:
        for _ in range(5):
            site.machine.systemctl("restart", "tq-worker@alpha")
    check(site, report)


def test_restarts_of_the_router_lose_nothing(site: Site) -> None:
    rude(site)
    with hammered(site, 40) as report:
        for _ in range(3):
            site.machine.systemctl("restart", "tq-proxy@1")
    check(site, report)


def test_new_routes_and_reloads_lose_nothing(site: Site) -> None:
    rude(site)
    with hammered(site, 20) as report:
        for name in ("beta", "gamma"):
            site.worker(name)
            site.install()
            site.machine.systemctl("reload", "tq-proxy@1")
        site.remove_worker("beta")
        site.run("apply")
    check(site, report)


def test_a_change_of_the_worker_is_taken_and_loses_nothing(site: Site) -> None:
    rude(site)
    with hammered(site, 20) as report:
        for port in ("9500", "9501"):
            site.worker("alpha", f"port: {port}\nrestart: {{max_restarts: 1000}}\n", program=RUDE)
            assert "restart tq-worker@alpha.service" in site.install()
    check(site, report)


def test_a_worker_that_is_killed_loses_only_what_it_had(site: Site) -> None:
    """A request that it had begun may have been done: only GETs are asked again, and a POST never is."""
    rude(site)
    with hammered(site, 20) as report:
        for _ in range(3):
            site.machine.systemctl("kill", "--signal=KILL", "tq-worker@alpha")
            site.machine.wait_until(["curl", "-sf", "-m", "5", "http://localhost:8080/alpha/?id=x"])
    assert [reason for reason in report["failed"] if not reason.startswith("POST ValueError: status 502")] == []
    assert set(noted(site).values()) == {1}
    assert set(report["answered"]) <= noted(site).keys()


def test_a_crash_of_the_router_leaves_the_workers_alone(site: Site) -> None:
    rude(site)
    before = site.machine.show("tq-worker@alpha.service", "MainPID")
    site.machine.systemctl("kill", "--signal=KILL", "tq-proxy@1")
    site.machine.wait_until(["curl", "-sf", "-m", "5", "http://localhost:8080/alpha/?id=x"])
    assert site.machine.show("tq-worker@alpha.service", "MainPID") == before


def test_a_worker_that_does_not_come_back_healthy_gets_no_request(site: Site) -> None:
    site.worker("alpha")
    site.install()
    site.machine.systemctl("stop", "tq-worker@alpha")
    assert site.machine.exists("/run/tqunits/draining/alpha")
    request = ["curl", "-s", "-m", "1", "-o", "/dev/null", "http://localhost:8080/alpha/health"]
    assert site.machine.run(request, check=False).returncode == 28  # curl(1): no answer in time, since it waits
    site.machine.systemctl("start", "tq-worker@alpha")
    assert site.get("/alpha/health") == (200, "ok")
    assert not site.machine.exists("/run/tqunits/draining/alpha")
