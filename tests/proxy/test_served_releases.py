"""The access log says which release has answered a request, by the file `serving` of the instance,
whatever a worker makes of that file."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from control_peers import GET, controlled, leave_path, relayed, serving_path, write_routes
from host.hostile_marks import MARK, RELEASE, WITHOUT
from inotify_simple import INotify, flags  # noqa: TID251 - counts how often a file is opened
from peers import OK, PATIENCE, Router, TcpWorker, answering

from tqunits.model import Instance
from tqunits.proxy.served_releases import ServedReleases

API = Instance("api")
NEXT = "0123456789ab"


def log_to(folder: Path) -> str:
    return f"--access-log=json:{folder}/log"


def serve(folder: Path, make: Callable[[Path], object]) -> None:
    """Another file `serving`."""
    path = serving_path(folder)
    shutil.rmtree(path.parent)
    path.parent.mkdir()
    make(path)


def marked(text: str) -> Callable[[Path], object]:
    return lambda path: path.write_text(text)


async def look(folder: Path) -> None:
    """Have the router look at the file, as the unit of an instance does."""
    reader, writer = await asyncio.open_unix_connection(leave_path(folder))
    writer.write(b"GET /serving/w HTTP/1.1\r\nHost: router\r\n\r\n")
    answer = await asyncio.wait_for(reader.read(), PATIENCE)
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["serving"] is True
    writer.close()


async def ask(router: Router) -> None:
    assert (await asyncio.wait_for(router.ask(GET), PATIENCE)).endswith(b"ok")


def releases(folder: Path) -> list[str | None]:
    """Of each line of the log."""
    return [json.loads(line)["release"] for line in (folder / "log").read_text().splitlines()]


async def test_each_line_has_the_release_that_has_answered(folder: Path) -> None:
    async with relayed(folder, answering(OK), log_to(folder)) as (router, _):
        await ask(router)
        for text in (MARK, f"{NEXT}\n", "", MARK):
            serve(folder, marked(text))
            await look(folder)
            await ask(router)
        serving_path(folder).write_text(f"{NEXT}\n")  # the same file
        await look(folder)
        await ask(router)
        await router.stop()
    assert releases(folder) == [None, RELEASE, NEXT, None, RELEASE, NEXT]


async def test_an_answer_of_the_routers_own_has_none(folder: Path) -> None:
    async with relayed(folder, answering(OK), log_to(folder), max_body=1) as (router, _):
        serve(folder, marked(MARK))
        await look(folder)
        client = await router.connect()
        await client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        await client.head()
        assert await client.exactly(2) == b"ok"
        await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n")
        assert (await client.rest()).startswith(b"HTTP/1.1 413 ")
        client.close()
        await router.stop()
    assert releases(folder) == [RELEASE, None]


async def test_other_routes_forget_no_release(folder: Path) -> None:
    """The endpoint is another one then."""
    first, second = await TcpWorker().start(answering(OK)), await TcpWorker().start(answering(OK))
    options = controlled(folder, first.endpoint, log_to(folder))
    serve(folder, marked(MARK))
    async with Router(folder, options) as router:
        write_routes(folder, second.endpoint)
        await router.told("READY=1")
        await ask(router)
        await router.stop()
    assert releases(folder) == [RELEASE]
    first.stop()
    second.stop()


async def test_a_hostile_file_has_no_release_and_holds_nobody_up(folder: Path) -> None:
    async with relayed(folder, answering(OK), log_to(folder)) as (router, _):
        for make in WITHOUT:
            for text in (marked(MARK), make.values[0]):
                assert callable(text)
                serve(folder, text)
                await look(folder)
                await ask(router)
        await router.stop()
    assert releases(folder) == [RELEASE, None] * len(WITHOUT)


@pytest.mark.parametrize("make", WITHOUT)
def test_there_is_none(folder: Path, make: Callable[[Path], object]) -> None:
    make(folder / "serving")
    assert ServedReleases().of(API, folder / "serving") == ""


def test_a_file_is_opened_once(folder: Path) -> None:
    path, found = folder / "serving", ServedReleases()
    path.write_text(MARK)
    with INotify() as opened:
        opened.add_watch(path, flags.OPEN)
        assert [found.of(API, path) for _ in range(3)] == [RELEASE] * 3
        assert len(opened.read(timeout=0)) == 1
        os.utime(path)
        assert found.of(API, path) == RELEASE
        assert len(opened.read(timeout=0)) == 1
        found.keep_only([])
        assert found.of(API, path) == RELEASE
        assert len(opened.read(timeout=0)) == 1


def test_a_file_that_is_gone_has_none(folder: Path) -> None:
    path, found = folder / "serving", ServedReleases()
    path.write_text(MARK)
    assert found.of(API, path) == RELEASE
    path.unlink()
    assert found.of(API, path) == ""
