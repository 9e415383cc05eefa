"""Whom the manager answers at its socket: each target and method, asked by real users. What comes
of jobs and of the journal is tried on a booted systemd (tests/install/test_operators.py)."""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from manager.placed import place

from tqunits.lifecycle.state import Event, State
from tqunits.manager.announcements import Announcements
from tqunits.manager.answering import MAX_OF_A_USER, ManagerAnswers
from tqunits.manager.callers import MOST_REQUESTS
from tqunits.manager.readiness_file import ReadinessFile
from tqunits.manager.recent_changes import RecentChanges
from tqunits.manager.record import Change, Place
from tqunits.manager.registry import Registry
from tqunits.model import Instance
from tqunits.system.bus import Bus
from tqunits.system.process import run

pytestmark = [
    pytest.mark.loops("uvloop"),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else"),
]

API, SHOP = Instance("api"), Instance("shop")
OPERATORS = {API: ("daemon",), SHOP: ("%games",)}
"""Accounts that each Debian has. `games` has the group games, and daemon has not."""

ROOT, OF_API, OF_SHOP, ANYBODY = "root", "daemon", "games", "nobody"


class Manager:
    """A manager's answers, and what has happened."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "control.sock"
        self.registry, self.events = Registry(), RecentChanges()
        self.registry.place([self.place(whose) for whose in OPERATORS])
        readiness = ReadinessFile(folder / "unready.json", self.registry, say=print)
        self.runtime = folder
        self.answers = ManagerAnswers(
            self.path,
            self.registry,
            self.events,
            readiness,
            Bus(),
            Announcements(None),
            runtime=PurePosixPath(folder),
        )

    def place(self, whose: Instance) -> Place:
        return replace(place(whose), source="/y", operators=OPERATORS[whose])

    def happens(self, number: int, whose: Instance) -> None:
        self.events.add(
            Change(
                number=number,
                at=number,
                whose=whose,
                event=Event.BEGUN,
                before=State.STOPPED,
                after=State.STARTING,
                cause="",
            )
        )

    async def ask(self, user: str, target: str, *words: str) -> tuple[int, dict[str, Any]]:
        command = ["curl", "-s", "-g", "-m", "20", "-w", " %{http_code}", "--unix-socket", str(self.path)]
        done = await asyncio.to_thread(run, [*command, *words, f"http://m{target}"], user=user)
        body, _, status = done.stdout.rpartition(" ")
        return int(status), json.loads(body)


@pytest.fixture
async def manager() -> AsyncIterator[Manager]:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        found = Manager(Path(folder))
        await found.answers.server.start()
        yield found
        found.answers.close()


def busy(manager: Manager) -> bool:
    """Whether a connection to it is open, as the kernel tells: the listening socket has a line of
    its own."""
    lines = Path("/proc/net/unix").read_text().splitlines()
    return sum(line.endswith(f" {manager.path}") for line in lines) > 1


@pytest.mark.parametrize(
    ("target", "words", "expected"),
    [  # root, the operator of api, that of shop, anybody
        ("/version", (), (200, 200, 200, 200)),
        ("/version", ("-X", "POST"), (405, 405, 405, 405)),
        ("/instances", (), (200, 200, 200, 403)),
        ("/instances", ("-X", "POST"), (405, 405, 405, 403)),
        ("/watches", (), (200, 200, 200, 403)),
        ("/watches", ("-X", "POST"), (405, 405, 405, 403)),
        ("/events?after=0", (), (200, 200, 200, 403)),
        ("/events?after=x", (), (404, 404, 404, 403)),
        ("/nothing", (), (404, 404, 404, 403)),
        ("/start", (), (405, 405, 405, 403)),
        ("/logs?worker=gone", (), (404, 403, 403, 403)),
        ("/logs?worker=api;shop", (), (404, 404, 404, 403)),
        ("/logs?worker=api", ("-X", "DELETE"), (405, 405, 405, 403)),
        ("/stop", ("-d", '{"worker": "gone"}'), (404, 403, 403, 403)),
        ("/stop", ("-d", '{"instances": ["shop", "api:2"]}'), (404, 403, 403, 403)),
        ("/stop", ("-d", '{"instances": ["api:2"]}'), (404, 404, 403, 403)),
        ("/restart", ("-d", "[]"), (400, 400, 400, 403)),
        ("/restart", ("-d", '{"worker": "api", "mode": "flush"}'), (400, 400, 400, 403)),
        ("/restart", ("-d", '{"worker": "api", "instances": ["shop"]}'), (400, 400, 400, 403)),
        ("/restart?worker=api", ("-d", "{}"), (405, 405, 405, 403)),
        ("/stop", ("-d", "x" * 70_000), (413, 413, 413, 413)),
    ],
)
async def test_who_asks_decides(manager: Manager, target: str, words: tuple[str, ...], expected: object) -> None:
    found = [await manager.ask(user, target, *words) for user in (ROOT, OF_API, OF_SHOP, ANYBODY)]
    assert tuple(status for status, _ in found) == expected


async def test_lists_have_what_is_his(manager: Manager) -> None:
    manager.happens(1, API)
    manager.happens(2, SHOP)
    for user, own in ((ROOT, ["api", "shop"]), (OF_API, ["api"]), (OF_SHOP, ["shop"])):
        _, found = await manager.ask(user, "/instances")
        assert [each["name"] for each in found["instances"]] == own
        _, found = await manager.ask(user, "/events?after=0")
        assert [each["name"] for each in found["events"]] == own
        assert (found["first_event"], found["last_event"]) == (1, 2)


async def test_the_files_are_looked_at_for_all_whoever_asks_first(manager: Manager) -> None:
    """Those who ask at once share one look, also at a worker that was installed later."""
    manager.registry.place([manager.place(API)])
    manager.registry.place([manager.place(whose) for whose in OPERATORS])
    answers = await asyncio.gather(*(manager.ask(user, "/instances") for user in (OF_API, ROOT, OF_SHOP, ROOT)))
    assert [len(found["instances"]) for _, found in answers] == [1, 2, 1, 2]
    assert all(each["files"] is not None for _, found in answers for each in found["instances"])


async def test_each_instance_tells_the_release_that_it_runs(manager: Manager) -> None:
    serving = manager.runtime / "workers/shop/serving"
    serving.parent.mkdir(parents=True)
    serving.write_text("3f9c02d1a7be\n")
    _, found = await manager.ask(ROOT, "/instances")
    assert [each["release"] for each in found["instances"]] == [None, "3f9c02d1a7be"]


async def test_a_change_of_anothers_worker_ends_no_wait(manager: Manager) -> None:
    asked = asyncio.create_task(manager.ask(OF_API, "/events?after=0&wait_us=15000000"))
    while not busy(manager):
        await asyncio.sleep(0)
    manager.happens(1, SHOP)
    await asyncio.sleep(0)
    manager.happens(2, API)
    _, found = await asked
    assert [each["number"] for each in found["events"]] == [2]


async def test_who_asks_without_an_end_is_told_so(manager: Manager, capsys: pytest.CaptureFixture[str]) -> None:
    one = f'url = "http://m/instances"\nunix-socket = "{manager.path}"\noutput = "/dev/null"\nsilent\n'
    config = "next\n".join([one + 'write-out = "%{http_code} "\n'] * 120)
    command = ["curl", "--config", "-"]
    done = await asyncio.to_thread(run, command, input=config, user=OF_API)
    statuses = done.stdout.split()
    assert statuses.count("429") == 120 - statuses.count("200") > 0
    assert statuses.count("200") % MOST_REQUESTS in range(21), "of one span, or of two"
    assert capsys.readouterr().err.count("asks for /instances") == statuses.count("200")
    assert (await manager.ask(ROOT, "/instances"))[0] == 200
    assert (await manager.ask(OF_SHOP, "/instances"))[0] == 200


async def test_a_wait_ends_when_its_client_goes(manager: Manager) -> None:
    for _ in range(MAX_OF_A_USER + 2):
        reader, writer = await asyncio.open_unix_connection(manager.path)
        writer.write(b"GET /events?after=0&wait_us=30000000 HTTP/1.1\r\nHost: m\r\n\r\n")
        await writer.drain()
        while not busy(manager):
            await asyncio.sleep(0)
        writer.close()
        while busy(manager):
            await asyncio.sleep(0)
        assert await reader.read() == b""
