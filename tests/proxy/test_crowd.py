"""A router with so many connections that it keeps no earlier requests for comparison."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from pathlib import Path

import pytest
from control_peers import controlled, until
from peers import OK, Connection, Router, Worker, answering

from tqunits.proxy.routes.clients import CROWD

KEEP = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
MANY = {"max_connections": 2 * CROWD}


@pytest.fixture
def descriptors() -> Iterator[None]:
    """Enough connections for that."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.usefixtures("descriptors")
@pytest.mark.parametrize("room", [True, False], ids=["served", "refused at once"])
async def test_the_same_request_before_and_in_a_crowd(folder: Path, room: bool) -> None:  # noqa: FBT001
    """The request is recognised while it is answered; by then the router may have forgotten the
    earlier one."""

    async def behave(connection: Connection) -> None:
        await (answering(OK) if room else silent)(connection)

    worker = await Worker(folder / "w").start(behave)
    options = controlled(folder, worker.endpoint, limits=MANY, max_inflight=CROWD if room else 1)
    async with Router(folder, options) as router:
        others = [await router.connect() for _ in range(0 if room else 2)]
        for number, other in enumerate(others):  # one runs and one waits: there is no room for more
            await other.send(KEEP)
            await until(folder, in_flight=1, waiting=number)
        client = await router.connect()
        code = b"200" if room else b"503"
        await answered(client, code, 1)
        others += [await router.connect() for _ in range(CROWD)]
        await until(folder, connections=len(others) + 1)
        await answered(client, code, 3)
        for _ in range(CROWD):
            others.pop().close()
        await until(folder, connections=len(others) + 1)
        await answered(client, code, 3)
    worker.stop()


async def silent(connection: Connection) -> None:
    await connection.rest()


async def answered(client: Connection, code: bytes, times: int) -> None:
    for _ in range(times):
        await client.send(KEEP)
        assert (await client.response())[0][9:12] == code
