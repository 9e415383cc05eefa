"""An invalid file of routes, whatever it is: the router keeps its routes, and `ls` reports the
mistake at once."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest
from bodies import get, receive
from control_peers import relayed
from peers import OK, PATIENCE, Router, answering

from tqunits.errors import TqunitsError
from tqunits.host.installed import served
from tqunits.layout import SYSTEM_LAYOUT
from tqunits.routing.codec.document import MAX_SNAPSHOT

ASK = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


def text(content: bytes) -> Callable[[Path, bytes], object]:
    return lambda path, _: path.write_bytes(content)


def large(path: Path, _: bytes) -> None:
    with path.open("wb") as file:
        file.truncate(MAX_SNAPSHOT * 64)


def twice(path: Path, good: bytes) -> None:
    path.write_bytes(b'{"version": 1, ' + good.lstrip()[1:])


MADE: dict[str, Callable[[Path, bytes], object]] = {
    "a FIFO": lambda path, _: os.mkfifo(path),
    "a folder": lambda path, _: path.mkdir(),
    "a device": lambda path, _: path.symlink_to("/dev/zero"),
    "very large": large,
    "deep": text(b"[" * 1_000_000),
    "deep objects": text(b'{"a":' * 1_000_000),
    "a number of a million digits": text(b'{"version": ' + b"1" * 1_000_000 + b"}"),
    "not UTF-8": lambda path, good: path.write_bytes(good.replace(b'"name": "w"', b'"name": "\xff"')),
    "UTF-16": lambda path, good: path.write_bytes(good.decode().encode("utf-16")),
    "a key that is given twice": twice,
    "cut short": lambda path, good: path.write_bytes(good[:-20]),
    "empty": text(b""),
}


@pytest.mark.parametrize("make", MADE.values(), ids=MADE)
async def test_what_is_no_file_of_routes_changes_nothing(folder: Path, make: Callable[[Path, bytes], object]) -> None:
    """Requests that come meanwhile are served by the previous routes, and a good file is read
    again."""

    async with relayed(folder, answering(OK)) as (router, _):
        routes = folder / "routes.json"
        good = routes.read_bytes()
        make(folder / "bad", good)
        routes.unlink()
        (folder / "bad").rename(routes)
        await refused(router)
        client = await router.connect()
        await client.send(get("/"))
        assert (await receive(client)).body == b"ok"
        with pytest.raises(TqunitsError, match=r"routes\.json"):
            served(replace(SYSTEM_LAYOUT, state=PurePosixPath(folder)))
        routes.rename(folder / "was-bad")
        (folder / "aside").write_bytes(json.dumps(json.loads(good) | {"workers": []}).encode())
        (folder / "aside").rename(routes)
        async with asyncio.timeout(PATIENCE):
            while (await router.ask(ASK))[9:12] != b"404":
                pass


async def refused(router: Router) -> None:
    async with asyncio.timeout(PATIENCE):
        while "reload was refused, as before: routes: " not in router.said():
            await asyncio.sleep(0)
